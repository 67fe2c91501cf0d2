"""Logits for labelled positions alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trl.trainer.utils


@contextmanager
def labels_alone() -> Iterator[None]:
    """Within it TRL's LM head skips positions without a label on a CPU too, as it does where Triton runs.

    Elsewhere it projects all positions, for compilers that want fixed shapes. The loss is equal.
    """
    theirs = trl.trainer.utils._use_triton
    trl.trainer.utils._use_triton = lambda device: device.type == "cpu" or theirs(device)
    try:
        yield
    finally:
        trl.trainer.utils._use_triton = theirs
