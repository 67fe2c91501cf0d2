import os

import pytest

from urm_ray.sources.folder import Folder
from urm_ray.sources.registry import SourceError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.txt").write_text("a")
    (tmp_path / "secret.txt").write_text("s")
    (tmp_path / "set-too.txt").write_text("s")
    return root


@pytest.mark.parametrize("name", ["sub/a.txt", "sub/../sub/a.txt", "./sub/a.txt", "nowhere.txt"])
def test_a_name_inside_leads_there(folder, name):
    found = Folder(str(folder)).find(name)
    assert found is not None
    assert found.is_relative_to(folder)


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "../set-too.txt", "/etc/passwd", "sub/../../secret.txt", "a\0b", "x/" * 3000 + "../" * 3002],
)
def test_a_name_outside_leads_nowhere(folder, name):
    assert Folder(str(folder)).find(name) is None


def test_a_link_that_leads_out_is_outside_and_one_that_stays_is_not(folder):
    os.symlink(folder.parent / "secret.txt", folder / "out.txt")
    os.symlink(folder.parent, folder / "up")
    os.symlink("sub/a.txt", folder / "in.txt")
    os.symlink("round.txt", folder / "round.txt")
    found = Folder(str(folder))
    assert found.find("out.txt") is None
    assert found.find("up/secret.txt") is None
    assert found.find("in.txt") == folder / "sub" / "a.txt"
    assert found.files("*.txt") == ["in.txt"]


def test_the_cache_of_the_hub_holds_its_files_beside_the_snapshot(tmp_path):
    snapshot = tmp_path / "datasets--owner--name" / "snapshots" / "abc" / "data"
    blobs = tmp_path / "datasets--owner--name" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1234").write_text("{}")
    (tmp_path / "other").write_text("{}")
    os.symlink("../../../blobs/1234", snapshot / "a.json")
    os.symlink("../../../../other", snapshot / "b.json")
    for root, name in ((snapshot, "a.json"), (snapshot.parent, "data/a.json")):
        assert Folder(str(root)).files("**/*.json") == [name]
        assert Folder(str(root)).find(name) == blobs / "1234"


def test_one_file_is_a_folder_of_one(folder):
    found = Folder(str(folder / "sub" / "a.txt"))
    assert found.files("*.json") == ["a.txt"]
    assert found.root == folder / "sub"


def test_a_folder_that_is_reached_by_a_link_is_as_good_as_another(folder):
    os.symlink(folder, folder.parent / "link")
    found = Folder(str(folder.parent / "link"))
    assert found.files("**/*.txt") == ["sub/a.txt"]
    assert found.find("sub/a.txt") == folder / "sub" / "a.txt"


@pytest.mark.parametrize("path", ["", "/nowhere", "a\0b"])
def test_a_path_that_leads_nowhere_is_one_sentence(path):
    with pytest.raises(SourceError, match="there is no file or folder"):
        Folder(path)


def test_what_only_looks_like_the_cache_of_the_hub_opens_nothing_else(tmp_path):
    (tmp_path / "secret.txt").write_text("s")
    snapshot = tmp_path / "evil" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    os.symlink("/", tmp_path / "evil" / "blobs")
    found = Folder(str(snapshot))
    for name in ("../../../secret.txt", str(tmp_path / "secret.txt"), "/etc/passwd"):
        assert found.find(name) is None


def test_a_file_of_the_cache_is_found_by_the_name_that_the_snapshot_has_for_it(tmp_path):
    snapshot, blobs = tmp_path / "set" / "snapshots" / "main", tmp_path / "set" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1234").write_text("{}")
    os.symlink("../../blobs/1234", snapshot / "a.json")
    assert Folder(str(snapshot)).find("a.json") == blobs / "1234"
    assert Folder(str(snapshot)).find("../../blobs/1234") is None
