import pytest
import torch
from helpers import pair_preference, point_preference
from trl import SFTConfig

from urm_ray import schema
from urm_ray.judge.protocol import protocol
from urm_ray.models import load_processor, load_vlm
from urm_ray.training.callback import RayTrainCallback
from urm_ray.training.collate import RewardCollate, both_orders
from urm_ray.training.guards import TrainingError
from urm_ray.training.reward_sft import RewardTrainer

ARGUMENTS = {"use_cpu": True, "report_to": [], "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
STEPS = {"max_steps": 3, "logging_steps": 1, "logging_nan_inf_filter": False, "save_strategy": "no"}


class Stream(list):
    start = 0


def test_a_judge_whose_loss_is_not_a_number_is_stopped_at_the_next_log(vlm_path, tmp_path, capsys):
    processor = load_processor(vlm_path)
    rows = both_orders(schema.table_of([pair_preference(), point_preference()], schema.PREFERENCE))
    batch = RewardCollate(processor, protocol("unified"))(rows)
    broken = batch | {"pixel_values": torch.full_like(batch["pixel_values"], torch.nan)}
    trainer = RewardTrainer(
        model=load_vlm(vlm_path, device="cpu")[0],
        args=SFTConfig(
            **ARGUMENTS,
            **STEPS,
            output_dir=str(tmp_path),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            learning_rate=1e-4,
        ),
        processing_class=processor,
        data_collator=lambda rows: rows,
        callbacks=[RayTrainCallback("reward")],
        batches=Stream([batch, batch, broken]),
    )
    with pytest.raises(TrainingError, match="reward: the loss at step 3 is not a number: lower lr, warm up for longer"):
        trainer.train()
    printed = capsys.readouterr().out
    assert "[reward] step 1/3  loss" in printed
    assert "step 3/3" not in printed
