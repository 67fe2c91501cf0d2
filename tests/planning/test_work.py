import pytest
from planning.runs import ABOUT_IMAGE, IMAGE, VIDEO, on_gpus, survey

from urm_ray.config_planning import ThroughputConfig
from urm_ray.planning import fits
from urm_ray.planning.devices import Device, device, devices, stated
from urm_ray.planning.serving import Serving
from urm_ray.planning.work import Clock, Work, pool_gpus, stage_hours
from urm_ray.store import StoreError

GPU = Device("test", memory=80, bfloat16=1000, float32=50, bandwidth=2, source="a test")


def work(stage: str, seconds: float | None, gpus: float, pool: str = "a", phase: int = 0, rows: float = 3600) -> Work:
    return Work(stage, f"rows of {pool}", rows, 0, 0, seconds, gpus, pool, phase)


def test_seconds_are_work_over_the_share_of_what_the_maker_states():
    clock = Clock(GPU, ThroughputConfig())
    assert clock.computed(1e15, "bfloat16", 0.5) == 2
    assert clock.computed(1e15, "float16", 0.5) == 2
    assert clock.computed(1e15, "float32", 0.5) == 40


def test_decoding_reads_weights_and_what_is_kept_in_each_step():
    rates = ThroughputConfig(bandwidth=0.5, layer_seconds=0, reading=0.4)
    served = Serving(weights=10e9, passing=0, flops=4e14, layers=10, token_bytes=0.5e9)
    alone, together = (Clock(GPU, rates).decoded(served, "bfloat16", batch, 100) for batch in (1, 10))
    reading = 1.0
    assert alone == pytest.approx(reading + 100 * 10.5e9 / 1e12)
    assert together == pytest.approx(reading + 100 * 15e9 / 1e12 / 10)
    slow = Clock(GPU, rates.model_copy(update={"layer_seconds": 1.0})).decoded(served, "bfloat16", 10, 100)
    assert slow == pytest.approx(reading + 100 * 10 / 10), "kernels take their time, however small the model"


def test_the_slowest_pool_of_a_phase_sets_its_pace():
    works = [
        work("one", 4, 2, "sampler"),  # 2 hours on 2 GPUs
        work("one", 1, 1, "judge"),
        work("one", 2, 1, "judge"),  # 3 hours on 1 GPU together
        work("two", 1, 4, "encode"),
        work("two", 8, 4, "train", phase=1),
    ]
    assert list(stage_hours(works)) == [("one", 3, 9), ("two", 2.25, 9)]


def test_what_is_not_known_or_on_cpus_is_not_reckoned():
    works = [work("one", None, 2), work("one", 1, 2, "b"), work("two", 1, 0), work("three", 1, 1)]
    assert list(stage_hours(works)) == [("one", None, None), ("three", 1, 1)]
    assert work("two", 1, 0).hours is None


def test_rates_that_were_measured_stand_in():
    clock = Clock(GPU, ThroughputConfig(measured={"one: rows of a": 4}))
    assert clock.measured(work("one", 1, 2)).seconds == 0.25
    assert clock.measured(work("two", 1, 2)).seconds == 1


def test_every_stated_rate_says_where_it_is_from():
    given = ThroughputConfig(reading=0.7)
    rates = {name: (value, why) for name, value, why in stated(given)}
    assert set(rates) == set(ThroughputConfig.model_fields) - {"measured"}
    assert rates["reading"] == (0.7, "set in planning.throughputs")
    assert rates["denoising"][1].startswith("assumed")


def test_devices_are_what_data_sheets_say():
    assert device("H100-80GB").bfloat16 == 989
    assert all(one.usable < one.memory * 2**30 and one.source for one in devices().values())
    with pytest.raises(StoreError, match=r"no 'H100' among .*did you mean H100-"):
        device("H100")


def test_a_run_has_its_rows_and_verdicts(monkeypatch):
    found = survey(pairs={"both_orders": False}, policy=on_gpus() | {"sampler": {"candidates": 4}})
    rows = {w.name: w.rows for w in found.works}
    assert rows["reward: examples"] == 20 * 4 * 2
    assert rows[f"generate-{IMAGE}: pictures"] == 200 * 4
    assert rows[f"generate-{IMAGE}: pair verdicts"] == 200 * 2
    assert rows[f"generate-{IMAGE}: point verdicts"] == 200 * 4
    assert rows[f"dpo-{IMAGE}: pairs encoded"] == pytest.approx(200 * 0.85)
    assert rows[f"evaluate-{IMAGE}: point verdicts"] == rows[f"baseline-{IMAGE}: pictures"] == 50
    assert rows[f"judge: pair verdicts, {IMAGE}"] == 2 * 2 * 1000
    timed = {w.name for w in found.works if w.hours}
    assert f"generate-{IMAGE}: pictures" in timed
    assert "reward: examples" not in timed, "the judge is trained on CPUs"


def test_tokens_follow_what_is_shown():
    shown = survey(VIDEO, judge={"clips": {"shown": "frames", "count": 8}})
    fewer = survey(VIDEO, judge={"clips": {"shown": "native", "count": 8}})
    frames, native = (one.judging.about_candidates(VIDEO, "pair") for one in (shown, fewer))
    assert frames.seen == 2 * native.seen, "Qwen2.5-VL joins two frames of a native clip"
    assert frames.text == native.text
    point = shown.judging.about_candidates(VIDEO, "point")
    assert 2 * point.seen == frames.seen
    assert frames.tokens == frames.text + frames.seen


def test_answers_are_words_to_the_judge_and_the_picture_is_shown_once():
    pair, point = (survey(ABOUT_IMAGE).judging.about_data(ABOUT_IMAGE, kind) for kind in ("pair", "point"))
    assert pair.seen == point.seen > 0
    assert pair.text - point.text >= 250 - 30


def test_decoded_verdicts_cost_their_tokens():
    judge = {"path": "urm_ray.scenes:checkpoints/vlm", "readout": "generate", "protocol": "unifiedreward_qwen"}
    open_, closed = survey(judge=judge).judging, survey(judge=judge | {"protocol": "unified"}).judging
    assert open_.new_tokens(IMAGE) == 300
    assert 1 < closed.new_tokens(IMAGE) < 20
    assert survey(judge=judge | {"max_new_tokens": 50}).judging.new_tokens(IMAGE) == 50
    assert survey().judging.new_tokens(IMAGE) == 0


def test_pools_have_their_largest_size():
    assert (
        pool_gpus(
            survey(policy=on_gpus(sampler_pool={"actors": 2, "max_actors": 5, "num_gpus": 0.5}))
            .config.policy(IMAGE)
            .generate.sampler_pool
        )
        == 2.5
    )


def test_pools_that_share_a_budget_are_planned_as_they_will_be_balanced():
    rates = {"throughputs": {"measured": {f"generate-{IMAGE}: pictures": 0.001}}}
    policy = on_gpus(budget={"gpus": 6})
    one = survey(policy=policy, planning=rates)
    gpus = {work.pool: work.gpus for work in one.works if work.stage == f"generate-{IMAGE}"}
    assert gpus == {"sampler_pool": 5, "judge_pool": 1}
    other = {work.pool: work.gpus for work in one.works if work.stage == f"baseline-{IMAGE}"}
    assert other["sampler_pool"] == other["judge_pool"] == 1
    assert not list(fits.balance(one))
    wanted = f"policies.{IMAGE}.generate: its pools want 9 GPUs"
    assert any(f.sentence.startswith(wanted) for f in fits.gpus(survey(policy=on_gpus(budget={"gpus": 9}))))
