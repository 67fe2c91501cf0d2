import pytest
import torch

from urm_ray.models import load_pipeline
from urm_ray.scenes.build_diffusion import build_tokenizer
from urm_ray.scenes.build_video import VideoBuild, build_denoiser, build_words, captioned_clips
from urm_ray.scenes.motion import all_scenes, parse


@pytest.fixture(scope="module")
def pictures():
    return load_pipeline(VideoBuild().start, "float32", "cpu", "image")


def test_the_denoiser_of_clips_starts_with_the_weights_of_the_one_of_pictures(pictures):
    old, new = pictures.unet.state_dict(), build_denoiser(pictures).state_dict()
    assert old.keys() < new.keys()
    assert all(torch.equal(new[name].flatten(), old[name].flatten()) for name in old)


@torch.no_grad()
def test_at_first_it_sees_each_frame_alone(pictures):
    unet = build_denoiser(pictures).eval()
    latents, words = torch.randn(1, 4, 3, 8, 8), torch.randn(1, 16, 64)
    whole = unet(latents, 500, words).sample
    changed = latents.clone()
    changed[:, :, 2] += 1
    torch.testing.assert_close(unet(changed, 500, words).sample[:, :, :2], whole[:, :, :2])


def test_clips_and_captions_come_in_step():
    clips, texts = captioned_clips(VideoBuild(clips=5))
    assert clips.shape == (5, 8, 3, 32, 32)
    assert clips.dtype == torch.uint8
    assert all(parse(text) for text in texts)


@torch.no_grad()
def test_words_of_pictures_keep_their_meaning(pictures, tmp_path):
    tokenizer = build_tokenizer(tmp_path, [scene.caption() for scene in all_scenes()])
    encoder = build_words(pictures, tokenizer).eval()

    def meaning(text: str, words, model) -> torch.Tensor:
        return model(words(text, return_tensors="pt").input_ids).last_hidden_state

    for text in ("a red circle", "two blue squares and a black cross"):
        old = meaning(text, pictures.tokenizer, pictures.text_encoder)
        torch.testing.assert_close(meaning(text, tokenizer, encoder), old)
    assert "moving</w>" in tokenizer.get_vocab()
    assert "moving</w>" not in pictures.tokenizer.get_vocab()
