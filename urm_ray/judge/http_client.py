"""Sends requests to an OpenAI-compatible server, with patience and within bounds."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from urm_ray.config_engines import HttpConfig
from urm_ray.judge.unanswered import EngineError, QuestionError
from urm_ray.schema import digest, seed_of

_OVERLOADED = (429, 503)
_REFUSED = {401: "it wants another key", 403: "it wants another key", 404: "it has no such model or no such address"}
_QUOTED = 200


class _PassingError(Exception):
    """A failure that may pass. status: None without an answer. after: the pause, in seconds, that was asked for."""

    def __init__(self, reason: str, status: int | None = None, after: float = 0.0) -> None:
        super().__init__(reason)
        self.status, self.after = status, after


class HttpClient:
    """Requests to one server; all coroutines run in one event loop.

    Whose fault a failure is decides what it costs. Where the server refuses all requests, has no time or no longer
    answers, EngineError: nothing can be asked, and the run ends. What is left, such as an answer that is no JSON or a
    question that is too long, is a QuestionError and costs the question.
    """

    def __init__(self, config: HttpConfig) -> None:
        self.config = config
        self._key = _key(config)
        self._slots = asyncio.Semaphore(config.concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def chat(self, request: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to a chat completion; it has at least one choice."""
        config, asked = self.config, {"model": self.config.model, **request}
        for attempt in range(config.retries + 1):
            try:
                async with self._slots:
                    return await self._send(asked)
            except _PassingError as error:
                failure = error
            if attempt < config.retries:
                await asyncio.sleep(self._pause(failure.after, attempt, asked))
        return await self._give_up(failure)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _pause(self, after: float, attempt: int, request: dict[str, Any]) -> float:
        longest = min(self.config.max_backoff_s, self.config.backoff_s * 2**attempt)
        if after > self.config.max_backoff_s:
            raise EngineError(
                f"the server at {self.config.base_url} asks for a pause of {after:.0f} s: run again then, or set"
                " judge.http.max_backoff_s above it"
            )
        drawn = random.Random(seed_of("pause", digest(request), attempt)).uniform(0.5, 1)
        return max(after, longest * drawn)

    async def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        """One try."""
        try:
            async with self._open().post(self._url("chat/completions"), json=request, allow_redirects=False) as reply:
                body = await reply.read()
        except TimeoutError:
            raise _PassingError(f"no answer within {self.config.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(self._plain(f"{type(error).__name__}: {error}")) from None
        if reply.status != 200:
            self._refused(reply, body)
        return self._parsed(reply, body)

    def _refused(self, reply: aiohttp.ClientResponse, body: bytes) -> None:
        status, place = reply.status, self.config.base_url
        reason = f"the server answers {status}: {self._plain(body.decode(errors='replace'))}"
        if status in self.config.retry_statuses:
            raise _PassingError(reason, status, _seconds(reply.headers.get("Retry-After")))
        if status in _OVERLOADED or status < 400 or status in _REFUSED:
            why = _REFUSED.get(status, "it cannot be worked with")
            raise EngineError(f"{place} does not serve {self.config.model!r}, {why}: {reason}")
        raise QuestionError(reason)

    def _parsed(self, reply: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except ValueError:
            raise _PassingError(
                f"the server's answer is no JSON: {self._plain(body.decode(errors='replace'))}"
            ) from None
        choices = found.get("choices") if isinstance(found, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise _PassingError("the server's answer is no chat completion: it has no choices")
        return found

    async def _give_up(self, failure: _PassingError) -> dict[str, Any]:
        tries, place = self.config.retries + 1, self.config.base_url
        if failure.status in _OVERLOADED:
            raise EngineError(f"{place} has no time: {failure} ({tries} tries); lower judge.http.concurrency")
        if not await self._alive():
            raise EngineError(f"{place} does not answer: {failure} ({tries} tries); start it and run again")
        raise QuestionError(f"{failure} ({tries} tries)")

    async def _alive(self) -> bool:
        """Whether the server answers anything, now that a request has failed for good."""
        for attempt in range(2):
            try:
                async with self._open().get(self._url("models"), allow_redirects=False) as reply:
                    return reply.status < 500
            except (TimeoutError, aiohttp.ClientError, OSError):
                await asyncio.sleep(self.config.backoff_s if attempt == 0 else 0)
        return False

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.config.timeout_s),
                headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
                connector=aiohttp.TCPConnector(limit=0),
            )
        return self._session

    def _url(self, path: str) -> str:
        return f"{self.config.base_url}/{path}"

    def _plain(self, text: str) -> str:
        """What a server or a library says, short, on one line, and without the key if it should repeat that."""
        short = " ".join(text.split())
        return (short.replace(self._key, "(key)") if self._key else short)[:_QUOTED]


def _key(config: HttpConfig) -> str | None:
    if config.api_key_env is None:
        return None
    key = os.environ.get(config.api_key_env)
    if not key:
        raise EngineError(
            f"judge.http.api_key_env: {config.api_key_env} is not set where the judge runs; on a cluster set it in the"
            " nodes' environment, as from a secret: Ray shows what a job's runtime_env holds"
        )
    return key


def _seconds(header: str | None) -> float:
    """Of a Retry-After header, a number or a date; 0 where it is neither."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header)) if header.strip().replace(".", "", 1).isdigit() else _until(header)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
