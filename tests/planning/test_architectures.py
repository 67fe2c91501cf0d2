import json
import math

import pytest

from urm_ray.local_copies import upload_dir
from urm_ray.planning.architectures import VLM, architecture, table
from urm_ray.planning.skeleton import PartError, parameter_bytes, parameter_count, skeleton, whole_config
from urm_ray.store import StoreError

PUBLISHED = {
    # In billions, as model cards and papers give them.
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": 8.03,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3.75,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8.29,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33.5,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73.4,
    "Qwen/Qwen3-VL-8B-Instruct": 8.77,
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "unet"): 0.86,
    ("stabilityai/stable-diffusion-xl-base-1.0", "unet"): 2.57,
    ("stabilityai/stable-diffusion-3-medium-diffusers", "transformer"): 2.03,
    ("black-forest-labs/FLUX.1-dev", "transformer"): 11.9,
    ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "transformer"): 1.42,
    ("Wan-AI/Wan2.1-T2V-14B-Diffusers", "transformer"): 14.3,
    ("THUDM/CogVideoX-2b", "transformer"): 1.69,
    ("THUDM/CogVideoX-5b", "transformer"): 5.57,
    ("Lightricks/LTX-Video", "transformer"): 1.92,
}
OWN = [name for name, entry in table().items() if "like" not in entry]


@pytest.mark.parametrize("name", OWN)
def test_every_part_in_the_table_has_the_parameters_that_it_says(name):
    found, entry = architecture(name), table()[name]
    assert found is not None
    said = entry["parameters"] if found.pipeline else {VLM: entry["parameters"]}
    assert {part: parameter_count(skeleton(found, part)) for part in found.parts} == said


def test_of_a_checkpoint_in_a_bucket_the_configuration_files_alone_are_read(objects, image_policy):
    uri = objects.uri("models", "policy")
    upload_dir(image_policy, uri)
    objects.asked.clear()
    there, here = architecture(uri), architecture(image_policy)
    assert there is not None
    assert here is not None
    assert (there.parts, there.pipeline) == (here.parts, here.pipeline)
    assert not [path for _, path in objects.asked if path.endswith(".safetensors")]


def test_counts_are_those_that_are_published():
    for named, billions in PUBLISHED.items():
        name, part = named if isinstance(named, tuple) else (named, VLM)
        counted = parameter_count(skeleton(architecture(name), part)) / 1e9
        digits = 2 if billions < 10 else 1
        assert counted == pytest.approx(billions, abs=0.6 * 10**-digits), named


def test_what_is_like_another_has_its_architecture_with_what_is_changed():
    turbo, base = (architecture(f"stabilityai/{n}") for n in ("sdxl-turbo", "stable-diffusion-xl-base-1.0"))
    assert turbo.pipeline == base.pipeline == "StableDiffusionXLPipeline"
    assert (turbo.parts["unet"]["sample_size"], base.parts["unet"]["sample_size"]) == (64, 128)
    assert turbo.parts["unet"] | {"sample_size": 128} == base.parts["unet"]
    assert architecture("CodeGoat24/UnifiedReward-qwen-7b").parts == architecture("Qwen/Qwen2.5-VL-7B-Instruct").parts
    assert "convert" in architecture("CodeGoat24/UnifiedReward-7b").format
    assert all("like" not in entry or entry["like"] in table() for entry in table().values())


def test_a_folder_says_what_it_holds_and_wins_over_the_table(tmp_path):
    vlm, pipeline = tmp_path / "vlm", tmp_path / "pipeline"
    (pipeline / "unet").mkdir(parents=True)
    vlm.mkdir()
    (vlm / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    (vlm / "preprocessor_config.json").write_text(json.dumps({"max_pixels": 5}))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "image": [None, None],
    }
    (pipeline / "model_index.json").write_text(json.dumps(index))
    (pipeline / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    found = architecture(str(vlm))
    assert (found.parts, found.pipeline, found.processor["max_pixels"]) == (
        {VLM: {"model_type": "qwen2_5_vl"}},
        None,
        5,
    )
    assert (found.found, found.folder) == ("its folder", vlm)
    made = architecture(str(pipeline))
    assert (made.pipeline, made.denoiser, list(made.parts)) == ("StableDiffusionPipeline", "unet", ["unet"])


def test_a_snapshot_in_the_hubs_cache_is_read(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--someone--cached" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "qwen3_vl"}))
    refs = tmp_path / "models--someone--cached" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = architecture("someone/cached")
    assert found is not None
    assert (found.found, found.parts[VLM]["model_type"]) == ("the hub's cache", "qwen3_vl")


def test_what_nobody_knows_is_nothing_and_a_folder_without_a_checkpoint_an_error(tmp_path):
    assert architecture("someone/never-heard-of") is None
    with pytest.raises(StoreError, match="no checkpoint"):
        architecture(str(tmp_path))


def test_a_part_that_cannot_be_built_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no_such_model"}))
    with pytest.raises(PartError, match=r"its model cannot be built.*no_such_model"):
        skeleton(architecture(str(tmp_path)))


def test_skeletons_have_types_but_no_memory():
    vlm = architecture("urm_ray.scenes:checkpoints/vlm")
    whole, half = (skeleton(vlm, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert {p.device.type for p in whole.parameters()} == {"meta"}
    assert parameter_bytes(whole) == pytest.approx(4 * parameter_count(whole), rel=0.01)
    assert parameter_bytes(half) == pytest.approx(2 * parameter_count(half), rel=0.01)
    assert math.isclose(whole_config("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "transformer")["ffn_dim"], 8960)
