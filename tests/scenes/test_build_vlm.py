import random

import torch

from urm_ray.scenes.build_processor import build_processor
from urm_ray.scenes.build_vlm import VlmBuild, at_answers, build_model, carry_over, teach_to_answer
from urm_ray.scenes.lessons import IGNORED, Shares, collate, draw_lesson
from urm_ray.vlms import load_vlm

TINY = "urm_ray.scenes:checkpoints/vlm"


def test_words_that_two_models_share_keep_their_meaning():
    processor = build_processor(1, 560, lessons=200)
    model = build_model(VlmBuild(), processor)
    old, known, _ = load_vlm(TINY, device="cpu")
    carry_over(TINY, model, processor)
    shared = sorted(set(processor.tokenizer.get_vocab()) & set(known.tokenizer.get_vocab()))
    mine, theirs = (tok.convert_tokens_to_ids(shared) for tok in (processor.tokenizer, known.tokenizer))
    assert len(shared) > 300
    assert mine != theirs
    words = model.get_input_embeddings().weight
    assert torch.equal(words[mine], old.get_input_embeddings().weight[theirs].to(words.dtype))
    layer = "model.language_model.layers.0.mlp.up_proj.weight"
    assert torch.equal(model.state_dict()[layer], old.state_dict()[layer].to(words.dtype))


@torch.no_grad()
def test_answers_are_read_where_the_model_itself_reads_them():
    model, processor, _ = load_vlm(TINY, device="cpu", attention="eager")
    for kind in ("two pictures", "clip"):
        lessons = [draw_lesson(random.Random(seed), kind, 2, Shares(answers=0.5)) for seed in (1, 2)]
        batch = collate(lessons, processor, model.model.get_rope_index)
        hidden, wanted, _ = at_answers(model, batch)
        logits = model(
            **{k: v for k, v in batch.inputs.items() if k != "attention_mask"},
            position_ids=batch.positions,
            attention_mask={"full_attention": batch.mask},
        ).logits
        kept = batch.labels[:, 1:] != IGNORED
        torch.testing.assert_close(model.lm_head(hidden), logits[:, :-1][kept], atol=1e-4, rtol=1e-4)
        assert wanted.tolist() == batch.labels[:, 1:][kept].tolist()


def test_a_step_of_teaching_learns_from_every_kind_of_lesson(capsys):
    model, processor, _ = load_vlm(TINY, device="cpu", attention="eager")
    model.model.visual.requires_grad_(False)
    before = model.get_input_embeddings().weight.clone()
    teach_to_answer(model, processor, random.Random(0), VlmBuild(steps=3, batch=2, questions=2, one_first=0.0), 0.3)
    assert not torch.equal(before, model.get_input_embeddings().weight)
    assert all(value.isfinite().all() for value in model.parameters())
