"""The models in use on the GPUs of pools, as far as their memory goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from urm_ray.config_policy import understands
from urm_ray.config_training import PoolConfig
from urm_ray.planning.judging import KINDS
from urm_ray.planning.serving import Serving
from urm_ray.planning.survey import Survey


@dataclass(frozen=True)
class Use:
    """setting: of the pool. batched: the setting that says how many rows go through at once, and their number."""

    setting: str
    what: str
    serving: Serving
    pool: PoolConfig
    batched: tuple[str, int]

    def fits(self, usable: float) -> bool:
        """Whether it fits into its share of a GPU with so many usable bytes; on a CPU it has no limit here."""
        return not self.pool.num_gpus or self.serving.peak <= usable * min(1.0, self.pool.num_gpus)


def uses(survey: Survey) -> Iterator[Use]:
    """Every pool with the model it holds, where that is known; the judge with its longest question."""
    config = survey.config
    if survey.examples:
        yield from _judge(survey, "judge.actors", list(config.tasks), config.judge.actors, data=True)
    for task in survey.prompted:
        own, at = config.policy(task), f"policies.{task}"
        pools = [("generate", own.generate.sampler_pool, own.generate.judge_pool)]
        if task in survey.aligned and survey.rows[task].of["heldout_prompts"]:
            pools.append(("evaluate", own.evaluate.sampler_pool, own.evaluate.judge_pool))
        for stage, sampler, judge in pools:
            serving = survey.sampling(task)
            if serving and not (stage == "generate" and own.candidates_path):
                name = f"{at}.{stage}.sampler_pool"
                yield Use(name, "policy", serving, sampler, (f"{at}.sampler.batch", own.sampler.batch))
            yield from _judge(survey, f"{at}.{stage}.judge_pool", [task], judge, data=False)
        if task in survey.aligned and (encoding := survey.encoding(task)):
            settings = config.dpo(task)
            pairs = own.vlm_dpo.reference_batch if understands(task) else 1
            what = "reference" if understands(task) else "encoders"
            name = survey.dpo_setting(task)
            yield Use(f"{name}.encode_pool", what, encoding, settings.encode_pool, (f"{name}.reference_batch", pairs))


def _judge(survey: Survey, setting: str, tasks: list, pool: PoolConfig, data: bool) -> Iterator[Use]:
    judging = survey.judging
    about = judging.about_data if data else judging.about_candidates
    chats = [chat for task in tasks for kind in KINDS if (chat := about(task, kind))]
    longest = max(chats, key=lambda chat: chat.tokens, default=None)
    serving = judging.serving(longest) if longest else None
    if serving:
        yield Use(setting, "judge", serving, pool, ("judge.batch", survey.config.judge.batch))
