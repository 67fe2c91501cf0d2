import sys
import types

import pytest
from helpers import TASK

from urm_ray.sources.registry import SOURCES, SourceError, load_object, source


def test_every_registered_source_is_there():
    for name in SOURCES.values():
        assert all(hasattr(load_object(name), method) for method in ("size", "read"))


class Mine:
    def __init__(self, path, seed, task, wanted):
        self.arguments = (path, seed, task, wanted)


def test_a_source_of_ones_own_is_named_by_module_and_class(monkeypatch):
    module = types.ModuleType("my_sources")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_sources", module)
    assert source("my_sources:Mine", "p", 3, TASK, {"train_pairs": 1}).arguments == ("p", 3, TASK, {"train_pairs": 1})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["no_such_module:Class", "urm_ray.sources.parquet:NoSuchClass", "urm_ray.sources.parquet:", ":x"]
)
def test_a_name_that_leads_nowhere_is_one_sentence(name):
    with pytest.raises(SourceError, match="there is no"):
        source(name, None, 0, TASK, {})


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(SourceError, match=r"no source 'paquet'; there are parquet, jsonl, .*hpd, .*or module:Class"):
        source("paquet", None, 0, TASK, {})
