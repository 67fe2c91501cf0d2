import errno
import itertools
import os
import random
import stat
import threading

import pyarrow as pa
import pytest
from helpers import run_python, small_disk
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import store
from urm_ray.fingerprint import fingerprint
from urm_ray.local_copies import local_copy, upload_dir
from urm_ray.run_folder import RunFolder
from urm_ray.store import StoreError

TABLE = pa.table({"id": ["a", "b", "c"], "data": [b"1", None, b"333"], "n": [[1], [], [2, 3]]})


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_is_written_with_its_folders_and_read_back(tmp_path):
    uri = str(tmp_path / "a" / "b" / "file.bin")
    store.write_bytes(uri, b"\x00content")
    assert store.read_bytes(uri) == b"\x00content"
    assert names(tmp_path / "a" / "b") == ["file.bin"]


def test_a_file_that_could_not_be_written_whole_leaves_the_old_one_and_nothing_else(tmp_path):
    # Defect 8 of the published code: a write that was cut off lost everything.
    uri = str(tmp_path / "file.bin")
    store.write_bytes(uri, b"old")
    code = (
        "import resource, sys; from urm_ray import store; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: store.write_bytes(sys.argv[1], b'x' * 1_000_000)\n"
        "except OSError as error: print('refused', error.errno)"
    )
    done = run_python("-c", code, uri)
    assert done.stdout.startswith("refused"), done.stderr
    assert store.read_bytes(uri) == b"old"
    assert names(tmp_path) == ["file.bin"]


@pytest.fixture
def done_to_disk(monkeypatch) -> list[tuple[str, str, int]]:
    """What is asked of the disk in order: what is done, to which file, and how large it is then."""
    asked, fsync, replace = [], os.fsync, os.replace

    def noted(descriptor):
        asked.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor).st_size))
        fsync(descriptor)

    def replaced(source, target):
        asked.append(("replace", source, os.path.getsize(source)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", replaced)
    return asked


def test_a_file_is_whole_on_the_disk_before_it_has_its_name_and_its_name_is_there_after(tmp_path, done_to_disk):
    store.write_bytes(str(tmp_path / "file.bin"), b"content")
    (first, source, held), (then, renamed, _), (last, folder, _) = done_to_disk
    assert (first, held, then, last) == ("fsync", 7, "replace", "fsync")
    assert source == renamed
    assert folder == str(tmp_path)


def test_what_need_not_last_is_not_waited_for(tmp_path, done_to_disk):
    store.write_json(str(tmp_path / "progress.json"), {"rows": 1}, lasting=False)
    assert [what for what, *_ in done_to_disk] == ["replace"]


def test_a_file_system_that_cannot_keep_a_folder_on_its_disk_writes_files_all_the_same(tmp_path, monkeypatch):
    fsync = os.fsync

    def no_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not of folders")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    store.write_bytes(str(tmp_path / "file.bin"), b"content")
    assert store.read_bytes(str(tmp_path / "file.bin")) == b"content"


def test_a_disk_that_is_full_when_a_file_comes_to_it_keeps_the_old_one(tmp_path, monkeypatch):
    """As network file systems have it, which tell of a quota only then."""

    def full(descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    store.write_bytes(str(tmp_path / "file.bin"), b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=rf"no free space in {tmp_path}/file.bin"):
        store.write_bytes(str(tmp_path / "file.bin"), b"content")
    assert store.read_bytes(str(tmp_path / "file.bin")) == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_target_that_cannot_be_replaced_leaves_no_debris(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        store.write_bytes(str(tmp_path / "taken"), b"x")
    assert names(tmp_path) == ["taken"]


def test_debris_of_a_killed_writer_is_not_listed(tmp_path):
    store.write_table(str(tmp_path / "unit-000001.parquet"), TABLE)
    (tmp_path / ".unit-000000.parquet.0123").write_bytes(b"half")
    (tmp_path / ".unit-000002.parquet").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.parquet").mkdir()
    assert store.list_files(str(tmp_path), ".parquet") == [str(tmp_path / "unit-000001.parquet")]


def test_files_are_listed_in_order_and_a_missing_folder_is_empty(tmp_path):
    for n in (10, 2, 1):
        store.write_bytes(str(tmp_path / f"unit-{n:06d}.parquet"), b"x")
    assert [f[-9:-8] for f in store.list_files(str(tmp_path))] == ["1", "2", "0"]
    assert store.list_files(str(tmp_path / "nowhere")) == []


def test_files_are_read_ahead_in_order_some_at_a_time_and_errors_come_in_their_place():
    begun, over = [], threading.Event()

    def read(uri):
        begun.append(uri)
        over.wait(5) if len(begun) < 4 else over.set()  # ends only once four are read at the same time
        return uri.upper()

    assert list(store.read_ahead(list("abcdefgh"), read, count=4)) == list("ABCDEFGH")
    assert over.is_set()
    reading = store.read_ahead(list("ab"), lambda uri: {"a": 1}[uri])
    assert next(reading) == 1
    with pytest.raises(KeyError, match="b"):
        next(reading)


def test_what_is_read_ahead_is_no_more_than_was_asked_for():
    begun = []
    reading = store.read_ahead([str(n) for n in range(50)], lambda uri: begun.append(uri), count=4)
    next(reading)
    reading.close()
    assert len(begun) <= 5


def test_a_run_folder_may_be_a_uri(tmp_path):
    stage = RunFolder.open(f"file://{tmp_path}/run").stage("prepare", "0123456789abcdef")
    store.write_table(stage.path("part", "unit-000000.parquet"), TABLE)
    assert stage.rows("part").equals(TABLE)
    assert not stage.done
    stage.finish(1.0, rows=3)
    assert stage.manifest()["rows"] == 3


def test_the_pages_of_a_file_do_not_depend_on_the_chunks_of_its_table(tmp_path):
    data = [random.Random(n).randbytes(40_000) for n in range(90)]
    files = []
    for size in (90, 7):
        chunks = [pa.table({"data": data[n : n + size]}) for n in range(0, 90, size)]
        files.append(str(tmp_path / f"{size}.parquet"))
        store.write_table(files[-1], pa.concat_tables(chunks))
    assert store.read_bytes(files[0]) == store.read_bytes(files[1])


@given(st.lists(st.integers(0, 3), max_size=4))
def test_equal_tables_give_equal_bytes_however_they_were_put_together(tmp_path, cuts):
    places = [0, *sorted(cuts), 3]
    pieces = pa.concat_tables([TABLE.slice(a, b - a) for a, b in itertools.pairwise(places)])
    whole, joined = str(tmp_path / "whole.parquet"), str(tmp_path / "joined.parquet")
    store.write_table(whole, TABLE)
    store.write_table(joined, pieces)
    assert store.read_bytes(whole) == store.read_bytes(joined)
    assert store.read_table(joined).equals(TABLE)
    assert store.row_count(joined) == 3


def test_a_table_is_read_by_column_from_a_folder_whose_name_has_an_equals_sign(tmp_path):
    uri = str(tmp_path / "lr=1" / "t.parquet")
    store.write_table(uri, TABLE)
    assert store.read_table(uri, ["n"]).column_names == ["n"]
    assert store.read_table(uri).column_names == TABLE.column_names


def test_a_stage_is_done_by_its_manifest_and_by_nothing_else(tmp_path):
    stage = RunFolder.open(str(tmp_path)).stage("generate", "abcdef0123456789ffff")
    assert stage.uri == f"{tmp_path}/generate-abcdef012345"
    store.write_table(stage.path("sifted", "unit-000000.parquet"), TABLE)
    assert not stage.done
    written = stage.finish(1.23456, kept=2)
    assert stage.done
    assert stage.manifest() == written == {"stage": "generate", "digest": stage.digest, "seconds": 1.235, "kept": 2}
    assert not RunFolder.open(str(tmp_path)).stage("generate", "abcdef012346").done


def test_rows_of_a_stage_come_in_the_order_of_units_and_a_part_without_rows_is_named(tmp_path):
    stage = RunFolder.open(str(tmp_path)).stage("prepare", "a" * 12)
    for n in (1, 0, 2):
        store.write_table(stage.path("part", f"unit-{n:06d}.parquet"), TABLE.slice(n, 1))
    assert stage.rows("part", ["id"])["id"].to_pylist() == ["a", "b", "c"]
    with pytest.raises(StoreError, match="holds no other"):
        stage.rows("other")


def test_a_run_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot create the run folder"):
        RunFolder.open(str(tmp_path / "file" / "run"))


def test_too_little_space_is_told_with_what_is_left_and_what_is_needed(tmp_path):
    folder = RunFolder.open(str(tmp_path))
    folder.need_free(0)
    with pytest.raises(StoreError, match=rf"{tmp_path}: \d+ MiB are left, {1 << 40} MiB are needed"):
        folder.need_free(1 << 40)


def tree(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return fingerprint(str(folder))


def test_a_fingerprint_follows_content_and_names_and_not_the_place(tmp_path):
    first = tree(tmp_path / "one", config=b"{}", sub__weights=b"abc")
    assert tree(tmp_path / "two", sub__weights=b"abc", config=b"{}") == first
    assert tree(tmp_path / "three", config=b"{}", sub__weights=b"abd") != first
    assert tree(tmp_path / "four", config=b"{}", weights=b"abc") != first
    assert tree(tmp_path / "five", config=b"{}a", sub__weights=b"bc") != first
    assert tree(tmp_path / "one", **{".cache": b"x"}) == first
    assert tree(tmp_path / "one", extra=b"") != first


def test_a_fingerprint_of_a_file_and_of_a_name_on_the_hub(tmp_path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("a")
    two.write_text("a")
    assert fingerprint(str(one)) == fingerprint(str(two))
    two.write_text("b")
    assert fingerprint(str(one)) != fingerprint(str(two))
    assert fingerprint("org/model") != fingerprint("org/other")


def test_a_large_file_is_told_by_its_ends_its_size_and_what_lies_between(tmp_path, monkeypatch):
    limits = {"WHOLE_FILE_DIGEST_LIMIT": 1000, "END_BYTES": 10, "SAMPLES": 8, "SAMPLE_BYTES": 4}
    for name, value in limits.items():
        monkeypatch.setattr(f"urm_ray.fingerprint._{name}", value)
    file, size = tmp_path / "weights", 2000

    def changed(*places: int, more: int = 0) -> str:
        data = bytearray(size + more)
        for at in places:
            data[at] = 1
        file.write_bytes(data)
        return fingerprint(str(file))

    whole = changed()
    assert changed() == whole
    assert whole not in (changed(0), changed(size - 1), changed(more=1))
    seen = [at for at in range(size) if changed(at) != whole]
    assert len(seen) == 10 + 8 * 4 + 10
    longest = max(b - a for a, b in itertools.pairwise(seen))
    assert longest <= (size - 20) // 8, "what is changed over a longer stretch is seen wherever it lies"


def test_a_folder_is_uploaded_anew_and_found_again(tmp_path):
    tree(tmp_path / "model", config=b"{}", sub__weights=b"abc")
    target = str(tmp_path / "stage" / "model")
    tree(tmp_path / "stage" / "model", stale=b"from a run that was cut off")
    upload_dir(str(tmp_path / "model"), target)
    assert fingerprint(local_copy(target)) == fingerprint(str(tmp_path / "model"))
    assert store.size_of(store.join(target, "sub/weights")) == 3


def test_a_full_disk_is_named_with_what_is_left_and_what_is_needed_and_later_the_file_is_written(tmp_path):
    with small_disk(tmp_path / "disk", 1) as folder:
        ballast, file = folder / "ballast", str(folder / "part" / "unit.parquet")
        ballast.write_bytes(b"x" * 700_000)
        with pytest.raises(StoreError, match=r"no free space in .*/part/unit.parquet: 0\.\d MiB are left, 0.6 MiB"):
            store.write_bytes(file, b"y" * 600_000)
        assert os.listdir(folder / "part") == [], "nothing of it is left"
        ballast.unlink()
        store.write_bytes(file, b"y" * 600_000)
        assert os.listdir(folder / "part") == ["unit.parquet"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_a_file_is_written_leaves_nothing_of_it(tmp_path, code):
    def write() -> None:
        with store.writing(str(tmp_path / "file")) as stream:
            stream.write(b"half")
            raise OSError(code, "full")

    with pytest.raises(StoreError, match=f"no free space in {tmp_path}/file"):
        write()
    assert os.listdir(tmp_path) == []
