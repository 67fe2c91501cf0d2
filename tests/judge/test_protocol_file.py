"""Protocols of one's own."""

from pathlib import Path

import pytest
import yaml

from urm_ray.judge.protocol import protocol
from urm_ray.judge.protocol_file import FOLDER
from urm_ray.judge.scale import SCALES
from urm_ray.judge.template import ProtocolError

PAIR = {"ask": "{{ context }}{{ first }}{{ second }}Which is nearer to {{ prompt }}?"}
POINT = {"ask": "{{ context }}{{ candidate }}How near is it to {{ prompt }}, {{ scale }}?", "scale": "1-5"}
QUESTIONS = [
    {"ask": f"{{{{ context }}}}{{{{ candidate }}}}{{{{ prompt }}}}: {d}?", "dimensions": [d]} for d in ("a", "b")
]


def write(folder: Path, name: str = "own.yaml", task: str = "image_generation", **content) -> str:
    """A protocol with kinds of one task."""
    kinds = {key: content.pop(key) for key in ("pair", "point") if key in content}
    values = {"about": "A test.", "tasks": {task: kinds}} | content
    path = folder / name
    path.write_text(content.get("raw") or yaml.safe_dump(values), "utf-8")
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(ProtocolError) as caught:
        protocol(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_says_how_to_ask_and_how_to_read(tmp_path):
    own = protocol(write(tmp_path, pair=PAIR, point=POINT))
    assert own.name == "own"
    pair, point = (own.form("image_generation", kind) for kind in ("pair", "point"))
    assert pair.parts("a cat") == [{"type": "image"}] * 2 + [{"type": "text", "text": "Which is nearer to a cat?"}]
    assert point.words == ("How near is it to {prompt}, from 1 to 5?",)
    assert (pair.closed, point.closed) == (False, False)
    assert pair.parse("Image 2 is better.") == "second"
    assert point.parse("Final Score: 2.5") == 2.5
    assert point.scale is SCALES["1-5"]


def test_answers_that_are_all_known_need_no_decoding(tmp_path):
    answers = {"first": "Image 1 is better.", "second": "Image 2 is better."}
    own = protocol(write(tmp_path, pair=PAIR | {"answers": answers}, point=POINT | {"answers": "scale"}))
    own.need_readout("logits")
    assert own.form("image_generation", "pair").answers == {v: k for k, v in answers.items()}
    assert own.form("image_generation", "point").answer_for(3) == "Final Score: 3"
    opened = protocol(write(tmp_path, "open.yaml", pair=PAIR | {"answers": answers}, point=POINT))
    opened.need_readout("generate")
    with pytest.raises(ProtocolError, match=r"protocol open has answers that have to be decoded \(point of image_gen"):
        opened.need_readout("logits")


def test_the_example_of_the_page_on_protocols_works(tmp_path):
    page = (FOLDER / "README.md").read_text("utf-8").partition("## A protocol of one's own")[2]
    lines = page.partition("`ask` is")[0].splitlines()
    (tmp_path / "mine.yaml").write_text("\n".join(line.removeprefix("    ") for line in lines), "utf-8")
    mine = protocol(str(tmp_path / "mine.yaml"))
    pair, point = (mine.form("image_generation", kind) for kind in ("pair", "point"))
    assert list(pair.answers) == ["Image 1 is better.", "Image 2 is better."]
    assert point.parse("colour: 9\nshape: 6") == 7.5
    assert mine.form("video_generation", "pair") == protocol("unifiedreward_qwen").form("video_generation", "pair")


def test_a_file_can_add_to_another(tmp_path):
    path = write(tmp_path, pair=PAIR, extends="unifiedreward_qwen")
    own, base = protocol(path), protocol("unifiedreward_qwen")
    assert own.form("image_generation", "pair").words == ("Which is nearer to {prompt}?",)
    assert own.form("image_generation", "point") == base.form("image_generation", "point")
    assert own.form("video_understanding", "pair") == base.form("video_understanding", "pair")
    (tmp_path / "deep").mkdir()
    last = protocol(write(tmp_path / "deep", point=POINT, extends="../own.yaml"))
    assert last.form("image_generation", "pair") == own.form("image_generation", "pair")
    assert last.form("image_generation", "point").words == ("How near is it to {prompt}, from 1 to 5?",)


def test_a_file_that_extends_itself_is_refused(tmp_path):
    assert "extends a protocol that extends it" in refusal(write(tmp_path, pair=PAIR, extends="own.yaml"))
    write(tmp_path, "one.yaml", pair=PAIR, extends="two.yaml")
    assert "extends" in refusal(write(tmp_path, "two.yaml", pair=PAIR, extends="one.yaml"))


def test_the_digest_is_of_what_is_said(tmp_path):
    one = protocol(write(tmp_path, "one.yaml", pair=PAIR)).digest
    assert protocol(write(tmp_path, "two.yaml", pair=PAIR)).digest == one
    assert protocol(write(tmp_path, "one.yaml", pair=PAIR | {"ask": PAIR["ask"] + " "})).digest != one
    assert protocol(write(tmp_path, "one.yaml", pair=PAIR | {"context": 1})).digest != one


def test_a_scale_of_ones_own(tmp_path):
    scale = {"name": "0-9", "minimum": 0, "maximum": 9}
    form = protocol(write(tmp_path, point=POINT | {"scale": scale})).form("image_generation", "point")
    assert form.scale is not None
    assert (form.scale.row(), form.parse("Final Score: 9"), form.parse("Final Score: 10")) == (scale, 9, None)


def test_a_score_in_several_questions(tmp_path):
    own = protocol(write(tmp_path, point={"scale": "1-4", "questions": QUESTIONS, "answers": "scale"}))
    form = own.form("image_generation", "point")
    assert [one.words for one in form.asked] == [("{prompt}: a?",), ("{prompt}: b?",)]
    assert form.closed
    only = own.form("image_generation", "point", None, "B")
    assert only.asked == (only,)
    assert (only.words, only.expected.wanted) == (("{prompt}: b?",), "b")
    assert own.form("image_generation", "point", None, "c") is form


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"pair": PAIR | {"asks": "x"}}, "unknown key tasks.image_generation.pair.asks"),
        ({"pair": {}}, "tasks.image_generation.pair.ask: Field required"),
        ({"pair": PAIR, "task": "image_making"}, "tasks.image_making"),
        ({"pair": PAIR, "about": None}, "about"),
        ({"pair": PAIR | {"parser": "regex"}}, "no parser 'regex' of a pair; there are verdict, pair_scores"),
        ({"pair": PAIR | {"parser": "scores"}}, "no parser 'scores' of a pair"),
        ({"point": POINT | {"scale": "1-7"}}, "no scale '1-7'; there are 1-5"),
        ({"point": POINT | {"scale": {"name": "x", "minimum": 3, "maximum": 1}}}, "ends of scale x"),
        ({"point": {"scale": "1-5"}}, "a point needs either ask or questions"),
        ({"point": POINT | {"questions": QUESTIONS}}, "a point needs either ask or questions"),
        ({"point": {"scale": "1-5", "questions": QUESTIONS, "scales": "any"}}, "those of each of the questions"),
        ({"point": {"scale": "1-5", "questions": [{"ask": "x"}]}}, "a score that is a mean needs dimensions"),
        ({"point": POINT | {"final": None}}, "a score that is a mean needs dimensions"),
        ({"pair": PAIR | {"answers": {"first": "Image 1 is better."}}}, "first and second are needed"),
        ({"pair": PAIR | {"answers": {"first": "One.", "second": "Two."}}}, "the answer 'One.' is not read as first"),
        (
            {"pair": {"ask": "{{ first }}{{ second }}{{ prompt }}"}},
            "has to show {{ context }}, {{ first }}, {{ second }}",
        ),
        ({"pair": {"ask": "{{ context }}{{ first }}{{ second }}?"}}, "has to say {{ prompt }} once"),
        ({"pair": {"ask": PAIR["ask"] + "{{ promt }}"}}, "'promt' is undefined"),
        ({"pair": {"ask": PAIR["ask"] + "{% if %}"}}, "fails"),
        ({"pair": {"ask": PAIR["ask"] + "\nExample:\nImage 1 is better."}}, "would be read as an answer: 'Image 1 is"),
        ({"point": POINT | {"ask": POINT["ask"] + "\nFinal Score: 3"}}, "would be read as an answer: 'Final Score: 3'"),
        ({"pair": PAIR, "extends": "nothing"}, "no protocol 'nothing'; there are unified, lift"),
        ({"pair": PAIR, "extends": "nothing.yaml"}, "there is no protocol at"),
        ({"raw": "about: [x"}, "is not YAML"),
        ({"raw": "- x"}, "the file: Input should be"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_its_place(tmp_path, content, why):
    path = write(tmp_path, **content)
    assert why in refusal(path)
    assert path in refusal(path) or "extends" in content


def test_a_text_form_names_both_texts_once(tmp_path):
    ask = "{{ context }}{{ prompt }} {{ second }} or {{ first }}?"
    path = write(tmp_path, task="image_understanding", pair={"ask": ask})
    assert "has to say first and second once each, in this order" in refusal(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert f"there is no protocol at {tmp_path}" in refusal(str(tmp_path / "own.yml"))
    assert "there are unified, lift, llava_critic" in refusal("own")
