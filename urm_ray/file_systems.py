"""Where files can lie: on local and network file systems, and on object stores, by URI or by plain path.

    runs/mine, /shared/runs/mine                           a path
    s3://BUCKET/PREFIX, s3://BUCKET/PREFIX?region=...      S3, and what speaks its language (`config_storage.S3Options`)
    gs://BUCKET/PREFIX                                     Google Cloud Storage (`config_storage.GcsOptions`)

URIs are taken apart and put together here alone. What an object store cannot do for a while is done again, and what it
will never do is a StoreError in one sentence.
"""

from __future__ import annotations

import errno
import functools
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.fs as pafs
from pydantic import ValidationError

from urm_ray.config_storage import GcsOptions, S3Options
from urm_ray.secrets import printed

P = ParamSpec("P")
T = TypeVar("T")

ENVIRONMENT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_MAX_ATTEMPTS")
"""Variables that say where a store is, and are no secret: workers get them from the driver."""
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The longest there are between attempts at a whole read or write. Most requests were tried several times by then, but
not those of pyarrow 26 for fewer bytes than the answer that it fails has."""
_OPTIONS: dict[str, type[S3Options] | type[GcsOptions]] = {"s3": S3Options, "gs": GcsOptions, "gcs": GcsOptions}
_KEYS = re.compile(r"access_?key|secret|token|password|user", re.IGNORECASE)
_NEVER = {
    "ACCESS_DENIED": "access is denied; the keys in use have to allow to list, read, write and delete there",
    "NO_SUCH_BUCKET": "there is no such bucket",
    "INVALID_ACCESS_KEY_ID": "the access key is not known there",
    "INVALID_CLIENT_TOKEN_ID": "the access key is not known there",
    "UNRECOGNIZED_CLIENT": "the access key is not known there",
    "MISSING_AUTHENTICATION_TOKEN": "no keys were given",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key is not that of the access key",
    "PERMISSION_DENIED": "access is denied; the account in use has to be allowed to list, read, write and delete there",
    "UNAUTHENTICATED": "no valid credentials were given",
}
"""What is wrong with a place for good, by the word of it in an error."""
_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed writing file",  # as torch.save says it, of which this and the next are known
    "unexpected pos ",
)
"""Words of errors that say no number of it."""


class StoreError(RuntimeError):
    """The run folder cannot be used; the message says why in one sentence."""


class NoSpaceError(StoreError):
    """A file does not fit on its disk."""


def is_object(uri: str) -> bool:
    """Whether a place is on an object store, or on another file system that is no folder of this machine."""
    return "://" in uri and not uri.startswith("file://")


def join(uri: str, *names: str) -> str:
    path, query = _query_of(uri)
    return "/".join([path.rstrip("/"), *names]) + query


def name_of(uri: str) -> str:
    """The last name in a URI or path."""
    return _query_of(uri)[0].rstrip("/").rpartition("/")[2]


def parent_of(uri: str) -> str:
    path, query = _query_of(uri)
    return path.rstrip("/").rpartition("/")[0] + query


def _query_of(uri: str) -> tuple[str, str]:
    path, mark, query = uri.partition("?") if is_object(uri) else (uri, "", "")
    return path, mark + query


def without_query(uri: str) -> str:
    """Where a place is, without how its store is spoken to."""
    return _query_of(uri)[0]


def locate(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system and the path on it of a URI or a plain path; StoreError where the URI says what it may not."""
    if "://" not in uri:
        return pafs.LocalFileSystem(), os.path.abspath(uri)
    path, query = _query_of(uri)
    scheme, _, rest = path.partition("://")
    bucket = rest.partition("/")[0]
    user, at, _ = bucket.rpartition("@")
    if ":" in user or (scheme in _OPTIONS and (at or ":" in bucket)):
        raise StoreError(f"a {scheme} URI holds a user or keys: set them in the environment of the job and its workers")
    if scheme not in _OPTIONS:
        try:
            return pafs.FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:
            raise StoreError(f"{printed(uri)} names no file system that is known: {_line(error)}") from None
    if not bucket:
        raise StoreError(f"{printed(uri)} names no bucket")
    return _file_system(scheme, bucket, query[1:], _environment()), "/".join(filter(None, rest.split("/")))


def _environment() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) or None for name in ENVIRONMENT)


@cache
def _file_system(scheme: str, bucket: str, query: str, environment: tuple[str | None, ...]) -> pafs.FileSystem:
    """One for all files of a bucket, so that connections are used again. environment: the values of ENVIRONMENT."""
    options = _options(scheme, query)
    if isinstance(options, GcsOptions):
        limit = timedelta(seconds=options.retry_limit_seconds)
        place = {"endpoint_override": options.endpoint_override, "scheme": options.scheme}
        return _Gcs((scheme, bucket, query), retry_time_limit=limit, **place)
    known = dict(zip(ENVIRONMENT, environment, strict=True))
    url = options.endpoint_override or known["AWS_ENDPOINT_URL_S3"] or known["AWS_ENDPOINT_URL"]
    said, _, host = (url or "").rpartition("://")
    if "@" in host:
        raise StoreError("the endpoint of an object store holds a user or keys: set them in the environment")
    region = options.region or known["AWS_REGION"] or known["AWS_DEFAULT_REGION"]
    attempts = known["AWS_MAX_ATTEMPTS"] if "max_attempts" not in options.model_fields_set else None
    return _S3(
        (scheme, bucket, query),
        region=region or ("us-east-1" if host else pafs.resolve_s3_region(bucket)),
        endpoint_override=host.rstrip("/") or None,
        scheme=said or options.scheme,
        # That of its strategies which soon tries again: longer pauses follow between whole reads and writes.
        retry_strategy=pafs.AwsDefaultS3RetryStrategy(max_attempts=int(attempts or options.max_attempts) - 1),
        connect_timeout=options.connect_timeout,
        request_timeout=options.request_timeout,
        allow_delayed_open=True,  # a small file is one request, and not an upload in parts
    )


def _options(scheme: str, query: str) -> S3Options | GcsOptions:
    given, known = dict(parse_qsl(query, keep_blank_values=True)), _OPTIONS[scheme]
    if any(_KEYS.search(name) for name in given):
        raise StoreError(f"a {scheme} URI holds keys: set them in the environment of the job and its workers")
    try:
        return known.model_validate(given)
    except ValidationError as error:
        wrong = ", ".join(str(part) for one in error.errors() for part in one["loc"])
        raise StoreError(
            f"a {scheme} URI says {wrong} in a way that is not known: it takes {', '.join(known.model_fields)}"
        ) from None


class _Again:
    """A file system that is made anew, with all that it was made with, where it is unpickled; pyarrow's leave out how
    often requests are tried, and take keys with them."""

    open_input_file: Callable[[str], pa.NativeFile]

    def __init__(self, place: tuple[str, str, str], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return _anew, self.place

    def open_input_stream(self, path: str, *_: Any, **__: Any) -> pa.NativeFile:
        """A file as a whole. Ray Train reads so what it noted of its checkpoints, and does not try again itself."""

        def read() -> bytes:
            with self.open_input_file(path) as file:
                return file.read()

        return pa.BufferReader(again(read))


class _S3(_Again, pafs.S3FileSystem):
    pass


class _Gcs(_Again, pafs.GcsFileSystem):
    pass


def _anew(scheme: str, bucket: str, query: str) -> pafs.FileSystem:
    return _file_system(scheme, bucket, query, _environment())


def steady(work: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """A function of a URI, or of a plain path, that may be called twice to the same end.

    Where an object store fails, it is called `again`, and if that does not help StoreError says why. FileNotFoundError
    stays what it is.
    """

    @functools.wraps(work)
    def tried(uri: str, *args: P.args, **kwargs: P.kwargs) -> T:
        if not is_object(uri):
            return work(uri, *args, **kwargs)
        try:
            return again(lambda: work(uri, *args, **kwargs))
        except FileNotFoundError:
            raise
        except OSError as error:
            if no_space(error):
                raise
            raise StoreError(problem(uri, error)) from error

    return tried


def again(work: Callable[[], T]) -> T:
    """What the work on an object store returns, which is done again while that can help; the last error is raised."""
    for pause in PAUSES_S:
        try:
            return work()
        except FileNotFoundError:
            raise
        except OSError as error:
            if no_space(error) or _never(error):
                raise
        time.sleep(random.uniform(0.5, 1) * pause)
    return work()


def problem(uri: str, error: OSError) -> str:
    """What is wrong with a place on an object store, in one sentence."""
    reason = _never(error) or f"it fails again and again, at last because {_line(error)}"
    return f"{printed(uri)} cannot be used: {reason}"


def _never(error: OSError) -> str | None:
    """Why it is no use to try again."""
    said = str(error)
    for word, reason in _NEVER.items():
        if re.search(rf"\b{word}\b", said):
            return reason
    refused = re.search(r"HTTP status (3\d\d|4(?!08|29)\d\d)", said) or re.search(r"Bucket '.*' not found", said)
    return f"it refuses, {_line(error)}" if refused else None


def no_space(error: BaseException) -> bool:
    """Whether an error says that a disk, or somebody's share of it, is full."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or any(words in str(error) for words in _FULL)


def free_space(uri: str) -> int | None:
    """Bytes that are left where a place lies, whether it is there yet or not; None where nobody can say."""
    fs, path = locate(uri)
    if not isinstance(fs, pafs.LocalFileSystem):
        return None
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def missing_space(uri: str, size: int | None = None, what: str = "this file") -> str:
    """Where there is no space, how much there is, and what to do. size: of what did not fit, in bytes."""
    free = free_space(uri)
    left = f": {free / 2**20:.1f} MiB are left" if free is not None else ""
    needed = f", {size / 2**20:.1f} MiB are needed for {what} alone" if size is not None else ""
    return f"in {uri}{left}{needed}; make room, and the same command goes on from here"


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
