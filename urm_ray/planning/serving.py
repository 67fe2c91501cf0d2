"""Memory and work of models in use: policies that sample or answer, judges that read or write, encoders."""

from __future__ import annotations

from dataclasses import dataclass

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.planning.architectures import VLM, Architecture
from urm_ray.planning.denoiser_passes import decoding_pass, denoising_pass, encoding_pass
from urm_ray.planning.geometry import Eyes
from urm_ray.planning.questions import Chat
from urm_ray.planning.rehearsal import extended
from urm_ray.planning.shots import Shots
from urm_ray.planning.skeleton import parameter_bytes, skeleton
from urm_ray.planning.vlm_passes import Batch, cache_bytes_per_token, reading_pass

_DRAW_BYTES = 32
"""Of each token of the vocabulary and each answer, when a token is drawn: logits, noise and their sum in float64."""
_CLIP_AUTOENCODERS = ("AutoencoderKLWan", "AutoencoderKLCogVideoX", "AutoencoderKLLTXVideo")


@dataclass(frozen=True)
class Serving:
    """One model in use. weights and passing: bytes, for good and at the fullest moment of a pass."""

    weights: float
    passing: float
    flops: float
    """Of one row: a question, an answer's question, a picture or clip, a pair that is encoded."""
    layers: int = 0
    token_bytes: float = 0.0
    """Read in each step of decoding for each answer: the keys and values so far, half of the new ones among them."""

    @property
    def peak(self) -> float:
        return self.weights + self.passing


def reads(
    architecture: Architecture, eyes: Eyes | None, dtype: str, batch: int, chat: Chat, keeps: bool = False
) -> Serving:
    """A VLM that reads questions and makes logits of a few places. keeps: keys and values of what several questions
    begin with, at most all of them."""
    model = skeleton(architecture, VLM, dtype).eval()
    one, two = (reading_pass(model, eyes, Batch((chat.looks,) * n, chat.tokens, chat.predicted)) for n in (1, 2))
    kept = batch * chat.tokens * cache_bytes_per_token(model) if keeps else 0
    return Serving(parameter_bytes(model), extended(one, two, batch).peak() + kept, one.flops)


def writes(
    architecture: Architecture, eyes: Eyes | None, dtype: str, batch: int, chat: Chat, new: int, each: int = 1
) -> Serving:
    """A VLM that decodes `batch` answers at once, `each` of them to the same question, which is read once."""
    model = skeleton(architecture, VLM, dtype).eval()
    one, two = (reading_pass(model, eyes, Batch((chat.looks,) * n, chat.tokens, 1), cache=True) for n in (1, 2))
    reading = extended(one, two, max(1, batch // each)).peak()
    kept = cache_bytes_per_token(model)
    vocabulary = len(model.get_output_embeddings().weight)
    rows = max(batch, each)
    writing = rows * (chat.tokens + new) * kept + rows * vocabulary * _DRAW_BYTES
    copied = (rows + max(1, batch // each)) * chat.tokens * kept  # as many rows as answers, from those of questions
    layers = model.config.get_text_config().num_hidden_layers
    return Serving(
        parameter_bytes(model),
        max(reading, writing, copied),
        one.flops / each,
        layers,
        (chat.tokens + new / 2) * kept,
    )


def samples(
    architecture: Architecture, family: Family, dtype: str, sampler: SamplerConfig, made: Shots, told: Conditioning
) -> Serving:
    """A pipeline that makes `sampler.batch` pictures or clips at once. All its parts lie on the GPU."""
    guided = 2 if sampler.guidance > 1 and not family.config.get("guidance_embeds") else 1
    names = [name for name in architecture.parts if name != "scheduler"]
    parts = {name: skeleton(architecture, name, _dtype(architecture, name, dtype)).eval() for name in names}
    denoiser, vae = parts[family.denoiser], parts["vae"]
    step, steps = (denoising_pass(family, denoiser, made, told, guided * rows) for rows in (1, 2))
    clips = architecture.parts["vae"]["_class_name"] in _CLIP_AUTOENCODERS
    one, two = (decoding_pass(vae, made, rows, clips) for rows in (1, 2))
    alone = _dtype(architecture, "vae", dtype) != dtype  # and one by one
    rows = 1 if alone else sampler.batch
    passing = max(extended(step, steps, sampler.batch).peak(), extended(one, two, rows).peak())
    weights = sum(parameter_bytes(part) for part in parts.values())
    return Serving(weights, passing, sampler.steps * step.flops + one.flops)


def encodes(architecture: Architecture, family: Family, dtype: str, made: Shots) -> Serving:
    """The encoders of a pipeline, which see a pair at a time."""
    names = [name for name in family.encoders if name in architecture.parts]
    parts = {name: skeleton(architecture, name, _dtype(architecture, name, dtype)).eval() for name in names}
    clips = architecture.parts["vae"]["_class_name"] in _CLIP_AUTOENCODERS
    run = encoding_pass(parts["vae"], made, clips)
    passes = 2 if clips else max(1, 2 * made.frames / 16)
    return Serving(sum(parameter_bytes(part) for part in parts.values()), run.peak(), passes * run.flops)


def _dtype(architecture: Architecture, part: str, dtype: str) -> str:
    """As `models.load_pipeline` loads a part: autoencoders that overflow in half precision stay in float32."""
    config = architecture.parts[part]
    overflows = config.get("force_upcast") or config.get("_class_name") == "AutoencoderKLWan"
    return "float32" if part == "vae" and overflows else dtype
