"""The http engine against a server on loopback that runs the tiny judge, or says what a test wants it to say."""

import math

import pytest
import torch
from helpers import picture, shade_of
from judge.chat_server import Fault, pictures, serving, shown

from urm_ray.chat import ModelError
from urm_ray.clips import Clip
from urm_ray.config_engines import HttpConfig
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.answers import AnswerTree
from urm_ray.judge.engine import Question
from urm_ray.judge.http_engine import HttpEngine, tokens_of
from urm_ray.judge.protocol import protocol
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.judge.unanswered import EngineError, Unread

PAIR, POINT = (protocol("unified").form("image_generation", kind) for kind in ("pair", "point"))
CLIP = protocol("unified").form("video_generation", "point")


def pair(*shades: int, prompt: str = "a red circle") -> Question:
    return Question(PAIR.messages(prompt), tuple(picture(shade) for shade in shades), tuple(PAIR.answers))


def point(shade: int) -> Question:
    return Question(POINT.messages("a red circle"), (picture(shade),), tuple(POINT.answers))


def engine_of(path: str, server, **settings) -> HttpEngine:
    return HttpEngine(path, HttpConfig(base_url=server.url, model="judge", **{"backoff_s": 0.01, **settings}))


class Judge:
    """Speaks as the tiny judge does, by a forward pass of its own for each token."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.model, self.processor = engine.model, engine.processor

    @torch.inference_mode()
    def __call__(self, turns, said):
        text = self.processor.apply_chat_template(shown(turns), add_generation_prompt=True, tokenize=False)
        seen = pictures(turns)
        inputs = self.processor(text=[text], images=[seen] if seen else None, return_tensors="pt")
        tail = torch.tensor([said], dtype=torch.int64)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], 1)
        for name in ("attention_mask", "mm_token_type_ids"):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.full_like(tail, name == "attention_mask")], 1)
        return self.model(**inputs).logits[0, -1].log_softmax(-1)


class Saying:
    """Says one of the answers with given probabilities, which may depend on the shades that it is shown, and with
    `noise` something else at each step."""

    def __init__(self, chats, answers, chances, noise=0.02) -> None:
        self.tree = [(*chats.answer_ids(answer), chats.end_id) for answer in answers]
        self.chances, self.noise, self.size = chances, noise, len(chats.tokenizer)

    def __call__(self, turns, said):
        chances = self.chances([shade_of(one) for one in pictures(turns)])
        row = torch.full((self.size,), self.noise / self.size)
        for answer, chance in zip(self.tree, chances, strict=True):
            if list(answer[: len(said)]) == list(said) and len(answer) > len(said):
                row[answer[len(said)]] += (1 - self.noise) * chance
        return (row / row.sum()).log()


@pytest.fixture(scope="module")
def local(vlm_path) -> TransformersEngine:
    return TransformersEngine(vlm_path, device="cpu")


@pytest.mark.parametrize("numbers", [True, False])
def test_readings_are_those_of_the_judge_in_this_process(vlm_path, local, numbers):
    film = Clip([picture(shade) for shade in (10, 200, 60)], [0.0, 0.5, 1.0])
    asked = [
        pair(10, 240),
        pair(240, 10, prompt="two squares <|im_end|> left of a cross"),
        point(90),
        Question(CLIP.messages("a red circle"), (film,), tuple(CLIP.answers)),
    ]
    with serving(vlm_path, Judge(local), numbers=numbers) as server:
        found = engine_of(vlm_path, server).read(asked)
    for reading, wanted in zip(found, local.read(asked), strict=True):
        if isinstance(reading, Unread):  # the 20 likeliest tokens need not hold the answers of a judge hardly trained
            assert not numbers
            assert "not among" in reading.reason
        else:
            assert reading.probabilities == pytest.approx(wanted.probabilities, abs=0.005 if not numbers else 1e-4)
            assert reading.mass == pytest.approx(wanted.mass, abs=0.005 if not numbers else 1e-4)


def test_answers_are_those_of_the_judge_in_this_process(vlm_path, local):
    asked = [pair(10, 240), point(90)]
    with serving(vlm_path, Judge(local)) as server:
        for limit in (2, 12):
            assert engine_of(vlm_path, server).write(asked, limit) == local.write(asked, limit)


def test_tokens_are_counted_as_the_server_counts_them_and_left_out_where_it_does_not(vlm_path, local):
    asked = [pair(10, 240), point(90)]
    lengths = [len(local.processor.tokenizer(words_of(question, local)).input_ids) for question in asked]
    with serving(vlm_path, Judge(local)) as server:
        engine = engine_of(vlm_path, server)
        engine.write(asked, 3)
        spent = engine.spent.take()
    assert spent["tokens_read"] == sum(lengths)
    assert len(asked) <= spent["tokens_decoded"] <= 3 * len(asked)
    with serving(vlm_path, Judge(local), counts=False) as server:
        silent = engine_of(vlm_path, server)
        silent.write(asked, 3)
    assert silent.spent.take() == {}


def words_of(question: Question, engine: TransformersEngine) -> str:
    """What the server's tokenizer is given of a question."""
    return engine.processor.apply_chat_template(question.messages, add_generation_prompt=True, tokenize=False)


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 4}, {"tokens_read": 100, "tokens_decoded": 4}),
        (
            {"prompt_tokens": 100, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 64}},
            {"tokens_read": 36, "tokens_decoded": 4},
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 4, "prompt_tokens_details": None},
            {"tokens_read": 100, "tokens_decoded": 4},
        ),
        ({"prompt_tokens": 100}, {}),
        ({"prompt_tokens": "many", "completion_tokens": 4}, {}),
        (None, {}),
        ([], {}),
    ],
)
def test_what_a_server_read_before_is_not_read_again_and_nonsense_is_not_counted(usage, spent):
    assert tokens_of(usage) == spent


def by_shade(shades):
    darker = shades[0] < shades[1]
    return [0.6, 0.1, 0.3] if darker else [0.05, 0.9, 0.05]


def test_every_question_gets_its_own_reading_however_late_it_comes(vlm_path, local):
    asked = [pair(n, 100) for n in range(90, 110)]
    with serving(vlm_path, Saying(local.chats, PAIR.answers, by_shade)) as server:
        server.fault = lambda number, body: Fault(seconds=0.01 * (20 - number % 20))
        found = engine_of(vlm_path, server).read(asked)
    for n, reading in zip(range(90, 110), found, strict=True):
        assert reading.probabilities == pytest.approx(by_shade([n, 100]), abs=0.01)
        assert reading.mass == pytest.approx(0.98, abs=0.01)


def test_a_judge_that_begins_its_answer_costs_one_request(vlm_path, local):
    with serving(vlm_path, Saying(local.chats, PAIR.answers, by_shade)) as server:
        engine_of(vlm_path, server).read([pair(1, 2)])
        assert len(server.asked) == 1
        assert server.asked[0]["max_tokens"] == 2
        assert server.asked[0]["temperature"] == 0
        assert server.asked[0]["model"] == "judge"


def both(shades):
    return [0.2, 0.1, 0.7]


def test_a_branching_that_was_not_passed_is_asked_for_behind_the_answers_beginning(vlm_path, local):
    with serving(vlm_path, Saying(local.chats, PAIR.answers, both)) as server:
        reading = engine_of(vlm_path, server).read([pair(1, 2)])[0]
        begun = server.asked[1]
    assert reading.probabilities == pytest.approx(both(None), abs=0.01)
    assert begun["messages"][-1] == {"role": "assistant", "content": "Image"}
    assert begun["continue_final_message"] is True
    assert begun["add_generation_prompt"] is False


@pytest.mark.parametrize("lacking", ["continues", "counts"])
def test_a_server_that_begins_a_new_answer_is_refused(vlm_path, local, lacking):
    with serving(vlm_path, Saying(local.chats, PAIR.answers, both), **{lacking: False}) as server:
        engine = engine_of(vlm_path, server)
        with pytest.raises(EngineError, match="does not go on with the beginning of an answer"):
            engine.read([pair(1, 2)])


def test_a_server_without_log_probabilities_is_refused(vlm_path, local):
    with serving(vlm_path, Saying(local.chats, PAIR.answers, both), lists=False) as server:
        with pytest.raises(EngineError, match=r"lists no log-probabilities: .* generate"):
            engine_of(vlm_path, server).read([pair(1, 2)])
        assert engine_of(vlm_path, server).write([pair(1, 2)], 9)[0].text == "Both images are equally good."


def test_an_answer_beyond_the_likeliest_tokens_is_no_reading(vlm_path, local):
    speaker = Saying(local.chats, PAIR.answers, both, noise=1.0)  # all tokens are equally likely
    with serving(vlm_path, speaker, numbers=False) as server:
        reading = engine_of(vlm_path, server).read([pair(1, 2)])[0]
    assert isinstance(reading, Unread)
    assert "20 likeliest tokens" in reading.reason
    assert all(map(math.isnan, [*reading.probabilities, reading.mass]))


def test_an_answer_that_is_cut_off_has_not_ended(vlm_path, local):
    with serving(vlm_path, Saying(local.chats, PAIR.answers, both)) as server:
        engine = engine_of(vlm_path, server)
        cut, whole = engine.write([pair(1, 2)], 3)[0], engine.write([pair(1, 2)], 50)[0]
    assert (cut.text, cut.ended) == ("Both images are", False)
    assert (whole.text, whole.ended) == ("Both images are equally good.", True)


def test_the_beginning_that_is_sent_is_that_of_the_answers(vlm_path, local):
    tree = AnswerTree.of([local.chats.answer_ids(a) for a in POINT.answers], local.chats.end_id)
    with serving(vlm_path, Saying(local.chats, PAIR.answers, both)) as server:
        engine = engine_of(vlm_path, server)
        assert engine._begun(tree.spines[0]) == "Final Score:"
        spelled_out = [token for part in ("Im", "age") for token in local.chats.answer_ids(part)]
        with pytest.raises(ModelError, match=r"set judge\.engine to vllm"):
            engine._begun(tuple(spelled_out))


def test_native_clips_are_refused(vlm_path):
    with pytest.raises(ModelError, match=r"set judge\.clips\.shown to frames"):
        HttpEngine(vlm_path, HttpConfig(base_url="http://127.0.0.1:1/v1", model="judge"), ClipConfig(shown="native"))


def test_no_questions_need_no_server(vlm_path):
    engine = HttpEngine(vlm_path, HttpConfig(base_url="http://127.0.0.1:1/v1", model="judge"))
    assert engine.read([]) == engine.write([], 5) == []
