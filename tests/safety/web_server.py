"""A web server on loopback that does with each request what a test says."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from urm_ray.config_mix import WebConfig
from urm_ray.sources.fields import FieldError
from urm_ray.sources.web import Web

LOCAL: dict[str, Any] = {"hosts": ["127.0.0.1"], "schemes": ["http"], "allow_private": True, "backoff_s": 0}


class Server(ThreadingHTTPServer):
    """A web server on loopback; `answers` says what a path does with a request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[Any], None]] = {}
        self.stopped = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        self.server.answers[self.path.partition("?")[0]](self)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        return None


def sends(data: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    def answer(request: Any) -> None:
        request.send_response(status)
        for name, value in ({"Content_Length": str(len(data))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


def web(**changes: Any) -> Web:
    return Web(WebConfig(**(LOCAL | changes)))


def why(url: str, use: Web) -> str:
    with pytest.raises(FieldError) as caught:
        use.fetch(url)
    return str(caught.value)
