"""A server of OpenAI's chat completions on loopback, as far as judges need one, whose faults are ordered by tests."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from PIL import Image

from urm_ray.vlms import load_processor

Speaker = Callable[[list[dict[str, Any]], list[int]], torch.Tensor]
"""Log-probabilities (V) of the next token, from the turns of a chat and the tokens of the answer so far."""


@dataclass
class Fault:
    """In place of an answer: a status with headers and a body, a broken connection, or `seconds` of silence."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    breaks: bool = False
    seconds: float = 0.0


@dataclass
class ChatServer:
    """numbers: tokens come as numbers, and those that are asked for are listed; else the 20 likeliest, by name.

    fault: called with the number of the request and its body; what it returns is done in place of an answer. asked: the
    bodies of all requests in the order in which they came; times: when. most: of them were under way together.
    """

    speaker: Speaker
    processor: Any
    numbers: bool = True
    lists: bool = True
    continues: bool = True
    counts: bool = True
    pace_s: float = 0.0
    fault: Callable[[int, dict[str, Any]], Fault | None] = lambda number, body: None
    alive: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most: int = 0
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        turns = body["messages"]
        begun = body.get("continue_final_message") and self.continues
        question = turns[:-1] if begun else turns
        prompt = self.processor.apply_chat_template(shown(question), add_generation_prompt=True, tokenize=False)
        tokenizer = self.processor.tokenizer
        said = tokenizer(turns[-1]["content"], add_special_tokens=False).input_ids if begun else []
        count, steps, ended = len(said) + len(tokenizer(prompt).input_ids), [], False
        first = len(said)
        while len(steps) < body["max_tokens"] and not ended:
            log_probs = self.speaker(question, said)
            token = int(log_probs.argmax())
            steps.append((token, log_probs))
            said = [*said, token]
            ended = token == tokenizer.eos_token_id
        text = tokenizer.decode(said[first : len(said) - ended])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None}
        choice["finish_reason"] = "stop" if ended else "length"
        if body.get("logprobs") and self.lists:
            choice["logprobs"] = {"content": [self.listed(body, *step) for step in steps]}
        return {"choices": [choice]} | (
            {"usage": {"prompt_tokens": count, "completion_tokens": len(steps)}} if self.counts else {}
        )

    def listed(self, body: dict[str, Any], token: int, log_probs: torch.Tensor) -> dict[str, Any]:
        wanted = body.get("logprob_token_ids") if self.numbers else None
        top = [token, *wanted] if wanted else log_probs.topk(body["top_logprobs"]).indices.tolist()
        return self.entry(token, log_probs) | {"top_logprobs": [self.entry(t, log_probs) for t in dict.fromkeys(top)]}

    def entry(self, token: int, log_probs: torch.Tensor) -> dict[str, Any]:
        name = f"token_id:{token}" if self.numbers else self.processor.tokenizer.decode([token])
        return {"token": name, "logprob": max(-9999.0, float(log_probs[token])), "bytes": None}


def shown(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns with slots in place of pictures, as templates of transformers take them."""
    return [
        {**turn, "content": [{"type": "image"} if "image_url" in part else part for part in turn["content"]]}
        for turn in turns
    ]


def pictures(turns: Sequence[dict[str, Any]]) -> list[Image.Image]:
    """The pictures that were sent, in order."""
    urls = [part["image_url"]["url"] for turn in turns for part in turn["content"] if "image_url" in part]
    heads, datas = zip(*(url.split(",") for url in urls), strict=True) if urls else ((), ())
    assert set(heads) <= {"data:image/png;base64"}
    return [Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB") for data in datas]


@contextmanager
def serving(path: str, speaker: Speaker, **settings: Any) -> Iterator[ChatServer]:
    """A server that answers with the tokenizer and template of the judge in a folder."""
    server = ChatServer(speaker, load_processor(path), **settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if server.alive:
                self.give(200, b'{"data": []}', {})
            else:
                self.hang_up()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            with server.lock:
                number = len(server.asked)
                server.asked.append(body)
                server.headers.append(dict(self.headers))
                server.times.append(time.monotonic())
                server.busy += 1
                server.most = max(server.most, server.busy)
            try:
                time.sleep(server.pace_s)
                self.reply(server.fault(number, body), body)
            finally:
                with server.lock:
                    server.busy -= 1

        def reply(self, fault: Fault | None, body: dict[str, Any]) -> None:
            time.sleep(fault.seconds if fault else 0)
            if fault and fault.breaks:
                self.hang_up()
            elif fault and not fault.seconds:
                self.give(fault.status, fault.body, fault.headers)
            else:
                self.give(200, json.dumps(server.answer(body)).encode(), {})

        def hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def give(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the other side has gone
                self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
