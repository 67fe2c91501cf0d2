"""What goes wrong between the http engine and its server, and what it costs."""

import logging
import threading
import time
from email.utils import formatdate

import pytest
import torch
from helpers import picture, shade_of
from judge.chat_server import Fault, pictures, serving

from urm_ray.config_engines import HttpConfig
from urm_ray.judge.engine import Question
from urm_ray.judge.http_client import _seconds
from urm_ray.judge.http_engine import HttpEngine
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import Item, JudgeScorer
from urm_ray.judge.unanswered import EngineError, Unread, Unwritten
from urm_ray.vlms import load_processor

FORMS = protocol("unified")
PAIR = FORMS.form("image_generation", "pair")
KEY = "sk-never-to-be-seen"


@pytest.fixture(scope="module")
def speaker(vlm_path):
    """Says that the first picture is better, as probably as its shade is of 100, and otherwise that the second is."""
    tokenizer = load_processor(vlm_path).tokenizer
    image, one, two = tokenizer("Image 1 2", add_special_tokens=False).input_ids

    def speak(turns, said):
        share = shade_of(pictures(turns)[0]) / 100
        row = torch.full((len(tokenizer),), 1e-6)
        if said:
            row[one], row[two] = share, 1 - share
        else:
            row[image] = 1.0
        return (row / row.sum()).log()

    return speak


def question(shade: int) -> Question:
    return Question(PAIR.messages("a red circle"), (picture(shade), picture(200)), tuple(PAIR.answers))


def shade_in(body) -> int:
    return shade_of(pictures(body["messages"])[0])


def engine_of(path, server, **settings) -> HttpEngine:
    patient = {"backoff_s": 0.01, "retries": 2, "timeout_s": 5.0}
    return HttpEngine(path, HttpConfig(base_url=server.url, model="judge", **{**patient, **settings}))


ONCE = [
    Fault(status=500, body=b"oops"),
    Fault(status=503),
    Fault(status=429, headers={"Retry-After": "0"}),
    Fault(breaks=True),
    Fault(body=b'{"choices": [{"mess'),
    Fault(body=b'{"object": "nothing"}'),
    Fault(body=b"[]"),
]


@pytest.mark.parametrize("fault", ONCE, ids=lambda fault: f"{fault.status} {fault.body[:9]!r} {fault.breaks}")
def test_what_passes_is_asked_again(vlm_path, speaker, fault):
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: fault if number < 2 else None
        reading = engine_of(vlm_path, server).read([question(30)])[0]
        assert len(server.asked) == 3
    assert reading.probabilities == pytest.approx([0.3, 0.7, 0], abs=1e-3)


BAD = [
    (Fault(status=500, body=b"the picture broke me"), "answers 500: the picture broke me (3 tries)", 3),
    (Fault(status=400, body=b"too long"), "answers 400: too long", 1),
    (Fault(status=413), "answers 413", 1),
    (Fault(breaks=True), "(3 tries)", 3),
    (Fault(body=b"<html>"), "no JSON: <html>", 3),
    (Fault(seconds=1.5), "no answer within 0.5 s (3 tries)", 3),
]


@pytest.mark.parametrize(("fault", "reason", "tries"), BAD, ids=[reason for _, reason, _ in BAD])
def test_a_question_that_fails_for_good_costs_itself_alone(vlm_path, speaker, fault, reason, tries):
    shades = [20, 40, 60, 80]
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: fault if shade_in(body) == 60 else None
        engine = engine_of(vlm_path, server, timeout_s=0.5)
        readings, written = engine.read(list(map(question, shades))), engine.write(list(map(question, shades)), 3)
        assert sum(shade_in(body) == 60 for body in server.asked) == 2 * tries
    for shade, reading, answer in zip(shades, readings, written, strict=True):
        if shade == 60:
            assert isinstance(reading, Unread)
            assert isinstance(answer, Unwritten)
            assert reason in reading.reason
            assert reason in answer.reason
        else:
            assert reading.probabilities == pytest.approx([shade / 100, 1 - shade / 100, 0], abs=1e-3)
            assert not isinstance(answer, Unwritten)


def test_a_lost_question_is_an_unparsed_verdict_with_its_reason(vlm_path, speaker):
    items = [Item("image_generation", "pair", "a cat", (picture(shade), picture(200))) for shade in (20, 60, 90)]
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: Fault(status=400, body=b"no") if shade_in(body) == 60 else None
        engine = engine_of(vlm_path, server)
        for readout, outcomes in (("logits", ["second", "unparsed", "first"]), ("generate", ["unparsed"] * 3)):
            scorer = JudgeScorer(engine, FORMS, readout=readout, max_new_tokens=4)
            verdicts = scorer.ask(items)
            assert [verdict.outcome for verdict in verdicts] == outcomes
            assert verdicts[1].reason == "the server answers 400: no"
            assert verdicts[1].p_first is None


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(status=401, body=b"bad key"), "wants another key"),
        (Fault(status=404, body=b"unknown model"), "no such model"),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}), "cannot be worked with"),
        (Fault(status=429), "has no time"),
        (Fault(status=503), "has no time"),
        (Fault(status=429, headers={"Retry-After": "7200"}), "asks for a pause of 7200 s"),
    ],
)
def test_a_server_that_serves_nobody_ends_the_run(vlm_path, speaker, fault, sentence):
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: fault
        with pytest.raises(EngineError, match=sentence):
            engine_of(vlm_path, server).read([question(1), question(2)])


def test_a_server_that_is_gone_ends_the_run(vlm_path, speaker):
    with serving(vlm_path, speaker) as server:
        engine = engine_of(vlm_path, server)
        server.alive, server.fault = False, lambda number, body: Fault(breaks=True)
        with pytest.raises(EngineError, match="start it and run again"):
            engine.read([question(1)])
    with pytest.raises(EngineError, match="start it and run again"):
        engine.read([question(1)])


def test_no_more_requests_are_under_way_than_allowed_from_all_threads(vlm_path, speaker):
    with serving(vlm_path, speaker, pace_s=0.02) as server:
        engine = engine_of(vlm_path, server, concurrency=3)
        found: dict[int, list] = {}
        threads = [
            threading.Thread(
                target=lambda n=n: found.update({n: engine.read([question(n * 10 + k) for k in range(8)])})
            )
            for n in (1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.most == 3
    for n in (1, 2):
        firsts = [reading.probabilities[0] for reading in found[n]]
        assert firsts == pytest.approx([(n * 10 + k) / 100 for k in range(8)], abs=1e-3)


def test_pauses_grow_and_last_as_long_as_the_server_asks(vlm_path, speaker):
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: Fault(status=500) if number < 3 else None
        engine_of(vlm_path, server, backoff_s=0.2, retries=3).read([question(1)])
        one, two, three = (b - a for a, b in zip(server.times, server.times[1:], strict=False))
        assert 0.1 <= one < two < three
        assert three >= 0.4
    with serving(vlm_path, speaker) as server:
        server.fault = lambda number, body: Fault(status=429, headers={"Retry-After": "1"}) if number < 1 else None
        engine_of(vlm_path, server, backoff_s=0).read([question(1)])
        assert server.times[1] - server.times[0] >= 1


def test_retry_after_is_a_number_of_seconds_or_a_date():
    assert _seconds("7") == 7
    assert _seconds("0.5") == 0.5
    assert 97 < _seconds(formatdate(time.time() + 100, usegmt=True)) <= 100
    assert _seconds(formatdate(0, usegmt=True)) == 0
    for nonsense in (None, "", "soon", "-5", "nan", "inf", "1e9999"):
        assert _seconds(nonsense) == 0


def test_the_key_is_sent_and_never_shown(vlm_path, speaker, monkeypatch, caplog, capfd):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(vlm_path, speaker) as server:
        engine = engine_of(vlm_path, server, api_key_env="JUDGE_KEY")
        engine.read([question(1)])
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        server.fault = lambda number, body: Fault(status=400, body=f"who is {KEY}?".encode())
        lost = engine.read([question(1)])[0]
        server.fault = lambda number, body: Fault(status=401, body=f"{KEY} is wrong".encode())
        with pytest.raises(EngineError) as caught:
            engine.read([question(1)])
    seen = [lost.reason, str(caught.value), repr(engine.config), engine.config.model_dump_json(), caplog.text]
    assert not [text for text in [*seen, *capfd.readouterr()] if KEY in text]
    assert "(key)" in lost.reason


def test_a_key_that_is_not_there_is_missed_at_once(vlm_path):
    with pytest.raises(EngineError, match="NO_SUCH_KEY is not set where the judge runs"):
        HttpEngine(vlm_path, HttpConfig(base_url="http://127.0.0.1:1/v1", model="judge", api_key_env="NO_SUCH_KEY"))
