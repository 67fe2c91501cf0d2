"""Fields of native records. What is missing or of another kind costs the record, with a reason, and never the unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from urm_ray.sources.registry import Rejected

Record = dict[str, Any]
"""A native record: the values of its columns or keys, as JSON or parquet hold them."""

Records = Iterable[tuple[str, Record | Rejected]]
"""Records with their keys, as the readers of `urm_ray.sources.records` give them."""


class FieldError(ValueError):
    """A field that cannot be used. `reason` is counted in the mix report, so it says what and never where."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


T = TypeVar("T")


def drafts_of(records: Records, make: Callable[[str, Record], Iterable[T | Rejected]]) -> Iterator[T | Rejected]:
    """What `make(key, record)` gives of each record; a FieldError of it, and a record that is none, are Rejected."""
    for key, record in records:
        if isinstance(record, Rejected):
            yield record
            continue
        try:
            yield from make(key, record)
        except FieldError as error:
            yield Rejected(key, error.reason, error.detail)


def value(record: Record, name: str) -> Any:
    """A field that is there and not null; FieldError "no NAME"."""
    found = record.get(name)
    if found is None:
        raise FieldError(f"no {name}")
    return found


def text(record: Record, name: str) -> str:
    """A text that holds more than blanks, without those at its ends; FieldError."""
    found = value(record, name)
    if not isinstance(found, str):
        raise _wrong(name, "a text", found)
    if not found.strip():
        raise FieldError(f"empty {name}")
    return found.strip()


def number(record: Record, name: str) -> float:
    """A finite number, which may be written as text with a decimal point; FieldError. True and false are none."""
    return as_number(value(record, name), name)


def as_number(found: Any, name: str) -> float:
    """As `number`, of a value that is named `name`."""
    if isinstance(found, str):
        try:
            found = float(found)
        except ValueError:
            raise _wrong(name, "a number", found) from None
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise _wrong(name, "a number", found)
    try:
        result = float(found)
    except OverflowError:
        raise _wrong(name, "a finite number", str(found)[:20]) from None
    if not math.isfinite(result):
        raise _wrong(name, "a finite number", found)
    return result


def integer(record: Record, name: str) -> int:
    """A whole number; FieldError."""
    found = number(record, name)
    if not found.is_integer():
        raise _wrong(name, "a whole number", found)
    return int(found)


def listed(record: Record, name: str) -> list[Any]:
    """A list with something in it; FieldError."""
    found = value(record, name)
    if not isinstance(found, list):
        raise _wrong(name, "a list", found)
    if not found:
        raise FieldError(f"empty {name}")
    return found


def texts(record: Record, name: str) -> list[str]:
    """A list of texts that each hold more than blanks; FieldError."""
    found = listed(record, name)
    if not all(isinstance(item, str) and item.strip() for item in found):
        raise _wrong(name, "a list of texts", found)
    return found


def mapping(record: Record, name: str) -> Record:
    """An object or struct; FieldError."""
    found = value(record, name)
    if not isinstance(found, dict):
        raise _wrong(name, "an object", found)
    return found


def _wrong(name: str, wanted: str, found: Any) -> FieldError:
    return FieldError(f"{name} is not {wanted}", repr(found)[:80])
