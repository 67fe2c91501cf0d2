import pytest
import torch

from urm_ray.config_training import LoraConfig
from urm_ray.training.lora import add_lora


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Linear(8, 6))
        self.norm = torch.nn.LayerNorm(6)
        self.lm_head = torch.nn.Linear(6, 4)

    def forward(self, x):
        return self.lm_head(self.norm(self.layer(x)))


X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def trained(model) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_fresh_adapters_change_nothing_and_only_they_are_trained():
    base = Small()
    before = base(X)
    model = add_lora(base, LoraConfig(rank=2))
    assert torch.equal(model(X), before)
    assert trained(model)
    assert all("lora_" in name for name in trained(model))


def test_all_linear_layers_but_the_head_are_adapted():
    model = add_lora(Small(), LoraConfig(rank=2))
    adapted = {name.split("base_model.model.")[1].split(".lora_")[0] for name in trained(model)}
    assert adapted == {"layer.0", "layer.2"}


def test_named_layers_alone_are_adapted():
    model = add_lora(Small(), LoraConfig(rank=2, targets=["layer.2"]))
    assert all("layer.2." in name for name in trained(model))


def test_adapters_keep_the_models_own_type():
    model = add_lora(Small().to(torch.bfloat16), LoraConfig(rank=2))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("rank", [1, 3])
def test_merged_adapters_give_a_plain_model_with_the_same_outputs(rank):
    model = add_lora(Small(), LoraConfig(rank=rank, alpha=4))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model(X).square().mean().backward()
        optimizer.step()
    after = model(X)
    assert not torch.allclose(after, Small()(X), atol=1e-4)
    plain = model.merge_and_unload()
    assert set(plain.state_dict()) == set(Small().state_dict())
    assert torch.allclose(plain(X), after, atol=1e-5)


def test_the_adapter_switched_off_is_the_reference():
    model = add_lora(Small(), LoraConfig(rank=2))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.add_(0.3)
    assert not torch.allclose(model(X), Small()(X), atol=1e-4)
    with model.disable_adapter():
        assert torch.equal(model(X), Small()(X))


def test_frozen_layers_get_no_adapters():
    model = Small()
    model.layer[0].requires_grad_(False)
    assert all("layer.2." in name for name in trained(add_lora(model, LoraConfig(rank=2))))


@pytest.mark.parametrize("targets", [["0", "2"], r"layer\.\d"])
def test_frozen_layers_get_no_adapters_even_when_they_are_named(targets):
    model = Small()
    model.layer[0].requires_grad_(False)
    assert all("layer.2." in name for name in trained(add_lora(model, LoraConfig(rank=2, targets=targets))))


@pytest.mark.parametrize("targets", [["q_proj"], r".*norm\.\d", "all-linear"])
def test_adapters_on_nothing_are_refused(targets):
    model = Small().requires_grad_(targets != "all-linear")
    with pytest.raises(ValueError, match=r"lora\.targets .* names no layer of Small that is trained"):
        add_lora(model, LoraConfig(rank=2, targets=targets))
