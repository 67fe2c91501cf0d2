import json
import shutil
from pathlib import Path

import pytest

from urm_ray.models import load_pipeline, makes, resolve
from urm_ray.store import StoreError


@pytest.mark.parametrize("name", ["config.json", "model_index.json"])
def test_a_folder_with_a_checkpoint_is_itself(tmp_path, name, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).write_text("{}")
    assert resolve(str(tmp_path / "model")) == str(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert resolve("model") == resolve("./model") == str(tmp_path / "model")


def test_a_folder_inside_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "somepackage" / "checkpoints" / "vlm").mkdir(parents=True)
    (tmp_path / "somepackage" / "__init__.py").write_text("")
    (tmp_path / "somepackage" / "checkpoints" / "vlm" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("somepackage:checkpoints/vlm") == str(tmp_path / "somepackage/checkpoints/vlm")
    with pytest.raises(StoreError, match="there is no checkpoint at"):
        resolve("somepackage:checkpoints/other")


def test_a_name_on_the_hub_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert resolve("Qwen/Qwen2.5-VL-7B-Instruct") == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_a_name_on_the_hub_is_refused_at_once_when_the_hub_is_off(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(StoreError, match="hub is switched off"):
        resolve("Qwen/Qwen2.5-VL-7B-Instruct")


@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("", "model path is missing"),
        ("/nowhere/model", "no checkpoint at /nowhere/model"),
        ("./nowhere", "no checkpoint at"),
        ("nowhere", "no checkpoint at nowhere"),
        ("a/b/c", "no checkpoint at a/b/c"),
        ("no_such_package:vlm", "no package 'no_such_package'"),
    ],
)
def test_a_path_without_a_checkpoint_is_one_sentence(path, about):
    with pytest.raises(StoreError, match=about):
        resolve(path)


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"holds no checkpoint: neither config\.json nor model_index\.json"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("StableDiffusionPipeline", "image"),
        ("StableDiffusionXLPipeline", "image"),
        ("TextToVideoSDPipeline", "video"),
        ("WanPipeline", "video"),
        ("StableDiffusionUpscalePipeline", None),
        ("AudioLDM2Pipeline", None),
    ],
)
def test_what_a_pipeline_makes_is_known_by_its_class(name, made):
    assert makes(name) == made


@pytest.mark.parametrize("kind", ["image", "video"])
def test_pipelines_of_both_kinds_are_loaded_as_what_they_are(kind, request):
    path = request.getfixturevalue(f"{kind}_policy")
    loaded = load_pipeline(path, "bfloat16", "cpu", wanted=kind)
    assert makes(type(loaded).__name__) == kind
    assert {str(part.dtype) for part in (loaded.unet, loaded.text_encoder)} == {"torch.bfloat16"}
    assert str(loaded.vae.dtype) == "torch.float32", "its configuration says force_upcast"


def test_a_pipeline_of_the_other_kind_is_refused(image_policy, video_policy):
    with pytest.raises(StoreError, match="holds a StableDiffusionPipeline where a text-to-video pipeline is needed"):
        load_pipeline(image_policy, device="cpu", wanted="video")
    with pytest.raises(StoreError, match="holds a TextToVideoSDPipeline where a text-to-image pipeline is needed"):
        load_pipeline(video_policy, device="cpu", wanted="image")


@pytest.mark.parametrize("name", ["StableDiffusionUpscalePipeline", ["my_pipeline", "MyPipeline"]])
def test_a_pipeline_that_makes_neither_or_brings_code_is_refused_before_anything_runs(image_policy, tmp_path, name):
    folder = tmp_path / "policy"
    shutil.copytree(image_policy, folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
    (folder / "my_pipeline.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    with pytest.raises(StoreError, match="where a text-to-image or -video pipeline is needed"):
        load_pipeline(str(folder), device="cpu")
    assert not (tmp_path / "ran").exists()


def test_parts_that_are_not_named_are_not_read(image_policy, tmp_path):
    folder = tmp_path / "policy"
    shutil.copytree(image_policy, folder)
    for part in ("vae", "text_encoder"):
        for file in Path(folder, part).glob("*.safetensors"):
            file.write_bytes(b"broken")
    found = load_pipeline(str(folder), device="cpu", only=("unet", "scheduler"))
    assert found.vae is found.text_encoder is found.tokenizer is None
    assert found.unet is not None
    assert found.scheduler is not None
