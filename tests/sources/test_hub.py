import huggingface_hub
import pytest

from urm_ray.sources.hub import local_path
from urm_ray.sources.registry import SourceError


@pytest.fixture
def downloads(monkeypatch):
    """What is asked of the hub, which has one data set at /snapshot."""
    asked = []

    def snapshot_download(name, **options):
        asked.append((name, options))
        if name != "owner/name":
            raise ValueError("404 not found\nmore about it")
        return "/snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return asked


def test_what_is_there_is_taken_as_it_is(tmp_path, monkeypatch, downloads):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert local_path("owner/name") == str(tmp_path / "owner" / "name")
    assert local_path(str(tmp_path)) == str(tmp_path)
    assert downloads == []


@pytest.mark.parametrize(("name", "revision"), [("owner/name", None), ("owner/name@v1.0", "v1.0")])
def test_a_name_is_looked_up_on_the_hub(downloads, name, revision):
    assert local_path(name) == "/snapshot"
    assert downloads == [("owner/name", {"repo_type": "dataset", "revision": revision, "local_files_only": False})]


def test_what_the_hub_does_not_have_is_one_sentence(downloads):
    with pytest.raises(SourceError, match=r"no folder 'owner/other', nor such a data set on the hub: 404 not found$"):
        local_path("owner/other")


def test_a_hub_that_is_switched_off_is_asked_for_what_it_gave_before(downloads, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert local_path("owner/name") == "/snapshot"
    assert downloads[0][1]["local_files_only"] is True
    with pytest.raises(SourceError, match="the hub is switched off"):
        local_path("owner/other")


@pytest.mark.parametrize(
    "name", ["", "nowhere", "/nowhere/at/all", "a/b/c", "../up", "./here", "https://x/y", "~/none"]
)
def test_what_is_no_name_is_not_asked_for(downloads, name):
    with pytest.raises(SourceError, match="there is no file or folder"):
        local_path(name)
    assert downloads == []
