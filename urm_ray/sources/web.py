"""Fetches media that data name by URL, from allowed places alone and within bounds.

Every address is checked before it is asked, those of redirects too, and the connection goes to the very addresses that
were checked: a name that leads elsewhere a moment later leads nowhere. Proxies, cookies and passwords of the
environment are not used.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from urm_ray.config_mix import WebConfig
from urm_ray.schema import seed_of
from urm_ray.secrets import masked
from urm_ray.sources.addresses import Place, RefusedError, checked, place_of
from urm_ray.sources.fields import FieldError

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another one later."""
REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 1 << 16
_HEADERS = {"User-Agent": "urm_ray", "Accept": "image/*, video/*, */*;q=0.1", "Accept-Encoding": "identity"}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a host, given its name and a port; OSError where there are none."""


class _PassingError(Exception):
    """A failure that may pass."""


class _FinalError(Exception):
    """A failure that will not."""


async def system_resolve(host: str, port: int) -> list[str]:
    """As this machine resolves names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Web:
    """Media by URL, one at a time. For what cannot be had FieldError: "URL is not allowed", "URL cannot be fetched"."""

    def __init__(self, config: WebConfig, resolve: Resolve = system_resolve) -> None:
        self.config, self.resolve = config, resolve

    def fetch(self, url: str) -> bytes:
        """The bytes that a URL leads to; of redirects, what the last one leads to."""
        if not self.config.hosts:
            raise FieldError("URL is not allowed", f"{_shown(url)}: name its host in the mix's web.hosts to fetch it")
        return asyncio.run(self._fetch(url))

    async def _fetch(self, url: str) -> bytes:
        config = self.config
        for attempt in range(config.retries + 1):
            try:
                async with asyncio.timeout(config.timeout_s):
                    return await self._follow(url)
            except RefusedError as error:
                raise FieldError("URL is not allowed", f"{_shown(url)}: {error}") from None
            except _FinalError as error:
                raise FieldError("URL cannot be fetched", f"{_shown(url)}: {error}") from None
            except TimeoutError:
                why = f"it took longer than {config.timeout_s:g} s"
            except (_PassingError, aiohttp.ClientError, OSError) as error:
                why = masked(" ".join(str(error).split()) or type(error).__name__)[:200]
            if attempt < config.retries:
                drawn = random.Random(seed_of("pause", url, attempt)).uniform(0.5, 1)
                await asyncio.sleep(config.backoff_s * 2**attempt * drawn)
        raise FieldError("URL cannot be fetched", f"{_shown(url)}: {why} ({config.retries + 1} tries)")

    async def _follow(self, url: str) -> bytes:
        """One try."""
        for _ in range(self.config.redirects + 1):
            place = place_of(url, self.config)
            addresses = checked(await self.resolve(place.host, place.port), self.config)
            found = await self._ask(place, addresses)
            if isinstance(found, bytes):
                return found
            try:
                url = urljoin(str(place), found)
            except ValueError:
                raise RefusedError("it leads on to what is no URL") from None
        raise _FinalError(f"it leads on more than {self.config.redirects} times")

    async def _ask(self, place: Place, addresses: Sequence[str]) -> bytes | str:
        """What a place answers, or the address that it leads on to."""
        pinned = aiohttp.TCPConnector(resolver=_Pinned(place.host, addresses), use_dns_cache=False, force_close=True)
        session = aiohttp.ClientSession(
            connector=pinned,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
        )
        async with session, session.get(_url(place), allow_redirects=False) as reply:
            if reply.status in REDIRECTS and "Location" in reply.headers:
                return reply.headers["Location"]
            if reply.status in PASSING:
                raise _PassingError(f"the server answers {reply.status}")
            if reply.status != 200:
                raise _FinalError(f"the server answers {reply.status}")
            return await self._body(reply)

    async def _body(self, reply: aiohttp.ClientResponse) -> bytes:
        limit = int(self.config.max_mib * (1 << 20))
        if (reply.content_length or 0) > limit:
            raise _FinalError(f"its {reply.content_length} bytes are more than the {limit} allowed")
        found = bytearray()
        async for piece in reply.content.iter_chunked(_PIECE):
            found += piece
            if len(found) > limit:
                raise _FinalError(f"it has more than the {limit} bytes allowed")
        return bytes(found)


class _Pinned(AbstractResolver):
    """Knows the addresses of one host, and of no other."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        self.host, self.addresses = host, addresses

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        if host != self.host:
            raise OSError(f"{host} was not looked up")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        return None


def _shown(url: str) -> str:
    return masked(url)[:200]


def _url(place: Place) -> URL:
    """For the client, which is to read the same host in it as was checked."""
    url = URL(str(place), encoded=True)
    if (url.host, url.port, url.user) != (place.host, place.port, None):
        raise RefusedError("it is no plain URL")
    return url
