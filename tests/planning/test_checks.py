from dataclasses import replace

import pytest
from helpers import ROOT
from planning.runs import ABOUT_IMAGE, IMAGE, VIDEO, on_gpus, survey

from urm_ray.config_training import TrainConfig
from urm_ray.planning import checks, fits
from urm_ray.planning.devices import GIB, device
from urm_ray.planning.rehearsal import Rehearsal
from urm_ray.planning.trainings import Training, choice
from urm_ray.planning.uses import uses

OWN, CLIPS, ANSWERS = (f"policies.{task}" for task in (IMAGE, VIDEO, ABOUT_IMAGE))
JUDGE = "urm_ray.scenes:checkpoints/vlm"


def found(one) -> dict[str, str]:
    """Each sentence about a run's settings with its kind."""
    return {finding.sentence: finding.kind for finding in (*checks.settings(one), *fits.gpus(one))}


def test_nothing_is_wrong_with_a_run_in_which_nothing_is():
    for tasks in ((), (VIDEO,), (ABOUT_IMAGE,), (IMAGE, VIDEO)):
        assert found(survey(*tasks, reward={"steps": 100 * max(1, len(tasks))})) == {}


@pytest.mark.parametrize(
    ("kind", "about", "changes"),
    [
        ("error", f"{OWN}.evaluate.scorer: none", {"policy": {"evaluate": {"scorer": ""}}}),
        ("error", "reward: one step takes 8,000 examples", {"reward": {"accumulate": 1000}}),
        ("error", f"{OWN}.dpo: one step takes 256 preference pairs", {"policy": {"dpo": {"batch": 128}}}),
        ("error", f"{OWN}.dpo.warmup_steps: 30 of 20", {"policy": {"dpo": {"warmup_steps": 30}}}),
        ("error", "judge: protocol unifiedreward_qwen", {"judge": {"protocol": "unifiedreward_qwen"}}),
        ("error", "pairs.construction: pair_point needs point scores", {
            "judge": {"path": JUDGE, "protocol": "unifiedreward_flex", "readout": "generate"}
        }),
        ("error", "pairs.calls: 5 buys no pair: one takes 6 questions", {
            "judge": {"path": JUDGE, "protocol": "unifiedreward_edit", "readout": "generate"}, "pairs": {"calls": 5}
        }),
        ("error", "pairs.ranking: adjacent compares, and lift asks no pairs", {
            "judge": {"path": JUDGE, "protocol": "lift"}, "pairs": {"construction": "point"}
        }),
        ("error", f"policies.{IMAGE}: there is no policy", {"judge": {"path": JUDGE}, "policy": {"path": ""}}),
        ("error", "judge.path: the run takes this judge", {"judge": {"path": JUDGE}}),
        ("warning", "reward.steps: 1,000 steps are", {"reward": {"steps": 1000}}),
        ("warning", "reward.steps: 20 steps see", {"prepare": {"train_pairs": 10_000}}),
        ("warning", "reward.checkpoint_steps: 50 is past", {"reward": {"checkpoint_steps": 50}}),
        ("warning", "prepare.heldout_prompts: 0", {"prepare": {"heldout_prompts": 0}}),
        ("warning", "prepare.prompts_path: nowhere.txt is not here yet", {"prepare": {"prompts_path": "nowhere.txt"}}),
        ("warning", "prepare.preferences_path: nowhere is not here yet", {"prepare": {"preferences_path": "nowhere"}}),
        ("warning", f"prepare.tasks.{IMAGE}.prompts_path: nowhere.txt", {
            "prepare": {"tasks": {IMAGE: {"prompts_path": "nowhere.txt"}}}
        }),
        ("warning", f"{OWN}.candidates_path: nowhere.csv is not", {"policy": {"candidates_path": "nowhere.csv"}}),
        ("error", f"prepare.heldout_pairs: all 40 of {IMAGE} are held out", {
            "planning": {"assumed": {"rows": {IMAGE: {"pairs": 40}}}}
        }),
        ("warning", "judge.readout: a judge that is trained here", {"judge": {"readout": "generate"}}),
        ("warning", f"{OWN}.dpo.timesteps: a single-step policy", {
            "policy": {"path": "stabilityai/sdxl-turbo"}, "planning": {"models": {"stabilityai/sdxl-turbo": JUDGE}}
        }),
        ("warning", f"{OWN}.dpo.zero_terminal_snr: timestep 999 is left without signal", {
            "policy": {"dpo": {"zero_terminal_snr": True}}
        }),
        ("warning", f"{OWN}.dpo.zero_terminal_snr: timestep 999", {
            "policy": {"sampler": {"steps": 1}, "dpo": {"zero_terminal_snr": True, "timesteps": [249, 499]}}
        }),
        ("warning", f"{OWN}.sampler.guidance: 5 with one step", {"policy": {"sampler": {"steps": 1, "guidance": 5}}}),
        ("warning", f"{OWN}.dtype: float32 takes twice the memory", {"policy": on_gpus()}),
        ("warning", "judge.dtype: float32 takes twice the memory", {"policy": on_gpus()}),
        ("warning", f"{OWN}.dpo.workers: 2 of 8 GPUs", {"policy": on_gpus()}),
        ("error", f"{OWN}.dpo.workers: 2 GPUs, and planning.gpus has 1", {
            "policy": on_gpus(), "planning": {"gpus": 1}
        }),
        ("error", f"{OWN}.generate: its pools want 21 GPUs", {
            "policy": on_gpus(sampler_pool={"actors": 20, "num_gpus": 1})
        }),
        ("warning", "reward.use_gpu is false: 2 workers train on 64 CPUs", {"reward": {"num_cpus": 64}}),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_one_sentence(kind, about, changes):
    if about.startswith("judge.path"):
        kind = "warning"
    said = found(survey(**changes))
    matching = [sentence for sentence in said if sentence.startswith(about)]
    assert matching, said
    assert said[matching[0]] == kind
    assert "\n" not in matching[0]


def test_a_task_that_the_judge_is_not_taught_is_named():
    said = found(survey(IMAGE, VIDEO, prepare={"tasks": {VIDEO: {"train_pairs": 0, "train_points": 0}}}))
    assert any(sentence.startswith(f"tasks: the judge is trained on no preference of {VIDEO}") for sentence in said)


@pytest.mark.parametrize(
    ("name", "dpo"),
    [
        (None, {"timesteps": [249, 499]}),
        (None, {"max_timestep": 999}),
        ("THUDM/CogVideoX-2b", {}),  # predicts v
    ],
)
def test_a_zero_terminal_snr_that_costs_nothing_is_not_warned_of(name, dpo):
    policy = {"path": name, "sampler": {"frames": 9}} if name else {}
    said = found(survey(VIDEO, policy=policy | {"dpo": dpo | {"zero_terminal_snr": True}}))
    assert not [sentence for sentence in said if "zero_terminal_snr" in sentence]


@pytest.mark.parametrize(
    ("name", "sampler", "about"),
    [
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {"frames": 16}, "its autoencoder joins 4 frames: take 13 or 17"),
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {"frames": 17, "height": 100}, "sampler.height: 100 is no multiple of 16"),
        ("Lightricks/LTX-Video", {"frames": 20}, "joins 8 frames: take 17 or 25"),
        ("THUDM/CogVideoX-2b", {"frames": 11}, "joins 4 frames: take 9 or 16"),
    ],
)  # fmt: skip
def test_clips_that_an_autoencoder_cannot_make_are_an_error(name, sampler, about):
    said = found(survey(VIDEO, policy={"path": name, "sampler": sampler}))
    assert any(about in sentence and kind == "error" for sentence, kind in said.items()), said


@pytest.mark.parametrize(
    ("clips", "about"),
    [({"rate": 20}, "judge.clips.rate: 20 a second of clips of 8"), ({"count": 32}, "judge.clips.count: 32 frames of")],
)
def test_a_judge_that_is_shown_frames_twice_is_warned_of(clips, about):
    assert any(sentence.startswith(about) for sentence in found(survey(VIDEO, judge={"clips": clips})))


def test_answers_that_would_be_cut_off_are_warned_of():
    said = found(survey(ABOUT_IMAGE, policy={"sampler": {"answers": {"max_new_tokens": 100}}}))
    assert any(sentence.startswith(f"{ANSWERS}.sampler.answers.max_new_tokens: 100") for sentence in said)


def test_a_denoiser_without_gradient_checkpointing_is_told():
    said = found(survey(VIDEO, policy={"dpo": {"gradient_checkpointing": True}}))
    assert said == {f"{CLIPS}.dpo.gradient_checkpointing: its denoiser has none": "error"}


def test_adapters_that_fit_no_layer_are_an_error_and_large_ones_a_warning():
    missing = survey(policy={"dpo": {"lora": {"targets": ["nowhere"]}}})
    assert not missing.trainings.get(f"{OWN}.dpo")
    assert [f.kind for f in fits.models(missing) if f.sentence.startswith(f"{OWN}.dpo: ")] == ["error"]
    large = survey(policy={"dpo": {"lora": {"rank": 256}, "lr": 1e-6}})
    said = [finding.sentence for finding in checks.lora(large)]
    assert any(sentence.startswith(f"{OWN}.dpo.lora.rank: 256: adapters have") for sentence in said)
    assert any(sentence.startswith(f"{OWN}.dpo.lr: 1e-06") for sentence in said)


def test_models_that_are_not_known_or_do_not_load_are_named():
    unknown = survey(policy={"path": "someone/something"})
    sentences = {finding.sentence: finding.kind for finding in fits.models(unknown)}
    assert [
        kind for s, kind in sentences.items() if s.startswith("someone/something: its architecture is not known")
    ] == ["warning"]
    assert unknown.sampling(IMAGE) is None
    converted = survey(judge={"path": "CodeGoat24/UnifiedReward-7b"})
    assert any("does not load" in f.sentence and f.kind == "error" for f in fits.models(converted))


def training(activations: float, checkpointed: float) -> Training:
    """Of 1 B parameters whose rows hold so many GiB of activations, on 8 GPUs with 32 rows each."""
    config = TrainConfig(batch=32, accumulate=2, workers=8, bf16=True, use_gpu=True)

    def rehearsed(gib: float, rows: int) -> Rehearsal:
        return Rehearsal(((round(rows * gib * GIB), 0),), 1.0)

    held = {False: activations, True: checkpointed}
    return Training(config, 10**9, 0, 0, {(c, rows): rehearsed(held[c], rows) for c in held for rows in (1, 2)})


def told(made: Training) -> list[tuple[str, str]]:
    one = survey()
    one.__dict__["trainings"] = {"reward": made}
    return [(finding.kind, finding.sentence) for finding in fits.memory(one, [])]


def test_what_does_not_fit_says_what_would():
    assert told(training(1.0, 0.1)) == []
    ((kind, said),) = told(training(4.0, 0.1))
    assert kind == "error"
    assert said.startswith("reward: 131.")
    assert said.endswith("zero_stage 2, gradient_checkpointing true, batch 32 fits")
    ((kind, said),) = told(training(40.0, 15.0))
    assert said.endswith("zero_stage 2, gradient_checkpointing true, batch 4, accumulate 16 fits")
    ((kind, said),) = told(training(400.0, 150.0))
    assert (kind, "nothing fits" in said) == ("error", True)
    ((kind, said),) = told(training(2.06, 0.1))
    assert kind == "warning"


def test_the_choice_keeps_what_is_configured_if_it_can():
    usable = device("H100-80GB").usable
    assert choice(training(1.0, 0.1), usable) == (2, False, 32)
    assert choice(training(4.0, 0.1), usable) == (2, True, 32)
    other = training(1.0, 0.1)
    for stage in (1, 2, 3):
        config = other.config.model_copy(update={"zero_stage": stage})
        assert choice(replace(other, config=config), usable) == (stage, False, 32)
    assert choice(training(400, 400), usable) is None


def test_a_pool_that_is_too_large_for_its_share_is_an_error():
    judge = {"path": "Qwen/Qwen2.5-VL-32B-Instruct", "dtype": "bfloat16", "batch": 1}
    half = {"actors": 2, "num_gpus": 0.5}
    one = survey(judge=judge, policy=on_gpus(judge_pool=half))
    said = [f.sentence for f in fits.memory(one, list(uses(one)))]
    assert any(s.startswith(f"{OWN}.generate.judge_pool: its judge takes 6") for s in said)
    assert not any(s.startswith(f"{OWN}.generate.sampler_pool") for s in said)


def test_pools_out_of_step_are_warned_of():
    rates = {"throughputs": {"measured": {f"generate-{IMAGE}: pictures": 0.001}}}
    one = survey(policy=on_gpus(), planning=rates)
    (said,) = [f.sentence for f in fits.balance(one)]
    assert said.startswith(f"{OWN}.generate.sampler_pool: sets the pace at 222 hours")


def test_fewer_workers_than_a_training_fits_on_are_warned_of():
    wide = training(1.0, 0.1)
    few = replace(wide, config=wide.config.model_copy(update={"workers": 16, "min_workers": 1}), trained=6 * 10**9)
    ((kind, said),) = told(few)
    assert kind == "warning"
    assert said.startswith("reward.min_workers: on 1 workers it takes ")
    assert told(replace(few, config=few.config.model_copy(update={"min_workers": 8}))) == []


def test_inputs_that_a_run_does_not_read_are_not_missed():
    prepare = {"preferences_path": "nowhere", "prompts_path": "nowhere", "train_prompts": 0, "heldout_prompts": 0}
    said = found(survey(judge={"path": JUDGE}, prepare=prepare))
    assert not [sentence for sentence in said if "is not here yet" in sentence]


def test_each_prompt_is_asked_about_as_many_candidates_as_lie_there(tmp_path):
    file = tmp_path / "made.csv"
    file.write_text("prompt,candidate\na cat,1.jpg\na cat,2.jpg\na cat,3.jpg\na dog,1.jpg\na dog,4.jpg\n")
    made = survey(
        judge={"path": JUDGE},
        pairs={"ranking": "all"},
        prepare={"prompts_path": str(file), "heldout_prompts": 0},
        policy={"path": "", "candidates_path": str(file)},
    )
    assert {work.rows_are: work.rows for work in made.works} == {"pair verdicts": 6 + 2, "point verdicts": 5}
    assert made.candidates == {IMAGE: 2.5}


def test_a_stand_in_lends_its_architecture_to_what_is_not_there_yet():
    path = "models/converted"
    planning = {"models": {path: "lmms-lab/LLaVA-Video-7B-Qwen2"}}
    converted = survey(ABOUT_IMAGE, policy={"path": path}, planning=planning)
    assert converted.checkpoints.readers[ABOUT_IMAGE].architecture is not None
    assert list(fits.models(converted)) == []
    path = str(ROOT / "urm_ray/scenes/checkpoints/answerer")
    there = survey(ABOUT_IMAGE, policy={"path": path}, planning={"models": {path: "someone/something"}})
    assert list(fits.models(there)) == []
