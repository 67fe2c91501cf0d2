import diffusers
import pytest

from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.registry import FAMILIES, family_for, family_of
from urm_ray.models import load_pipeline, makes


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_named_after_a_pipeline_of_diffusers_and_makes_what_it_makes(name):
    assert hasattr(diffusers, name)
    assert makes(name) == FAMILIES[name].makes


def test_a_pipeline_has_one_family_whether_it_is_loaded_or_not(image_policy):
    lying, loaded = family_of(image_policy), family_for(load_pipeline(image_policy, device="cpu"))
    assert type(lying) is type(loaded) is FAMILIES["StableDiffusionPipeline"]
    assert lying.config["cross_attention_dim"] == loaded.config["cross_attention_dim"] == 64


def test_a_denoiser_is_trained_whole_where_every_weight_counts(image_policy):
    assert all(weight.requires_grad for weight in load_denoiser(image_policy).parameters())


def test_an_object_that_is_no_known_pipeline_has_no_family():
    assert family_for(object()) is None
