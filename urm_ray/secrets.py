"""Keeps tokens, passwords and keys out of what is written and printed, and what is printed from steering a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SHORTEST = 8
"""Characters of the shortest value of the environment that counts as a secret."""
_WORDS = (
    "token|secret|password|passwd|passphrase|api[_-]?key|access[_-]?key(?:[_-]?id)?|secret[_-]?key|account[_-]?key"
    "|private[_-]?key|credentials?|authorization|sig|signature"
)
_NAME = re.compile(rf"(?:.*[_.-])?(?:{_WORDS})", re.IGNORECASE)
_VARIABLE = re.compile(rf"(?:.*_)?(?:{_WORDS}|key)", re.IGNORECASE)
_NO_SECRETS = ("GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK")
_RULES = [
    # None looks at a text more than once from any place in it, as texts may be long and anybody's.
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)[^\s/?#\"'<>]*@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # A password with a slash in it, which is not how URIs are written and is how people write them.
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)[^\s/?#:\"'<>]+:[^\s?#\"'<>]{0,500}@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(rf"([?&;](?:[\w.-]*[_.-])?(?:{_WORDS}|key)=)[^&;#\s\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b((?:Bearer|Basic) +)(?=[\w.~+/-]*[\d=])[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"\b((?:\w*_)?(?:{_WORDS})[\"']?\s*=\s*[\"']?)[^\s\"',;&]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # What services begin their tokens with, so that they are known when they are seen.
    (re.compile(r"\b(?:hf_|api_org_)[A-Za-z0-9]{16,}"), HIDDEN),
    (re.compile(r"\bsk-[\w-]{16,}"), HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,})"), HIDDEN),
    (re.compile(r"\bAIza[\w-]{30,}"), HIDDEN),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
]
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for line ends and tabs, and those that turn the direction of what follows."""


def masked(text: str) -> str:
    """A text without secrets: what stands for a user in a URI and for a key in its query, `NAME=VALUE` where the name
    says that it is secret, tokens that are known by how they begin, and the values of the environment's own secrets."""
    for secret in _of_environment():
        text = text.replace(secret, HIDDEN)
    for pattern, put in _RULES:
        text = pattern.sub(put, text)
    return text


def masked_all(value: Any) -> Any:
    """Plain values, such as a configuration's, with every text `masked`, keys too, and all that a key calls a secret
    hidden.

    Numbers and nulls are never secrets; a key that ends in `_env` holds the name of a variable.
    """
    if isinstance(value, Mapping):
        return {masked(key) if isinstance(key, str) else key: _under(str(key), v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_all(inner) for inner in value]
    return masked(value) if isinstance(value, str) else value


def printed(text: str) -> str:
    """A text as it may be shown on a terminal: `masked`, with escapes in place of characters that would steer it."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), masked(text))


def _under(key: str, value: Any) -> Any:
    return HIDDEN if isinstance(value, str) and value and _NAME.fullmatch(key) else masked_all(value)


def _of_environment() -> list[str]:
    """The longest first, as one may be the beginning of another."""
    named = (v for k, v in os.environ.items() if _VARIABLE.fullmatch(k) and k not in _NO_SECRETS)
    return sorted({value for value in named if len(value) >= SHORTEST}, key=len, reverse=True)
