"""SFT and DPO of every family, whole and by LoRA: all that is trained moves, and comes home to plain transformers."""

import math

import pytest
import torch
from families import vlm_steps as steps
from families.plain import Plain, noise

from urm_ray.config_training import LoraConfig, RewardConfig, VlmDpoConfig
from urm_ray.training.encode_once import encode_once
from urm_ray.training.logps import answer_logps
from urm_ray.training.lora import add_lora

IDLE = {
    "llava_onevision": ("post_layernorm",),
    "llava": ("post_layernorm", "layers.2."),
}
"""Of encoders: what stands behind the layer whose features are taken."""
VISION = ("visual", "vision", "projector", "connector", "image_newline")
WAYS = {
    "whole": {},
    "language model": {"train_vision": False},
    "adapters": {"lora": steps.LORA},
    "adapters of the language model": {"lora": steps.LORA, "train_vision": False},
}


def is_idle(vlm: Plain, name: str) -> bool:
    return any(part in name for part in IDLE.get(vlm.name, ()))


def check_what_is_trained(vlm: Plain, model, way: dict) -> None:
    names, trained = {name for name, _ in model.named_parameters()}, steps.trainable(model)
    if "lora" in way:
        assert trained == {name for name in names if "lora_" in name}
        assert not any(is_idle(vlm, name) for name in trained)
        assert any("vision" in name or "visual" in name for name in trained) == way.get("train_vision", True)
        assert not any("lm_head" in name for name in trained)
    elif way:
        assert trained == {name for name in names if not any(part in name for part in VISION)}
    else:
        assert trained == {name for name in names if not is_idle(vlm, name)}


def same_logits(vlm: Plain, model, folder) -> None:
    home = Plain(vlm.name, str(folder))
    inputs = vlm.inputs([noise(5), "how many circles?"], "two")
    with torch.inference_mode():
        torch.testing.assert_close(home.model(**inputs).logits, model(**inputs).logits, atol=1e-5, rtol=1e-5)
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}


def check_what_moves(vlm: Plain, trainer, way: dict) -> None:
    """After its steps: in the first, one half of each adapter is zero and leaves the other without a gradient."""
    check_what_is_trained(vlm, trainer.model, way)
    before, trained = steps.weights(trainer.model), steps.trainable(trainer.model)
    trainer.train()
    moved = steps.moved(trainer.model, before)
    assert moved - trained == set()
    assert trained - moved == set()


@pytest.mark.parametrize("way", WAYS)
def test_sft_moves_all_that_is_trained_and_nothing_else(vlm, way, tmp_path):
    config = RewardConfig(**WAYS[way])
    batch = steps.preference_batch(vlm.path, steps.preferences())
    trainer = steps.sft(vlm.path, tmp_path / "run", [batch] * (1 + ("lora" in WAYS[way])), config)
    check_what_moves(vlm, trainer, WAYS[way])
    model = steps.save(trainer, vlm.path, config, tmp_path / "model")
    same_logits(vlm, model, tmp_path / "model")


@pytest.mark.parametrize("way", ["whole", "adapters"])
def test_dpo_starts_at_ln_2_and_moves_all_that_is_trained_and_nothing_else(vlm, way, tmp_path):
    config, shown = VlmDpoConfig(**WAYS[way]), vlm.shown[-1] if way == "whole" else "frames"
    batch = steps.pair_batch(vlm.path, steps.pairs(), shown)
    trainer = steps.dpo(vlm.path, tmp_path / "run", [batch] * (1 + ("lora" in WAYS[way])), config, shown)
    check_what_moves(vlm, trainer, WAYS[way])
    assert steps.losses(trainer)[0] == pytest.approx(math.log(2), abs=1e-4)
    model = steps.save(trainer, vlm.path, config, tmp_path / "model")
    same_logits(vlm, model, tmp_path / "model")


def gradients(vlm: Plain, way: dict, loss, **checkpointing) -> dict[str, torch.Tensor]:
    model = steps.fresh(vlm.path, VlmDpoConfig(**way), vlm.shown[-1])
    encode_once(model)
    torch.manual_seed(0)
    model = add_lora(model, LoraConfig(rank=2)) if "lora" in way else model
    if checkpointing:
        model.gradient_checkpointing_enable(checkpointing)
        model.enable_input_require_grads()
    loss(model).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(("way", "reentrant"), [("whole", False), ("adapters", False), ("adapters", True)])
def test_checkpointing_of_activations_changes_no_gradient(vlm, way, reentrant):
    # Reentrant is what DeepSpeed makes of it where adapters are trained under ZeRO-3.
    batch = steps.pair_batch(vlm.path, steps.pairs(), vlm.shown[-1])
    batch = {name: value for name, value in batch.items() if not name.startswith("ref_")}

    def loss(model):
        base = model.get_base_model() if way == "adapters" else model
        return answer_logps(base, batch).sum()

    plain = gradients(vlm, WAYS[way], loss)
    saving = gradients(vlm, WAYS[way], loss, use_reentrant=reentrant)
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    for name, gradient in plain.items():
        assert saving[name] is not None, name
        torch.testing.assert_close(saving[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)
