"""The judge at work: what it is asked about data and about candidates, how long it takes and what it holds."""

from __future__ import annotations

from functools import cache, partial

from urm_ray.config import Config
from urm_ray.config_policy import understands
from urm_ray.config_training import PoolConfig, Task
from urm_ray.judge.protocol import Kind, protocol
from urm_ray.planning.attempts import Attempts
from urm_ray.planning.checkpoints import Checkpoints
from urm_ray.planning.geometry import Size
from urm_ray.planning.questions import Chat, judged
from urm_ray.planning.serving import Serving, reads, writes
from urm_ray.planning.work import Clock, Work, pool_gpus

KINDS: tuple[Kind, ...] = ("pair", "point")


class Judging:
    def __init__(self, config: Config, checkpoints: Checkpoints, clock: Clock, attempts: Attempts) -> None:
        self.config, self.checkpoints, self.clock, self.attempts = config, checkpoints, clock, attempts
        self.serving = cache(lambda chat: attempts("judge", partial(self._serving, chat)))
        """What the judge holds and computes for a question; None where its architecture is not known."""

    def about_data(self, task: Task, kind: Kind) -> Chat | None:
        return judged(self.config, self.checkpoints.judge, task, kind, None)

    def about_candidates(self, task: Task, kind: Kind) -> Chat | None:
        return judged(self.config, self.checkpoints.judge, task, kind, self._made(task))

    def _made(self, task: Task) -> tuple[Size, float, float] | None:
        """Size, seconds and frames a second of what the policy makes."""
        drawer = None if understands(task) else self.checkpoints.drawers.get(task)
        if drawer is None:
            return None
        fps = self.config.policy(task).sampler.fps
        return (drawer.made.height, drawer.made.width), drawer.made.frames / fps, fps

    def new_tokens(self, task: Task) -> int:
        """That are decoded for a question. Pair and point questions share batches, which go on until the longest answer
        has ended; answers of a closed set are as long as the longest of them."""
        judge, assumed = self.config.judge, self.config.planning.assumed
        if judge.readout == "logits":
            return 0
        forms = [form for (of, _), form in protocol(judge.protocol).forms.items() if of == task]
        chats = [chat for kind in KINDS if (chat := self.about_data(task, kind))]
        closed = max((chat.predicted for chat in chats), default=0)
        longest = closed if all(form.closed for form in forms) else assumed.verdict_tokens
        return min(longest, judge.max_new_tokens)

    def _serving(self, chat: Chat) -> Serving | None:
        reader, judge = self.checkpoints.judge, self.config.judge
        if reader.architecture is None:
            return None
        if judge.readout == "logits":
            return reads(reader.architecture, reader.eyes, judge.dtype, judge.batch, chat, keeps=True)
        return writes(reader.architecture, reader.eyes, judge.dtype, judge.batch, chat, judge.max_new_tokens)

    def work(self, stage: str, task: Task, kind: Kind, rows: float, chat: Chat, pool: tuple[str, PoolConfig]) -> Work:
        """Verdicts; each takes `chat.asks` questions. pool: with the setting that names it."""
        serving, judge, new = self.serving(chat), self.config.judge, self.new_tokens(task)
        seconds = None
        if serving is not None and judge.readout == "logits":
            seconds = self.clock.computed(serving.flops, judge.dtype, self.clock.rates.reading)
        elif serving is not None:
            seconds = self.clock.decoded(serving, judge.dtype, judge.batch, new)
        each = None if seconds is None else seconds * chat.asks
        name, gpus = f"{kind} verdicts" + (f", {task}" if stage == "judge" else ""), pool_gpus(pool[1])
        return Work(stage, name, rows, chat.tokens * chat.asks, new * chat.asks, each, gpus, pool[0])
