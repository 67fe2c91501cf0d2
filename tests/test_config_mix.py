import pytest
from helpers import ROOT

from urm_ray.config_file import ConfigError, build_as, load_as
from urm_ray.config_mix import Mix
from urm_ray.sources.reader import READERS

ONE = {"source": "hpd", "path": "somewhere"}


def test_a_source_is_called_as_its_reader_unless_it_has_a_name():
    mix = build_as(Mix, {"sources": [ONE, ONE | {"name": "other"}, {"source": "my.module:Mine", "path": "x"}]})
    assert [source.name for source in mix.sources] == ["hpd", "other", "Mine"]
    assert not mix.sources[0].chooses
    assert all(build_as(Mix, {"sources": [ONE | more]}).sources[0].chooses for more in ({"take": 3}, {"held_out": 3}))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "sources"),
        ({"sources": []}, "sources"),
        ({"sources": [ONE, ONE]}, "hpd is there twice"),
        ({"sources": [ONE | {"name": "_hidden"}]}, "no name for a folder"),
        ({"sources": [ONE | {"name": "a/b"}]}, "no name for a folder"),
        ({"sources": [ONE | {"take": 0}]}, r"sources\.0\.take"),
        ({"sources": [ONE | {"take": "some"}]}, r"sources\.0\.take"),
        ({"sources": [ONE | {"kind": "triple"}]}, r"sources\.0\.kind"),
        ({"sources": [ONE | {"tak": 3}]}, r"unknown key sources\.0\.tak; did you mean sources\.0\.ta"),
        ({"sources": [ONE], "sed": 1}, "unknown key sed; did you mean seed"),
        ({"sources": ["hpd"]}, r"sources\.0"),
    ],
)
def test_a_mistake_is_named(settings, problem):
    with pytest.raises(ConfigError, match=problem):
        build_as(Mix, settings)


def test_the_paper_mix_names_readers_and_adds_up():
    mix = load_as(Mix, ROOT / "jobs/configs/unifiedreward_mix.yaml", ["root=elsewhere", "allow_missing=true"])
    assert (mix.root, mix.allow_missing) == ("elsewhere", True)
    assert {source.source for source in mix.sources} <= set(READERS)
    assert len(mix.sources) == 11
    assert sum(source.expected or 0 for source in mix.sources) == 236_322
    assert all(source.take in ("all", source.expected) for source in mix.sources)
