"""Writes a checkpoint in the format of the LLaVA-NeXT code base anew, as a plain folder of transformers.

All that the two formats have in common, and what they have not, is said in `urm_ray.llava_next_format`.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from urm_ray.file_systems import is_object
from urm_ray.llava_next_format import (
    COMPUTED,
    EMBEDDING,
    HEAD,
    TOWER,
    FormatError,
    clips_advice,
    is_llava_next,
    onevision_config,
    original,
    renamed,
)
from urm_ray.local_copies import filling
from urm_ray.models import resolve

SHARD = 2 << 30
"""Bytes of weights in a file; no more than this, and the largest weight, is in memory."""
SLOTS = ("<image>", "<video>")
_MARKS = ("<|im_start|>", "<|im_end|>")

CHAT = """\
{%- if not messages or messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\\n' -}}
    {%- if message['content'] is string -%}
        {{- message['content'] -}}
    {%- else -%}
        {%- for part in message['content'] -%}
            {%- if part['type'] == 'text' -%}
                {{- part['text'] -}}
            {%- elif part['type'] in ('image', 'video') -%}
                {{- '<' + part['type'] + '>' -}}
                {%- if not loop.last and loop.nextitem.get('text', '')[:1] != '\\n' -%}
                    {{- '\\n' -}}
                {%- endif -%}
            {%- else -%}
                {{- raise_exception('a part of a chat is text, image or video, and not ' + part['type']) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""The conversation that LLaVA-NeXT calls qwen_1_5. Slots stand where a chat has them, a line's end behind each."""


@dataclass(frozen=True)
class Weight:
    """Where a weight lies, and its shape and type as safetensors names it."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str

    def read(self) -> torch.Tensor:
        with safe_open(self.file, "pt") as opened:
            return opened.get_tensor(self.key)

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * {"F32": 4, "F16": 2, "BF16": 2}[self.dtype]


def convert(source: str, to: str) -> str | None:
    """Writes the checkpoint `source`, a folder or a name on the hub, into the folder `to`; returns advice on clips.

    The folder is there only once all is written. FormatError, before anything is written, where `source` is not wholly
    understood or `to` is not empty; StoreError where there is no `source`, or no space.
    """
    if is_object(to):
        raise FormatError(f"converted checkpoints are written to a folder of this machine, not to {to}")
    folder, out = _folder(source), Path(to)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FormatError(f"{to} is not empty: name a folder that is, or none")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        if not is_llava_next(config):
            raise FormatError("its config.json is not of the LLaVA-NeXT code base: it has no mm_vision_tower")
        weights = _weights(folder)
        tied = _tied(config, weights)
        if not any(key.startswith(TOWER) for key in weights):
            raise FormatError(f"its vision tower, {config['mm_vision_tower']}, is not among its weights")
        if EMBEDDING not in weights:
            raise FormatError(f"{EMBEDDING} is missing")
        wanted = onevision_config(config, weights[EMBEDDING].shape[0], tied)
        _match(wanted, weights)
        processor = _processor(folder, wanted)
        like = processor.tokenizer.convert_tokens_to_ids(_MARKS[0])
    except FormatError as error:
        raise FormatError(f"{source} cannot be converted: {error}") from error
    with filling(to) as partial:
        _write(weights, partial, wanted.text_config.vocab_size, like)
        processor.save_pretrained(partial)
        if (folder / "generation_config.json").is_file():
            shutil.copyfile(folder / "generation_config.json", partial / "generation_config.json")
        wanted.save_pretrained(partial)
    return clips_advice(config)


def _folder(source: str) -> Path:
    """The folder of a checkpoint; one on the hub is downloaded into the hub's cache, without code and pickles."""
    where = resolve(source)
    if Path(where).exists():
        return Path(where)
    from huggingface_hub import snapshot_download

    kinds = ["*.json", "*.safetensors", "*.txt"]
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        return Path(snapshot_download(where, allow_patterns=kinds, local_files_only=offline))
    except Exception as error:  # its errors have no common base but this
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FormatError(f"there is no checkpoint {source} on the hub: {first}") from error


def _weights(folder: Path) -> dict[str, Weight]:
    """The weights of a checkpoint by name, of one file or of all that its index names; reads their headers alone."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted({folder / name for name in json.loads(index.read_text("utf-8"))["weight_map"].values()})
    else:
        files = [folder / "model.safetensors"]
    found: dict[str, Weight] = {}
    for file in files:
        if not file.is_file():
            raise FormatError(f"{file.name} is not there, and weights are read of safetensors alone, not of .bin files")
        with safe_open(file, "pt") as opened:
            for key in opened.offset_keys():
                part = opened.get_slice(key)
                found[key] = Weight(file, key, tuple(part.get_shape()), part.get_dtype())
                if found[key].dtype not in ("F32", "F16", "BF16"):
                    raise FormatError(f"{key} is of type {found[key].dtype}, and not of 16 or 32 bit floats")
    return {key: weight for key, weight in found.items() if not key.endswith(COMPUTED)}


def _tied(config: Mapping[str, Any], weights: dict[str, Weight]) -> bool:
    """Whether the head is the embedding; then a stored copy of it is left out."""
    tied = bool(config.get("tie_word_embeddings", False))
    if not tied and HEAD not in weights:
        raise FormatError(f"{HEAD} is missing; if it is the embedding, set tie_word_embeddings in its config.json")
    if tied and HEAD in weights:
        if EMBEDDING not in weights or not torch.equal(weights[HEAD].read(), weights[EMBEDDING].read()):
            raise FormatError(f"tie_word_embeddings is set, but {HEAD} is not {EMBEDDING}")
        del weights[HEAD]
    return tied


def _match(config: Any, weights: Mapping[str, Weight]) -> None:
    """FormatError unless the weights are just those, of the shapes, of the model of a configuration."""
    from transformers import LlavaOnevisionForConditionalGeneration

    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(config)
    wanted = {original(name): tuple(value.shape) for name, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del wanted[HEAD]
    if missing := sorted(wanted.keys() - weights.keys()):
        raise FormatError(f"weights are missing: {_some(missing)}")
    if unexpected := sorted(weights.keys() - wanted.keys()):
        raise FormatError(f"LLaVA-OneVision of transformers has no place for some weights: {_some(unexpected)}")
    for key, shape in wanted.items():
        if weights[key].shape != shape:
            raise FormatError(f"{key} is of shape {weights[key].shape}, and config.json makes it {shape}")
    config.dtype = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[weights[EMBEDDING].dtype]


def _some(keys: list[str]) -> str:
    return keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")


def _processor(folder: Path, config: Any) -> Any:
    """The processor of a model, whose slots it tells the configuration; the vocabulary grows where they need rows."""
    import transformers as tf

    tokenizer = tf.Qwen2Tokenizer.from_pretrained(folder)
    known, rows = tokenizer.get_vocab(), config.text_config.vocab_size
    if not set(_MARKS) <= known.keys() or len(tokenizer) > rows:
        raise FormatError(
            f"its tokenizer lacks {' or '.join(_MARKS)}, or has more tokens ({len(tokenizer)}) than there are"
            f" embeddings ({rows})"
        )
    tokenizer.add_tokens([tf.AddedToken(slot, special=True, normalized=False) for slot in SLOTS], special_tokens=True)
    tokenizer.chat_template = None
    config.image_token_id, config.video_token_id = tokenizer.convert_tokens_to_ids(SLOTS)
    config.text_config.vocab_size = max(rows, config.image_token_id + 1, config.video_token_id + 1)
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    pixels = {
        "size": {"height": side, "width": side},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
    }
    return tf.LlavaOnevisionProcessor(
        image_processor=tf.LlavaOnevisionImageProcessor(image_grid_pinpoints=config.image_grid_pinpoints, **pixels),
        video_processor=tf.LlavaOnevisionVideoProcessor(**pixels),
        tokenizer=tokenizer,
        num_image_tokens=(side // patch) ** 2,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        vision_aspect_ratio=config.vision_aspect_ratio,
        chat_template=CHAT,
    )


def _write(weights: Mapping[str, Weight], out: Path, vocabulary: int, like: int) -> None:
    """Writes the weights in files of up to SHARD bytes, and the index. Embedding and head get rows up to `vocabulary`,
    each a copy of row `like`: that of a token that is never said, as those of slots are never said."""
    parts = list(_parts(weights))
    index = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        tensors = {}
        for weight in part:
            name, tensor = renamed(weight.key), weight.read()
            if weight.key in (EMBEDDING, HEAD) and len(tensor) < vocabulary:
                tensor = torch.cat([tensor, tensor[like].expand(vocabulary - len(tensor), -1)])
            tensors[name], index[name] = tensor, file
        save_file(tensors, out / file, metadata={"format": "pt"})
    total = {"total_size": sum(weight.bytes for weight in weights.values())}
    text = json.dumps({"metadata": total, "weight_map": index}, indent=2)
    (out / "model.safetensors.index.json").write_text(text + "\n", "utf-8")


def _parts(weights: Mapping[str, Weight]) -> Iterator[list[Weight]]:
    part: list[Weight] = []
    for weight in weights.values():
        if part and sum(held.bytes for held in part) + weight.bytes > SHARD:
            yield part
            part = []
        part.append(weight)
    yield part
