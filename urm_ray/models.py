"""Loads checkpoints. Every model of the system comes in through here: from a folder, an object store or the hub."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from urm_ray import store
from urm_ray.checkpoint_files import need_known_parts, need_no_code, need_safetensors, without_code
from urm_ray.file_systems import is_object, join
from urm_ray.local_copies import local_copy
from urm_ray.secrets import printed
from urm_ray.store import StoreError

_CONFIGS = ("config.json", "model_index.json")


def locate(path: str) -> str:
    """The folder, URI or hub name that a configured path means, whether or not the hub can be reached.

    `package:FOLDER` is a folder inside an installed package. StoreError where a local path or a URI has no checkpoint.
    """
    if not path:
        raise StoreError(
            "a model path is missing: judge_base.path, unless judge.path names a judge, or policies.TASK.path"
        )
    if is_object(path):
        if not any(store.exists(join(path, name)) for name in _CONFIGS):
            raise StoreError(f"{printed(path)} holds no checkpoint: neither {' nor '.join(_CONFIGS)} is there")
        return path
    package, colon, folder = path.partition(":")
    if colon and package.replace("_", "").replace(".", "").isalnum() and "/" not in package:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise StoreError(f"no package {package!r} for the checkpoint {path}")
        path = str(Path(next(iter(spec.submodule_search_locations))) / folder)
    local = Path(path).expanduser()
    if local.exists():
        if not any((local / name).is_file() for name in _CONFIGS):
            raise StoreError(f"{local} holds no checkpoint: neither {' nor '.join(_CONFIGS)} is there")
        return str(local.absolute())
    if local.is_absolute() or path.startswith((".", "~")) or path.count("/") != 1:
        raise StoreError(f"there is no checkpoint at {path}")
    return path


def cached(name: str) -> Path | None:
    """The snapshot folder of a hub name in the hub's local cache, if its configuration is there."""
    from huggingface_hub import try_to_load_from_cache

    held = (try_to_load_from_cache(name, file) for file in ("model_index.json", "config.json"))
    return next((Path(file).parent for file in held if isinstance(file, str)), None)


class NoHubError(StoreError):
    """A model by its name on the hub, where there is no hub."""


def checked(path: str) -> str:
    """As `locate`; StoreError, too, where a folder has pickles in place of safetensors, and where a hub name cannot be
    loaded because the hub is switched off. What is checked here may be resolved on another node."""
    where = locate(path)
    if is_object(where):
        return where
    if Path(where).exists():
        need_safetensors(where, path)
    if not Path(where).exists() and os.environ.get("HF_HUB_OFFLINE") == "1" and cached(where) is None:
        raise NoHubError(f"there is no checkpoint at {path}, and the hub is switched off (HF_HUB_OFFLINE=1)")
    return where


def resolve(path: str) -> str:
    """As `checked`, for a process that loads the checkpoint: of what lies on an object store, the copy of this node."""
    where = checked(path)
    if is_object(where):
        where = local_copy(where)
        need_safetensors(where, path)
    return where


def pick_device(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def torch_dtype(name: str) -> Any:
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def load_dual_encoder(path: str) -> tuple[Any, Any, str]:
    """(model in eval mode, processor, device) of two encoders, of texts and of pictures, that share a space, as CLIP's
    do; StoreError for another kind of model. Safetensors only, no remote code."""
    from transformers import AutoModel, AutoProcessor

    where = pick_device("auto")
    with without_code(path):
        model = AutoModel.from_pretrained(resolve(path), use_safetensors=True, trust_remote_code=False)
        processor = AutoProcessor.from_pretrained(resolve(path), trust_remote_code=False)
    if not hasattr(model, "get_text_features") or not hasattr(model, "logit_scale"):
        raise StoreError(f"{path} holds a {type(model).__name__}, not two encoders that share a space")
    return model.to(where).eval(), processor, where


def makes(pipeline_class: str) -> str | None:
    """What a pipeline of diffusers turns text into, by the name of its class: image, video, or None for neither."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING, AUTO_TEXT2VIDEO_PIPELINES_MAPPING

    if pipeline_class in {known.__name__ for known in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}:
        return "image"
    # For these diffusers has no automatic class.
    others = {"AnimateDiffPipeline", "CogVideoXPipeline", "TextToVideoSDPipeline"}
    videos = {known.__name__ for known in AUTO_TEXT2VIDEO_PIPELINES_MAPPING.values()} | others
    return "video" if pipeline_class in videos else None


def pipeline_class(path: str) -> str:
    """The class of a pipeline, as its model_index.json names it; StoreError where it brings its own code."""
    name = _index(path)["_class_name"]
    if not isinstance(name, str):
        raise StoreError(f"{path} holds a {name}, which is code of its own; only classes of diffusers are loaded")
    return name


def part_config(path: str, part: str) -> dict[str, Any]:
    """The configuration of one part of a pipeline, such as "unet", as its config.json has it; reads no weights."""
    from diffusers import AutoModel

    where = resolve(path)
    config: dict[str, Any] = AutoModel.load_config(where, subfolder=part, local_files_only=Path(where).exists())
    return config


def load_pipeline(
    path: str,
    dtype: str = "float32",
    device: str = "auto",
    wanted: str | None = None,
    only: Collection[str] | None = None,
) -> Any:
    """A text-to-image or text-to-video pipeline as diffusers saves it; safetensors only, no remote code.

    wanted: image or video, where only that will do. only: names of the parts to load, such as "unet"; the others are
    None. StoreError, before any weights are read, where the checkpoint makes neither or not what is wanted.
    An autoencoder that overflows in half precision (`force_upcast`) is float32 whatever the dtype, and takes latents of
    any.
    """
    from diffusers import DiffusionPipeline

    index = _index(path)
    name = index["_class_name"]
    made = makes(name) if isinstance(name, str) else None
    if made is None or (wanted and made != wanted):
        raise StoreError(f"{path} holds a {name} where a text-to-{wanted or 'image or -video'} pipeline is needed")
    need_known_parts(index, path)
    parts = {part: value[0] is not None for part, value in index.items() if isinstance(value, list)}
    wished = {part for part, there in parts.items() if there and (only is None or part in only)}
    full = dtype != "float32" and "vae" in wished and _needs_float32(part_config(path, "vae"))
    where = resolve(path)
    for folder in (Path(where) / part for part in wished):
        if folder.is_dir():
            need_safetensors(folder, path)
            need_no_code(folder, path)
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            where,
            dtype={"default": torch_dtype(dtype)} | ({"vae": torch_dtype("float32")} if full else {}),
            use_safetensors=True,
            local_files_only=Path(where).exists(),
            **dict.fromkeys(parts.keys() - wished),
        )
    except ValueError as error:
        if "tiktoken" not in str(error):
            raise
        # What transformers says where it has a spiece.model and no package to read it, as CogVideoX and LTX come.
        raise StoreError(f"{path} has a tokenizer of SentencePiece: pip install sentencepiece") from error
    pipeline.set_progress_bar_config(disable=True)
    if full:
        _decode_any(pipeline.vae)
    return pipeline.to(pick_device(device))


def _index(path: str) -> dict[str, Any]:
    from diffusers import DiffusionPipeline

    where = resolve(path)
    index: dict[str, Any] = DiffusionPipeline.load_config(where, local_files_only=Path(where).exists())
    return index


def _needs_float32(vae: dict[str, Any]) -> bool:
    return bool(vae.get("force_upcast")) or vae.get("_class_name") == "AutoencoderKLWan"


def _decode_any(vae: Any) -> None:
    """Lets a float32 autoencoder decode the latents of a denoiser in half precision, one picture or clip at a time."""
    decode = vae.decode

    def decode_float32(latents: Any, *args: Any, **kwargs: Any) -> Any:
        return decode(latents.to(vae.dtype), *args, **kwargs)

    vae.decode = decode_float32
    vae.enable_slicing()
