"""One writer of a folder at a time, and what becomes of the lock of a dead one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from object_server import by_chance

from urm_ray import lock, store
from urm_ray.file_systems import locate
from urm_ray.lock import LockedError, held
from urm_ray.store import RunFolder, StoreError

ROOT = Path(__file__).resolve().parents[1]
LOCAL = pafs.LocalFileSystem()
HOLD = """
import sys, time
import pyarrow.fs as pafs
from urm_ray import lock, store
from urm_ray.file_systems import locate
lock.BEAT_S = lock.SETTLE_S = 0.1
fs = pafs.LocalFileSystem()
place = (fs, sys.argv[1]) if sys.argv[2] == "file" else (pafs.SubTreeFileSystem(sys.argv[1], fs), "")
with lock.held(*place):
    print("held", flush=True)
    time.sleep(100)
"""


def place(kind: str, folder: Path) -> tuple[pafs.FileSystem, str]:
    """A folder on a local file system, or on one of which nothing is known but that it reads and writes."""
    return (LOCAL, str(folder)) if kind == "file" else (pafs.SubTreeFileSystem(str(folder), LOCAL), "")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    monkeypatch.setattr(lock, "SETTLE_S", 0.1)
    monkeypatch.setattr(lock, "SILENT_S", 1.0)


def words(folder: Path) -> dict:
    return json.loads((folder / ".lock").read_text())


def leave_lock(folder: Path, **changes) -> None:
    """As a holder leaves it that had no time to tidy up."""
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": None, "since": 0.0, "token": "t", "beat": 0}
    (folder / ".lock").write_text(json.dumps(own | changes))


def hold(kind: str, folder: Path) -> subprocess.Popen[str]:
    """A process that has taken the lock."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_second_process_is_told_who_holds_the_folder_and_a_dead_holder_is_taken_over(kind, tmp_path):
    holder = hold(kind, tmp_path)
    try:
        with pytest.raises(LockedError, match=f"in use by process {holder.pid} on {socket.gethostname()}"):
            held(*place(kind, tmp_path)).__enter__()
        assert holder.poll() is None
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    started = time.monotonic()
    with held(*place(kind, tmp_path)):
        assert time.monotonic() - started < 0.9, "the death of a process of this machine is known at once"
        assert words(tmp_path)["pid"] == os.getpid()


@pytest.mark.parametrize("kind", ["file", "object"])
def test_the_lock_is_given_back_after_an_error(kind, tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held(*place(kind, tmp_path)):
            raise ZeroDivisionError


def test_of_writers_that_come_and_go_there_is_never_more_than_one(tmp_path):
    inside, most, turns = [0], [0], []

    def write() -> None:
        for _ in range(60):
            try:
                with held(LOCAL, str(tmp_path)):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    turns.append(1)
                    time.sleep(0.001)
                    inside[0] -= 1
            except LockedError:
                time.sleep(0.001)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len(turns) > 20
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_process_number_that_another_process_has_now_holds_nothing(kind, tmp_path):
    leave_lock(tmp_path, started="1")
    with held(*place(kind, tmp_path)):
        assert words(tmp_path)["started"] != "1"


@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_holder_on_another_machine_that_gives_signs_of_life_keeps_the_lock(kind, tmp_path):
    over = threading.Event()

    def live() -> None:
        beat = 0
        while not over.wait(0.2):
            leave_lock(tmp_path, host="elsewhere", beat=(beat := beat + 1))

    leave_lock(tmp_path, host="elsewhere")
    threading.Thread(target=live, daemon=True).start()
    with pytest.raises(LockedError, match="on elsewhere"):
        held(*place(kind, tmp_path)).__enter__()
    over.set()


@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_holder_on_another_machine_that_gives_none_is_taken_over(kind, tmp_path, capsys):
    leave_lock(tmp_path, host="elsewhere")
    with held(*place(kind, tmp_path)):
        assert words(tmp_path)["pid"] == os.getpid()
    assert "elsewhere: waiting for a sign of life" in capsys.readouterr().err


def test_of_writers_that_come_at_the_same_time_one_gets_the_object(tmp_path):
    found: list[str] = []
    ready, over = threading.Barrier(4), threading.Event()

    def write() -> None:
        ready.wait()
        try:
            with held(*place("object", tmp_path)):
                found.append("held")
                over.wait(5)
        except LockedError:
            found.append("locked")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(found) < 4:
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["held", "locked", "locked", "locked"]


@pytest.mark.parametrize("kind", ["file", "object"])
def test_the_holder_gives_signs_of_life(kind, tmp_path):
    with held(*place(kind, tmp_path)):
        first = words(tmp_path)["beat"]
        time.sleep(0.5)
        assert words(tmp_path)["beat"] > first


def test_a_holder_whose_lock_another_took_ends_its_run(tmp_path):
    holder = hold("object", tmp_path)
    leave_lock(tmp_path, host="elsewhere")
    _, said = holder.communicate(timeout=30)
    assert holder.returncode == -signal.SIGTERM
    assert "taken by another" in said
    assert words(tmp_path)["host"] == "elsewhere", "the lock is another's now"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\0" * 512])
@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_lock_that_says_nothing_is_taken_over(kind, content, tmp_path):
    (tmp_path / ".lock").write_text(content)
    with held(*place(kind, tmp_path)):
        assert words(tmp_path)["pid"] == os.getpid()


def test_a_run_folder_says_in_one_sentence_who_writes_it(tmp_path):
    folder = RunFolder.open(str(tmp_path))
    with (
        folder.lock(),
        pytest.raises(StoreError, match=rf"the run folder {tmp_path} is in use by process {os.getpid()}"),
    ):
        folder.lock().__enter__()


def test_of_writers_on_a_slow_store_that_fails_there_is_never_more_than_one(objects, monkeypatch):
    """Whatever a request takes: how long writers wait for each other says nothing of who was the first."""
    monkeypatch.setattr(lock, "SILENT_S", 60.0)
    drawn = by_chance(0, 0.3, ("500", "503", "stall", "cut"))
    objects.fault, objects.stall_s = (lambda method, path: drawn(method, path) if ".lock" in path else None), 0.3
    inside, most, turns = [0], [0], []

    def write() -> None:
        for _ in range(3):
            try:
                with held(*locate(objects.uri("run", max_attempts=8))):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    turns.append(1)
                    time.sleep(0.02)
                    inside[0] -= 1
            except LockedError:
                time.sleep(0.05)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert turns
    assert objects.done["stall"]
    assert store.tree(objects.uri("run")) == []


def test_a_claim_of_a_process_that_died_with_it_is_forgotten_in_time(objects, monkeypatch):
    uri = objects.uri("run")
    store.write_bytes(store.join(uri, ".lock.dead"), b"claimed")
    monkeypatch.setattr(lock, "SILENT_S", 60.0)
    with pytest.raises(StoreError, match="being taken by another process"):
        RunFolder.open(uri).lock().__enter__()
    monkeypatch.setattr(lock, "SILENT_S", 0.0)
    with RunFolder.open(uri).lock():
        pass
