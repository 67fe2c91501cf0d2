"""A server of S3 on loopback (moto's), and a proxy in front of it whose faults are drawn by chance, or ordered."""

from __future__ import annotations

import http.client
import logging
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from moto.server import ThreadedMotoServer

BUCKET = "bucket"
KEYS = {
    "AWS_ACCESS_KEY_ID": "loopback",
    "AWS_SECRET_ACCESS_KEY": "loopback-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
FAULTS = ("500", "503", "reset", "cut", "stall")
"""500 and 503: these answers. reset: none. cut: the connection ends in the midst of one. stall: it pauses there."""
BODY = """<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"""
CODES = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}


@dataclass
class ObjectServer:
    """fault: called with the method and path of a request; what it returns, of FAULTS or a status, is done to it, and a
    request that is answered with a fault may have been done or not. asked: methods and paths in order."""

    port: int = 0
    behind: tuple[str, int] = ("", 0)
    fault: Callable[[str, str], str | None] = lambda method, path: None
    stall_s: float = 3.0
    page: int = 1000
    """Objects of one page of a list."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """How often each fault was done."""

    def uri(self, *names: str, **options: Any) -> str:
        query = {"scheme": "http", "endpoint_override": f"127.0.0.1:{self.port}", "region": "us-east-1"} | options
        return "/".join(["s3:/", BUCKET, *names]) + "?" + "&".join(f"{name}={value}" for name, value in query.items())

    def empty(self) -> None:
        self.directly("POST", "/moto-api/reset")
        self.directly("PUT", f"/{BUCKET}")
        self.fault, self.page = (lambda method, path: None), 1000
        self.asked.clear()
        self.done.clear()

    def directly(self, method: str, path: str, body: bytes = b"") -> bytes:
        """An answer of the server behind the proxy."""
        connection = http.client.HTTPConnection(*self.behind, timeout=30)
        connection.request(method, path, body)
        return connection.getresponse().read()


def by_chance(seed: int, share: float, kinds: tuple[str, ...] = FAULTS) -> Callable[[str, str], str | None]:
    """Faults of a share of the requests, drawn from a seed."""
    drawn, lock = random.Random(seed), threading.Lock()

    def fault(method: str, path: str) -> str | None:
        with lock:
            return drawn.choice(kinds) if drawn.random() < share else None

    return fault


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """The server with an empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    server = ObjectServer(behind=moto.get_host_and_port())
    server.empty()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Proxy,), {"of": server}))
    proxy.daemon_threads = True
    server.port = proxy.server_port
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        proxy.shutdown()
        proxy.server_close()
        moto.stop()


class _Proxy(BaseHTTPRequestHandler):
    of: ObjectServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _pass_on(self) -> None:
        body = self._body()
        self.of.asked.append((self.command, self.path))
        kind = self.of.fault(self.command, self.path)
        if kind:
            self.of.done[kind] += 1
        if kind and kind.isdigit():
            self._answer(int(kind), [], b"" if self.command == "HEAD" else BODY.format(code=CODES[kind]).encode())
            return
        connection = http.client.HTTPConnection(*self.of.behind, timeout=30)
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "expect", "connection")}
        path = self.path.replace("max-keys=1000", f"max-keys={self.of.page}")
        connection.request(self.command, path, body, kept | {"Content-Length": str(len(body))})
        answer = connection.getresponse()
        data = answer.read()
        if kind == "reset":
            self._reset()
        else:
            self._answer(answer.status, answer.getheaders(), data, kind)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # every method is passed on
            return self._pass_on
        raise AttributeError(name)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, kind: str | None = None) -> None:
        head = {k: v for k, v in headers if k.lower() not in ("connection", "transfer-encoding")}
        head.setdefault("Content-Length", str(len(data)))
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}", *(f"{k}: {v}" for k, v in head.items())]
        whole = ("\r\n".join(lines) + "\r\n\r\n").encode() + data
        half = len(whole) - max(1, len(data) // 2)
        if kind == "cut":
            self.wfile.write(whole[:half])
            self._reset()
            return
        if kind == "stall":
            self.wfile.write(whole[:half])
            time.sleep(self.of.stall_s)
            whole = whole[half:]
        self.wfile.write(whole)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):  # the client has gone
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        return None
