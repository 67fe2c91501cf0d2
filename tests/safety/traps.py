"""Files that do something when they are loaded by what should not load them: they create a file."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType

from urm_ray.chat import ModelError
from urm_ray.store import StoreError


class Trap:
    """Where it is unpickled, `ran` exists."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> Any:
        return Path.touch, (self.ran,)


def write_pickle(file: Path, ran: Path, plain: bool = False) -> None:
    """A pickle, or what torch.save makes of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if plain:
        file.write_bytes(pickle.dumps({"weight": Trap(ran)}, 2))
    else:
        torch.save({"weight": Trap(ran)}, file)


def write_module(file: Path, ran: Path, *names: str) -> None:
    """A Python module with classes of these names, which runs as soon as it is imported."""
    file.parent.mkdir(parents=True, exist_ok=True)
    classes = "".join(f"class {name}:\n    pass\n" for name in names)
    file.write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n{classes}")


def copy_of(path: str, folder: Path) -> Path:
    shutil.copytree(path, folder)
    return folder


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def refused(open_it: Callable[[str], Any], folder: Path, about: str) -> None:
    """A checkpoint cannot be opened, which is said in one sentence that names it."""
    with pytest.raises((StoreError, ModelError), match=about) as caught:
        open_it(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def objects(ran: Path, rows: int = 1) -> pa.Array:
    """A column of Python objects as Ray Data writes them, which unpickles them where they are looked at."""
    pickled = pa.array([pickle.dumps(Trap(ran))] * rows, pa.large_binary())
    return pa.ExtensionArray.from_storage(ArrowPythonObjectType(), pickled)
