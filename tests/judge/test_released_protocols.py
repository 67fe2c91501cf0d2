"""The protocols that the package ships, and answers in the forms in which released judges give them."""

import itertools
import json
import re
import tomllib

import pytest
from helpers import ROOT

from urm_ray.judge.form import OVERALL
from urm_ray.judge.protocol import protocol
from urm_ray.judge.protocol_file import FOLDER, names
from urm_ray.judge.scale import SCALES
from urm_ray.schema import TASKS, digest

PAIRS = {
    "unified": TASKS,
    "lift": (),
    "llava_critic": ("image_understanding",),
    "unifiedreward_2": TASKS,
    "unifiedreward_2_pair_score": TASKS,
    "unifiedreward_acs": TASKS,
    "unifiedreward_edit": ("image_generation",),
    "unifiedreward_edit_pair_score": ("image_generation",),
    "unifiedreward_flex": ("image_generation", "video_generation"),
    "unifiedreward_llava": TASKS,
    "unifiedreward_qwen": TASKS,
    "unifiedreward_think": TASKS,
    "unifiedreward_think_qwen3": TASKS,
}
WITHOUT_POINTS = ("unifiedreward_flex", "unifiedreward_think", "unifiedreward_think_qwen3")
FORMS = [
    (name, task, kind, form)
    for name in names()
    for (task, kind), whole in protocol(name).forms.items()
    for form in whole.asked
]


def test_every_family_is_there_with_its_tasks():
    for name in names():
        assert tuple(protocol(name).pairs) == PAIRS[name]
        points = () if name in WITHOUT_POINTS else ("video_generation",) if name == "lift" else PAIRS[name]
        assert tuple(protocol(name).points) == points
    assert set(names()) == set(PAIRS)


def test_the_files_go_where_the_package_goes():
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    patterns = shipped["urm_ray.judge"]
    assert set(FOLDER.glob("*.yaml")) == {path for pattern in patterns for path in FOLDER.parent.glob(pattern)}


def test_the_page_on_protocols_names_them_all():
    page = (FOLDER / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(names())


def test_what_our_own_judges_are_asked_has_not_changed_by_a_byte():
    # Trained judges depend on it.
    asked, unified = [], protocol("unified")
    for task in TASKS:
        for kind, count in (("pair", 2), ("point", 1)):
            ways = itertools.product([None, *SCALES], [None, OVERALL, "temporal consistency"])
            for way in ways if kind == "point" else [(None, None)]:
                form = unified.form(task, kind, *way)
                texts = [f"text {i} {{prompt}}" for i in range(count)] if task.endswith("understanding") else []
                for context in ([], ["image"], ["video", "image"]):
                    messages = form.messages("a {prompt} {{ x }}\n", context, texts)
                    asked.append([task, kind, list(way), messages, list(form.answers.items())])
    assert (len(asked), digest(asked)) == (228, "79ce86d48967264fb9c9727f27c7cd76")


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_every_question_shows_its_candidates_and_says_the_prompt(name, task, kind, form):
    texts = ["first text", "second text"][: len(form.template.candidates)] if form.slot == "text" else []
    context = ["video" if "video" in task else "image"] * (
        1 if form.template.context is None else form.template.context
    )
    parts = form.parts("a red circle", context, texts)
    words = "".join(part["text"] for part in parts if part["type"] == "text")
    assert words.count("a red circle") == ("prompt" not in form.template.leaves_out)
    assert [words.count(text) for text in texts] == [1] * len(texts)
    slots = [part["type"] for part in parts if part["type"] != "text"]
    assert slots == form.template.about(context) + [form.slot] * (0 if texts else len(form.template.candidates))
    assert "{{" not in words
    assert "{%" not in words


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_a_closed_answer_is_read_as_what_it_means(name, task, kind, form):
    for answer, meaning in form.answers.items():
        assert form.parse(answer) == meaning
        assert form.parse(f"{answer}\nIt shows two dogs.") == meaning
    assert form.closed is bool(form.answers)


def test_only_our_own_and_lift_can_be_read_without_decoding():
    closed = [name for name in names() if all(form.closed for form in protocol(name).forms.values())]
    assert closed == ["unified", "lift"]


IMAGE, VIDEO = "image_generation", "video_generation"
ABOUT_IMAGE, ABOUT_VIDEO = "image_understanding", "video_understanding"
LINES = (
    "Alignment Score (1-5): 2.694700002670288\n{} Score (1-5): 2.371500015258789\nStyle Score (1-5): 2.802500009536743"
)
MEAN = pytest.approx((2.694700002670288 + 2.371500015258789 + 2.802500009536743) / 3)
BLOCK = "Alignment Score:\n {0} 1: 0.4357\n {0} 2: 0.5643\n\nCoherence Score:\n {0} 1: 0.418\n {0} 2: 0.582\n\n"
BLOCK += "Style Score:\n {0} 1: 0.4079\n {0} 2: 0.5921"
THOUGHT = (
    "1. Semantic consistency: {0} 1 (9/10) - ...; {0} 2 (7/10) - ...\nTotal score:\n{0} 1: 9+8+8=25\n{0} 2: 7+8+5=20"
)
BLOCKS = "1. Semantic consistency:\n    {0} 1 (9/10) - ...;\n    {0} 2 (7/10) - ...\nTotal score:\n{0} 1: 25\n{0} 2: 20"
FIVE = (
    "visual quality: 4\ntemporal consistency: 4\ndynamic degree: 3\ntext-to-video alignment: 1\nfactual consistency: 2"
)
WINNER = json.dumps({"prompt": "p", "categories": [], "reason": "r", "winner": "Video 2"})

ANSWERS = [
    ("unifiedreward_llava", IMAGE, "pair", "Image 2 is better than Image 1.", "second"),
    ("unifiedreward_llava", IMAGE, "pair", "Both images are equally good.", "tie"),
    ("unifiedreward_llava", VIDEO, "pair", "Video 1 is better than Video 2.", "first"),
    ("unifiedreward_llava", IMAGE, "point", "a dog (animal): 1\nred (color): 0\nFinal Score: 3.67", 3.67),
    ("unifiedreward_llava", VIDEO, "point", f"{FIVE}\nFinal Score: 6", 6),
    ("unifiedreward_llava", ABOUT_IMAGE, "pair", "The first response is better because it is right.", "first"),
    ("unifiedreward_llava", ABOUT_IMAGE, "pair", "It is right.\nThe better response: [second]", "second"),
    ("unifiedreward_llava", ABOUT_IMAGE, "point", "It is right.\nFinal Score: 85", 85),
    ("unifiedreward_llava", ABOUT_VIDEO, "pair", "Response 1 is better than Response 2.", "first"),
    ("unifiedreward_llava", ABOUT_VIDEO, "point", "Final Score: 4", 4),
    ("unifiedreward_qwen", IMAGE, "pair", "Image 1 is better.", "first"),
    ("unifiedreward_qwen", VIDEO, "pair", "Both videos are equally good", "tie"),
    ("unifiedreward_qwen", ABOUT_IMAGE, "pair", "Answer 1 is better", "first"),
    (
        "unifiedreward_qwen",
        ABOUT_VIDEO,
        "pair",
        "1. Accuracy: ...\nOverall Judgment: Answer 2 is better than Answer 1.",
        "second",
    ),
    ("unifiedreward_acs", IMAGE, "point", 'Word-wise Scores: [["a", 0.1]]\n\n' + LINES.format("Coherence"), MEAN),
    ("unifiedreward_2", IMAGE, "point", LINES.format("Coherence"), MEAN),
    ("unifiedreward_2", VIDEO, "point", LINES.format("Physics"), MEAN),
    ("unifiedreward_2", IMAGE, "pair", "Image 1 is better.", "first"),
    ("unifiedreward_2_pair_score", IMAGE, "pair", BLOCK.format("Image"), "second"),
    ("unifiedreward_2_pair_score", VIDEO, "pair", BLOCK.format("Video"), "second"),
    *(
        (name, task, "pair", f"<think>\n{thought.format(noun)}\n</think>\n<answer>{noun} 1 is better</answer>", "first")
        for name, thought in (("unifiedreward_think", THOUGHT), ("unifiedreward_think_qwen3", BLOCKS))
        for task, noun in ((IMAGE, "Image"), (VIDEO, "Video"), (ABOUT_IMAGE, "Answer"), (ABOUT_VIDEO, "Answer"))
    ),
    ("unifiedreward_edit", IMAGE, "pair", "Image 2 is better", "second"),
    ("unifiedreward_edit_pair_score", IMAGE, "pair", "Image 1: 0.73\nImage 2: -1.25", "first"),
    ("unifiedreward_flex", VIDEO, "pair", f"```json\n{WINNER}\n```", "second"),
    ("unifiedreward_flex", IMAGE, "pair", WINNER.replace("Video 2", "Image 1"), "first"),
    ("llava_critic", ABOUT_IMAGE, "pair", "Both responses are right ... they are equally good.", "tie"),
    ("llava_critic", ABOUT_IMAGE, "point", "It is right. Final Score: 100", 100),
]


@pytest.mark.parametrize(("name", "task", "kind", "answer", "meaning"), ANSWERS)
def test_answers_in_the_forms_of_released_judges_are_read(name, task, kind, answer, meaning):
    assert protocol(name).form(task, kind).parse(answer) == meaning


def test_every_form_of_answer_has_an_example_above():
    known = {protocol(name).form(task, kind).expected for name, task, kind, *_ in ANSWERS}
    assert {form.expected for name, _, kind, form in FORMS if not form.answers} - known == {
        form.expected for form in protocol("unifiedreward_edit").form(IMAGE, "point").asked
    }


def test_an_edit_is_scored_in_two_questions_one_of_which_hides_the_source():
    form = protocol("unifiedreward_edit").form(IMAGE, "point")
    follows, looks = form.asked
    assert [part["type"] for part in follows.parts("make it red", ["image"])][:2] == ["image", "image"]
    assert [part["type"] for part in looks.parts("make it red", ["image"])] == ["image", "text"]
    assert follows.parse('{"reasoning": "...", "score": [20, 24],\n}') == 22
    assert looks.read('{"reasoning": "...", "score": [5, 6]}').dimensions == (
        {"name": "naturalness", "score": 5.0},
        {"name": "artifacts", "score": 6.0},
    )


def test_lift_asks_three_questions_and_its_sources_dimensions_choose_one():
    lift = protocol("lift")
    assert [one.expected.dimensions for one in lift.form(VIDEO, "point").asked] == [
        ("semantic consistency",),
        ("fidelity",),
        ("motion",),
    ]
    motion = lift.form(VIDEO, "point", "bad-normal-good", "motion")
    assert motion == lift.form(VIDEO, "point").asked[2].wanting("motion")
    assert motion.parse("Bad. The legs pass through each other.") == 1


def test_a_dimension_that_a_judge_scores_is_taken_from_its_answer():
    form = protocol("unifiedreward_llava").form(VIDEO, "point", "1-4", "dynamic degree")
    assert form.scale is SCALES["1-4"]
    assert form.parse(f"{FIVE}\nFinal Score: 6") == 3
    assert form.words == protocol("unifiedreward_llava").form(VIDEO, "point").words
    assert protocol("unifiedreward_llava").form(VIDEO, "point", "1-4", "beauty").parse(f"{FIVE}\nFinal Score: 6") == 6
    shares = protocol("unifiedreward_2_pair_score").form(IMAGE, "pair", None, "style")
    assert shares.parse(BLOCK.format("Image").replace("0.4079", "0.7").replace("0.5921", "0.3")) == "first"


def test_a_scale_is_changed_only_where_a_question_is_free_to_have_another():
    for name in ("unifiedreward_2", "lift"):
        own = protocol(name)
        changed = own.on({VIDEO: "1-10"})
        assert changed.form(VIDEO, "point") == own.form(VIDEO, "point")
        assert changed.scale(VIDEO) == own.scale(VIDEO)


def test_a_kind_that_a_judge_does_not_know_is_named():
    with pytest.raises(
        ValueError, match=r"unifiedreward_think does not ask point .*; pairs.construction: pair needs none"
    ):
        protocol("unifiedreward_think").form(IMAGE, "point")
    with pytest.raises(ValueError, match="protocol lift does not ask pair questions about video_generation"):
        protocol("lift").form(VIDEO, "pair")
