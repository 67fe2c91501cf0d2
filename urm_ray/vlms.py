"""Loads chat VLMs of any family, and knows the little in which families differ.

Models are worked with through what those of transformers have in common: a backbone whose `get_image_features` and
`get_video_features` turn pixels into features, and which takes such features ready-made as `mm_encoder_outputs`; a head
on its last hidden states; and a processor whose chat template has slots (`urm_ray.chat`). What a model lacks is said
when it is loaded, in one sentence.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from urm_ray.chat import ChatProcessor, ModelError, question
from urm_ray.checkpoint_files import without_code
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.llava_next_format import is_llava_next
from urm_ray.models import pick_device, resolve, torch_dtype

PIXELS = {"image": "pixel_values", "video": "pixel_values_videos"}
"""The model input that holds the pixels of each kind of slot. Some families put clips among the pictures."""
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""The model inputs of shape (rows, tokens); all others are about pictures and clips."""
LAYERED = "deepstack_features"
"""Beside `pooler_output`, what Qwen3-VL's language model reads of an encoder's output: features for several layers."""

_SAME = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}
"""How far two ways of making logits may be apart, as a share of the largest."""


def load_processor(path: str) -> Any:
    """The processor (tokenizer, image processor, chat template) of a chat VLM; ModelError where it is not whole."""
    from transformers import AutoProcessor

    with without_code(path):
        processor = AutoProcessor.from_pretrained(_plain(path), trust_remote_code=False)
    for part in ("tokenizer", "image_processor", "chat_template"):
        if getattr(processor, part, None) is None:
            raise ModelError(f"{path} is no chat VLM: its {type(processor).__name__} has no {part.replace('_', ' ')}")
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token  # padding is masked, whatever it is
    return processor


def _plain(path: str) -> str:
    """As `models.resolve`; ModelError where the checkpoint has to be converted before transformers can read it."""
    from transformers import PreTrainedConfig

    where = resolve(path)
    if is_llava_next(PreTrainedConfig.get_config_dict(where)[0]):
        raise ModelError(
            f"{path} is in the format of the LLaVA-NeXT code base: convert it with `python jobs/convert_checkpoint.py"
            f" --from {path} --to FOLDER`, and name that folder in its place"
        )
    return where


def load_vlm(
    path: str,
    dtype: str = "float32",
    device: str = "auto",
    attention: str | None = None,
    clips: ClipConfig = DEFAULT_CLIPS,
) -> tuple[Any, Any, str]:
    """(model in eval mode, processor, device) of a chat VLM; safetensors only, no remote code.

    attention: eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose. clips: how it will
    be shown clips. ModelError where the checkpoint is of no chat VLM, lacks weights, or cannot be worked with; one
    question is read to find out.
    """
    model, processor = _load(path, dtype, attention)
    where = pick_device(device)
    model = model.to(where).eval()
    try_out(model, _blank(processor, clips).to(where, model.dtype))
    return model, processor, where


def trainable_vlm(
    path: str, dtype: str, attention: str | None, train_vision: bool, clips: ClipConfig = DEFAULT_CLIPS
) -> Any:
    """A chat VLM in training mode on the CPU, from where a trainer takes it.

    Frozen is all that comes before its language model if so wished, else what of that no loss can move (`idle`).
    clips: how it will be shown clips.
    """
    model, processor = _load(path, dtype, attention)
    if train_vision:
        frozen = idle(model, _blank(processor, clips).to(dtype=model.dtype))
        model.base_model.register_forward_pre_hook(_gradients_from_pixels, with_kwargs=True)
    else:
        frozen = [parameter for _, parameter in before_language(model)]
    for parameter in frozen:
        parameter.requires_grad = False
    return model.train()


def _gradients_from_pixels(_: Any, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Lets gradients begin at the pixels. Reentrant checkpointing gives none to layers whose input wants none, and the
    first of an encoder would be without where its own weights are frozen under adapters."""
    pixels = {name: inputs[name] for name in PIXELS.values() if inputs.get(name) is not None}
    if torch.is_grad_enabled():
        inputs |= {name: values.detach().requires_grad_() for name, values in pixels.items()}
    return args, inputs


def _load(path: str, dtype: str, attention: str | None) -> tuple[Any, Any]:
    """A chat VLM as it lies in its checkpoint, on the CPU, and its processor."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    where = _plain(path)
    try:
        with without_code(path):
            config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except ValueError as error:
        raise ModelError(f"{path} is no chat VLM that transformers knows: {error}") from None
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise ModelError(f"{path} is no chat VLM: it holds a {config.model_type}")
    processor = load_processor(path)
    model, report = AutoModelForImageTextToText.from_pretrained(
        where,
        dtype=torch_dtype(dtype),
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation=attention,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        kind, count = type(model).__name__, len(missing)
        raise ModelError(f"{path} does not hold a whole {kind}: {count} weights are missing, such as {missing[0]}")
    check(model)
    return model, processor


def _blank(processor: Any, clips: ClipConfig) -> Any:
    """Model inputs of a question about nothing, with every kind of media that a model is shown."""
    chats = ChatProcessor(processor, clips)
    return chats([question("?", chats.blanks())])


def check(model: Any) -> None:
    """ModelError unless a model of images and text has all the parts that are relied on."""
    backbone = model.base_model
    lacks = {
        "backbone under its head": lambda: backbone is model,
        "head to make logits with": lambda: model.get_output_embeddings() is None,
        "way from pixels to features (get_image_features)": lambda: not hasattr(backbone, "get_image_features"),
        "place for ready-made features (mm_encoder_outputs)": lambda: (
            "mm_encoder_outputs" not in inspect.signature(backbone.forward).parameters
        ),
        "token that stands for pictures (image_token_id)": lambda: (
            getattr(model.config, "image_token_id", None) is None
        ),
        "encoder apart from its language model": lambda: not list(before_language(model)),
    }
    if missing := next((what for what, is_lacking in lacks.items() if is_lacking()), None):
        raise ModelError(f"{type(model).__name__} is no chat VLM that can be worked with: it has no {missing}")


@torch.inference_mode()
def try_out(model: Any, inputs: Mapping[str, Any]) -> None:
    """Reads one question; ModelError where that fails or `logits` are not those of the model's own forward."""
    name, states = type(model).__name__, []
    hook = model.base_model.register_forward_hook(lambda _, args, output: states.append(output.last_hidden_state))
    try:
        wanted = model(**inputs, use_cache=False).logits[0, -1:]
        found = logits(model, states[0][0, -1:])
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ModelError(f"{name} cannot read what its processor makes of pictures and clips: {error}") from None
    finally:
        hook.remove()
    if not torch.allclose(found, wanted, rtol=0, atol=_SAME[wanted.dtype] * float(wanted.abs().max()), equal_nan=True):
        raise ModelError(f"{name} makes logits of its last hidden states in a way that is not known")


def logits(model: Any, states: torch.Tensor) -> torch.Tensor:
    """Logits (..., V) of last hidden states (..., H), as the model's own forward makes them; `try_out` sees to that."""
    made = model.get_output_embeddings()(states)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)  # of the Gemma family
    return made if cap is None else cap * torch.tanh(made / cap)


def encode(backbone: Any, kind: str, inputs: Mapping[str, Any]) -> Any:
    """The encoder's output for the pixels of a kind of slot among model inputs; None where there are none."""
    encoder = getattr(backbone, f"get_{kind}_features", None)
    if encoder is None or PIXELS[kind] not in inputs:
        return None
    taken = inspect.signature(encoder).parameters
    return encoder(**{name: value for name, value in inputs.items() if name in taken}, return_dict=True)


def before_language(model: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """(name, parameter) of all that comes before the language model: encoders, projectors, marks between pictures."""
    parts = (model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings())
    language = {id(parameter) for part in parts for parameter in part.parameters()}
    return ((name, p) for name, p in model.named_parameters() if id(p) not in language)


def idle(model: Any, inputs: Mapping[str, Any]) -> list[torch.nn.Parameter]:
    """The parameters before the language model that nothing it reads depends on, so that no loss can move them.

    Families take features from a layer that is not the last, or leave out the encoder's last norm and its pooling
    head: LLaVA-OneVision, LLaVA. Found by following the features of `inputs`, which have all kinds of media that the
    model is to be trained on, back to the parameters.
    """
    before = [parameter for _, parameter in before_language(model)]
    with _whole(before), torch.enable_grad():
        outputs = [encode(model.base_model, kind, inputs) for kind in PIXELS]
        read = [output[name] for output in outputs if output for name in ("pooler_output", LAYERED) if name in output]
        used = _reached(read)
    return [parameter for parameter in before if id(parameter) not in used]


def _reached(features: Any) -> set[int]:
    """The ids of the parameters that tensors, in lists or not, are made of."""
    waiting, seen, found = list(_nodes(features)), set(), set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.add(id(getattr(node, "variable", None)))
            waiting += [before for before, _ in node.next_functions]
    return found


def _nodes(features: Any) -> Iterator[Any]:
    if isinstance(features, torch.Tensor):
        yield features.grad_fn
    else:
        for one in features:
            yield from _nodes(one)


def _whole(parameters: list[torch.nn.Parameter]) -> AbstractContextManager[Any]:
    """Under ZeRO-3 each rank holds a share of every parameter; within this they are whole."""
    sharded = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
    if not sharded:
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(sharded)
