"""An independent scorer for real pictures and clips: how near a model of the CLIP kind puts them to their prompt.

PickScore and its like are such models (`evaluate.scorer_model: yuvalkirstain/PickScore_v1`), and so is plain CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image

from urm_ray.models import load_dual_encoder

BATCH = 16
"""Frames of one forward pass."""


class ClipScore:
    """Figures `similarity`, the cosine of prompt and picture, and `logit`, that times the model's own scale, which is
    what PickScore calls its score. A clip has the mean over its frames. What a long prompt says behind the model's last
    position (77 tokens in CLIP) does not count.

    model: a folder or hub name of two encoders with one space, as transformers' CLIPModel and SiglipModel are.
    """

    def __init__(self, model: str) -> None:
        if not model:
            raise ValueError("evaluate.scorer_model: name the model of ClipScore, a folder or hub name")
        self.model = model

    def figures(self, prompt: str, candidate: Image.Image | Sequence[Image.Image]) -> dict[str, float | None]:
        import torch

        frames = [candidate] if isinstance(candidate, Image.Image) else list(candidate)
        model, processor, device = _loaded(self.model)
        found = []
        with torch.inference_mode():
            for start in range(0, len(frames), BATCH):
                inputs = processor(
                    text=[prompt], images=frames[start : start + BATCH], padding="max_length", truncation=True,
                    return_tensors="pt",
                )  # fmt: skip
                outputs = model(**inputs.to(device))
                found.append(torch.nn.functional.cosine_similarity(outputs.image_embeds, outputs.text_embeds))
            similarity = float(torch.cat(found).double().mean())
            return {"similarity": similarity, "logit": similarity * float(model.logit_scale.exp())}


@lru_cache(1)
def _loaded(path: str) -> tuple[Any, Any, str]:
    """One model a process, however often the scorer travels there."""
    return load_dual_encoder(path)
