"""A judge in vLLM, in this process's own engine.

Written for vLLM 0.32, whose `SamplingParams.logprob_token_ids` gives exact log-probabilities of the tokens that decide,
before temperature and penalties (`logprobs_mode: raw_logprobs`). Log-probabilities of the prompt are never asked for:
with pictures they cost memory without bound (vllm#16107).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from transformers import GenerationConfig

from urm_ray.chat import ChatProcessor
from urm_ray.clips import Clip
from urm_ray.config_engines import VllmConfig
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.answers import AnswerTree, Tokens
from urm_ray.judge.background import Background
from urm_ray.judge.branches import Step, read_tree
from urm_ray.judge.engine import Question, Reading, Written
from urm_ray.judge.unanswered import EngineError, EngineGoneError, QuestionError, Unread, Unwritten
from urm_ray.models import resolve
from urm_ray.spent import Spent
from urm_ray.vlms import load_processor

_QUOTED = 300


class VllmEngine:
    """Any chat VLM that vLLM runs. Any number of threads may ask; vLLM puts their questions together.

    Chats are turned into tokens here, as for every engine, and slots are filled by vLLM. Questions that begin alike
    share their keys and values (prefix caching), and pictures that are asked about again are processed once, within
    `VllmConfig.cache_gb` of host memory.

    A question that fails, such as one that is too long, costs itself alone: `Unread` or `Unwritten`. EngineError where
    there is no vLLM, EngineGoneError once its process has died.
    """

    def __init__(
        self, path: str, config: VllmConfig, dtype: str = "float32", clips: ClipConfig = DEFAULT_CLIPS
    ) -> None:
        where = resolve(path)
        self.chats, self._numbers = ChatProcessor(load_processor(path), clips), itertools.count()
        self._tree, self._ends = cache(self._build_tree), _ends(where, self.chats.end_id)
        self._background, self.spent = Background(), Spent()
        self._vllm = self._background.one(_started(where, config, dtype))
        self._close = weakref.finalize(self, _end, self._vllm, self._background)

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        return self._background.all([self._read(question) for question in questions])

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        return self._background.all([self._write(question, max_new_tokens) for question in questions])

    def close(self) -> None:
        """Ends vLLM and frees its memory; nothing can be asked after it."""
        self._close()

    async def _read(self, question: Question) -> Reading:
        prompt = self._prompt(question)

        async def decode(prefix: Tokens, steps: int, tokens: Sequence[int]) -> list[Step]:
            begun = {**prompt, "prompt_token_ids": [*prompt["prompt_token_ids"], *prefix]}
            said = await self._decoded(begun, max_tokens=steps, logprob_token_ids=list(tokens))
            return [
                Step(token, {t: listed[t].logprob for t in tokens})
                for token, listed in zip(said.token_ids, said.logprobs, strict=True)
            ]

        try:
            return await read_tree(self._tree(question.answers), decode)
        except QuestionError as error:
            return Unread.of(question, error)

    async def _write(self, question: Question, limit: int) -> Written:
        try:
            said = await self._decoded(self._prompt(question), max_tokens=limit)
        except QuestionError as error:
            return Unwritten.of(error)
        tokens = list(said.token_ids)
        length = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        text = self.chats.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        return Written(text.strip(), length < len(tokens))

    async def _decoded(self, prompt: dict[str, Any], **limits: Any) -> Any:
        """What vLLM decodes greedily behind a prompt: token_ids, and logprobs where some are asked for."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        only_once = {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}
        asked = SamplingParams(temperature=0, stop_token_ids=self._ends, **only_once, **limits)
        try:
            made = [one async for one in self._vllm.generate(prompt, asked, str(next(self._numbers)))]
        except EngineDeadError as error:
            raise EngineGoneError(f"vLLM has died, its log says why: {error}") from error
        except Exception as error:  # whatever one prompt makes it raise
            said = " ".join(str(error.__cause__ or error).split())[:_QUOTED]
            raise QuestionError(f"vLLM cannot answer: {type(error.__cause__ or error).__name__}: {said}") from error
        if not made or not made[-1].outputs[0].token_ids:
            raise QuestionError("vLLM said nothing")
        whole, said = made[-1], made[-1].outputs[0]
        if whole.prompt_token_ids is not None:
            read = len(whole.prompt_token_ids) - (whole.num_cached_tokens or 0)
            self.spent.add(tokens_read=read, tokens_decoded=len(said.token_ids))
        return said

    def _prompt(self, question: Question) -> dict[str, Any]:
        tokens, images, clips = self.chats.spelled(question)
        seen = {"image": images, "video": [_video(clip) for clip in clips]}
        return {
            "prompt_token_ids": tokens,
            "multi_modal_data": {kind: media for kind, media in seen.items() if media},
        }

    def _build_tree(self, answers: tuple[str, ...]) -> AnswerTree:
        return AnswerTree.of([self.chats.answer_ids(a) for a in answers], self.chats.end_id)


async def _started(path: str, config: VllmConfig, dtype: str) -> Any:
    try:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise EngineError(
            f"vLLM is not installed here ({error}): name the interpreter that has it in judge.vllm.python, or set"
            " judge.engine to http or transformers"
        ) from None
    own = {"max_model_len": config.max_model_len, "max_num_seqs": config.max_num_seqs}
    arguments = {
        "model": path,
        "dtype": dtype,
        "load_format": "safetensors",
        "generation_config": "vllm",  # the checkpoint's own temperature and penalties are not used
        "logprobs_mode": "raw_logprobs",
        "enable_prefix_caching": True,
        "mm_processor_cache_gb": config.cache_gb,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "tensor_parallel_size": config.tensor_parallel_size,
        "distributed_executor_backend": "uni" if config.tensor_parallel_size == 1 else "mp",
        "disable_log_stats": True,
        **{name: value for name, value in own.items() if value is not None},
        **config.engine,
    }
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def _end(vllm: Any, background: Background) -> None:
    vllm.shutdown()
    background.end()


def _ends(path: str, end: int) -> list[int]:
    """The tokens that end an answer: the template's, and those of the checkpoint's generation settings."""
    try:
        known = GenerationConfig.from_pretrained(path).eos_token_id
    except OSError:
        known = None
    return sorted({end, *([] if known is None else [known] if isinstance(known, int) else known)})


def _video(clip: Clip) -> tuple[np.ndarray, dict[str, Any]]:
    """A native clip as vLLM takes one: frames (T, H, W, 3), and their pace, which is not to be sampled again."""
    frames = np.stack([np.asarray(frame.convert("RGB")) for frame in clip.frames])
    count = len(frames)
    facts = {"total_num_frames": count, "fps": clip.rate, "duration": count / clip.rate}
    return frames, facts | {"frames_indices": list(range(count)), "video_backend": "frames", "do_sample_frames": False}
