import pyarrow as pa
import pytest
import torch
from helpers import NOT_A_PICTURE, clip, picture, prompt_row, shade_of
from transformers import LogitsProcessor

from urm_ray import schema
from urm_ray.candidates import answers
from urm_ray.candidates.answers import AnswerSampler, Asked
from urm_ray.candidates.draw import filtered, uniform
from urm_ray.clips import Clip
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig, SamplerConfig
from urm_ray.media import encode_image
from urm_ray.scenes.answer_preferences import Answers

DESCRIBE = "Describe the image."


@pytest.fixture(scope="module")
def make(vlm_path):
    def build(batch=16, clips=DEFAULT_CLIPS, **settings) -> AnswerSampler:
        config = SamplerConfig(batch=batch, answers={"max_new_tokens": 24, "temperature": 1.2} | settings)
        return AnswerSampler(vlm_path, config, device="cpu", clips=clips)

    return build


@pytest.fixture(scope="module")
def sampler(make) -> AnswerSampler:
    return make()


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    """Five questions of different lengths, one about two pictures and one about none."""
    rows = [
        Asked.of(row, DEFAULT_CLIPS)
        for row in Answers(None, 0, "image_understanding", {}).read("heldout_prompts", 0, 3)
    ]
    return [*rows, Asked(DESCRIBE * 5, (picture(3), picture(200))), Asked("How many shapes are there?")]


def requests(asked, count=3) -> list:
    return [(one, 1000 * n + k) for n, one in enumerate(asked) for k in range(count)]


@pytest.fixture
def drawn(monkeypatch) -> list:
    """(scores, seeds) of every draw."""
    kept, draw = [], answers.draw
    monkeypatch.setattr(answers, "draw", lambda s, seeds, step: kept.append((s, seeds, step)) or draw(s, seeds, step))
    return kept


class Noise(LogitsProcessor):
    """Makes greedy decoding a sample: filters, and adds a row's own noise."""

    def __init__(self, seed: int, settings) -> None:
        self.seed, self.settings, self.step = torch.tensor([seed]), settings, -1

    def __call__(self, ids, scores):
        self.step += 1
        kept = filtered(scores, self.settings.temperature, self.settings.top_k, self.settings.top_p)
        return kept.double() - (-uniform(self.seed, self.step, scores.shape[-1]).log()).log()


def generated(sampler: AnswerSampler, one: Asked, seed: int) -> str:
    """The answer as transformers' own `generate` writes it, alone."""
    slots, images, clips = [], [], []
    for seen in one.media:
        native = isinstance(seen, Clip) and sampler.chats.native
        clips += [seen] * native
        frames = [] if native else seen.frames if isinstance(seen, Clip) else [seen]
        images += frames
        slots += [{"type": "image"}] * len(frames) or [{"type": "video"}]
    messages = [{"role": "user", "content": [*slots, {"type": "text", "text": one.question}]}]
    text = sampler.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    given = {"images": [images]} if images else {}
    if clips:
        given |= {"videos": [clip.frames for clip in clips], "do_sample_frames": False}
        given["video_metadata"] = [{"total_num_frames": len(clip.frames), "fps": clip.rate} for clip in clips]
    inputs = sampler.processor(text=[text], return_tensors="pt", **given)
    settings = sampler.config.answers
    out = sampler.model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        logits_processor=[Noise(seed, settings)],
    )
    return sampler.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.8}, {"top_k": 3, "temperature": 2.0}])
def test_answers_written_together_are_those_that_generate_writes_alone(make, asked, settings):
    sampler = make(batch=9, **settings)
    found = sampler.sample(requests(asked))
    for candidate, (one, seed) in zip(found, requests(asked), strict=True):
        wanted = generated(sampler, one, seed).strip()
        assert candidate["text"] == wanted or repr(wanted[:60]) in candidate["error"]


def test_every_request_gives_one_candidate_in_its_place_with_its_seed(sampler, asked):
    found = sampler.sample(requests(asked))
    assert [(c["index"], c["seed"]) for c in found] == [(i, seed) for i, (_, seed) in enumerate(requests(asked))]
    assert pa.array(found, schema.CANDIDATE).to_pylist() == found
    assert all((c["text"] is None) != (c["error"] is None) and c["media"] is None for c in found)
    assert len({c["text"] for c in found}) > 4
    assert sampler.sample([]) == []


def test_an_answer_depends_on_its_question_and_seed_and_not_on_its_neighbours(sampler, make, asked):
    together = sampler.sample(requests(asked))
    alone = [make(batch=1).sample([request])[0] for request in requests(asked)]
    assert [(c["text"], c["error"]) for c in together] == [(c["text"], c["error"]) for c in alone]


def test_neighbours_change_logits_by_rounding_alone(sampler, asked, drawn):
    sampler.sample(requests(asked[:4]))
    together = [scores for scores, _, step in drawn if step < 2]
    drawn.clear()
    for n, request in enumerate(requests(asked[:4])):
        sampler.sample([request])
        for step, (scores, _, _) in enumerate(drawn[:2]):
            torch.testing.assert_close(together[step][n], scores[0], atol=1e-4, rtol=0)
        drawn.clear()


def test_answers_to_one_question_are_never_parted(make, asked, drawn):
    for batch, sizes in ((1, [3] * 5), (6, [6, 6, 3]), (8, [6, 6, 3]), (100, [15])):
        make(batch=batch).sample(requests(asked))
        assert [len(seeds) for _, seeds, step in drawn if step == 0] == sizes
        drawn.clear()


def test_a_question_is_read_once_however_many_answers_it_gets(sampler, asked, monkeypatch):
    seen, vision = [], sampler.model.model.visual
    forward = vision.forward
    monkeypatch.setattr(vision, "forward", lambda pixels, *a, **k: seen.append(len(pixels)) or forward(pixels, *a, **k))
    sampler.sample(requests(asked[:1], 10))
    patches = len(sampler.processor.image_processor(list(asked[0].media), return_tensors="pt")["pixel_values"])
    assert seen == [patches]


def test_a_question_counts_once_and_each_answer_up_to_its_end(sampler, asked, drawn):
    sampler.spent.take()
    made = sampler.sample(requests(asked[:1]))
    spent = sampler.spent.take()
    assert spent["tokens_read"] == int(sampler.chats([asked[0].chat])["attention_mask"].sum())
    tokens = [len(sampler.processor.tokenizer(one["text"] or "").input_ids) + 1 for one in made]
    assert max(tokens) <= len(drawn)
    assert spent["tokens_decoded"] == sum(tokens)


def test_what_is_not_wanted_is_not_written_and_the_rest_stays_the_same(make, asked, drawn):
    sampler = make(batch=6)
    whole = sampler.sample(requests(asked))
    drawn.clear()
    some = sampler.sample(requests(asked), [n == 7 for n in range(15)])
    assert {tuple(seeds.tolist()) for _, seeds, _ in drawn} == {tuple(s for _, s in requests(asked)[6:12])}
    assert some[6:12] == whole[6:12]
    assert all(set(c) == {"index"} for c in some[:6] + some[12:])


def test_an_answer_without_an_end_is_an_error_that_shows_its_beginning(make, asked):
    found = make(max_new_tokens=1).sample([(asked[0], 1)])[0]
    assert found["text"] is None
    assert found["error"].startswith("no end within 1 tokens: '")


def test_the_last_token_may_be_the_end(make, asked, monkeypatch):
    sampler = make(max_new_tokens=2)
    end = int(sampler.ends[0])
    word = sampler.processor.tokenizer("red").input_ids[0]
    monkeypatch.setattr(answers, "draw", lambda scores, seeds, step: torch.full_like(seeds, [word, end][step]))
    found = sampler.sample([(asked[0], 1)])[0]
    assert (found["text"], found["error"]) == (sampler.processor.tokenizer.decode([word]).strip(), None)


def test_an_empty_answer_is_an_error(sampler, asked, monkeypatch):
    monkeypatch.setattr(answers, "draw", lambda scores, seeds, step: torch.full_like(seeds, int(sampler.ends[0])))
    assert sampler.sample([(asked[0], 1)])[0]["error"] == "the answer is empty"


def test_logits_that_are_not_numbers_are_an_error_and_not_a_token(make, asked):
    sampler = make()
    with torch.no_grad():
        sampler.model.lm_head.weight.fill_(torch.nan)
    found = sampler.sample(requests(asked[:2]))
    assert {(c["text"], c["error"]) for c in found} == {(None, "the policy's logits are not numbers")}


def test_a_context_that_does_not_decode_costs_its_own_prompt(sampler, asked):
    # Defect 13: what could not be read became black frames and was scored as real.
    bad = Asked.of(prompt_row(context=[encode_image(picture(1)), NOT_A_PICTURE]), DEFAULT_CLIPS)
    found = sampler.sample(requests([asked[0], bad, asked[1]], 2))
    assert [c["error"] is None for c in found] == [True, True, False, False, True, True]
    assert "context: the bytes are not a picture" in found[2]["error"]
    assert [c["seed"] for c in found] == [0, 1, 1000, 1001, 2000, 2001]


def test_settings_of_the_checkpoint_do_not_count(make, asked):
    plain, other = make(), make()
    other.model.generation_config.update(repetition_penalty=9.0, temperature=0.01, top_k=1)
    assert plain.sample(requests(asked)) == other.sample(requests(asked))


def test_all_end_tokens_of_a_checkpoint_end_an_answer(make, vlm_path, asked, monkeypatch):
    load = answers.load_vlm

    def with_ends(*arguments):
        model, processor, device = load(*arguments)
        model.generation_config.eos_token_id = [1, 2]
        return model, processor, device

    monkeypatch.setattr(answers, "load_vlm", with_ends)
    assert make().ends.tolist() == [1, 2]


@pytest.fixture(scope="module")
def about_clips() -> list[Asked]:
    """Questions about a picture, a clip, a slower and longer one, and nothing."""
    clips = ClipConfig(maximum=64)
    contexts = [[clip([10, 200, 60], 8)], [clip([90, 0, 250, 30, 120], 0.5)], [encode_image(picture(3))], []]
    words = ("What moves?", "What happens in the end, and to what?", DESCRIBE, "How many?")
    rows = [prompt_row(prompt=said, context=context) for said, context in zip(words, contexts, strict=True)]
    return [Asked.of(row, clips) for row in rows]


@pytest.mark.parametrize("shown", ["frames", "native"])
def test_answers_about_clips_and_pictures_written_together_are_those_that_generate_writes_alone(
    make, about_clips, shown
):
    sampler = make(batch=20, clips=ClipConfig(shown=shown))
    found = sampler.sample(requests(about_clips))
    for made, (one, seed) in zip(found, requests(about_clips), strict=True):
        wanted = generated(sampler, one, seed).strip()
        assert made["text"] == wanted or repr(wanted[:60]) in made["error"]


def test_a_policy_is_shown_the_frames_that_are_configured(about_clips):
    row = prompt_row(context=[clip([10, 200, 60, 90, 7])])
    assert [shade_of(frame) for frame in Asked.of(row, ClipConfig(count=2)).media[0].frames] == [10, 7]
    broken = Asked.of(prompt_row(context=[clip([1]) | {"data": b"<html>"}]), ClipConfig())
    assert broken.error == "context: the bytes are not a clip"
