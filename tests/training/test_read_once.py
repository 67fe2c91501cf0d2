"""What a model that cannot read tokens for rows does; that others can is tested with every family."""

import pytest
import torch
from helpers import answer_pair, candidate, picture

from urm_ray.media import encode_image
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.encode_once import encode_once
from urm_ray.training.read_once import read_once
from urm_ray.vlms import load_vlm


def pair(number: int, chosen: str, rejected: str) -> dict:
    sides = {name: candidate(0, media=None, text=text) for name, text in (("chosen", chosen), ("rejected", rejected))}
    return answer_pair(number, context=[encode_image(picture(number).resize((16, 24)))], **sides)


ROWS = [pair(0, "a red square", "a green triangle and a cat"), pair(1, "two of them", "none")]
ALIKE = [pair(0, "one", "two")]


def loaded(vlm_path):
    model, processor, _ = load_vlm(vlm_path, device="cpu")
    encode_once(model)
    return model, AnswerPairs(processor)


def states(model, batch) -> torch.Tensor:
    inputs = {name: value for name, value in batch.items() if name != "completion_mask"}
    with torch.no_grad():
        return model.base_model(**inputs, use_cache=False).last_hidden_state[batch["attention_mask"].bool()]


def mixes_the_row(_, args, output):
    """As a recurrent layer does: every token sees all that stand before it in its row."""
    return output + output.cumsum(1)


def needs_several_rows(_, args):
    if args[0].shape[0] == 1:
        raise RuntimeError("where are the rows?")


SPOILT = {
    "its hidden states would change by": lambda layer: layer.register_forward_hook(mixes_the_row),
    "it fails at it: RuntimeError: where are the rows?": lambda layer: layer.register_forward_pre_hook(
        needs_several_rows
    ),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_a_model_that_reads_tokens_otherwise_reads_rows_and_says_so_once(reason, vlm_path, capsys):
    model, pairs = loaded(vlm_path)
    batch = pairs.join([pairs.prepare(row) for row in ROWS])
    SPOILT[reason](model.get_decoder().layers[0])
    wanted = states(model, batch)
    read_once(model, pairs=True)
    found = [states(model, batch) for _ in range(2)]
    said = capsys.readouterr().out
    assert said.count("reads padding, and the question of a pair twice") == 1
    assert reason in said
    assert all(torch.equal(one, wanted) for one in found)


def test_ranks_compare_in_their_first_batch_whatever_is_in_it(vlm_path, capsys):
    # Else one would wait for the other for ever under ZeRO-3.
    model, pairs = loaded(vlm_path)
    batch = {name: value[:1] for name, value in pairs.join([pairs.prepare(ALIKE[0])]).items() if name[:5] != "pixel"}
    batch["input_ids"] = batch["input_ids"].clamp(min=10)  # a row of words alone, without padding
    calls = []
    model.get_decoder().layers[0].register_forward_hook(lambda *_: calls.append(1))
    read_once(model)
    for count in (3, 4):
        states(model, {name: batch[name] for name in ("input_ids", "attention_mask")})
        assert len(calls) == count
    assert capsys.readouterr().out == ""


def test_an_attention_that_is_not_known_is_left_as_it_is(vlm_path, capsys):
    model, pairs = loaded(vlm_path)
    batch = pairs.join([pairs.prepare(row) for row in ROWS])
    wanted = states(model, batch)
    config = model.get_decoder().config
    config._attn_implementation = "flash_attention_2"
    read_once(model, pairs=True)
    assert "its attention is flash_attention_2, where it has to be sdpa or eager" in capsys.readouterr().out
    assert config._attn_implementation == "flash_attention_2"
    config._attn_implementation = "sdpa"
    assert torch.equal(states(model, batch), wanted)


def test_the_comparison_leaves_training_and_dropout_as_they_were(vlm_path, capsys):
    model, pairs = loaded(vlm_path)
    batch = pairs.join([pairs.prepare(row) for row in ROWS])
    layer = model.get_decoder().layers[0].mlp
    layer.register_forward_hook(lambda _, args, output: torch.nn.functional.dropout(output, 0.5, layer.training))
    model.train()
    read_once(model, pairs=True)
    torch.manual_seed(0)
    first = states(model, batch)
    assert capsys.readouterr().out == ""
    assert not torch.equal(states(model, batch), first), "dropout is off"
    assert all(module.training for module in model.modules())


def test_batches_of_any_shape_follow_each_other(vlm_path):
    model, pairs = loaded(vlm_path)
    batches = [pairs.join([pairs.prepare(row) for row in rows]) for rows in (ROWS, ALIKE, ROWS[:1], ROWS[::-1])]
    wanted = [states(model, batch) for batch in batches]
    read_once(model, pairs=True)
    for batch, one in zip(batches, wanted, strict=True):
        torch.testing.assert_close(states(model, batch), one, atol=1e-4, rtol=1e-4)
