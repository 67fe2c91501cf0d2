import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from urm_ray.judge.parsers import read
from urm_ray.judge.said import Expected

IMAGE, VIDEO, TEXT = (Expected("verdict", slot) for slot in ("image", "video", "text"))
NOUNS = {"Image": IMAGE, "Video": VIDEO, "Answer": TEXT, "Response": TEXT, "Assistant": TEXT}
MIRRORED = {"first": "second", "second": "first", "tie": "tie"}


def said(text: str, expected: Expected = IMAGE) -> str | float | None:
    return read(text, expected).meaning


def verdicts(noun: str) -> dict[str, str]:
    """Ways to say each verdict, of section 6 of the facts on the paper."""
    one = {
        f"{noun} 1 is better than {noun} 2.": "first",
        f"{noun} 1 is better.": "first",
        f"{noun} 1 is better": "first",
        f"Overall Judgment: {noun} 1 is better than {noun} 2.": "first",
        f"The first {noun.lower()} is better": "first",
        f"The first {noun.lower()} is slightly better than the second.": "first",
        f"The better {noun.lower()}: [first]": "first",
        "[first] is better than [second]": "first",
        f"{noun} 1 is the better {noun.lower()} of the two.": "first",
        f"{noun} 1 is better than the other, because {noun} 2 is dark.": "first",
        "[first]": "first",
        "[[A>B]]": "first",
        "[[A>>B]]": "first",
        "[[A]]": "first",
    }
    swap = str.maketrans({"1": "2", "2": "1", "A": "B", "B": "A"})
    two = {
        text.replace("first", "\0").replace("second", "first").replace("\0", "second").translate(swap): "second"
        for text in one
        if noun not in ("Answer", "Assistant")
    }
    ties = [f"Both {noun.lower()}s are equally good.", f"The two {noun.lower()}s are equally good", "Equally good."]
    ties += [f"{noun} 1 and {noun} 2 are equally good.", "[[A=B]]", "[[A=B=Good]]", "[[A=B=Bad]]"]
    return one | two | dict.fromkeys(ties, "tie")


CASES = [(noun, text, meaning) for noun in NOUNS for text, meaning in verdicts(noun).items()]


@pytest.mark.parametrize(("noun", "text", "meaning"), CASES)
def test_every_way_to_say_a_verdict_is_read(noun, text, meaning):
    for way in (text, text.lower() if "[[" not in text else text, f"**{text}**", f"<answer>{text}</answer>"):
        assert said(way, NOUNS[noun]) == meaning
    reason = "Both show two dogs; the colours differ."
    assert said(f"{text}\n{reason}", NOUNS[noun]) == meaning
    assert said(f"{reason}\n\n{text}", NOUNS[noun]) == meaning


def test_a_letter_names_an_answer():
    for noun in ("Answer", "Response", "Assistant"):
        assert said(f"{noun} B is better than {noun} A.", TEXT) == "second"
    assert said("The better response is Response A.", TEXT) == "first"


WAYS = st.sampled_from([(noun, text, meaning) for noun, text, meaning in CASES if noun == "Image"])


# Words that ask nothing and close no tag.
WORDS = st.text(st.characters(exclude_characters="?<>"), max_size=40)


@given(WAYS, WAYS, WORDS)
def test_two_different_verdicts_are_none_in_either_order(one, two, between):
    # Defect 25: a text that named both was right whichever was asked for, and candidate 1 was taken first.
    assume(one[2] != two[2])
    assert said(f"{one[1]}\n{between}\n{two[1]}") is None


@given(WAYS, WORDS)
def test_words_before_and_behind_do_not_change_a_verdict(way, words):
    assume(said(words) is None and read(words, IMAGE).reason == read("", IMAGE).reason)
    assert said(f"{words}\n{way[1].rstrip('.')}.\n{words}") == way[2]


@given(st.text(), st.sampled_from([IMAGE, VIDEO, TEXT]))
def test_no_text_breaks_it(text, expected):
    assert read(text, expected).outcome in ("first", "second", "tie", "unparsed", "refused")


PIECES = st.lists(
    st.sampled_from(["Image", "image 1", "Image 2", "[first]", "is", "is better", "better than", "the second image"])
    | st.sampled_from(["both", "equally", "good", "not", "or", ".", "\n", "<think>", "</think>", "[[A>B]]", "?", "["])
    | st.sampled_from(["better image:", "whether", "A", "B", "they are"]),
    max_size=14,
).map(" ".join)


@given(PIECES, PIECES)
def test_what_is_read_in_a_part_is_never_turned_round_by_another(one, two):
    meanings = {said(part) for part in (one, two)} - {None}
    whole = said(f"{one}.\n\n{two}.")
    if "think>" not in one + two and len(meanings) == 2:
        assert whole is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Video",
        "Video 1",
        "Video 1 is",
        "better",
        "Both",
        "1",
        "Video 3 is better than Video 1.",
        "Video 1 is better than Video 3.",
        "Video 1 is better than Video 1.",
        "Video 12 is better.",
        "Video 1.5 is better.",
        "Video 1 is better than Video 2.5.",
        "Video \uff11 is better.",
        "Video 1 is better than expected.",
        "Image 1 is better.",
        "Video 1 is worse.",
        "First.",
        "[[A>A]]",
        "[[B>B]] [[A>A]]",
    ],
)
def test_what_is_not_a_verdict_is_none(text):
    # Defects 5 and 22: whatever was not "2 is better" was a win for candidate 1, an empty text too.
    assert read(text, VIDEO).outcome == "unparsed"


@pytest.mark.parametrize(
    "text",
    [
        "Image 1 is not better than Image 2.",
        "I do not think that Image 1 is better.",
        "I don\u2019t believe Image 1 is better",
        "It is not the case that Image 1 is better.",
        "Neither is Image 1 is better nor Image 2.",
        "I wonder whether Image 1 is better than Image 2.",
        "If Image 1 is better than Image 2, say so.",
        "Image 1 is better?",
        "Image 1 is better in colour.",
        "Image 1 is better at first glance",
        "Image 1 is better only if colour counts",
        "A conclusion such as Image 1 is better.",
        "Image 1 is better or worse.",
        "Image 1 is better, or Image 2 is better.",
        'Say "Image 1 is better." or "Image 2 is better."',
    ],
)
def test_what_is_denied_doubted_asked_or_partial_is_no_verdict(text):
    assert read(text, IMAGE).outcome == "unparsed"


HEDGES = ["Some would say", "Maybe", "Perhaps", "Suppose", "Assume that", "Nobody says", "Previous judges said"]
HEDGES += ["It may be that", "The caption claims", "One might argue that", "Others think", "No one would say"]
HEDGES += ["The second answer says that"]
TAKEN_BACK = [" is incorrect.", ", which is wrong.", " is not true.", ": false.", "- wrong!", "; sorry, Image 2."]
TAKEN_BACK += [". No, sorry: it is the other way round.", ". Wait, actually Image 2 is.", ". Actually, no."]
TAKEN_BACK += [" is what others said.", ". Correction: Image 2.", '" is incorrect.', '" is a mistake.']
ABOUT_ELSE = ["lit", "composed", "looking than Image 2", "3 times out of 10", "suited to the caption", "known"]


@given(st.sampled_from(HEDGES), st.sampled_from(["Image 1", "Image 2", "the first image"]), WORDS)
def test_other_peoples_words_and_suppositions_are_no_verdict(hedge, name, words):
    assume("\n" not in words and said(words) is None)
    assert said(f"{hedge} {name} is better than the other") is None
    assert said(f"{words}. {hedge} {name} is better.") is None


@given(st.sampled_from(TAKEN_BACK), WAYS)
def test_what_is_taken_back_is_no_verdict_whatever_else_is_said(back, way):
    assert said(f"Image 1 is better{back}") is None
    assert said(f"Image 1 is better{back}\n{way[1]}") is None


@pytest.mark.parametrize("about", ABOUT_ELSE)
def test_better_at_something_is_no_verdict(about):
    assert said(f"Image 1 is better {about}.") is None
    assert said(f"Image 1 is better {about}. Overall, Image 2 is better.") == "second"


@pytest.mark.parametrize(
    "text",
    [
        "Image 1 is better; Image 2 is superior.",
        "At first glance, Image 1 is better, but Image 2 wins overall.",
        "Image 1 is better. Still, I prefer Image 2.",
        "Image 1 is better, and the winner is Image 2.",
        "Both images are equally good, but Image 1 is preferred.",
        "not [[A>B]]",
        "[[A>B]] is what others said; mine is B.",
        "Some would say Image 1 is better, but I prefer Image 2.",
    ],
)
def test_another_preference_in_other_words_contradicts_a_verdict(text):
    assert said(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Image 1 is better, since Image 2 does not show the dog.",
        "Image 1 is better because it is not blurred. Image 2 is not right.",
        "Image 1 is better. No artifacts are visible.",
        "I would say Image 1 is better than Image 2.",
        "Although Image 2 may be sharper, Image 1 is better and I prefer Image 1.",
        "Image 1 is better: Image 2 is wrong about the dog.",
        "Image 2 would win in colour, yet Image 1 is better overall.",
    ],
)
def test_a_verdict_with_its_reason_stays_one(text):
    assert said(text) == "first"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Image 1 is better in colour, but Image 2 is better in shape. Overall, Image 2 is better.", "second"),
        ("I don't think Image 1 is better. Image 2 is better.", "second"),
        ("While it is not perfect, Image 1 is better.", "first"),
        ("Image 1 is better in every way.", "first"),
        ("Image 2 is better Image 1 is better", None),
        ("Image 2 is better\nImage 1 is better", None),
        ("Image 2 is better than Image 1 is better", None),
    ],
)
def test_a_verdict_among_other_words(text, meaning):
    assert said(text) == meaning


def test_what_is_thought_is_no_verdict():
    # Defect 25: thoughts, too, were searched for verdicts.
    thought = "1. Style: Image 1 (4/10) - dull; Image 2 (9/10) - fine\nSo Image 2 is better than Image 1."
    assert said(f"<think>{thought}</think><answer>Image 1 is better</answer>") == "first"
    assert said(f"{thought}</think>\n<answer>Image 1 is better</answer>") == "first"
    assert said(f"<think>{thought}</think>") is None
    assert said(f"<think>{thought}") is None
    assert said("<think></think>Image 2 is better.<answer>Image 1 is better</answer>") is None
    assert "does not end" in str(read(f"<think>{thought}", IMAGE).reason)


def test_a_thought_in_blocks_of_lines_is_left_out_too():
    lines = ["1. Semantic consistency:", "    Image 1 (9/10) - fine;", "    Image 2 (7/10) - dull"]
    lines += ["Total score:", "Image 1: 9+8+8=25", "Image 2: 7+8+5=20"]
    assert said("<think>\n" + "\n".join(lines) + "\n</think>\n<answer>Image 2 is better</answer>") == "second"
