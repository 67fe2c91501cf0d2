import pytest
import torch
import trl.trainer.utils
from helpers import NOT_A_PICTURE, pair_preference, point_preference
from trl import SFTConfig, SFTTrainer

from urm_ray import schema
from urm_ray.judge.protocol import protocol
from urm_ray.training.callback import RayTrainCallback
from urm_ray.training.collate import RewardCollate
from urm_ray.training.guards import TrainingError
from urm_ray.training.left_out import LeftOut
from urm_ray.training.reward_sft import RewardTrainer
from urm_ray.training.rows import both_orders
from urm_ray.vlms import load_processor, load_vlm

ARGUMENTS = {"use_cpu": True, "report_to": [], "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
STEPS = {"max_steps": 3, "logging_steps": 1, "logging_nan_inf_filter": False, "save_strategy": "no"}


class Stream(list):
    start = 0


def trainer_of(vlm_path, processor, folder, batches, **changes) -> RewardTrainer:
    return RewardTrainer(
        model=load_vlm(vlm_path, device="cpu")[0],
        args=SFTConfig(
            **ARGUMENTS,
            **(STEPS | changes),
            output_dir=str(folder),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            learning_rate=1e-4,
        ),
        processing_class=processor,
        data_collator=lambda rows: rows,
        callbacks=[RayTrainCallback("reward")],
        batches=Stream(batches),
    )


def test_only_positions_with_a_label_are_projected_and_the_loss_is_trls(vlm_path, tmp_path, monkeypatch):
    processor = load_processor(vlm_path)
    rows = both_orders(schema.table_of([pair_preference(), point_preference()], schema.PREFERENCE))
    batch = RewardCollate(processor, protocol("unified"))(rows)
    projected, kernel = [], trl.trainer.utils._ChunkedLogProbFunction.apply

    def apply(hidden, *rest):
        projected.append(len(hidden))
        return kernel(hidden, *rest)

    monkeypatch.setattr(trl.trainer.utils._ChunkedLogProbFunction, "apply", apply)
    losses = []
    for number in range(2):
        trainer = trainer_of(vlm_path, processor, tmp_path / str(number), [batch] * 3)
        if number:
            monkeypatch.setattr(RewardTrainer, "compute_loss", SFTTrainer.compute_loss)
        trainer.train()
        logs = [entry for entry in trainer.state.log_history if "loss" in entry]
        losses.append([entry["loss"] for entry in logs])
        assert all(0 <= entry["waiting"] < 0.5 for entry in logs), "batches of a list are there at once"
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    labels = batch["labels"][:, 1:]
    assert set(projected[:3]) == {int((labels != -100).sum())}
    assert set(projected[3:]) == {labels.numel()}


def test_a_judge_whose_loss_is_not_a_number_is_stopped_at_the_next_log(vlm_path, tmp_path, capsys):
    processor = load_processor(vlm_path)
    rows = both_orders(schema.table_of([pair_preference(), point_preference()], schema.PREFERENCE))
    batch = RewardCollate(processor, protocol("unified"))(rows)
    broken = batch | {"pixel_values": torch.full_like(batch["pixel_values"], torch.nan)}
    trainer = trainer_of(vlm_path, processor, tmp_path, [batch, batch, broken])
    with pytest.raises(TrainingError, match="reward: the loss at step 3 is not a number: lower lr, warm up for longer"):
        trainer.train()
    printed = capsys.readouterr().out
    assert "[reward] step 1/3  loss" in printed
    assert "step 3/3" not in printed


def nothing_left(collate) -> dict:
    """The batch of a row that cannot be shown."""
    bad = pair_preference(9, candidates=[{"media": NOT_A_PICTURE, "text": None}] * 2)
    return collate(both_orders(schema.table_of([bad], schema.PREFERENCE)))


def test_a_batch_of_which_nothing_is_left_gives_every_weight_the_gradient_that_other_ranks_wait_for(vlm_path, tmp_path):
    processor = load_processor(vlm_path)
    collate = RewardCollate(processor, protocol("unified"), left_out=LeftOut(str(tmp_path), 100, 0.5))
    whole = collate(both_orders(schema.table_of([pair_preference(0)], schema.PREFERENCE)))
    reached = []
    for number, batch in enumerate([whole, nothing_left(collate)]):
        trainer = trainer_of(vlm_path, processor, tmp_path / str(number), [])
        trainer.compute_loss(trainer.model.train(), dict(batch)).backward()
        weights = trainer.model.named_parameters()
        reached.append({name: bool(w.grad.any()) for name, w in weights if w.grad is not None})
    assert reached[1].keys() == reached[0].keys()
    assert any(reached[0].values())
    assert not any(reached[1].values())


def test_a_batch_of_which_nothing_is_left_keeps_its_place_and_adds_nothing_to_its_step(vlm_path, tmp_path):
    processor = load_processor(vlm_path)
    collate = RewardCollate(processor, protocol("unified"), left_out=LeftOut(str(tmp_path), 100, 0.5))

    def batch(*rows):
        return collate(both_orders(schema.table_of(list(rows), schema.PREFERENCE)))

    one, two, none = batch(pair_preference(0)), batch(point_preference(1)), nothing_left(collate)
    sums = []
    for number, batches in enumerate([[one, two], [one, none, two], [none] * 3]):
        steps = {"max_steps": 1, "gradient_accumulation_steps": len(batches)}
        trainer = trainer_of(vlm_path, processor, tmp_path / str(number), batches, **steps)
        trainer.train()
        logs = next(entry for entry in trainer.state.log_history if "loss" in entry)
        # This model's loss is a mean over the batches of a step.
        sums.append([logs[name] * len(batches) for name in ("loss", "grad_norm")])
        assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())
    assert sums[1] == pytest.approx(sums[0], rel=1e-4)
    assert sums[2] == [0.0, 0.0]
