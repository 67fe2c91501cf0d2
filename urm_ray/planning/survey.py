"""Goes through the stages of a run and says of each what it does, with which models, on how many GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial

from urm_ray.config import Config
from urm_ray.config_policy import PolicyConfig, understands
from urm_ray.config_training import DpoConfig, PoolConfig, Task, VlmDpoConfig
from urm_ray.judge.protocol import Kind
from urm_ray.planning.amounts import Rows, candidates, examples, questions, rows, step_rows
from urm_ray.planning.attempts import Attempts
from urm_ray.planning.checkpoints import Checkpoints, Drawer
from urm_ray.planning.denoiser_passes import denoising_pass
from urm_ray.planning.devices import device
from urm_ray.planning.judging import KINDS, Judging
from urm_ray.planning.questions import Chat, Reader, answer_tokens, answered
from urm_ray.planning.serving import Serving, encodes, reads, samples, writes
from urm_ray.planning.skeleton import parameter_bytes, skeleton
from urm_ray.planning.trainings import Training, denoiser_training, vlm_training
from urm_ray.planning.work import Clock, Work, balanced, pool_gpus


class Survey:
    """Everything is worked out when it is asked for, and once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.checkpoints = Checkpoints(config)
        self.gpu = device(config.planning.gpu)
        self.clock = Clock(self.gpu, config.planning.throughputs)
        self.attempts = Attempts()
        self._samplers: dict[Task, Serving | None] = {}
        self._encodings: dict[Task, Serving | None] = {}
        self.judging = Judging(config, self.checkpoints, self.clock, self.attempts)

    @cached_property
    def rows(self) -> dict[Task, Rows]:
        return {task: rows(self.config, task) for task in self.config.tasks}

    @cached_property
    def examples(self) -> dict[tuple[Task, Kind], float]:
        """Of the judge's training in one pass."""
        return {} if self.config.judge.path else examples(self.config, self.rows)

    @cached_property
    def candidates(self) -> dict[Task, float]:
        """Of a prompt, in the mean."""
        return {task: sum(counts) / len(counts) for task, counts in self._candidate_counts.items()}

    @cached_property
    def _candidate_counts(self) -> dict[Task, list[int]]:
        return {task: candidates(self.config, task) for task in self.prompted}

    def pairs(self, task: Task) -> float:
        """Preference pairs that the policy of a task is aligned with."""
        kept = self.rows[task].of["train_prompts"] * self.config.planning.assumed.pairs_kept
        return min(kept, self.config.pairs.keep or kept)

    @cached_property
    def trainings(self) -> dict[str, Training]:
        """By the setting that holds their configuration; those of models that are not known are left out."""
        wanted: dict[str, Callable[[], Training | None]] = {"reward": self._reward_training}
        wanted |= {self.dpo_setting(task): partial(self._alignment, task) for task in self.aligned}
        made = {setting: self.attempts(setting, build) for setting, build in wanted.items()}
        return {setting: training for setting, training in made.items() if training}

    def _reward_training(self) -> Training | None:
        judge, longest = self.checkpoints.judge, self.longest_example
        if judge.architecture is None or longest is None:
            return None
        return vlm_training(judge.architecture, judge.eyes, self.config.reward, longest)

    @cached_property
    def aligned(self) -> list[Task]:
        """Tasks whose policy is there and has prompts to be aligned with."""
        return [task for task in self.prompted if self.config.policy(task).path]

    @cached_property
    def prompted(self) -> list[Task]:
        """Tasks with prompts that have candidates, sampled or there already."""
        policies = {task: self.config.policy(task) for task in self.config.tasks}
        able = [task for task, policy in policies.items() if policy.path or policy.candidates_path]
        return [task for task in able if self.rows[task].of["train_prompts"]]

    def dpo_setting(self, task: Task) -> str:
        return f"policies.{task}.{'vlm_dpo' if understands(task) else 'dpo'}"

    @cached_property
    def longest_example(self) -> Chat | None:
        """Of those that the judge is trained on."""
        kinds = [key for key, count in self.examples.items() if count]
        chats = [chat for key in kinds if (chat := self.judging.about_data(*key))]
        return max(chats, key=lambda chat: chat.tokens, default=None)

    def _alignment(self, task: Task) -> Training | None:
        settings = self.config.dpo(task)
        if isinstance(settings, VlmDpoConfig):
            reader = self.checkpoints.readers[task]
            if reader.architecture is None:
                return None
            chat = answered(self.config, reader, task)
            return vlm_training(reader.architecture, reader.eyes, settings, chat, answers=2)
        drawer = self.checkpoints.drawers[task]
        if drawer is None:
            return None
        return denoiser_training(drawer.architecture, drawer.family, settings, drawer.made, drawer.told)

    @cached_property
    def works(self) -> list[Work]:
        works = [self.clock.measured(work) for work in self._works()]
        for task in self.prompted:
            generate, evaluate = self.config.policy(task).generate, self.config.policy(task).evaluate
            pools = {"sampler_pool": generate.sampler_pool, "judge_pool": generate.judge_pool}
            works = balanced(works, f"generate-{task}", pools, generate.budget)
            for name in ("baseline", "evaluate"):
                works = balanced(works, f"{name}-{task}", evaluate.pools, evaluate.budget)
        return works

    def _works(self) -> Iterator[Work]:
        if self.examples:
            yield from self._reward()
            yield from self._held_out()
        for task in self.prompted:
            policy = self.config.policy(task)
            prompts, held_out = self.rows[task].of["train_prompts"], self.rows[task].of["heldout_prompts"]
            generate, evaluate = policy.generate, policy.evaluate
            pools = generate.sampler_pool, generate.judge_pool
            yield from self._candidates(f"generate-{task}", task, prompts, self._candidate_counts[task], *pools)
            if task not in self.aligned:
                continue
            yield from self._dpo(task)
            pools = evaluate.sampler_pool, evaluate.judge_pool
            for stage in ("baseline", "evaluate") if held_out else ():
                name, seeds = f"{stage}-{task}", evaluate.seeds_per_prompt
                yield from self._candidates(name, task, held_out, [seeds], *pools, rank=False)

    def _reward(self) -> Iterator[Work]:
        config, training = self.config.reward, self.trainings.get("reward")
        total = sum(self.examples.values())
        seen = config.steps * step_rows(config)
        tokens = flops = 0.0
        for key, count in self.examples.items():
            chat = self.judging.about_data(*key)
            if chat is None or not count:
                continue
            tokens += count / total * (chat.tokens + chat.predicted)
            if training and self.longest_example:
                flops += count / total * training.flops(config.gradient_checkpointing) * self._share(chat)
        dtype = "bfloat16" if config.bf16 else "float32"
        seconds = self.clock.computed(flops, dtype, self.clock.rates.vlm_training) if training else None
        yield Work("reward", "examples", seen, tokens, 0, seconds, config.workers * config.use_gpu, "reward")

    def _share(self, chat: Chat) -> float:
        """The work of an example, of that of the longest."""
        assert self.longest_example is not None
        own, longest = self.judging.serving(chat), self.judging.serving(self.longest_example)
        return own.flops / longest.flops if own and longest else 1.0

    def _held_out(self) -> Iterator[Work]:
        pool = self.config.judge.actors
        for task in self.config.tasks:
            for kind in KINDS:
                count, chat = self.rows[task].of[f"heldout_{kind}s"], self.judging.about_data(task, kind)  # type: ignore[index]
                if chat and count:
                    verdicts = 2 * count * (2 if kind == "pair" else 1)  # of the judge and of its base
                    yield self.judging.work("judge", task, kind, verdicts, chat, ("judge.actors", pool))

    def _candidates(
        self,
        stage: str,
        task: Task,
        prompts: int,
        counts: list[int],
        sampler: PoolConfig,
        judge: PoolConfig,
        rank: bool = True,
    ) -> Iterator[Work]:
        """counts: of candidates, of each of some prompts that stand for all."""
        policy, count = self.config.policy(task), sum(counts) / len(counts)
        made = prompts * count
        serving, rates = self.sampling(task), self.clock.rates
        seconds: float | None
        if rank and policy.candidates_path:
            pass  # they are there already
        elif understands(task):
            read, written = self.question(task).tokens / count, answer_tokens(self.config, policy)
            together = max(policy.sampler.batch, round(count))
            seconds = self.clock.decoded(serving, policy.dtype, together, written) if serving else None
            yield Work(stage, "answers", made, read, written, seconds, pool_gpus(sampler), "sampler_pool")
        else:
            seconds = self.clock.computed(serving.flops, policy.dtype, rates.denoising) if serving else None
            kind = "clips" if task == "video_generation" else "pictures"
            yield Work(stage, kind, made, 0, 0, seconds, pool_gpus(sampler), "sampler_pool")
        verdicts: Counter[Kind] = Counter()
        for several, often in Counter(counts).items():
            one = questions(self.config, task, several, rank)
            verdicts.update({kind: often * each for kind, each in one.items()})
        for asked, total in verdicts.items():
            chat = self.judging.about_candidates(task, asked)
            if chat and total:
                rows = prompts * total / len(counts)
                yield self.judging.work(stage, task, asked, rows, chat, ("judge_pool", judge))
        if not rank:
            # A scorer's model is not looked into: mostly a CLIP, which takes no time beside a judge.
            yield Work(stage, "scores", made, 0, 0, 0.0, pool_gpus(policy.evaluate.scorer_pool), "scorer_pool")

    def question(self, task: Task) -> Chat:
        return answered(self.config, self.checkpoints.readers[task], task)

    def sampling(self, task: Task) -> Serving | None:
        """The policy when it makes candidates; None where its architecture is not known."""
        if task not in self._samplers:
            self._samplers[task] = self.attempts(f"policies.{task}.sampler", partial(self._sampling, task))
        return self._samplers[task]

    def _sampling(self, task: Task) -> Serving | None:
        policy = self.config.policy(task)
        if task not in self.aligned:
            return None
        if understands(task):
            reader = self.checkpoints.readers[task]
            return self._writing(reader, policy, task) if reader.architecture else None
        drawer = self.checkpoints.drawers[task]
        if drawer is None:
            return None
        return samples(drawer.architecture, drawer.family, policy.dtype, policy.sampler, drawer.made, drawer.told)

    def _writing(self, reader: Reader, policy: PolicyConfig, task: Task) -> Serving:
        assert reader.architecture is not None
        sampler, chat = policy.sampler, self.question(task)
        new = sampler.answers.max_new_tokens
        return writes(reader.architecture, reader.eyes, policy.dtype, sampler.batch, chat, new, sampler.candidates)

    def _dpo(self, task: Task) -> Iterator[Work]:
        settings, training = self.config.dpo(task), self.trainings.get(self.dpo_setting(task))
        stage, pairs, pool = f"dpo-{task}", self.pairs(task), pool_gpus(settings.encode_pool)
        encoding, rates = self.encoding(task), self.clock.rates
        dtype = "bfloat16" if settings.bf16 else "float32"
        of_reading = dtype if isinstance(settings, VlmDpoConfig) else settings.encode_dtype
        seconds = self.clock.computed(encoding.flops, of_reading, rates.reading) if encoding else None
        read = 2 * (self.question(task).tokens + self.question(task).predicted) if understands(task) else 0
        yield Work(stage, "pairs encoded", pairs, read, 0, seconds, pool, "encode_pool")
        share = rates.vlm_training if understands(task) else rates.denoiser_training
        flops = training.flops(settings.gradient_checkpointing) if training else 0.0
        seconds = self.clock.computed(flops, dtype, share) if training else None
        seen = settings.steps * step_rows(settings)
        yield Work(stage, "pairs trained on", seen, read, 0, seconds, settings.workers * settings.use_gpu, "dpo", 1)

    def encoding(self, task: Task) -> Serving | None:
        """What each pair goes through once before the training; None where the model is not known."""
        if task not in self._encodings:
            name = f"{self.dpo_setting(task)}.encode_pool"
            self._encodings[task] = self.attempts(name, partial(self._encoding, task))
        return self._encodings[task]

    def _encoding(self, task: Task) -> Serving | None:
        settings = self.config.dpo(task)
        if isinstance(settings, DpoConfig):
            drawer = self.checkpoints.drawers[task]
            return _encoding(drawer, settings) if drawer else None
        reader = self.checkpoints.readers[task]
        if reader.architecture is None:
            return None
        dtype, chat = "bfloat16" if settings.bf16 else "float32", self.question(task)
        whole = Chat(chat.looks, chat.text + chat.predicted, chat.seen, chat.predicted)
        read = reads(reader.architecture, reader.eyes, dtype, 2 * settings.reference_batch, whole)
        return replace(read, flops=2 * read.flops)


def _encoding(drawer: Drawer, settings: DpoConfig) -> Serving:
    """Encoders, and with `reference: stored` the reference, which reads both sides in each of the stored draws."""
    found = encodes(drawer.architecture, drawer.family, settings.encode_dtype, drawer.made)
    if settings.reference != "stored":
        return found
    dtype = "bfloat16" if settings.bf16 else "float32"
    denoiser = skeleton(drawer.architecture, drawer.family.denoiser, dtype)
    draw = denoising_pass(drawer.family, denoiser, drawer.made, drawer.told, 2)
    weights = found.weights + parameter_bytes(denoiser)
    return Serving(weights, max(found.passing, draw.peak()), found.flops + settings.stored_draws * draw.flops)
