import pytest
import torch
from helpers import answer_pair, candidate, clip, picture

from urm_ray.config_policy import ClipConfig
from urm_ray.media import encode_image
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.encode_once import encode_once
from urm_ray.vlms import load_vlm

VISION = "model.visual."


@pytest.fixture(scope="module")
def loaded(vlm_path):
    """A model that reads batches of pairs, its processor, and the same model as it was."""
    model, processor, _ = load_vlm(vlm_path, device="cpu")
    encode_once(model)
    return model, processor, load_vlm(vlm_path, device="cpu")[0]


class Patches:
    """Counts the vision encoder's calls and the patches it was given."""

    def __init__(self, model) -> None:
        self.calls: list[int] = []
        self.hook = model.base_model.visual.register_forward_pre_hook(
            lambda _, args, kwargs: self.calls.append(len(args[0])), with_kwargs=True
        )

    def __enter__(self) -> list[int]:
        return self.calls

    def __exit__(self, *_) -> None:
        self.hook.remove()


def batch_of(processor, *rows, clips="frames") -> dict:
    pairs = AnswerPairs(processor, clips=ClipConfig(maximum=64, shown=clips))
    return pairs.join([pairs.prepare(row) for row in rows])


def states(model, batch) -> torch.Tensor:
    """Last hidden states of the tokens that are no padding."""
    inputs = {name: value for name, value in batch.items() if name != "completion_mask"}
    return model.base_model(**inputs).last_hidden_state[batch["attention_mask"].bool()]


def doubled(batch, config) -> dict:
    """The same batch for a model as transformers gives it: all media twice, and no blank."""
    made = dict(batch)
    for token, names in (
        (config.image_token_id, ("pixel_values", "image_grid_thw")),
        (config.video_token_id, ("pixel_values_videos", "video_grid_thw", "second_per_grid_ts")),
    ):
        shown = bool((batch["input_ids"] == token).any())
        for name in made.keys() & set(names):
            own = made.pop(name)
            if shown:
                made[name] = own * 2 if isinstance(own, list) else torch.cat([own] * 2)
    return made


PICTURES = [encode_image(picture(shade).resize((16, 24))) for shade in (10, 220)]
ROWS = {
    "one picture": answer_pair(0, context=PICTURES[:1]),
    "two pictures": answer_pair(1, context=PICTURES, chosen=candidate(0, media=None, text="two of them, one red")),
    "no picture": answer_pair(2, context=[], prompt="how many?"),
    "a clip": answer_pair(3, context=[clip([10, 200, 60, 90])]),
}


@pytest.mark.parametrize("clips", ["frames", "native"])
@pytest.mark.parametrize(
    "rows", [["one picture", "two pictures"], ["no picture", "two pictures", "a clip"], ["a clip"]], ids=" + ".join
)
def test_states_are_those_of_pixels_given_twice(loaded, rows, clips):
    model, processor, plain = loaded
    batch = batch_of(processor, *[ROWS[name] for name in rows], clips=clips)
    torch.testing.assert_close(states(model, batch), states(plain, doubled(batch, plain.config)), rtol=1e-4, atol=1e-4)


def test_pictures_of_both_answers_go_through_the_encoder_once(loaded):
    model, processor, plain = loaded
    batch = batch_of(processor, ROWS["one picture"], ROWS["two pictures"])
    with Patches(model) as once:
        states(model, batch)
    with Patches(plain) as twice:
        states(plain, doubled(batch, plain.config))
    # Pictures of 16 x 24 in patches of 4 x 4.
    assert once == [3 * 24]
    assert twice == [6 * 24]


@pytest.mark.parametrize(("clips", "calls"), [("frames", 1), ("native", 2)])
def test_every_batch_runs_the_encoder_equally_often(loaded, clips, calls):
    # Otherwise ranks wait for each other for ever under ZeRO-3.
    model, processor, _ = loaded
    for name in ROWS:
        with Patches(model) as seen:
            states(model, batch_of(processor, ROWS[name], clips=clips))
        assert len(seen) == calls, name


def gradients(model, batch) -> dict[str, torch.Tensor | None]:
    model.zero_grad()
    states(model, batch).square().sum().backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("clips", ["frames", "native"])
def test_a_blank_picture_takes_part_in_the_backward_pass_and_changes_nothing(loaded, clips):
    model, processor, plain = loaded
    batch = batch_of(processor, ROWS["no picture"], clips=clips)
    ours, wanted = gradients(model, batch), gradients(plain, doubled(batch, plain.config))
    for name, gradient in ours.items():
        if name.startswith(VISION):
            assert wanted[name] is None
            assert gradient is not None, f"{name} would be missing from its bucket on one rank"
            assert not gradient.any()
        elif wanted[name] is not None:
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)


def test_gradients_of_shared_features_are_those_of_pixels_given_twice(loaded):
    model, processor, plain = loaded
    batch = batch_of(processor, ROWS["one picture"], ROWS["two pictures"])
    ours, wanted = gradients(model, batch), gradients(plain, doubled(batch, plain.config))
    assert any(name.startswith(VISION) and gradient.any() for name, gradient in ours.items())
    for name, gradient in wanted.items():
        if gradient is not None:
            torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))
