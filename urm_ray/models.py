"""Loads checkpoints. Every model of the system comes in through here, from a folder or by its name on the hub."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from urm_ray.store import StoreError


def resolve(path: str) -> str:
    """The folder or hub name that a configured path means.

    `package:FOLDER` is a folder inside an installed package. StoreError where a local path has no checkpoint.
    """
    if not path:
        raise StoreError("a model path is missing: judge_base.path and policies.TASK.path are needed")
    package, colon, folder = path.partition(":")
    if colon and package.replace("_", "").replace(".", "").isalnum() and "/" not in package:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise StoreError(f"no package {package!r} for the checkpoint {path}")
        path = str(Path(next(iter(spec.submodule_search_locations))) / folder)
    local = Path(path).expanduser()
    if local.exists():
        if not any((local / name).is_file() for name in ("config.json", "model_index.json")):
            raise StoreError(f"{local} holds no checkpoint: neither config.json nor model_index.json is there")
        return str(local.absolute())
    if local.is_absolute() or path.startswith((".", "~")) or path.count("/") != 1:
        raise StoreError(f"there is no checkpoint at {path}")
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise StoreError(f"there is no checkpoint at {path}, and the hub is switched off (HF_HUB_OFFLINE=1)")
    return path


def pick_device(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def torch_dtype(name: str) -> Any:
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def load_processor(path: str) -> Any:
    """The processor (tokenizer, image processor, chat template) of a chat VLM."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(resolve(path))


def load_vlm(
    path: str, dtype: str = "float32", device: str = "auto", attention: str | None = None
) -> tuple[Any, Any, str]:
    """(model in eval mode, processor, device) of a chat VLM; safetensors only, no remote code.

    attention: eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose.
    """
    from transformers import AutoModelForImageTextToText

    where = pick_device(device)
    model = AutoModelForImageTextToText.from_pretrained(
        resolve(path), dtype=torch_dtype(dtype), use_safetensors=True, attn_implementation=attention
    )
    return model.to(where).eval(), load_processor(path), where


def trainable_vlm(path: str, dtype: str, attention: str | None, train_vision: bool) -> Any:
    """A chat VLM in training mode on the CPU, from where a trainer takes it; its vision encoder frozen if so wished."""
    model = load_vlm(path, dtype, "cpu", attention)[0].train()
    if not train_vision:
        for name, parameter in model.named_parameters():
            parameter.requires_grad = "visual" not in name and "vision" not in name
    return model


def makes(pipeline_class: str) -> str | None:
    """What a pipeline of diffusers turns text into, by the name of its class: image, video, or None for neither."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING, AUTO_TEXT2VIDEO_PIPELINES_MAPPING

    if pipeline_class in {known.__name__ for known in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}:
        return "image"
    # diffusers has no automatic class for the Stable Diffusion kind of text-to-video.
    videos = {known.__name__ for known in AUTO_TEXT2VIDEO_PIPELINES_MAPPING.values()} | {"TextToVideoSDPipeline"}
    return "video" if pipeline_class in videos else None


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
    """
    from diffusers import DiffusionPipeline

    where = resolve(path)
    local = Path(where).exists()
    index = DiffusionPipeline.load_config(where, local_files_only=local)
    name = index["_class_name"]
    made = makes(name) if isinstance(name, str) else None
    if made is None or (wanted and made != wanted):
        raise StoreError(f"{path} holds a {name} where a text-to-{wanted or 'image or -video'} pipeline is needed")
    parts = [part for part, value in index.items() if isinstance(value, list) and value[0] is not None]
    left_out = {part: None for part in parts if only is not None and part not in only}
    pipeline = DiffusionPipeline.from_pretrained(
        where, torch_dtype=torch_dtype(dtype), use_safetensors=True, local_files_only=local, **left_out
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(pick_device(device))
