import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlavaOnevisionProcessor, Qwen2VLImageProcessor

from urm_ray.planning.architectures import VLM, architecture
from urm_ray.planning.geometry import Grid, Look, eyes_of
from urm_ray.planning.rehearsal import rehearse
from urm_ray.planning.skeleton import skeleton

QWEN, LLAVA = "Qwen/Qwen2.5-VL-7B-Instruct", "llava-hf/llava-onevision-qwen2-7b-ov-hf"
SIDES = st.integers(28, 3000)


def theirs() -> LlavaOnevisionProcessor:
    """A processor of transformers with all that counting needs, and no tokenizer."""
    config = architecture(LLAVA).parts[VLM]
    made = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)
    made.num_image_tokens, made.vision_aspect_ratio = 27 * 27, config["vision_aspect_ratio"]
    made.image_processor = type("Images", (), {"image_grid_pinpoints": config["image_grid_pinpoints"]})
    return made


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES)
def test_a_picture_has_as_many_tokens_as_its_processor_gives_it(height, width):
    look = (Look((height, width)),)
    patches = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12845056).get_number_of_image_patches(height, width)
    assert eyes_of(architecture(QWEN)).tokens(look) == patches // 4
    assert eyes_of(architecture(LLAVA)).tokens(look) == theirs()._get_number_of_features(height, width, 384, 384)


def test_limits_of_pixels_are_those_of_the_checkpoint():
    own = Grid("qwen2_5_vl", {"patch_size": 4}, {"size": {"shortest_edge": 64, "longest_edge": 4096}})
    assert own.tokens((Look((1024, 1024)),)) == 4096 // 64
    assert own.tokens((Look((2, 2)),)) == 1
    shipped = eyes_of(architecture("urm_ray.scenes:checkpoints/vlm"))
    assert (shipped.patch, shipped.least, shipped.most) == (4, 64, 4096)


@pytest.mark.parametrize("name", [QWEN, LLAVA, "Qwen/Qwen3-VL-8B-Instruct"])
@pytest.mark.parametrize(
    "looks",
    [
        (Look((600, 900)),),
        (Look((600, 900)),) * 2,
        (Look((320, 512)),) * 5,
        (Look((320, 512), 6),) * 2,
        (Look((320, 512), 6), Look((100, 100))),
    ],
    ids=["picture", "pictures", "frames", "clips", "both"],
)
def test_the_encoder_itself_gives_as_many_features_as_there_are_tokens(name, looks):
    found = architecture(name)
    eyes, model = eyes_of(found), skeleton(found, dtype="bfloat16")
    made = []

    def run():
        with torch.no_grad():
            made.append(eyes.features(model.base_model, [looks, looks], torch.bfloat16))

    rehearse(run, model)
    width = model.config.get_text_config().hidden_size
    # LLaVA marks the end of a clip and of a picture among others; its encoder leaves that to the model.
    marks = 2 * len(looks) * (name == LLAVA and (len(looks) > 1 or looks[0].frames is not None))
    assert len(made[0]) in (2 * eyes.tokens(looks), 2 * eyes.tokens(looks) - marks)
    assert made[0].shape[1] == width


def test_more_frames_and_larger_pictures_never_take_fewer_tokens():
    for name in (QWEN, LLAVA):
        eyes = eyes_of(architecture(name))
        assert eyes.tokens((Look((320, 512), 16),)) > eyes.tokens((Look((320, 512), 8),)) > 0
        sizes = [eyes.tokens((Look((side, side)),)) for side in (100, 400, 800)]
        assert sizes == sorted(set(sizes))
    assert eyes_of(architecture(LLAVA)).tokens((Look((800, 800)),) * 16) == 16 * 730


def test_an_unknown_family_has_no_eyes(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}')
    assert eyes_of(architecture(str(tmp_path))) is None
