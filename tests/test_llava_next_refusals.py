"""What cannot be converted is refused in a sentence before anything is written, and the job says what it did."""

import shutil

import llava_next
import pytest
import torch
from helpers import run_python, small_disk
from safetensors.torch import load_file

from urm_ray import cli_convert
from urm_ray.llava_next_convert import convert
from urm_ray.llava_next_format import FormatError
from urm_ray.store import StoreError
from urm_ray.vlms import ModelError, load_processor, load_vlm


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return llava_next.checkpoint(tmp_path_factory.mktemp("source") / "llava")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"architectures": ["LlavaLlamaForCausalLM"]}, r"architectures is \['LlavaLlamaForCausalLM'\], and only"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear', and only 'mlp2x_gelu' can be converted"),
        ({"mm_patch_merge_type": "flat"}, "mm_patch_merge_type is 'flat'"),
        ({"mm_resampler_type": "qformer"}, "mm_resampler_type is 'qformer'"),
        ({"add_faster_video": True}, "add_faster_video is True"),
        ({"image_aspect_ratio": "pad"}, "image_aspect_ratio is 'pad', and only 'anyres' and 'anyres_max_N' can be"),
        ({"image_grid_pinpoints": [[30, 40]]}, "a size that is not made of tiles of 30 x 30"),
        ({"image_grid_pinpoints": "many"}, "image_grid_pinpoints is 'many', and has to be a list"),
        ({"rope_theta": None}, "its config.json lacks rope_theta"),
        ({"mm_vision_tower": "openai/clip-vit-large-patch14"}, "openai/clip-.*, which is not known"),
        ({"num_hidden_layers": 3}, r"weights are missing: model.layers.2.input_\S+ and 11 more$"),
        ({"num_hidden_layers": 1}, r"no place for some weights: model.layers.1.\S+ and 11 more$"),
        ({"intermediate_size": 41}, r"mlp.\w+_proj.weight is of shape \(.*\), and config.json makes it \("),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is set, but lm_head.weight is not model.embed_tokens"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_one_sentence(source, tmp_path, settings, said):
    shutil.copytree(source, tmp_path / "from")
    llava_next.edit(tmp_path / "from", **settings)
    refused(tmp_path, said)


def refused(folder, said: str) -> None:
    """Nothing is written where `folder`/from cannot be converted."""
    with pytest.raises(FormatError, match=said) as stopped:
        convert(str(folder / "from"), str(folder / "to"))
    assert "\n" not in str(stopped.value)
    assert str(folder / "from") in str(stopped.value)
    assert not (folder / "to").exists()


@pytest.mark.parametrize(
    ("taken", "given", "said"),
    [
        ("model.image_newline", None, "weights are missing: model.image_newline$"),
        ("model.embed_tokens", None, "model.embed_tokens.weight is missing$"),
        ("lm_head", None, "lm_head.weight is missing; if it is the embedding, set tie_word_embeddings"),
        (llava_next.VISION, None, "its vision tower, .*tower, is not among its weights"),
        (None, "model.faster_token", "no place for some weights: model.faster_token$"),
        (None, f"{llava_next.VISION}head.probe", "no place for some weights: .*head.probe$"),
    ],
)
def test_weights_that_are_missing_or_too_many_are_named(source, tmp_path, taken, given, said):
    shutil.copytree(source, tmp_path / "from")
    tensors = load_file(source / "model.safetensors")
    tensors = {k: v for k, v in tensors.items() if not (taken and k.startswith(taken))}
    llava_next.save(tmp_path / "from", tensors | ({given: torch.ones(2)} if given else {}))
    refused(tmp_path, said)


def test_weights_are_read_of_safetensors_alone(source, tmp_path):
    shutil.copytree(source, tmp_path / "from")
    (tmp_path / "from" / "model.safetensors").rename(tmp_path / "from" / "pytorch_model.bin")
    with pytest.raises(StoreError, match=r"has its weights as pickles, such as pytorch_model\.bin"):
        convert(str(tmp_path / "from"), str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()
    (tmp_path / "from" / "pytorch_model.bin").unlink()
    refused(tmp_path, "model.safetensors is not there, and weights are read of safetensors alone, not of .bin files")


def test_a_tokenizer_that_does_not_fit_is_refused(source, tmp_path):
    shutil.copytree(source, tmp_path / "from")
    llava_next.words(tmp_path / "from", *(f"<{number}>" for number in range(9)))
    refused(tmp_path, "its tokenizer .* has more tokens")


def test_a_conversion_that_was_killed_is_made_by_the_same_command(source, tmp_path):
    code = (
        "import os, sys, transformers as tf; from urm_ray.llava_next_convert import convert\n"
        "tf.LlavaOnevisionProcessor.save_pretrained = lambda self, folder: os._exit(9)\n"
        "convert(*sys.argv[1:])"
    )
    assert run_python("-c", code, str(source), str(tmp_path / "to")).returncode == 9
    assert not (tmp_path / "to").exists()
    assert list(tmp_path.glob(".to.partial/*.safetensors"))
    convert(str(source), str(tmp_path / "to"))
    assert [path.name for path in tmp_path.iterdir()] == ["to"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_of_a_conversion(source, tmp_path, capsys):
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - (16 << 10)))
        assert cli_convert.main("", ["--from", str(source), "--to", str(disk / "to")]) == 1
        assert [path.name for path in disk.iterdir()] == ["filler"]
    assert capsys.readouterr().err.startswith(f"error: no free space for {disk}/to: 0.0 MiB are left")


def test_a_folder_that_holds_something_is_left_alone(source):
    with pytest.raises(FormatError, match=r"is not empty: name a folder that is, or none$"):
        convert(str(source), str(source))


@pytest.mark.parametrize("opened", [load_vlm, load_processor])
@pytest.mark.parametrize("model_type", ["llava", "llava_qwen"])
def test_loading_one_names_the_command(source, tmp_path, opened, model_type):
    shutil.copytree(source, tmp_path / "from")
    llava_next.edit(tmp_path / "from", model_type=model_type)
    with pytest.raises(ModelError, match=r"convert it with `python jobs/convert_checkpoint.py --from \S*/from --to"):
        opened(str(tmp_path / "from"))


def test_the_job_takes_a_name_on_the_hub_and_says_how_clips_are_to_be_shown(source, tmp_path):
    held = tmp_path / "hub" / "models--ours--llava"
    shutil.copytree(source, held / "snapshots" / "1")
    llava_next.edit(held / "snapshots" / "1", mm_newline_position="grid")
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text("1")
    hub = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    out = str(tmp_path / "to")
    done = run_python("jobs/convert_checkpoint.py", "--from", "ours/llava", "--to", out, timeout=60, **hub)
    assert done.returncode == 0, done.stderr
    written, note = done.stdout.splitlines()
    assert written == f"written: {out}"
    assert note.startswith("note: native clips")
    assert note.endswith("set `clips.shown` to frames")
    assert type(load_processor(out)).__name__ == "LlavaOnevisionProcessor"


def test_a_source_that_there_is_not_is_one_sentence(tmp_path, capsys):
    assert cli_convert.main("", ["--from", str(tmp_path / "nowhere"), "--to", str(tmp_path / "to")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: there is no checkpoint at ")
    assert said.count("\n") == 1
