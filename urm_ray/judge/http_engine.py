"""A judge on an OpenAI-compatible server, such as vLLM's or SGLang's, as an engine."""

from __future__ import annotations

import base64
import math
import re
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from PIL import Image

from urm_ray.chat import ChatProcessor, ModelError
from urm_ray.config_engines import HttpConfig
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.answers import AnswerTree, Tokens
from urm_ray.judge.background import Background
from urm_ray.judge.branches import Step, read_tree
from urm_ray.judge.engine import Question, Reading, Written
from urm_ray.judge.http_client import HttpClient
from urm_ray.judge.unanswered import EngineError, QuestionError, Unread, Unwritten
from urm_ray.media import encode_image
from urm_ray.spent import Spent
from urm_ray.vlms import load_processor

LISTED = 20
"""The likeliest tokens that servers list, at most, where they do not list those that are asked for."""
Messages = list[dict[str, Any]]

_GREEDY = {"temperature": 0, "top_p": 1, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
_NUMBERED = re.compile(r"token_id:(\d+)")


class HttpEngine:
    """Asks a server; any number of threads may, and their requests share its bounds (`HttpConfig`).

    Pictures travel as PNG in the request, each encoded once a call. Clips are shown as frames: of a native clip a
    server would choose other frames. The template is the server's own and the checkpoint's, so both have to be of the
    same judge, whose tokenizer is read from `path`.

    read: exact where the server lists the log-probabilities of the tokens that are asked for (`logprob_token_ids`: vLLM
    since 0.30). Else it lists the 20 likeliest tokens: an answer that is not among them has at most the probability of
    the last, which is what it is taken to have where that cannot move a probability by more than 0.005; where it could,
    there is no reading. Deep branchings need a server that continues the beginning of an answer (vLLM, SGLang). A
    server without log-probabilities, or one that begins a new answer instead, is an EngineError.

    A question that fails costs itself alone: `Unread` or `Unwritten`.
    """

    def __init__(self, path: str, config: HttpConfig, clips: ClipConfig = DEFAULT_CLIPS) -> None:
        if clips.shown == "native":
            raise ModelError("a server chooses the frames of native clips itself: set judge.clips.shown to frames")
        self.chats, self.config = ChatProcessor(load_processor(path), clips), config
        self.client, self._background, self.spent = HttpClient(config), Background(), Spent()
        self._close = weakref.finalize(self, self._background.end, self.client.close)
        self._tree, self._spelling, self._begun = cache(self._build_tree), cache(self._spell), cache(self._begin)

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        asked = zip(questions, self._messages(questions), strict=True)
        return self._background.all([self._read(question, messages) for question, messages in asked])

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        return self._background.all([self._write(messages, max_new_tokens) for messages in self._messages(questions)])

    def close(self) -> None:
        """Ends the connections; nothing can be asked after it."""
        self._close()

    async def _chat(self, request: dict[str, Any]) -> dict[str, Any]:
        found = await self.client.chat(request)
        self.spent.add(**tokens_of(found.get("usage")))
        return found

    async def _write(self, messages: Messages, limit: int) -> Written:
        try:
            found = await self._chat({"messages": messages, "max_tokens": limit} | _GREEDY)
            choice = found["choices"][0]
            text = (choice.get("message") or {}).get("content")
            if not isinstance(text, str):
                raise QuestionError("the server's answer has no text")
        except QuestionError as error:
            return Unwritten.of(error)
        return Written(text.strip(), choice.get("finish_reason") == "stop")

    async def _read(self, question: Question, messages: Messages) -> Reading:
        tree, length = self._tree(question.answers), math.nan

        async def decode(prefix: Tokens, steps: int, tokens: Sequence[int]) -> list[Step]:
            nonlocal length
            request: dict[str, Any] = {"messages": messages, "max_tokens": steps} | _GREEDY
            request |= {"logprobs": True, "top_logprobs": LISTED, "logprob_token_ids": list(tokens)}
            request |= {"return_tokens_as_token_ids": True}
            if prefix:
                begun = {"role": "assistant", "content": self._begun(prefix)}
                request |= {"messages": [*messages, begun], "add_generation_prompt": False}
                request |= {"continue_final_message": True}
            found = await self._chat(request)
            shown = (found.get("usage") or {}).get("prompt_tokens") or math.nan
            if not prefix:
                length = shown
            elif shown != length + len(prefix):
                raise EngineError(
                    f"{self.config.base_url} does not go on with the beginning of an answer (continue_final_message):"
                    " serve the judge with vLLM or SGLang, or set judge.readout to generate"
                )
            return self._steps(found["choices"][0], tokens)

        try:
            return await read_tree(tree, decode)
        except QuestionError as error:
            return Unread.of(question, error)

    def _steps(self, choice: dict[str, Any], tokens: Sequence[int]) -> list[Step]:
        content = (choice.get("logprobs") or {}).get("content")
        if not content or not all(isinstance(step, dict) and step.get("top_logprobs") for step in content):
            raise EngineError(
                f"{self.config.base_url} lists no log-probabilities: start the server with them, or set judge.readout"
                " to generate"
            )
        names = {self._spelling(token): token for token in tokens}
        return [_step(step, tokens, names) for step in content]

    def _messages(self, questions: Sequence[Question]) -> list[Messages]:
        """What is sent of each question; a picture that is in many of them is encoded once."""
        chats = [self.chats.turns(question) for question in questions]
        pictures = {id(one): one for _, fills in chats for one in fills if isinstance(one, Image.Image)}
        parts = {key: _picture(one) for key, one in pictures.items()}
        return [_filled(turns, [parts[id(one)] for one in fills]) for turns, fills in chats]

    def _build_tree(self, answers: tuple[str, ...]) -> AnswerTree:
        return AnswerTree.of([self.chats.answer_ids(a) for a in answers], self.chats.end_id)

    def _spell(self, token: int) -> str:
        return self.chats.tokenizer.decode([token])

    def _begin(self, prefix: Tokens) -> str:
        """The text of an answer's beginning; ModelError where it would not be these tokens again."""
        text = self.chats.tokenizer.decode(list(prefix)).removeprefix(self.chats.lead)
        if self.chats.answer_ids(text) != list(prefix):
            raise ModelError(f"the beginning {text!r} of an answer cannot be sent as a text: set judge.engine to vllm")
        return text


def tokens_of(usage: Any) -> dict[str, int]:
    """The tokens that a server says it read, those aside that it had read before, and decoded; nothing where it does
    not say so."""
    try:
        known = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        return {
            "tokens_read": int(usage["prompt_tokens"]) - int(known or 0),
            "tokens_decoded": int(usage["completion_tokens"]),
        }
    except (TypeError, KeyError, ValueError, AttributeError):
        return {}


def _picture(picture: Image.Image) -> dict[str, Any]:
    data = base64.b64encode(encode_image(picture)["data"]).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _filled(turns: Messages, fills: Sequence[dict[str, Any]]) -> Messages:
    """The turns with what is shown in place of their slots."""
    shown = iter(fills)
    return [
        {**turn, "content": [part if part["type"] == "text" else next(shown) for part in turn["content"]]}
        for turn in turns
    ]


def _step(step: dict[str, Any], tokens: Sequence[int], names: Mapping[str, int]) -> Step:
    """What a server says of one decoded token. names: of the tokens that matter, for servers that do not number them;
    two of one name cannot be told apart."""
    listed: dict[int, float] = {}
    for entry in step["top_logprobs"]:
        name, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, int | float) or math.isnan(value):
            raise QuestionError("the server lists log-probabilities that are not numbers")
        token = _token(name, names)
        if token in listed or (token is not None and len(names) < len(tokens) and not _NUMBERED.fullmatch(name)):
            raise QuestionError(f"the server names two tokens {name!r}, and does not number them")
        listed[-1 - len(listed) if token is None else token] = float(value)
    complete = listed.keys() >= set(tokens)
    return Step(_token(str(step.get("token")), names), listed, None if complete else min(listed.values()))


def _token(name: str, names: Mapping[str, int]) -> int | None:
    """The token that a server means, by its number or its name; None for a name that does not matter."""
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered.group(1)) if numbered else names.get(name)
