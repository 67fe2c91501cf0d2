"""What families are trained on: pairs of answers and preferences, in batches of any mixture."""

import pytest
import torch
from families import vlm_steps as steps
from families.plain import Plain, as_frames

from urm_ray.clips import decode_media
from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import VlmDpoConfig
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.encode_once import encode_once
from urm_ray.training.logps import ReferenceLogps, answer_logps
from urm_ray.vlms import PIXELS, load_processor, load_vlm

MIXTURES = {"all": [0, 1, 2, 3], "no media": [3], "a clip": [2], "pictures": [1]}


@pytest.fixture(scope="module")
def shared(vlm: Plain):
    """The family's model, made to read media once for both answers."""
    model = load_vlm(vlm.path, device="cpu")[0]
    encode_once(model)
    return model


def parts_of(row, shown):
    media = [decode_media(media, steps.CLIPS[shown]) for media in row["context"]]
    return [*(media if shown == "native" else as_frames(media)), row["prompt"]]


def batch_of(vlm: Plain, rows, shown="frames"):
    made = AnswerPairs(load_processor(vlm.path), clips=steps.CLIPS[shown])
    return made.join([made.prepare(row) for row in rows])


class Calls:
    """Counts how often an encoder runs, and over how many pictures or patches."""

    def __init__(self, model) -> None:
        encoder = model.get_encoder(modality="image")
        self.sizes: list[int] = []
        self.hook = encoder.register_forward_pre_hook(self.keep, with_kwargs=True)

    def keep(self, _, args, kwargs) -> None:
        self.sizes.append(len(args[0] if args else kwargs["pixel_values"]))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_log_probabilities_of_shared_media_are_those_of_each_answer_alone(vlm, shared, mixture):
    rows = [steps.pairs()[n] for n in MIXTURES[mixture]]
    for shown in vlm.shown:
        with torch.inference_mode():
            chosen, rejected = answer_logps(shared, batch_of(vlm, rows, shown)).chunk(2)
        for side, found in (("chosen", chosen), ("rejected", rejected)):
            alone = [vlm.logp(parts_of(row, shown), row[side]["text"]) for row in rows]
            assert found.tolist() == pytest.approx(alone, abs=1e-3, rel=1e-5)


def test_every_batch_runs_the_encoder_equally_often_and_once_for_both_answers(vlm, shared):
    # Ranks that shard a model wait for each other for ever otherwise.
    counted = Calls(shared)
    for shown in vlm.shown:
        often = set()
        for numbers in MIXTURES.values():
            counted.sizes.clear()
            batch = batch_of(vlm, [steps.pairs()[n] for n in numbers], shown)
            with torch.inference_mode():
                answer_logps(shared, batch)
            often.add(len(counted.sizes))
        assert often == {len([pixels for pixels in PIXELS.values() if pixels in batch])}
    counted.hook.remove()


def test_one_picture_is_encoded_once_for_two_answers(vlm, shared):
    row = steps.pairs()[0]
    together, alone = Calls(shared), Calls(vlm.model)
    with torch.inference_mode():
        answer_logps(shared, batch_of(vlm, [row]))
        vlm.model(**vlm.inputs(parts_of(row, "frames")))
    for counted in (together, alone):
        counted.hook.remove()
    assert together.sizes == alone.sizes


def test_a_blank_picture_gives_gradients_of_nothing(vlm, shared):
    shared.zero_grad()
    answer_logps(shared, batch_of(vlm, [steps.pairs()[3]])).sum().backward()
    encoder = shared.get_encoder(modality="image")
    first = next(parameter for parameter in encoder.parameters() if parameter.grad is not None)
    assert not first.grad.any()
    shared.zero_grad()


def labelled(vlm: Plain, batch) -> torch.Tensor:
    """Log-probabilities of the labelled tokens, row after row."""
    labels = batch.pop("labels")
    with torch.inference_mode():
        logps = vlm.model(**batch).logits[:, :-1].log_softmax(-1)
    taught = labels[:, 1:] != -100
    return logps[taught].gather(1, labels[:, 1:][taught][:, None])[:, 0]


def test_what_a_preference_teaches_does_not_depend_on_the_others_in_its_batch(vlm):
    for shown in vlm.shown:
        rows = steps.preferences()
        together = labelled(vlm, steps.preference_batch(vlm.path, rows, shown))
        alone = torch.cat([labelled(vlm, steps.preference_batch(vlm.path, [row], shown)) for row in rows])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_labels_end_with_the_mark_of_a_turn_and_a_batch_of_words_alone_gets_a_blank(vlm):
    for shown in vlm.shown:
        batch = steps.preference_batch(vlm.path, steps.preferences()[-1:], shown)
        taught = [row[row != -100].tolist() for row in batch["labels"]]
        assert vlm.tokenizer.decode(taught[0], skip_special_tokens=False).endswith(f"80{vlm.end}")
        assert not any(taught[1:])
        assert len(taught) > 1
        assert "pixel_values" in batch


def test_a_reference_in_half_precision_is_that_of_a_plain_model_in_half_precision(vlm):
    half, rows = Plain(vlm.name, vlm.path, torch.bfloat16), steps.pairs()
    config = VlmDpoConfig(bf16=True, attention="eager")
    table = ReferenceLogps(vlm.path, config, "r", ClipConfig(count=4), "cpu")(steps.answer_table(rows))
    alone = [half.logp(parts_of(row, "frames"), row["chosen"]["text"]) for row in rows]
    assert table["ref_chosen_logps"].to_pylist() == pytest.approx(alone, rel=2e-2)
