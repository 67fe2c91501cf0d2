import json

import pytest
import torch
from helpers import candidate_set, picture
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from urm_ray.clips import encode_clip
from urm_ray.config_policy import EvaluateConfig
from urm_ray.evaluation.clip_score import ClipScore
from urm_ray.evaluation.scorer import figures_of, load_scorer, need_scorers
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

NAME = "urm_ray.evaluation.clip_score:ClipScore"
PROMPT = "a red cat " * 40


@pytest.fixture(scope="module")
def clip_model(tmp_path_factory) -> str:
    """A CLIP with random weights, in the format of the hub."""
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(n) for n in range(97, 123)]
    words = [*letters, *[f"{c}</w>" for c in letters], "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(str(folder), model_max_length=20)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    config = CLIPConfig(
        text_config={**size, "vocab_size": len(words), "max_position_embeddings": 20, **ends},
        vision_config={**size, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return str(folder)


def logit(path: str, prompt: str, image) -> float:
    """As the model itself rates them."""
    model, processor = CLIPModel.from_pretrained(path).eval(), CLIPProcessor.from_pretrained(path)
    inputs = processor(text=[prompt], images=[image], padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        return float(model(**inputs).logits_per_image[0, 0])


def test_a_picture_has_the_score_that_the_model_gives(clip_model):
    scorer = load_scorer(NAME, clip_model)
    for shade in (10, 200):
        found = scorer.figures(PROMPT, picture(shade))
        assert found["logit"] == pytest.approx(logit(clip_model, PROMPT, picture(shade)), abs=1e-4)
        assert -1 <= found["similarity"] <= 1
    assert scorer.figures("a cat", picture(10)) != scorer.figures("a cat", picture(200))


def test_a_clip_has_the_mean_over_its_frames(clip_model):
    shades = list(range(0, 240, 12))
    row = candidate_set(1, task="video_generation", prompt="a cat")
    row["candidates"][0]["media"] = encode_clip([picture(shade) for shade in shades], 8)
    found = {f["name"]: f["value"] for f in figures_of(ClipScore(clip_model), row)}
    one_by_one = [logit(clip_model, "a cat", picture(shade)) for shade in shades]
    assert found["logit"] == pytest.approx(sum(one_by_one) / len(shades), abs=1e-4)


def test_a_model_that_is_missing_or_is_the_judge_is_told_before_anything_is_run(clip_model):
    with pytest.raises(SourceError, match=r"policies\.image_generation\..*model"):
        need_scorers({"image_generation": EvaluateConfig(scorer=NAME)})
    settings = EvaluateConfig(scorer=NAME, scorer_model=clip_model)
    need_scorers({"image_generation": settings}, judge="another")
    with pytest.raises(SourceError, match="is the judge itself"):
        need_scorers({"image_generation": settings}, judge=clip_model)


def test_another_kind_of_model_is_refused(vlm_path):
    with pytest.raises(StoreError, match="not two encoders that share a space"):
        ClipScore(vlm_path).figures("a cat", picture(3))
