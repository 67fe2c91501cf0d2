"""Nothing that lies in a checkpoint is run: neither pickles nor modules, through whichever door it comes in."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from safety.traps import change, copy_of, refused, write_module, write_pickle

from urm_ray.candidates.samplers import load_sampler
from urm_ray.config import JudgeConfig
from urm_ray.config_policy import PolicyConfig
from urm_ray.judge.engines import load_engine
from urm_ray.llava_next_convert import convert
from urm_ray.models import load_dual_encoder
from urm_ray.vlms import load_processor, load_vlm, trainable_vlm

VLM_DOORS: dict[str, Callable[[str], Any]] = {
    "load_vlm": lambda path: load_vlm(path, device="cpu"),
    "training": lambda path: trainable_vlm(path, "float32", None, False),
    "judge": lambda path: load_engine(path, JudgeConfig()),
    "sampler": lambda path: load_sampler("image_understanding", path, PolicyConfig(device="cpu")),
    "two encoders": load_dual_encoder,
}


def test_the_traps_work(tmp_path):
    """Without which the other tests would show nothing."""
    import importlib.util
    import pickle

    write_pickle(tmp_path / "weights.bin", tmp_path / "by_pickle", plain=True)
    pickle.loads((tmp_path / "weights.bin").read_bytes())
    write_module(tmp_path / "trap.py", tmp_path / "by_module")
    spec = importlib.util.spec_from_file_location("trap", tmp_path / "trap.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert (tmp_path / "by_pickle").exists()
    assert (tmp_path / "by_module").exists()


@pytest.mark.parametrize("door", VLM_DOORS)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.ckpt", "model.pt"])
def test_a_vlm_of_pickles_alone_is_refused(tmp_path, vlm_path, ran, door, name):
    folder = copy_of(vlm_path, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    write_pickle(folder / name, ran)
    refused(VLM_DOORS[door], folder, f"weights as pickles, such as {name}")


def test_pickles_beside_safetensors_are_not_read(tmp_path, vlm_path, ran):
    folder = copy_of(vlm_path, tmp_path / "model")
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin", "optimizer.pt", "tokenizer.pkl"):
        write_pickle(folder / name, ran, plain=name.startswith("t"))
    load_vlm(str(folder), device="cpu")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "target_modules": ["q_proj"], "base_model_name_or_path": str(folder)})
    )
    with pytest.raises(Exception):  # noqa: B017,PT011 - what peft says of such an adapter is its own affair
        load_vlm(str(folder), device="cpu")


@pytest.mark.parametrize("named", ["evil.bin", "../evil.safetensors", "/evil.safetensors", "sub/evil.safetensors"])
def test_an_index_names_safetensors_of_its_folder_alone(tmp_path, vlm_path, ran, named):
    folder = copy_of(vlm_path, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    write_pickle(folder / "evil.bin", ran)
    index = {"metadata": {}, "weight_map": {"lm_head.weight": named}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for door in (VLM_DOORS["load_vlm"], lambda path: convert(path, str(tmp_path / "to"))):
        refused(door, folder, "which is no safetensors file of it")


AUTO = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel", "AutoModelForImageTextToText": "own.OwnModel"}


@pytest.mark.parametrize("door", VLM_DOORS)
def test_a_model_that_brings_its_own_classes_is_refused(tmp_path, vlm_path, ran, door):
    folder = copy_of(vlm_path, tmp_path / "model")
    write_module(folder / "own.py", ran, "OwnConfig", "OwnModel", "OwnProcessor")
    change(folder / "config.json", model_type="own", auto_map=AUTO)
    refused(VLM_DOORS[door], folder, "code of its own|is no chat VLM")


def test_a_processor_that_brings_its_own_class_is_refused(tmp_path, vlm_path, ran):
    folder = copy_of(vlm_path, tmp_path / "model")
    write_module(folder / "own.py", ran, "OwnProcessor")
    change(folder / "processor_config.json", processor_class="Own", auto_map={"AutoProcessor": "own.OwnProcessor"})
    refused(load_processor, folder, "code of its own")


def test_a_tokenizer_is_read_by_a_known_class_whatever_it_brings(tmp_path, vlm_path, ran):
    folder = copy_of(vlm_path, tmp_path / "model")
    write_module(folder / "own.py", ran, "OwnTokenizer")
    auto = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}
    change(folder / "tokenizer_config.json", tokenizer_class="OwnTokenizer", auto_map=auto)
    assert type(load_processor(str(folder)).tokenizer).__module__.startswith("transformers.")


def test_a_known_model_is_loaded_by_its_known_classes_whatever_it_brings(tmp_path, vlm_path, ran):
    folder = copy_of(vlm_path, tmp_path / "model")
    write_module(folder / "own.py", ran, "OwnConfig", "OwnModel")
    change(folder / "config.json", auto_map=AUTO)
    model, _, _ = load_vlm(str(folder), device="cpu")
    assert type(model).__module__.startswith("transformers.")


TEMPLATES = [
    "{{ cycler.__init__.__globals__.os.system('touch RAN') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__()|length }}{{ self.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_gets_at_nothing(tmp_path, vlm_path, ran, template):
    folder = copy_of(vlm_path, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(template.replace("RAN", str(ran)))
    with pytest.raises(Exception, match=r"unsafe|undefined|unknown|encountered|loader|slot|picture"):
        load_vlm(str(folder), device="cpu")
