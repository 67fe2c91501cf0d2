"""A language model's pass over the tokens of a batch in place of its rows.

The layers see one row of all tokens, each once. Attention alone is given the rows, and the masks that the family makes
for them, so windows, pictures that see each other both ways and positions stay what they were, and so do hidden states
and gradients.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import create_masks_for_generate, eager_mask, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from urm_ray.training.layout import Layout, collect, spread

_PREFIX = "tokens_"
_MASKS = {"sdpa": sdpa_mask, "eager": eager_mask}
_EAGER = "eager_attention_forward"
"""The name that the model files of transformers give to their plain attention."""


def attention_of(config: Any) -> str:
    """The attention of a language model by transformers' name, whether made ready for tokens or not."""
    return config._attn_implementation.removeprefix(_PREFIX)


def set_attention(config: Any, tokens: bool) -> bool:
    """Makes the attention of a language model ready for `read_tokens`, and for rows as before; or as it was.

    Returns whether that can be done: it can for sdpa and eager.
    """
    own = attention_of(config)
    config._attn_implementation = _PREFIX + own if tokens and own in _MASKS else own
    return own in _MASKS


def read_tokens(
    config: Any, forward: Callable[..., Any], layout: Layout, embeddings: torch.Tensor, inputs: dict[str, Any]
) -> Any:
    """What a language model returns for embeddings (R, L, H); its last hidden states alone are given for all places.

    config: the language model's, after `set_attention`. forward: its own. inputs: what else it is given for rows.
    """
    given = {name: _of_tokens(layout, value) for name, value in inputs.items()}
    given["attention_mask"] = _masks(config, layout, embeddings, inputs.get("attention_mask"))
    given["position_ids"] = _positions(layout, inputs.get("position_ids"))
    given |= {"token_layout": layout, "use_cache": False}
    if inputs.get("deepstack_visual_embeds") is not None:
        given |= _layered(layout, inputs["visual_pos_masks"], inputs["deepstack_visual_embeds"])
    output = forward(inputs_embeds=collect(embeddings, layout)[None], **given)
    output.last_hidden_state = spread(output.last_hidden_state[0], layout)
    return output


def _of_tokens(layout: Layout, value: Any) -> Any:
    """What is given for each place of a row, for the tokens; anything else as it is."""
    if isinstance(value, torch.Tensor) and value.shape[:2] == layout.numbers.shape:
        return layout.pick(value)[None]
    return value


def _positions(layout: Layout, positions: torch.Tensor | None) -> torch.Tensor:
    """Of the tokens (..., 1, N), as the family has them for rows (..., R, L); None is one place after the other."""
    if positions is None:
        return (layout.first % layout.numbers.shape[1])[None]
    rows = positions.expand(*positions.shape[:-2], *layout.numbers.shape)
    return rows.flatten(-2)[..., layout.first].unsqueeze(-2)


def _layered(layout: Layout, shown: torch.Tensor, layers: list[torch.Tensor]) -> dict[str, Any]:
    """What Qwen3-VL adds to the hidden states of its first layers where pictures stand."""
    flat = shown.flatten()
    which = (flat.cumsum(0) - 1)[layout.first][flat[layout.first]]
    return {
        "visual_pos_masks": flat[layout.first][None],
        "deepstack_visual_embeds": [layer[which] for layer in layers],
    }


def _masks(config: Any, layout: Layout, embeddings: torch.Tensor, mask: Any) -> Any:
    """The masks of the rows as language models hand them on to their layers untouched: of four axes."""
    if isinstance(mask, torch.Tensor) and mask.ndim == 2 and layout.right:
        mask = None  # no token meets the padding behind it
    if not isinstance(mask, dict) and (mask is None or mask.ndim == 2):
        mask = create_masks_for_generate(config, embeddings, mask, None)
        if isinstance(mask, dict) and len(mask) == 1:
            mask = next(iter(mask.values()))
    if isinstance(mask, dict):
        return {name: _four_axes(embeddings, one) for name, one in mask.items()}
    return _four_axes(embeddings, mask)


def _four_axes(like: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """A single place where attention needs no mask, which kernels are faster without."""
    return like.new_ones(1, 1, 1, 1) if mask is None else mask


def _attention(name: str) -> Callable[..., Any]:
    """An attention of transformers that is given tokens and works on their rows."""

    def attend(
        module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
    ) -> tuple[torch.Tensor, Any]:
        layout = options.pop("token_layout", None)
        plain = ALL_ATTENTION_FUNCTIONS.get_interface(name, getattr(sys.modules[type(module).__module__], _EAGER, None))
        if layout is None:
            return plain(module, query, key, value, attention_mask, **options)
        options.pop("position_ids", None)
        rows = [spread(one[0].transpose(0, 1), layout).transpose(1, 2) for one in (query, key, value)]
        mask = None if attention_mask.numel() == 1 else attention_mask
        return collect(plain(module, *rows, mask, **options)[0], layout)[None], None

    return attend


for _name, _mask in _MASKS.items():
    AttentionInterface.register(_PREFIX + _name, _attention(_name))
    AttentionMaskInterface.register(_PREFIX + _name, _mask)
