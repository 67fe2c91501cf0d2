"""Checkpoints in the format of the LLaVA-NeXT code base become plain ones that compute the same."""

import json
import shutil

import llava_next
import pytest
import torch
import transformers as tf
from PIL import Image
from safetensors.torch import load_file

from urm_ray import llava_next_convert
from urm_ray.chat import Chat, ChatProcessor
from urm_ray.clips import Clip
from urm_ray.config_policy import ClipConfig
from urm_ray.llava_next_convert import convert
from urm_ray.llava_next_format import clips_advice, onevision_config, original
from urm_ray.vlms import load_vlm

ASKED = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
ANSWERED = "<|im_end|>\n<|im_start|>assistant\n"


def load(folder):
    """(model, processor) by transformers alone; nothing may be missing or left over."""
    model, report = tf.AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert isinstance(model, tf.LlavaOnevisionForConditionalGeneration)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval(), tf.AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return llava_next.checkpoint(tmp_path_factory.mktemp("source") / "llava")


@pytest.fixture(scope="module")
def plain(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "model"
    assert convert(str(source), str(folder)) is None
    return folder


def gradient(width: int, height: int) -> Image.Image:
    return Image.merge(
        "RGB",
        [Image.linear_gradient("L").rotate(90 * turn).resize((width, height)) for turn in range(3)],
    )


def asked(*content) -> list[dict]:
    return [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]


def read(model, processor, text, **media):
    inputs = processor(text=text, return_tensors="pt", **media)
    with torch.no_grad():
        return inputs, model(**inputs).logits[0]


def same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("ratio", "most", "size", "cut"),
    [
        ("anyres_max_9", 9, (80, 20), (90, 30)),
        ("anyres_max_9", 9, (40, 60), (60, 60)),
        ("anyres_max_1", 1, (50, 45), (60, 60)),
        ("anyres", 10**9, (50, 45), (60, 60)),
    ],
)
def test_a_picture_in_tiles_gives_the_logits_of_the_original(source, tmp_path, ratio, most, size, cut):
    shutil.copytree(source, tmp_path / "from")
    llava_next.edit(tmp_path / "from", image_aspect_ratio=ratio)
    convert(str(tmp_path / "from"), str(tmp_path / "to"))
    model, processor = load(tmp_path / "to")
    picture = gradient(*size)
    text = processor.apply_chat_template(asked({"type": "image"}), add_generation_prompt=True)
    assert text == f"{ASKED}<image>\nWhat is it?{ANSWERED}"
    inputs = processor(text=text, images=picture, return_tensors="pt")
    tiles = llava_next.tiles(picture, *cut)
    assert (inputs.pixel_values[0] - tiles).abs().max() < 0.06
    found = model(**inputs | {"pixel_values": tiles[None]}).logits[0]
    there = llava_next.Original(load_file(source / "model.safetensors"))
    seen = there.picture(tiles, cut[0] // 30, cut[1] // 30, size, most)
    same(found, there.logits(tf.Qwen2Tokenizer.from_pretrained(source), text, "<image>", [seen]))


@torch.no_grad()
def test_pictures_in_one_chat_are_padded_and_stand_where_they_are_named(source, plain):
    model, processor = load(plain)
    content = [{"type": "text", "text": "1: "}, {"type": "image"}, {"type": "text", "text": "\n2: "}, {"type": "image"}]
    text = processor.apply_chat_template(asked(*content), add_generation_prompt=True)
    assert text == f"{ASKED}1: <image>\n2: <image>\nWhat is it?{ANSWERED}"
    squares = [gradient(30, 30), gradient(30, 30).rotate(180)]
    _, found = read(model, processor, text, images=[squares])
    there = llava_next.Original(load_file(source / "model.safetensors"))
    seen = [there.padded(llava_next.pixels(one)) for one in squares]
    same(found, there.logits(tf.Qwen2Tokenizer.from_pretrained(source), text, "<image>", seen))
    narrow = processor(text="<image><image>", images=[[gradient(30, 10), squares[0]]], return_tensors="pt")
    assert narrow.pixel_values[0, 0, :, 0].flatten().tolist() == pytest.approx([127 / 127.5 - 1] * 90, abs=1e-6)


@torch.no_grad()
def test_a_clip_gives_the_logits_of_the_original(source, plain):
    model, processor = load(plain)
    text = processor.apply_chat_template(asked({"type": "video"}), add_generation_prompt=True)
    assert text == f"{ASKED}<video>\nWhat is it?{ANSWERED}"
    frames = [gradient(30, 30).rotate(90 * turn) for turn in range(3)]
    _, found = read(model, processor, text, videos=[frames])
    there = llava_next.Original(load_file(source / "model.safetensors"))
    seen = there.clip(torch.stack([llava_next.pixels(frame) for frame in frames]))
    same(found, there.logits(tf.Qwen2Tokenizer.from_pretrained(source), text, "<video>", [seen]))


@torch.no_grad()
@pytest.mark.parametrize("known", [(), ("<image>",)], ids=["no slot", "a slot"])
def test_shards_tied_and_without_a_spare_row(tmp_path, monkeypatch, known):
    llava_next.checkpoint(tmp_path / "from", 0, 3, known, tie_word_embeddings=True)
    monkeypatch.setattr(llava_next_convert, "SHARD", 4096)
    convert(str(tmp_path / "from"), str(tmp_path / "to"))
    files = sorted((tmp_path / "to").glob("model-*-of-*.safetensors"))
    assert len(files) > 3
    model, processor = load(tmp_path / "to")
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    tensors = {k: v for f in (tmp_path / "from").glob("*.safetensors") for k, v in load_file(f).items()}
    rows = len(tensors["model.embed_tokens.weight"])
    assert len(model.lm_head.weight) == rows + 2 - len(known)
    assert model.config.image_token_id == processor.tokenizer.convert_tokens_to_ids("<image>")
    assert model.config.video_token_id == processor.tokenizer.convert_tokens_to_ids("<video>")
    text = processor.apply_chat_template(asked({"type": "image"}), add_generation_prompt=True)
    inputs, found = read(model, processor, text, images=gradient(60, 60))
    there = llava_next.Original(tensors)
    seen = there.picture(inputs.pixel_values[0], 2, 2, (60, 60), 9)
    wanted = there.logits(tf.Qwen2Tokenizer.from_pretrained(tmp_path / "from"), text, "<image>", [seen])
    same(found[:, :rows], wanted)
    never = processor.tokenizer.convert_tokens_to_ids("<|im_start|>")
    same(found[:, rows:], wanted[:, never, None].expand(-1, 2 - len(known)))


def test_weights_keep_their_bits_and_their_type(source, tmp_path):
    shutil.copytree(source, tmp_path / "from")
    halved = {k: v.bfloat16() for k, v in load_file(source / "model.safetensors").items()}
    halved["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(3)
    llava_next.save(tmp_path / "from", halved)
    convert(str(tmp_path / "from"), str(tmp_path / "to"))
    written = load_file(tmp_path / "to" / "model-00001-of-00001.safetensors")
    assert json.loads((tmp_path / "to" / "config.json").read_text())["dtype"] == "bfloat16"
    assert {original(name) for name in written} == {key for key in halved if not key.endswith("inv_freq")}
    assert all(torch.equal(value, halved[original(name)]) for name, value in written.items())


def test_all_that_the_system_does_with_a_vlm_works(source, plain):
    model, processor, _ = load_vlm(str(plain), device="cpu")
    frames = [gradient(30, 30)] * 2
    for shown in ("frames", "native"):
        chats = ChatProcessor(processor, ClipConfig(shown=shown, count=2))
        assert chats.end == "<|im_end|>"
        content = [{"type": "video"}, {"type": "video"}, {"type": "text", "text": "Say <image>."}]
        inputs = chats([Chat([{"role": "user", "content": content}], (Clip(frames, [0.0, 1.0]),) * 2)])
        with torch.no_grad():
            assert model(**inputs).logits.isfinite().all()
    said = "<|im_end|>\n<|im_start|>assistant\nIt is.<|im_end|>\n"
    turns = [*asked(), {"role": "assistant", "content": "It is."}]
    assert processor.apply_chat_template(turns) == f"{ASKED}What is it?{said}"
    turns = [{"role": "system", "content": "Judge."}, *asked()]
    assert processor.apply_chat_template(turns).startswith("<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\n")


def test_the_released_tower_and_grid_are_known():
    config = llava_next.TEXT | {
        "architectures": ["LlavaQwenForCausalLM"],
        "mm_vision_tower": "google/siglip-so400m-patch14-384",
        "mm_projector_type": "mlp2x_gelu",
        "mm_patch_merge_type": "spatial_unpad",
        "image_aspect_ratio": "anyres_max_9",
        "image_grid_pinpoints": "(1x1),...,(6x6)",
    }
    made, released = onevision_config(config, 152064, False), tf.LlavaOnevisionConfig()
    assert sorted(made.image_grid_pinpoints) == sorted(released.image_grid_pinpoints)
    assert made.vision_aspect_ratio == released.vision_aspect_ratio
    assert made.vision_config.to_diff_dict() == released.vision_config.to_diff_dict()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mm_newline_position": "grid", "add_time_instruction": True}, "grid, it is told the times of frames"),
        ({"mm_spatial_pool_mode": "average"}, "mm_spatial_pool_mode is average"),
    ],
)
def test_clips_that_transformers_shows_otherwise_come_with_advice(settings, why):
    assert why in clips_advice(settings)
    assert clips_advice(settings).endswith("set `clips.shown` to frames")
    assert clips_advice({"mm_newline_position": "one_token", "mm_spatial_pool_mode": "bilinear"}) is None
