"""Places on object stores: their URIs, and what becomes of files there when requests fail."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest
from object_server import BUCKET, FAULTS, KEYS, by_chance

from urm_ray import file_systems, store
from urm_ray.cli import explain
from urm_ray.file_systems import StoreError, join, locate, name_of, parent_of
from urm_ray.run_folder import RunFolder

TABLE = pa.table({"id": ["a", "b", "c"], "data": [b"1", None, b"333"], "n": [[1], [], [2, 3]]})
PARTS = 11 << 20
"""Bytes of an object that is uploaded in parts."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(file_systems, "PAUSES_S", (0.0, 0.0))


def first_of_each(kind):
    """The fault at the first request of each method and path, and at no other."""
    seen = set()

    def fault(method, path):
        place = method, path.partition("&X-Amz")[0]
        return None if place in seen else seen.add(place) or kind

    return fault


@pytest.mark.parametrize("uri", ["s3://bucket/runs/one?region=x&endpoint_override=http://h:1", "/runs/one", "runs/one"])
def test_a_uri_is_taken_apart_and_put_together_around_its_query(uri):
    path, mark, query = uri.partition("?")
    assert join(uri, "stage", "file") == f"{path}/stage/file{mark}{query}"
    assert name_of(join(uri, "stage", "file")) == "file"
    assert parent_of(join(uri, "stage")) == uri


def test_a_question_mark_in_a_local_path_is_a_part_of_its_name():
    assert join("/runs/why?", "stage") == "/runs/why?/stage"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEY:hidden@bucket/run",
        "s3://KEY:hid/den@bucket/run",
        "s3://bucket/run?access_key=hidden",
        "s3://bucket/run?region=x&secret_key=hidden",
        "gs://hidden@bucket/run",
        "gs://bucket/run?access_token=hidden",
        "s3://bucket/run?endpoint_override=http://KEY:hidden@host:1",
    ],
)
def test_keys_in_a_uri_are_refused_and_not_repeated(uri):
    with pytest.raises(StoreError, match="set them in the environment") as caught:
        locate(uri)
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "about"),
    [
        ("s3://bucket/run?regoin=x", "says regoin in a way that is not known: it takes region, endpoint_override"),
        ("s3://bucket/run?max_attempts=0", "says max_attempts"),
        ("s3:///run", "names no bucket"),
        ("nosuch://bucket/run", "names no file system that is known"),
    ],
)
def test_what_a_uri_says_wrong_is_one_sentence(uri, about):
    with pytest.raises(StoreError, match=about):
        RunFolder.open(uri)


def test_the_environment_says_where_a_store_is_and_workers_make_the_same_of_it_without_keys(objects, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{objects.port}")
    store.write_bytes(f"s3://{BUCKET}/file", b"content")
    file_system, path = locate(f"s3://{BUCKET}/file")
    sent = pickle.dumps(file_system)
    assert not [key for key in KEYS.values() if key.encode() in sent]
    with pickle.loads(sent).open_input_file(path) as file:
        assert file.read() == b"content"


def test_a_file_system_of_google_is_made_without_a_request():
    file_system, path = locate("gs://bucket/run/file?retry_limit_seconds=5")
    assert file_system.type_name == "gcs"
    assert path == "bucket/run/file"


def test_files_are_written_listed_read_and_deleted(objects):
    folder = objects.uri("runs", "one")
    assert store.list_files(folder) == [] == store.tree(folder)
    for n in (1, 0):
        store.write_table(join(folder, "part", f"unit-{n:06d}.parquet"), TABLE.slice(n))
    store.write_bytes(join(folder, "part", ".hidden"), b"")
    files = store.list_files(join(folder, "part"), ".parquet")
    assert files == [join(folder, "part", f"unit-{n:06d}.parquet") for n in range(2)]
    assert store.read_table(files[0]).equals(TABLE)
    assert store.read_table(files[1], ["id"])["id"].to_pylist() == ["b", "c"]
    assert store.read_leaves(files[0], ["n.list.element"]).column_names == ["n"]
    assert [store.row_count(file) for file in files] == [3, 2]
    assert store.size_of(files[0]) == len(store.read_bytes(files[0]))
    assert [file.name for file in store.tree(folder)] == ["part/unit-000000.parquet", "part/unit-000001.parquet"]
    store.delete_dir(folder)
    assert not store.exists(files[0])
    with pytest.raises(FileNotFoundError):
        store.read_bytes(files[0])


def test_a_run_folder_and_its_stages_lie_in_a_bucket(objects):
    folder = RunFolder.open(objects.uri("runs", "one"))
    assert folder.stages() == []
    folder.need_free(1 << 40)
    stage = folder.stage("prepare", "0123456789abcdef")
    store.write_table(stage.path("part", "unit-000000.parquet"), TABLE)
    assert not stage.done
    stage.finish(1.0, rows=3)
    assert [one.uri for one in folder.stages()] == [stage.uri]
    assert stage.rows("part").equals(TABLE)
    with folder.lock(), pytest.raises(StoreError, match="is in use by process"):
        folder.lock().__enter__()
    stage.forget()
    assert folder.stages() == []


def test_lists_of_several_pages_are_whole(objects):
    folder = objects.uri("many")
    for n in range(8):
        store.write_bytes(join(folder, f"unit-{n}"), b"x")
    objects.page = 3
    assert [name_of(file) for file in store.list_files(folder)] == [f"unit-{n}" for n in range(8)]
    assert len(store.tree(folder)) == 8
    store.delete_dir(folder)
    assert store.list_files(folder) == []


@pytest.mark.parametrize("old", [None, b"old"])
def test_what_could_not_be_written_whole_leaves_the_old_object_or_none(objects, old):
    uri = objects.uri("file")
    if old:
        store.write_bytes(uri, old)

    def write():
        with store.writing(uri) as stream:
            stream.write(b"x" * PARTS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    objects.fault = lambda method, path: "500" if "partNumber" in path else None
    with pytest.raises(StoreError, match="fails again and again"):
        store.write_bytes(objects.uri("file", max_attempts=1), b"x" * PARTS)
    objects.fault = lambda method, path: None
    assert (store.read_bytes(uri) if store.exists(uri) else None) == old


@pytest.mark.parametrize("kind", FAULTS)
def test_whatever_fails_once_is_done_again(objects, kind):
    objects.stall_s = 1.2
    folder = objects.uri("folder", request_timeout=1)
    fault = first_of_each(kind)
    objects.fault = lambda method, path: fault(method, path) if method == "GET" or kind != "stall" else None
    data = bytes(range(256)) * (PARTS // 256)
    store.write_bytes(join(folder, "small"), b"content")
    with store.writing(join(folder, "large")) as stream:
        stream.write(data)
    assert store.read_bytes(join(folder, "small")) == b"content"
    assert store.read_bytes(join(folder, "large")) == data
    assert [name_of(file) for file in store.list_files(folder)] == ["large", "small"]
    store.delete_dir(folder)
    assert store.tree(folder) == []
    assert objects.done[kind] >= (3 if kind == "stall" else 8)


def test_what_never_stops_failing_is_tried_so_often_and_told_in_one_sentence(objects):
    objects.fault = lambda method, path: "503"
    with pytest.raises(StoreError, match=r"s3://bucket/file.* fails again and again, at last because .* 503"):
        store.read_bytes(objects.uri("file", max_attempts=2))
    assert len(objects.asked) == 2 * (1 + len(file_systems.PAUSES_S))


def test_how_often_is_said_by_the_environment_or_by_the_uri(objects, monkeypatch):
    objects.fault = lambda method, path: "500"
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for options, attempts in (({}, 1), ({"max_attempts": 2}, 2)):
        objects.asked.clear()
        with pytest.raises(StoreError):
            store.exists(objects.uri("file", **options))
        assert len(objects.asked) == attempts * (1 + len(file_systems.PAUSES_S))


@pytest.mark.parametrize("work", [store.exists, store.tree, store.read_bytes, RunFolder.open])
def test_what_is_denied_is_not_tried_again(objects, work):
    objects.fault = lambda method, path: "403"
    with pytest.raises(StoreError, match=r"cannot be used: access is denied; the keys in use have to allow"):
        work(objects.uri("file"))
    assert len(objects.asked) == 1


def test_a_bucket_that_is_not_there_is_told_before_anything_is_done(objects):
    with pytest.raises(StoreError, match="there is no such bucket"):
        RunFolder.open(objects.uri("run").replace(f"//{BUCKET}/", "//no-such-bucket/"))


def test_what_ray_reads_of_its_own_accord_is_read_again(objects):
    store.write_bytes(objects.uri("noted.json"), b"{}")
    file_system, path = locate(objects.uri("noted.json"))
    objects.fault = first_of_each("500")
    with pickle.loads(pickle.dumps(file_system)).open_input_stream(path) as file:
        assert file.read() == b"{}"
    assert objects.done["500"] == 2


def test_files_are_whole_on_a_store_where_a_fifth_of_the_requests_fail(objects):
    objects.fault = by_chance(3, 0.2, ("500", "503", "reset", "cut"))
    folder = objects.uri("folder", max_attempts=8)
    for n in range(20):
        store.write_bytes(join(folder, f"{n:02d}"), bytes([n]) * 1000)
    assert [store.read_bytes(file) for file in store.list_files(folder)] == [bytes([n]) * 1000 for n in range(20)]
    assert sum(objects.done.values()) > 5


def test_what_ray_says_of_a_store_is_told_in_one_sentence_and_its_trace_is_an_object(objects, capsys):
    run = objects.uri("run")
    error = OSError("When uploading part: AWS Error ACCESS_DENIED during UploadPart operation: no")
    assert explain(error, run) == 1
    said = capsys.readouterr().err
    assert "access is denied" in said
    assert b"ACCESS_DENIED" in store.read_bytes(join(run, "error.log"))
