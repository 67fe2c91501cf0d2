import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import candidate
from policies import FRAMES, SIZE, clip_row, encode_clip, noise_frames, picture_row

from urm_ray import schema, store
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers import autoencoder
from urm_ray.media import encode_image, image_record
from urm_ray.models import load_pipeline
from urm_ray.store import StoreError
from urm_ray.training.encode_pairs import EncodePairs, load_reference
from urm_ray.training.encoded import stack_named, unpack

LATENTS = ("chosen_mean", "chosen_std", "rejected_mean", "rejected_std")
TENSORS = ("conditioning", *LATENTS)


def table(*rows: dict) -> pa.Table:
    return schema.table_of(list(rows), schema.PREFERENCE_PAIR)


@pytest.fixture(scope="module")
def pictures(image_policy) -> EncodePairs:
    return EncodePairs(image_policy, DpoConfig(), 0, device="cpu")


@pytest.fixture(scope="module")
def clips(video_policy) -> EncodePairs:
    return EncodePairs(video_policy, DpoConfig(reference="stored", stored_draws=2), 0, device="cpu")


def embeddings(made: pa.Table) -> torch.Tensor:
    return stack_named(made["conditioning"])["prompt_embeds"]


def pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def test_latents_of_a_picture_are_the_posterior_of_the_autoencoder(pictures, image_policy):
    made = pictures(table(picture_row(0), picture_row(1)))
    assert made.schema.equals(schema.ENCODED_PAIR)
    assert made["pair_id"].to_pylist() == ["pair0", "pair1"]
    vae = load_pipeline(image_policy, device="cpu").vae
    for row, number in enumerate((0, 1)):
        for k, side in enumerate(("chosen", "rejected")):
            with torch.no_grad():
                posterior = vae.encode(pixels(noise_frames(2 * number + k, 1)[0])).latent_dist
            scale = vae.config.scaling_factor
            assert torch.allclose(unpack(made[f"{side}_mean"][row]), posterior.mean[0] * scale, atol=1e-5)
            assert torch.allclose(unpack(made[f"{side}_std"][row]), posterior.std[0] * scale, atol=1e-5)


def test_every_frame_of_a_clip_is_encoded_as_a_picture(clips, plain_clips, monkeypatch):
    monkeypatch.setattr(autoencoder, "FRAMES", 2)  # so that one pass spans both clips
    made = clips(table(clip_row(3)))
    for k, side in enumerate(("chosen", "rejected")):
        mean, std = unpack(made[f"{side}_mean"][0]), unpack(made[f"{side}_std"][0])
        assert mean.shape == std.shape == (4, FRAMES, SIZE // 4, SIZE // 4)
        for number, frame in enumerate(noise_frames(6 + k)):
            vae = clips.pipeline.vae
            with torch.no_grad():
                posterior = vae.encode(pixels(frame)).latent_dist
            assert torch.allclose(mean[:, number], posterior.mean[0] * vae.config.scaling_factor, atol=1e-5)
            assert torch.allclose(std[:, number], posterior.std[0] * vae.config.scaling_factor, atol=1e-5)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_the_prompt_is_embedded_as_the_pipeline_does_when_it_samples(kind, request, plain_clips):
    path = request.getfixturevalue(f"{kind}_policy")
    encoder = request.getfixturevalue("clips" if kind == "video" else "pictures")
    made = encoder(table((clip_row if kind == "video" else picture_row)(0)))
    whole = load_pipeline(path, device="cpu")
    seen = []
    whole.unet.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    length = {"num_frames": 1} if kind == "video" else {}
    whole(["a red circle"], num_inference_steps=1, guidance_scale=1.0, output_type="latent", **length)
    assert torch.allclose(embeddings(made)[0], seen[0][0], atol=1e-6)


def test_a_pair_has_the_same_bytes_whatever_its_neighbours_and_through_a_file(clips, plain_clips, tmp_path):
    whole = clips(table(*[clip_row(n) for n in range(3)]))
    assert clips(table(clip_row(1))).equals(whole.slice(1, 1))
    store.write_table(str(tmp_path / "unit.parquet"), whole)
    assert store.read_table(str(tmp_path / "unit.parquet")).cast(schema.ENCODED_PAIR).equals(whole)


def test_what_sifting_dropped_stays_dropped_and_is_not_decoded(pictures):
    made = pictures(table(picture_row(0, dropped="no_margin", chosen=None, rejected=None), picture_row(1)))
    assert made["dropped"].to_pylist() == ["no_margin", None]
    assert [made[name].null_count for name in TENSORS] == [1] * 5


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (None, "no picture"),
        (image_record(b"broken", 8, 8), "the bytes are not a picture"),
        (encode_clip(noise_frames(0), 8.0), "not an image but 'video'"),
        (encode_image(noise_frames(0, 1, size=32)[0]), "chosen and rejected differ in frames or size"),
    ],
)
def test_media_that_cannot_be_encoded_cost_their_pair_alone(pictures, media, reason):
    # Defect 13: what could not be read became black frames.
    bad = picture_row(1, rejected=candidate(1, media=media))
    made = pictures(table(picture_row(0), bad, picture_row(2)))
    assert made["dropped"].to_pylist()[::2] == [None, None]
    assert made["dropped"][1].as_py().startswith(f"media_error: {reason}")
    assert all(made[name][1].as_py() is None for name in TENSORS)
    assert made.take([0, 2]).equals(pictures(table(picture_row(0), picture_row(2))))


def test_clips_of_unlike_length_cost_their_pair(clips, plain_clips):
    # Defect 14: a short clip gave fewer frames, and the other's frames slid into its place.
    short = candidate(1, media=encode_clip(noise_frames(9, FRAMES - 1), 8.0))
    reason = clips(table(clip_row(0, rejected=short)))["dropped"][0].as_py()
    assert reason == "media_error: chosen and rejected differ in frames or size: 3 x 3 x 16 x 16 and 2 x 3 x 16 x 16"


def test_latents_that_are_not_numbers_are_not_kept(image_policy):
    encoder = EncodePairs(image_policy, DpoConfig(), 0, device="cpu")
    with torch.no_grad():
        encoder.pipeline.vae.quant_conv.bias.fill_(float("nan"))
    made = encoder(table(picture_row(0)))
    assert "latents are not numbers" in made["dropped"][0].as_py()


def test_half_precision_is_kept_in_half_the_bytes(image_policy, pictures):
    half = EncodePairs(image_policy, DpoConfig(encode_dtype="bfloat16"), 0, device="cpu")(table(picture_row(0)))
    full = pictures(table(picture_row(0)))
    for name in LATENTS:
        small, large = half[name][0], full[name][0]
        assert len(small["data"].as_py()) * 2 == len(large["data"].as_py())
        # The autoencoder ran in float32, as its configuration asks: only what it left is rounded.
        assert torch.allclose(unpack(small).float(), unpack(large), rtol=2**-8, atol=1e-5), name
    (words,) = half["conditioning"][0]
    assert words["tensor"]["dtype"].as_py() == "bfloat16"
    assert torch.allclose(embeddings(half), embeddings(full), atol=0.2, rtol=0.05)


def test_errors_are_stored_only_where_they_are_asked_for(pictures, clips, plain_clips):
    assert pictures(table(picture_row(0)))["chosen_reference"].to_pylist() == [None]
    assert pictures.reference is None
    made = clips(table(clip_row(0)))
    errors = made["chosen_reference"][0].as_py() + made["rejected_reference"][0].as_py()
    assert len(set(errors)) == 4
    assert min(errors) > 0


def test_the_encoders_are_loaded_without_the_denoiser_and_the_denoiser_without_them(pictures, image_policy):
    assert pictures.pipeline.unet is None
    denoiser = load_reference(image_policy, DpoConfig(bf16=True), "cpu")
    assert not denoiser.training
    assert {(p.dtype, p.requires_grad) for p in denoiser.parameters()} == {(torch.bfloat16, False)}


def test_a_policy_of_a_family_that_is_not_known_is_refused(image_policy, tmp_path):
    folder = tmp_path / "policy"
    shutil.copytree(image_policy, folder)
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "KolorsPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(StoreError, match=r"holds a KolorsPipeline, whose denoiser cannot be trained; those of .*can"):
        EncodePairs(str(folder), DpoConfig(), 0)
