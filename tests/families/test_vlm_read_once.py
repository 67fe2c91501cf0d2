"""Every token of a batch is read once, and nothing else about a training changes."""

import pytest
import torch
from families import vlm_steps as steps
from families.plain import Plain

from urm_ray.config_training import LoraConfig, RewardConfig, VlmDpoConfig
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.encode_once import encode_once
from urm_ray.training.logps import answer_logps
from urm_ray.training.lora import add_lora
from urm_ray.training.read_once import read_once
from urm_ray.vlms import load_processor, logits

WAYS = {
    "sdpa": {},
    "eager": {"attention": "eager"},
    "checkpointing": {"gradient_checkpointing": True},
    "adapters": {"lora": {"rank": 2}},
}


class Seen:
    """How many tokens the first layer of a language model is given at each call, in training."""

    def __init__(self, model) -> None:
        self.counts: list[int] = []
        layer = model.get_decoder().layers[0]
        layer.register_forward_pre_hook(lambda _, args, given: self.keep(args[0] if args else given["hidden_states"]),
                                        with_kwargs=True)  # fmt: skip

    def keep(self, states: torch.Tensor) -> None:
        if torch.is_grad_enabled():
            self.counts.append(states.shape[0] * states.shape[1])


def made(vlm: Plain, config, shown: str):
    """(the model with its adapters, the model itself)."""
    model = steps.fresh(vlm.path, config, shown)
    torch.manual_seed(0)
    whole = add_lora(model, LoraConfig(**config.lora.model_dump())) if config.lora else model
    with torch.no_grad():  # halves of adapters that are zero would leave the others without a gradient
        for name, parameter in whole.named_parameters():
            if "lora_B" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    if config.gradient_checkpointing:
        whole.gradient_checkpointing_enable({"use_reentrant": False})
    return whole, model


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def same(ours, plain) -> None:
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    assert largest > 0
    for name, gradient in plain.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=2e-6 * largest, msg=name)


def dpo_loss(model, batch) -> torch.Tensor:
    chosen, rejected = answer_logps(model, batch).chunk(2)
    return -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()


def pair_batch(vlm: Plain, shown: str):
    pairs = AnswerPairs(load_processor(vlm.path), clips=steps.CLIPS[shown])
    prepared = [pairs.prepare(row) for row in steps.pairs()]
    return pairs.join(prepared), sum(len(p.question["input_ids"]) + sum(map(len, p.answers)) for p in prepared)


@pytest.mark.parametrize("way", WAYS)
def test_loss_and_gradients_of_pairs_are_those_of_two_sequences(vlm, way, capsys):
    config, shown = VlmDpoConfig(**WAYS[way]), vlm.shown[-1]
    batch, tokens = pair_batch(vlm, shown)
    found = []
    for is_once in (False, True):
        whole, model = made(vlm, config, shown)
        encode_once(model)
        if is_once:
            read_once(model, pairs=True)
        seen = Seen(model)
        loss = dpo_loss(model, batch)
        loss.backward()
        found.append((float(loss.detach()), gradients(whole), seen.counts[0]))
    (plain, wanted, rows), (ours, own, read) = found
    assert capsys.readouterr().out == ""
    assert ours == pytest.approx(plain, rel=1e-6)
    same(own, wanted)
    # Answers may begin alike, too.
    assert tokens - len(steps.pairs()) * 4 <= read <= tokens < rows
    assert rows == batch["input_ids"].numel()


def sft_loss(model, batch) -> torch.Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    taught = batch["labels"][:, 1:] != -100
    states = model.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1][taught]
    return torch.nn.functional.cross_entropy(logits(model, states), batch["labels"][:, 1:][taught])


@pytest.mark.parametrize("way", ["sdpa", "eager"])
def test_loss_and_gradients_of_preferences_are_those_of_padded_rows(vlm, way, capsys):
    config, shown = RewardConfig(**WAYS[way]), vlm.shown[-1]
    batch = steps.preference_batch(vlm.path, steps.preferences(), shown)
    found = []
    for is_once in (False, True):
        whole, model = made(vlm, config, shown)
        if is_once:
            read_once(model)
        seen = Seen(model)
        loss = sft_loss(model, batch)
        loss.backward()
        found.append((float(loss.detach()), gradients(whole), seen.counts))
    (plain, wanted, rows), (ours, own, read) = found
    assert capsys.readouterr().out == ""
    assert ours == pytest.approx(plain, rel=1e-6)
    same(own, wanted)
    assert read == [int(batch["attention_mask"].sum())]
    assert rows == [batch["input_ids"].numel()]
