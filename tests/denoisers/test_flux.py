import torch
from diffusers import FluxPipeline
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.denoisers.flux import pack, places, unpack

HALVES = st.integers(1, 4)


@given(HALVES, HALVES, st.integers(1, 3), st.integers(1, 3))
def test_latents_are_packed_and_placed_as_the_pipeline_does(rows, columns, count, channels):
    latents = torch.arange(count * channels * 4 * rows * columns).reshape(count, channels, 2 * rows, 2 * columns)
    tokens = pack(latents)
    assert torch.equal(tokens, FluxPipeline._pack_latents(latents, *latents.shape))
    assert torch.equal(unpack(tokens, 2 * rows, 2 * columns), latents)
    own = FluxPipeline._prepare_latent_image_ids(count, rows, columns, "cpu", torch.float32)
    assert torch.equal(places(rows, columns), own)
