import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.template import Asking, ProtocolError

PICTURES = Asking(
    ("{{ context }}One:{{ first }}Two:{{ second }}\nCaption: {{ prompt }}",), "image", ("first", "second")
)
ANSWERS = Asking(("{{ context }}{{ prompt }}\n", "A: {{ first }}|", "B: {{ second }}|"), "text", ("first", "second"))


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_slots_part_the_text_and_a_template_is_a_text_of_its_own():
    assert PICTURES.parts("a cat", ["video", "image"], []) == [
        {"type": "video"},
        {"type": "image"},
        text("One:"),
        {"type": "image"},
        text("Two:"),
        {"type": "image"},
        text("\nCaption: a cat"),
    ]
    assert ANSWERS.parts("why?", ["video"], ["x", "y"]) == [
        {"type": "video"},
        text("why?\n"),
        text("A: x|"),
        text("B: y|"),
    ]


ODD = st.text() | st.lists(
    st.sampled_from(
        ["\x02", "0", ":", "\x03", "\x020:0\x03", "\x020:1\x03", "\x021:0\x03", "{{ first }}", "{% raw %}", "{#"]
    )
).map("".join)


@given(ODD, ODD, ODD)
def test_nothing_that_is_put_in_is_read_as_a_slot_or_a_template(prompt, first, second):
    assert PICTURES.parts(prompt, [], [])[-1] == text(f"\nCaption: {prompt}")
    assert [p["type"] for p in PICTURES.parts(prompt, ["image"], [])].count("image") == 3
    said = ANSWERS.parts(prompt, ["image"], [first, second])
    assert said == [{"type": "image"}, text(f"{prompt}\n"), text(f"A: {first}|"), text(f"B: {second}|")]


def test_facts_decide_what_is_said():
    asking = Asking(
        ("{% if dimension %}{{ dimension | upper }}{% else %}all{% endif %}{{ candidate }}",), "image", ("candidate",)
    )
    assert asking.parts("", [], [], dimension=None)[0] == text("all")
    assert asking.parts("", [], [], dimension="style")[0] == text("STYLE")


def test_a_context_that_is_left_out_has_no_slots():
    asking = Asking(("{{ candidate }}?",), "image", ("candidate",), None, frozenset({"context"}))
    assert asking.parts("p", ["image", "video"], []) == [{"type": "image"}, text("?")]
    assert asking.about([1, 2]) == []
    assert PICTURES.about([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ second }}{{ first }}{{ context }}", "once each, in this order"),
        ("{{ context }}{{ first }}", "once each, in this order"),
        ("{{ context }}{{ first }}{{ second }}{{ second }}", "once each, in this order"),
        ("{{ first }}{{ second }}", "once each, in this order"),
        ("{{ context }}{{ first }}{{ secnd }}", "'secnd' is undefined"),
        ("{{ context }}{{ first }}{{ second }}{{ 1 / 0 }}", "division by zero"),
        ("{{ context }}{{ first }}{{ second }}{{ scale }}", "'scale' is undefined"),
        ("{{ context }}{{ first }}{{ second", "fails"),
        ("{{ context }}{{ first }}{{ second }}{% for i in range(10 ** 9) %}{% endfor %}", "fails"),
        ("{{ ().__class__.__mro__ }}{{ context }}{{ first }}{{ second }}", "fails"),
        ("{% include 'other' %}{{ context }}{{ first }}{{ second }}", "fails"),
    ],
)
def test_a_template_that_cannot_be_asked_is_refused(template, why):
    with pytest.raises(ProtocolError, match=why):
        Asking((template,), "image", ("first", "second")).parts("p", ["image"], [])


def test_texts_are_the_candidates_of_forms_of_texts_alone():
    with pytest.raises(ValueError, match="no texts"):
        PICTURES.parts("p", [], ["x", "y"])
    with pytest.raises(ValueError, match="shorter"):
        ANSWERS.parts("p", [], ["x"])
