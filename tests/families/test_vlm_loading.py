"""Checkpoints that are loaded, and those of which one sentence says what they lack."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers as tf
from families import vlm_steps as steps
from families.vlms import SQUARE, WIDTH
from safetensors.torch import load_file, save_file

from urm_ray.config_training import VlmDpoConfig
from urm_ray.store import StoreError
from urm_ray.vlms import ModelError, before_language, load_vlm, logits, trainable_vlm


@pytest.mark.parametrize(("dtype", "attention"), [("float32", "sdpa"), ("bfloat16", "eager")])
def test_every_family_loads_as_wished(vlm, dtype, attention):
    model, processor, device = load_vlm(vlm.path, dtype, "cpu", attention)
    assert (str(model.dtype), device, model.training) == (f"torch.{dtype}", "cpu", False)
    assert type(model) is type(vlm.model)
    assert type(processor) is type(vlm.processor)
    assert sum(file.stat().st_size for file in Path(vlm.path).iterdir()) < 1e6


def test_all_that_is_not_the_language_model_comes_before_it(vlm):
    before = {name for name, _ in before_language(vlm.model)}
    rest = {name for name, _ in vlm.model.named_parameters()} - before
    assert rest == {n for n in rest if "language_model" in n or "text_model" in n or n == "lm_head.weight"}
    assert not any("language_model" in name or "text_model" in name for name in before)


def reached(model, batch) -> set[str]:
    """The parameters that a backward pass over a whole batch gives a gradient."""
    model.requires_grad_(True)
    model(**{name: value for name, value in batch.items() if name != "labels"}).logits.sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is not None}


def test_what_is_frozen_is_what_no_loss_can_move(vlm):
    for shown in vlm.shown:
        trained = steps.trainable(steps.fresh(vlm.path, VlmDpoConfig(), shown))
        batch = steps.preference_batch(vlm.path, steps.preferences(), shown)
        assert trained == reached(steps.fresh(vlm.path, VlmDpoConfig(), shown), batch)


@pytest.fixture
def copy(vlms, tmp_path):
    """A folder with the checkpoint of a family, to be spoilt."""
    return Path(shutil.copytree(vlms["llava_onevision"].path, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("config", "about"),
    [
        ({"model_type": "llama"}, r"is no chat VLM: it holds a llama$"),
        ({"model_type": "llava_qwen"}, r"is no chat VLM that transformers knows: .*`llava_qwen`"),
    ],
)
def test_a_model_of_another_kind_is_refused(tmp_path, config, about):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=about):
        load_vlm(str(tmp_path))


def test_a_processor_without_a_chat_template_is_refused(copy):
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"is no chat VLM: its LlavaOnevisionProcessor has no chat template$"):
        load_vlm(str(copy))


def test_a_checkpoint_that_lacks_weights_is_refused_and_not_filled_with_chance(copy):
    weights = load_file(copy / "model.safetensors")
    left = {name: value for name, value in weights.items() if "layers.1.mlp" not in name or "vision" in name}
    save_file(left, copy / "model.safetensors", metadata={"format": "pt"})
    for load in (load_vlm, lambda path: trainable_vlm(path, "float32", None, True)):
        with pytest.raises(
            ModelError, match=r"not hold a whole LlavaOnevision\w+: 3 weights are missing, such as .*mlp"
        ):
            load(str(copy))


def test_weights_that_are_no_safetensors_are_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(StoreError, match="save it anew as safetensors"):
        load_vlm(str(copy))


def test_a_processor_that_is_not_the_models_is_refused(copy):
    config = json.loads((copy / "processor_config.json").read_text())
    (copy / "processor_config.json").write_text(json.dumps(config | {"num_image_tokens": 9}))
    with pytest.raises(ModelError, match="cannot read what its processor makes of pictures and clips"):
        load_vlm(str(copy))


def test_a_model_without_features_of_its_own_is_refused(tmp_path, vlms):
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = tf.BlipConfig(vision_config=small | SQUARE, text_config={**small, "vocab_size": 500, "bos_token_id": 1})
    tf.BlipForConditionalGeneration(config).save_pretrained(tmp_path)
    vlms["llava"].processor.save_pretrained(tmp_path)
    about = r"BlipForConditionalGeneration is no chat VLM that can be worked with: it has no \w+"
    with pytest.raises(ModelError, match=about):
        load_vlm(str(tmp_path))


def test_logits_that_are_made_in_an_unknown_way_are_refused(copy, monkeypatch):
    plain = tf.LlavaOnevisionForConditionalGeneration.forward

    def scaled(self, *args, **kwargs):
        output = plain(self, *args, **kwargs)
        output.logits = output.logits * 0.5
        return output

    monkeypatch.setattr(tf.LlavaOnevisionForConditionalGeneration, "forward", scaled)
    with pytest.raises(ModelError, match="makes logits of its last hidden states in a way that is not known"):
        load_vlm(str(copy))


def test_a_cap_on_logits_is_known(vlms):
    model, states = load_vlm(vlms["gemma3"].path, device="cpu")[0], torch.randn(3, WIDTH)
    model.config.text_config.final_logit_softcapping = 0.5
    torch.testing.assert_close(logits(model, states), 0.5 * torch.tanh(model.lm_head(states) / 0.5))
