"""Policies of every family: answers written together are those that `generate` writes alone."""

import torch
from families.plain import CHATML_END, Plain, as_frames, film, noise

from urm_ray.candidates import answers
from urm_ray.candidates.answers import AnswerSampler, Asked
from urm_ray.config_policy import ClipConfig, SamplerConfig

GREEDY = {"temperature": 1e-6, "max_new_tokens": 12}
ASKED = {
    "a picture": ([noise(1)], "how many circles are there in this picture?"),
    "two pictures": ([noise(2, 40, 16), noise(3)], "which is better?"),
    "nothing": ([], "how many?"),
    "a clip": ([film(4)], "what moves left?"),
}
OBJECTS = [Asked(words, tuple(media)) for media, words in ASKED.values()]
REQUESTS = [(asked, 100 * n + k) for n, asked in enumerate(OBJECTS) for k in (0, 1)]


def sampler_of(vlm: Plain, shown="frames", batch=8, dtype="float32", **settings) -> AnswerSampler:
    config = SamplerConfig(batch=batch, answers=GREEDY | settings)
    return AnswerSampler(vlm.path, config, dtype, "cpu", ClipConfig(shown=shown))


def generated(vlm: Plain, parts) -> str:
    inputs = vlm.inputs(parts)
    end = vlm.tokenizer.convert_tokens_to_ids(vlm.end)
    made = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=12, eos_token_id=end, pad_token_id=vlm.pad)
    return vlm.tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def said(candidate) -> str:
    """The text of an answer, or as much as the error shows of one that did not end."""
    return candidate["text"] or candidate["error"]


def test_the_likeliest_answers_are_those_that_generate_writes_alone(vlm):
    for shown in vlm.shown:
        found = sampler_of(vlm, shown).sample(REQUESTS)
        for n, (media, words) in enumerate(ASKED.values()):
            wanted = generated(vlm, [*media, words] if shown == "native" else as_frames([*media, words]))
            for candidate in found[2 * n : 2 * n + 2]:
                assert candidate["text"] == wanted or repr(wanted[:60]) in candidate["error"]


def test_answers_drawn_together_are_those_drawn_one_by_one(vlm):
    together = sampler_of(vlm, temperature=1.5).sample(REQUESTS)
    one_by_one = sampler_of(vlm, batch=1, temperature=1.5)
    alone = [one_by_one.sample([request])[0] for request in REQUESTS]
    assert list(map(said, together)) == list(map(said, alone))
    assert len(set(map(said, together))) > len(ASKED)


def test_the_first_words_logits_are_those_of_a_plain_forward_pass(vlm, monkeypatch):
    scores, draw = [], answers.draw
    monkeypatch.setattr(answers, "draw", lambda s, seeds, step: scores.append(s) or draw(s, seeds, step))
    sampler_of(vlm, temperature=1.0).sample(REQUESTS)
    for n, (media, words) in enumerate(ASKED.values()):
        with torch.inference_mode():
            wanted = vlm.model(**vlm.inputs(as_frames([*media, words]))).logits[0, -1]
        torch.testing.assert_close(scores[0][2 * n], wanted, atol=1e-4, rtol=1e-4)


def test_an_answer_ends_where_a_turn_of_the_template_ends(vlm):
    sampler = sampler_of(vlm)
    assert sampler.chats.end == vlm.end
    ends = set(sampler.processor.tokenizer.convert_ids_to_tokens(sampler.ends.tolist()))
    assert vlm.end in ends
    assert ends - {vlm.end} == {"gemma3": {"<eos>"}, "idefics3": {"<|end_of_text|>"}}.get(vlm.name, set())


def test_half_precision_answers_pictures_and_clips(vlm):
    found = sampler_of(vlm, vlm.shown[-1], dtype="bfloat16", attention="eager").sample(REQUESTS)
    assert all("not numbers" not in said(candidate) for candidate in found)
    assert CHATML_END not in "".join(map(said, found))
