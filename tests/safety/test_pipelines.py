"""Nothing that lies in a diffusion pipeline is run."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from safety.traps import change, copy_of, refused, write_module, write_pickle

from urm_ray.candidates.samplers import load_sampler
from urm_ray.config_policy import PolicyConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.models import load_pipeline

PIPELINE_DOORS: dict[str, Callable[[str], Any]] = {
    "load_pipeline": lambda path: load_pipeline(path, device="cpu"),
    "training": load_denoiser,
    "sampler": lambda path: load_sampler("image_generation", path, PolicyConfig(device="cpu")),
}


@pytest.mark.parametrize("door", PIPELINE_DOORS)
@pytest.mark.parametrize("plain", [False, True])
def test_a_pipeline_with_a_part_of_pickles_alone_is_refused(tmp_path, image_policy, ran, door, plain):
    folder = copy_of(image_policy, tmp_path / "policy")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    write_pickle(folder / "unet/diffusion_pytorch_model.bin", ran, plain)
    refused(PIPELINE_DOORS[door], folder, r"weights as pickles, such as diffusion_pytorch_model\.bin")


@pytest.mark.parametrize("door", PIPELINE_DOORS)
@pytest.mark.parametrize("library", ["own", "own.module", "subprocess", "../own", ["own"], 7])
def test_a_part_of_another_library_is_refused(tmp_path, image_policy, ran, monkeypatch, door, library):
    folder = copy_of(image_policy, tmp_path / "policy")
    for place in (folder, folder / "unet"):
        write_module(place / "own.py", ran, "Popen")
    monkeypatch.syspath_prepend(folder)
    change(folder / "model_index.json", unet=[library, "Popen"])
    refused(PIPELINE_DOORS[door], folder, "the unet of .* is code of its own|the unet of .* which is code of its own")


def test_a_part_that_brings_its_own_classes_is_refused(tmp_path, image_policy, ran):
    folder = copy_of(image_policy, tmp_path / "policy")
    write_module(folder / "tokenizer/own.py", ran, "OwnTokenizer")
    index = json.loads((folder / "model_index.json").read_text())
    change(folder / "model_index.json", tokenizer=["transformers", "AutoTokenizer"])
    change(folder / "tokenizer/tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]})
    assert index["tokenizer"][0] == "transformers"
    refused(PIPELINE_DOORS["load_pipeline"], folder, "tokenizer_config.json has an auto_map")


def test_a_pipeline_file_is_not_run(tmp_path, image_policy, ran):
    folder = copy_of(image_policy, tmp_path / "policy")
    for name in ("pipeline.py", "my_pipeline.py"):
        write_module(folder / name, ran, "MyPipeline")
    load_pipeline(str(folder), device="cpu")
    change(folder / "model_index.json", _class_name=["my_pipeline", "MyPipeline"])
    refused(PIPELINE_DOORS["load_pipeline"], folder, "where a text-to-image or -video pipeline is needed")
