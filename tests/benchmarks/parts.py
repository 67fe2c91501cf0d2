"""Where the time of a judge goes: in its vision encoder, in its language model, or around both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import nn

EYES = ("visual", "vision_tower", "vision_model")


def parts_of(model: Any, run: Callable[[], int]) -> dict[str, float]:
    """Milliseconds a prompt of each part of a run, and calls and tokens of the language model. run: as `Side.run`.

    Tokens are places of a call, padding among them.
    """
    inner = model.model
    eyes = next(getattr(inner, name) for name in EYES if hasattr(inner, name))
    spent, begun = {"vision": 0.0, "language": 0.0}, dict[str, float]()
    counted = {"calls": 0, "tokens": 0}

    def watch(name: str, module: nn.Module) -> list[Any]:
        def before(*_: Any) -> None:
            begun[name] = time.perf_counter()

        def after(_: nn.Module, positional: Any, named: Any, output: Any) -> None:
            spent[name] += time.perf_counter() - begun[name]
            if name == "language":  # counted here, where a pass that was begun for its inputs alone does not come
                counted["calls"] += 1
                read = named.get("inputs_embeds")
                read = named.get("input_ids") if read is None else read
                counted["tokens"] += read.shape[0] * read.shape[1]

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after, with_kwargs=True)]

    hooks = [*watch("vision", eyes), *watch("language", inner.language_model)]
    start = time.perf_counter()
    prompts = run()
    whole = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    spent |= {"rest": whole - sum(spent.values()), "all": whole}
    milliseconds = {name: round(1000 * seconds / prompts, 2) for name, seconds in spent.items()}
    return milliseconds | {f"{name} a prompt": number / prompts for name, number in counted.items()}
