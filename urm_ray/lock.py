"""One writer of a folder at a time, on any file system.

The folder's `.lock` names its holder, who gives a sign of life in it every few seconds. On local and network file
systems the kernel holds it too, and lets go of it the moment that the holder is dead. On object stores, and for a
holder on another machine, only the signs of life tell: a lock is taken over once they have stopped for a while. On an
object store, which writes whatever it is told, processes take turns at it (`.lock.TOKEN`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from urm_ray.file_systems import again

BEAT_S = 10.0
SILENT_S = 45.0
"""A holder that gave no sign of life for so long is taken for dead."""
SETTLE_S = 1.0
"""Until two writers of one object have both written, so that they see who was the last."""
TURNS = 8
"""Times that a process claims its turn to write a lock's object."""
_SIZE = 512
Record = dict[str, Any]


class LockedError(RuntimeError):
    """The folder has another writer; the message says who."""


class _File:
    """A file that the kernel locks for whoever has it open."""

    turn = contextlib.nullcontext
    shared = False
    """Whether two processes may have it at the same time, so that its words have to be looked at."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self) -> bool:
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
                    raise
                self.shared = True  # a file system without locks
            if self._is_there():
                return True
            self.close()  # its last holder has just removed it
            self._open()

    def _is_there(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        return False

    def read(self) -> Record | None:
        return _record(os.pread(self._descriptor, _SIZE, 0))

    def write(self, record: Record) -> None:
        os.pwrite(self._descriptor, json.dumps(record).encode().ljust(_SIZE), 0)  # one call: nobody reads half of it

    def leave(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def close(self) -> None:
        os.close(self._descriptor)


class _Object:
    """An object of a store that has no locks."""

    shared = True

    def __init__(self, fs: pafs.FileSystem, path: str) -> None:
        self._fs, self._path = fs, path

    def take(self) -> bool:
        return True

    @contextlib.contextmanager
    def turn(self, token: str) -> Iterator[None]:
        """While it lasts no other process writes the lock, however slow the store is; LockedError if it does not come.

        Each process claims a turn by an object of its own, and then looks whether it is alone: of two that come at the
        same time at least one sees the other, and steps back for a while.
        """
        for pause in (*(SETTLE_S * 2**n / 4 for n in range(TURNS)), None):
            with self._claimed(token) as alone:
                if alone:
                    yield
                    return
            if pause is not None:
                time.sleep(random.uniform(0, pause))
        raise LockedError(f"being taken by another process: try again; its lock is {self._path}")

    @contextlib.contextmanager
    def _claimed(self, token: str) -> Iterator[bool]:
        claim = f"{self._path}.{token}"
        self._put(claim, b"claimed")
        try:
            found = again(lambda: self._fs.get_file_info(pafs.FileSelector(claim.rpartition("/")[0])))
            claims = {f.base_name: f.mtime for f in found if f.base_name.startswith(".lock.")}
            now = claims.pop(f".lock.{token}")  # by the store's own clock
            yield not [at for at in claims.values() if (now - at).total_seconds() < 4 * SILENT_S]
        finally:
            with contextlib.suppress(OSError):
                self._fs.delete_file(claim)

    def _put(self, path: str, data: bytes) -> None:
        def put() -> None:
            with self._fs.open_output_stream(path) as stream:
                stream.write(data)

        again(put)

    def read(self) -> Record | None:
        def get() -> bytes:
            with self._fs.open_input_file(self._path) as stream:
                return stream.read()

        with contextlib.suppress(FileNotFoundError):
            return _record(again(get))
        return None

    def write(self, record: Record) -> None:
        self._put(self._path, json.dumps(record).encode())

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self._fs.delete_file(self._path)

    def close(self) -> None:
        pass


def _record(data: bytes) -> Record | None:
    with contextlib.suppress(ValueError):
        found = json.loads(data)
        return found if isinstance(found, dict) and "pid" in found else None
    return None


@contextlib.contextmanager
def held(fs: pafs.FileSystem, path: str) -> Iterator[None]:
    """Holds the lock of the folder at a path of a file system, which is there; LockedError names another holder.

    Where only its signs of life can tell whether a holder on another machine lives, they are waited for.
    """
    place = f"{path.rstrip('/')}/.lock"
    lock: _File | _Object = _File(place) if isinstance(fs, pafs.LocalFileSystem) else _Object(fs, place)
    mine: Record = {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "since": time.time(),
        "token": uuid.uuid4().hex,
        "beat": 0,
    }
    try:
        with lock.turn(mine["token"]):
            _take(lock, mine, place)
        over = threading.Event()
        beats = threading.Thread(target=_beat, args=(lock, mine, place, over), name="lock", daemon=True)
        beats.start()
        try:
            yield
        finally:
            over.set()
            beats.join()
            with contextlib.suppress(OSError):  # what is left of it is taken over
                if _is(lock.read(), mine):
                    lock.leave()
    finally:
        lock.close()


def holder(fs: pafs.FileSystem, path: str) -> Record | None:
    """What the lock of a folder says of its holder, without touching it; None where nobody holds it.

    `since` and `beat`: when it took it and when it gave its last sign of life, in seconds since 1970. `lives`: whether
    it seems to be alive, by its process on this machine, and by its last sign of life on another, whose clock may be
    another, too.
    """
    record = _Object(fs, f"{path.rstrip('/')}/.lock").read()
    if record is None:
        return None
    beat = max(record.get("since", 0.0), record.get("beat", 0.0))
    here = _of_this_machine(record)
    return record | {"beat": beat, "lives": _lives(record) if here else time.time() - beat < SILENT_S}


def _take(lock: _File | _Object, mine: Record, place: str) -> None:
    if not lock.take():
        raise LockedError(_in_use(lock.read(), place))
    other = lock.read()
    if other is None and lock.shared:
        time.sleep(SETTLE_S / 5)  # its holder may be about to write
        other = lock.read()
    if other is not None and _may_live(lock, other):
        raise LockedError(_in_use(other, place))
    lock.write(mine)
    if lock.shared:
        time.sleep(SETTLE_S)
        if not _is(now := lock.read(), mine):
            raise LockedError(_in_use(now, place))


def _may_live(lock: _File | _Object, other: Record) -> bool:
    """Whether the holder that a lock names lives, though nothing keeps the lock from being taken."""
    if _of_this_machine(other):
        return lock.shared and _lives(other)  # its kernel is ours, and has let go of it unless it never had it
    print(f"the lock's holder is on {other.get('host')}: waiting for a sign of life", file=sys.stderr, flush=True)
    end = time.monotonic() + SILENT_S
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENT_S / 10))
        if lock.read() != other:
            return True
    return False


def _beat(lock: _File | _Object, mine: Record, place: str, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        try:
            if not _is(lock.read(), mine):
                print(f"{place} was taken by another: this run ends", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)  # as `ray job stop` does; what it wrote stays whole
                return
            lock.write(mine | {"beat": time.time()})
        except OSError as error:  # it may pass; and if it does not, the run meets it too
            print(f"no sign of life in {place}: {error}", file=sys.stderr, flush=True)


def _is(record: Record | None, mine: Record) -> bool:
    return record is not None and record.get("token") == mine["token"]


def _in_use(holder: Record | None, place: str) -> str:
    who = f"process {holder.get('pid')} on {holder.get('host')}" if holder else "another process"
    return f"in use by {who}: wait for it, or stop it; its lock is {place}"


def _of_this_machine(holder: Record) -> bool:
    return holder.get("host") == socket.gethostname() and holder.get("machine") in (None, _machine())


def _machine() -> str:
    """What tells this machine's processes from those of another one that has its name, such as another container."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, so that a reused process number is not taken for its old owner."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _lives(holder: Record) -> bool:
    """Of a process of this machine."""
    try:
        os.kill(int(holder["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return holder.get("started") in (None, _started(int(holder["pid"])))
