"""Small random checkpoints as the LLaVA-NeXT code base writes them, and its forward written out from their weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional as F

SIDE, PATCH, GRID = 30, 7, 4
"""Of a tile, which patches do not fill, as 27 x 14 pixels do not fill 384."""
WIDE, HIDDEN = 16, 24
SIZES = [[30, 30], [30, 60], [60, 30], [60, 60], [90, 30]]
"""(width, height) of pictures cut into tiles."""
TOWER = {
    "model_type": "siglip_vision_model",
    "hidden_size": WIDE,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
TEXT = {
    "hidden_size": HIDDEN,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000.0,
    "max_position_embeddings": 4096,
}
VISION = "model.vision_tower.vision_tower.vision_model."


def words(folder: Path, *more: str) -> Any:
    """Writes a tokenizer of the Qwen2 kind into the folder. more: tokens it knows beside those of turns."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(["You are a helpful assistant. system user What is it?"], trainer)
    model = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = tf.Qwen2Tokenizer(vocab=model["vocab"], merges=merges)
    tokenizer.add_tokens([tf.AddedToken(one, special=True) for one in ("<|im_start|>", "<|im_end|>", *more)])
    tokenizer.save_pretrained(folder)
    return tokenizer


def weights(rows: int, tied: bool) -> dict[str, torch.Tensor]:
    """Every weight under its name there, by how LLaVA-NeXT builds its modules."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (rows, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "model.image_newline": (HIDDEN,),
        "model.mm_projector.0.weight": (HIDDEN, WIDE),
        "model.mm_projector.0.bias": (HIDDEN,),
        "model.mm_projector.2.weight": (HIDDEN, HIDDEN),
        "model.mm_projector.2.bias": (HIDDEN,),
        f"{VISION}embeddings.patch_embedding.weight": (WIDE, 3, PATCH, PATCH),
        f"{VISION}embeddings.patch_embedding.bias": (WIDE,),
        f"{VISION}embeddings.position_embedding.weight": (GRID * GRID, WIDE),
        f"{VISION}post_layernorm.weight": (WIDE,),
        f"{VISION}post_layernorm.bias": (WIDE,),
    }
    keys = HIDDEN // TEXT["num_attention_heads"] * TEXT["num_key_value_heads"]
    for number in range(TEXT["num_hidden_layers"]):
        layer = f"model.layers.{number}."
        for part, size in (("q", HIDDEN), ("k", keys), ("v", keys)):
            shapes |= {
                f"{layer}self_attn.{part}_proj.weight": (size, HIDDEN),
                f"{layer}self_attn.{part}_proj.bias": (size,),
            }
        shapes[f"{layer}self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        shapes |= {f"{layer}mlp.{part}_proj.weight": (40, HIDDEN) for part in ("gate", "up")}
        shapes[f"{layer}mlp.down_proj.weight"] = (HIDDEN, 40)
        shapes |= {f"{layer}{part}_layernorm.weight": (HIDDEN,) for part in ("input", "post_attention")}
    for number in range(TOWER["num_hidden_layers"] - 1):
        layer = f"{VISION}encoder.layers.{number}."
        parts = {f"self_attn.{part}": (WIDE, WIDE) for part in ("q_proj", "k_proj", "v_proj", "out_proj")}
        parts |= {"mlp.fc1": (20, WIDE), "mlp.fc2": (WIDE, 20), "layer_norm1": (WIDE,), "layer_norm2": (WIDE,)}
        for part, shape in parts.items():
            shapes |= {f"{layer}{part}.weight": shape, f"{layer}{part}.bias": shape[:1]}
    if not tied:
        shapes["lm_head.weight"] = (rows, HIDDEN)
    drawn = torch.Generator().manual_seed(len(shapes))
    return {name: 0.4 * torch.randn(shape, generator=drawn) for name, shape in shapes.items()}


def checkpoint(folder: Path, spare: int = 5, shards: int = 1, more: tuple[str, ...] = (), **settings: Any) -> Path:
    """Writes a checkpoint. spare: embeddings without a token. settings: of config.json; None leaves one out."""
    (folder / "tower").mkdir(parents=True)
    (folder / "tower" / "config.json").write_text(json.dumps(TOWER))
    rows = len(words(folder, *more)) + spare
    config = TEXT | {
        "architectures": ["LlavaQwenForCausalLM"],
        "model_type": "llava",
        "mm_vision_tower": str(folder / "tower"),
        "mm_projector_type": "mlp2x_gelu",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_vision_select_layer": -2,
        "image_aspect_ratio": "anyres_max_9",
        "image_grid_pinpoints": SIZES,
        "tie_word_embeddings": False,
        "vocab_size": rows,
    }
    config = {name: value for name, value in (config | settings).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    save(folder, weights(rows, config["tie_word_embeddings"]), shards)
    return folder


def edit(folder: Path, **settings: Any) -> None:
    """Changes settings in the config.json of a folder."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def save(folder: Path, tensors: dict[str, torch.Tensor], shards: int = 1) -> None:
    """Writes weights, in one file or in several with an index."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = {key: f"model-{at % shards + 1:05}-of-{shards:05}.safetensors" for at, key in enumerate(tensors)}
    for file in set(names.values()):
        save_file({key: tensors[key] for key in names if names[key] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def tiles(picture: Image.Image, width: int, height: int) -> torch.Tensor:
    """The pixels of a picture as a whole and of its tiles at a size, scaled by Pillow: (1 + tiles, 3, side, side)."""
    scale = min(width / picture.width, height / picture.height)
    small = picture.resize(
        (min(math.ceil(picture.width * scale), width), min(math.ceil(picture.height * scale), height))
    )
    padded = Image.new("RGB", (width, height))
    padded.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    boxes = [(x, y, x + SIDE, y + SIDE) for y in range(0, height, SIDE) for x in range(0, width, SIDE)]
    return torch.stack([pixels(picture.resize((SIDE, SIDE))), *(pixels(padded.crop(box)) for box in boxes)])


def pixels(picture: Image.Image) -> torch.Tensor:
    """(3, height, width), from -1 to 1."""
    values = torch.tensor(list(picture.tobytes()), dtype=torch.float32).view(picture.height, picture.width, 3)
    return values.permute(2, 0, 1) / 127.5 - 1


class Original:
    """The forward of LLaVA-NeXT, written out from the weights that `checkpoint` wrote."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.weights = tensors
        layers = {"num_hidden_layers": TOWER["num_hidden_layers"] - 1, "vision_use_head": False}
        self.tower = tf.SiglipVisionModel(tf.SiglipVisionConfig(**TOWER | layers)).eval()
        self.tower.load_state_dict({k.removeprefix(VISION): v for k, v in tensors.items() if k.startswith(VISION)})
        rows = len(tensors["model.embed_tokens.weight"])
        self.language = tf.Qwen2ForCausalLM(tf.Qwen2Config(**TEXT, vocab_size=rows)).eval()
        own = {k: v for k, v in tensors.items() if k in self.language.state_dict()}
        self.language.load_state_dict({"lm_head.weight": own["model.embed_tokens.weight"]} | own)
        self.newline = tensors["model.image_newline"]

    def features(self, values: torch.Tensor) -> torch.Tensor:
        """(pictures, patches, hidden) of pixels: the tower's last layer but one of all, without the norm behind it."""
        seen = self.tower.encoder(inputs_embeds=self.tower.embeddings(values)).last_hidden_state
        first, second = (
            (self.weights[f"model.mm_projector.{at}.weight"], self.weights[f"model.mm_projector.{at}.bias"])
            for at in (0, 2)
        )
        return F.linear(F.gelu(F.linear(seen, *first)), *second)

    def picture(self, values: torch.Tensor, across: int, down: int, size: tuple[int, int], most: int) -> torch.Tensor:
        """Features of a picture of size (width, height) in tiles: the whole, then rows that each end in a newline."""
        whole, *parts = self.features(values)
        rows = []
        for y in range(down):
            shown = [parts[y * across + x].view(GRID, GRID, HIDDEN) for x in range(across)]
            rows.append(torch.cat(shown, dim=1))
        field = torch.cat(rows)
        height, width = field.shape[:2]
        if size[0] / size[1] > width / height:
            gap = (height - int(size[1] * (width / size[0]))) // 2
            field = field[gap : height - gap]
        else:
            gap = (width - int(size[0] * (height / size[1]))) // 2
            field = field[:, gap : width - gap]
        times = math.sqrt(field.shape[0] * field.shape[1] / (most * GRID**2))
        if times > 1.1:
            small = [int(length // times) for length in field.shape[:2]]
            field = F.interpolate(field.permute(2, 0, 1)[None], small, mode="bilinear")[0].permute(1, 2, 0)
        lines = [torch.cat([row, self.newline[None]]) for row in field]
        return torch.cat([whole, *lines])

    def padded(self, values: torch.Tensor) -> torch.Tensor:
        """Features of a picture that is not cut into tiles."""
        return torch.cat([self.features(values[None])[0], self.newline[None]])

    def clip(self, values: torch.Tensor) -> torch.Tensor:
        """Features of the frames of a clip, halved in height and width, and one newline."""
        field = self.features(values).view(len(values), GRID, GRID, HIDDEN).permute(0, 3, 1, 2)
        half = F.interpolate(field, [GRID // 2, GRID // 2], mode="bilinear").permute(0, 2, 3, 1)
        return torch.cat([half.reshape(-1, HIDDEN), self.newline[None]])

    def logits(self, tokenizer: Any, text: str, slot: str, seen: list[torch.Tensor]) -> torch.Tensor:
        """(tokens, vocabulary) of a text in which features stand for each slot."""
        table = self.weights["model.embed_tokens.weight"]
        chunks = [table[tokenizer(chunk).input_ids] for chunk in text.split(slot)]
        parts = [chunks[0]]
        for one, chunk in zip(seen, chunks[1:], strict=True):
            parts += [one, chunk]
        return self.language(inputs_embeds=torch.cat(parts)[None]).logits[0]
