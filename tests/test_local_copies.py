"""Models that lie on an object store: one copy a node, whole or none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from helpers import run_python
from object_server import BUCKET, by_chance

from urm_ray import file_systems, store
from urm_ray.file_systems import StoreError, join
from urm_ray.fingerprint import fingerprint
from urm_ray.local_copies import cache_folder, local_copy, upload_dir
from urm_ray.models import checked, load_pipeline, resolve

COPY = "import sys; from urm_ray.local_copies import local_copy; print(local_copy(sys.argv[1]))"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(file_systems, "PAUSES_S", (0.0,) * 6)


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder as a training leaves it."""
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "empty.txt").write_text("")
    (folder / "unet" / "weights.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "unet-2").write_text("sorted before unet/ by its text, and behind it by its path")
    return folder


def copied(objects, model, *names) -> str:
    uri = objects.uri(*(names or ("models", "judge")))
    upload_dir(str(model), uri)
    objects.asked.clear()
    return uri


def content(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


def weights_read(objects) -> int:
    return sum(method == "GET" and "weights" in path for method, path in objects.asked)


def test_a_model_comes_back_as_it_went_up_and_has_one_digest_wherever_it_lies(objects, model):
    uri = copied(objects, model)
    store.write_bytes(join(uri, "stale"), b"of a training before")
    upload_dir(str(model), uri)
    assert fingerprint(uri) == fingerprint(str(model)) == fingerprint(local_copy(uri))
    assert content(local_copy(uri)) == content(model)
    one = join(uri, "config.json")
    assert fingerprint(one) == fingerprint(str(model / "config.json"))
    assert Path(local_copy(one)).name == "config.json"
    assert fingerprint(copied(objects, model, "elsewhere")) == fingerprint(str(model))


def test_a_large_file_is_told_by_parts_of_it_wherever_it_lies(objects, tmp_path, monkeypatch):
    limits = {"WHOLE_FILE_DIGEST_LIMIT": 1000, "END_BYTES": 10, "SAMPLES": 5, "SAMPLE_BYTES": 4}
    for name, value in limits.items():
        monkeypatch.setattr(f"urm_ray.fingerprint._{name}", value)
    file, uri = tmp_path / "file", objects.uri("file")
    file.write_bytes(bytes(range(256)) * 8)
    store.upload_file(str(file), uri)
    assert fingerprint(uri) == fingerprint(str(file))
    objects.asked.clear()
    fingerprint(uri)
    assert sum(method == "GET" for method, _ in objects.asked) == 2 + 5


def test_however_many_ask_at_the_same_time_it_is_downloaded_once(objects, model):
    uri, found = copied(objects, model), []
    threads = [threading.Thread(target=lambda: found.append(local_copy(uri))) for _ in range(3)]
    threads += [threading.Thread(target=lambda: found.append(run_python("-c", COPY, uri).stdout.strip()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert weights_read(objects) == 1


def test_what_is_written_anew_is_copied_anew(objects, model):
    uri = copied(objects, model)
    before = local_copy(uri)
    store.write_bytes(join(uri, "config.json"), b"[1]")
    assert (Path(local_copy(uri)) / "config.json").read_text() == "[1]"
    assert (Path(before) / "config.json").read_text() == "{}"


def test_a_copy_that_was_broken_off_is_never_used(objects, model):
    uri = copied(objects, model)
    objects.fault = lambda method, path: "500" if method == "GET" and "weights" in path else None
    with pytest.raises(StoreError, match="fails again and again"):
        local_copy(join(objects.uri("models", "judge", max_attempts=1)))
    assert not [file for file in cache_folder().iterdir() if file.suffix != ".lock"]
    objects.fault = lambda method, path: None
    place = Path(local_copy(uri))
    place.rename(place.with_name(f"{place.name}.0123.partial"))  # as a process leaves it that is killed
    (place.with_name(f"{place.name}.0123.partial") / "config.json").write_text("half")
    assert content(local_copy(uri)) == content(model)
    assert not list(cache_folder().glob("*.partial"))


def test_a_copy_is_whole_on_a_store_that_fails(objects, model):
    uri = copied(objects, model)
    objects.fault = by_chance(5, 0.3, ("500", "503", "reset", "cut"))
    assert content(local_copy(uri.replace("?", "?max_attempts=10&"))) == content(model)
    assert objects.done


def test_a_cache_that_cannot_be_written_is_one_sentence(objects, model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("URM_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"no copy of .* can be made in .*URM_RAY_CACHE names another folder"):
        local_copy(copied(objects, model))


@pytest.mark.parametrize("key", ["../../../escaped", "unet/../../escaped", "unet/./escaped", "/tmp/urm-escaped"])
def test_a_key_that_leads_out_of_the_copy_is_refused_before_anything_is_made(objects, model, tmp_path, key):
    uri = copied(objects, model)
    objects.directly("PUT", f"/{BUCKET}/models/judge/{key}", b"from elsewhere")
    assert any(file.name == key for file in store.tree(uri))
    with pytest.raises(StoreError, match=r"is not copied: '.*escaped' is no name of a file below it$"):
        local_copy(uri)
    assert not cache_folder().exists()
    assert not list(tmp_path.rglob("*escaped"))


def test_the_cache_lies_where_the_users_caches_do(monkeypatch, tmp_path):
    monkeypatch.delenv("URM_RAY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "urm_ray"


def test_a_checkpoint_in_a_bucket_is_checked_where_a_run_is_planned_and_copied_where_it_is_loaded(objects, model):
    uri = copied(objects, model)
    assert checked(uri) == uri
    assert weights_read(objects) == 0
    assert content(resolve(uri)) == content(model)
    with pytest.raises(StoreError, match=r"holds no checkpoint: neither config\.json nor model_index\.json"):
        checked(join(uri, "unet"))
    with pytest.raises(StoreError, match="there is nothing at"):
        fingerprint(objects.uri("nowhere"))


def test_a_policy_in_a_bucket_is_loaded_with_the_weights_that_it_has_in_a_folder(objects, image_policy):
    there, here = (
        load_pipeline(path, device="cpu", only=("unet",)).unet
        for path in (
            copied(objects, Path(image_policy)),
            image_policy,
        )
    )
    mine, theirs = there.state_dict(), here.state_dict()
    assert all(mine[name].equal(theirs[name]) for name in theirs)


def test_pickles_in_a_bucket_are_refused(objects, model):
    (model / "pytorch_model.bin").write_bytes(b"")
    (model / "unet" / "weights.safetensors").unlink()
    with pytest.raises(StoreError, match="has its weights as pickles"):
        resolve(copied(objects, model))
