"""Which places on the network media may be fetched from: schemes, hosts by name, and addresses by what they are for."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from urm_ray.config_mix import WebConfig

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = {"http": 80, "https": 443}
LONGEST = 2048
"""Characters of the longest URL."""
_WORD = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TARGET = re.compile(r"[!-~]*")
_INSIDE = {
    # Networks whose addresses hold another one: where its 32 bits begin.
    ipaddress.ip_network("::/96"): 0,
    ipaddress.ip_network("64:ff9b::/96"): 0,
    ipaddress.ip_network("64:ff9b:1::/48"): 0,
    ipaddress.ip_network("::ffff:0:0:0/96"): 0,
    ipaddress.ip_network("2002::/16"): 80,
}
_PRIVATE = [
    # Networks that are no part of the internet, whatever this version of Python knows of them.
    *map(ipaddress.ip_network, ("192.88.99.0/24", "fec0::/10", "3fff::/20", "5f00::/16")),
]
_NEVER = [
    # Where clouds tell a machine its credentials; no setting opens them.
    *map(ipaddress.ip_network, ("169.254.0.0/16", "192.0.0.0/24", "100.100.100.200/32", "168.63.129.16/32")),
    *map(ipaddress.ip_network, ("fe80::/10", "fd00:ec2::/32", "fd20:ce::254/128")),
]


class RefusedError(ValueError):
    """A place that media are not fetched from; the message says why."""


@dataclass(frozen=True)
class Place:
    """A URL taken apart and checked. target: path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


def place_of(url: str, config: WebConfig) -> Place:
    """The parts of a URL that may be asked for; RefusedError for another scheme or host, for credentials in it, and
    where programs could differ in what they read in it."""
    if len(url) > LONGEST or not _TARGET.fullmatch(url) or "\\" in url:
        raise RefusedError("it is no plain URL")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise RefusedError("it is no plain URL") from None
    if parts.scheme not in config.schemes:
        raise RefusedError(f"{parts.scheme} is none of the schemes in web.schemes")
    if "@" in parts.netloc:
        raise RefusedError("it holds a user name or password")
    if _literal(host) is None and not all(map(_WORD.fullmatch, host.split("."))):
        raise RefusedError("its host is no plain name")
    if _literal(host) is None and _is_number(host):
        raise RefusedError("its host is an address in another spelling than a.b.c.d")
    if not any(_fits(host, known) for known in config.hosts):
        raise RefusedError(f"{host} is none of the hosts in web.hosts")
    if port == 0:
        raise RefusedError("it names port 0")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port or PORTS[parts.scheme], target)


def checked(found: Iterable[str], config: WebConfig) -> list[str]:
    """The addresses that a host has, all of which have to be allowed; RefusedError where one is not, or there is none.

    A name that leads to public and to private addresses is refused as a whole: which one is taken is not ours to say.
    """
    addresses = list(dict.fromkeys(found))
    if not addresses:
        raise RefusedError("its host has no address")
    for text in addresses:
        for address in _all_of(ipaddress.ip_address(text.partition("%")[0])):
            if why := _never(address):
                raise RefusedError(f"its host has the address {text}, {why}")
            public = address.is_global and not any(address in network for network in _PRIVATE)
            if not public and not config.allow_private:
                raise RefusedError(f"its host has the address {text}, which is no public one (web.allow_private)")
    return addresses


def _all_of(address: Address) -> list[Address]:
    """An address, and those that are written inside it."""
    found = [address]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return [address.ipv4_mapped]
        whole = int(address)
        inside = [whole >> shift & 0xFFFFFFFF for network, shift in _INSIDE.items() if address in network]
        found += [ipaddress.IPv4Address(number) for number in inside if not address.is_loopback and whole]
        found += list(address.teredo or ())
    return found


def _never(address: Address) -> str | None:
    if any(address in network for network in _NEVER):
        return "which belongs to the machine's own network or cloud"
    if address.is_unspecified or (isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 == 0):
        return "which is nobody's"
    if address.is_multicast or str(address) == "255.255.255.255":
        return "which is that of many"
    return None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_number(host: str) -> bool:
    """Whether a host that is no plain address is taken for one by systems: 2130706433, 0x7f.1, 017700000001."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _fits(host: str, known: str) -> bool:
    if known == "*":
        return True
    return host.endswith(known[1:]) and _literal(host) is None if known.startswith("*.") else host == known
