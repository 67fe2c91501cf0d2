"""What of a checkpoint's files could run code, and the refusal of it before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from urm_ray.store import StoreError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
_INDEX = "*.safetensors.index.json"
_OWN = "which is never run: take a checkpoint of a family that transformers or diffusers knows"


def need_safetensors(folder: str | Path, path: str) -> None:
    """StoreError where the weights in a folder are pickles alone, or where an index of safetensors names other files or
    files elsewhere. path: what a configuration calls the checkpoint."""
    names = sorted(file.name for file in Path(folder).iterdir() if file.is_file())
    pickles = [name for name in names if name.lower().endswith(PICKLES)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise StoreError(
            f"{path} has its weights as pickles, such as {pickles[0]}, which can run code: save it anew as safetensors"
            " (save_pretrained does), where it can be trusted"
        )
    for index in Path(folder).glob(_INDEX):
        found = _json(index).get("weight_map")
        files = set(map(str, found.values())) if isinstance(found, dict) else set()
        if strange := sorted(name for name in files if "/" in name or not name.endswith(".safetensors")):
            raise StoreError(
                f"{path} is refused: its {index.name} names {strange[0]!r}, which is no safetensors file of it"
            )


def need_known_parts(index: dict[str, Any], path: str) -> None:
    """StoreError where a pipeline's model_index.json names a part that is not of transformers or diffusers."""
    from diffusers import pipelines

    for part, value in index.items():
        if not isinstance(value, list) or not value or value[0] is None:
            continue
        library = value[0]
        if library not in ("diffusers", "transformers") and not (
            isinstance(library, str) and library.isidentifier() and hasattr(pipelines, library)
        ):
            raise StoreError(f"the {part} of {path} is a {'.'.join(map(str, value))}, which is code of its own, {_OWN}")


def need_no_code(folder: str | Path, path: str) -> None:
    """StoreError where the configurations in a folder name classes of the checkpoint's own (`auto_map`)."""
    for file in sorted(Path(folder).glob("*config.json")):
        if _json(file).get("auto_map"):
            raise StoreError(f"{path} brings code of its own ({file.name} has an auto_map), {_OWN}")


@contextmanager
def without_code(path: str) -> Iterator[None]:
    """Turns what transformers says of a checkpoint that cannot be loaded without its own code into a StoreError."""
    try:
        yield
    except ValueError as error:
        if "custom code" not in str(error):
            raise
        raise StoreError(f"{path} can only be loaded with code of its own, {_OWN}") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # whoever loads it says what is wrong with it
    return found if isinstance(found, dict) else {}
