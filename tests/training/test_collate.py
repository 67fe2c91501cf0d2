from typing import Any

import pytest
import torch
from helpers import SCALE, as_answers, clip, pair_preference, picture, point_preference
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import schema, store
from urm_ray.clips import Sampling, decode_clip
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.protocol import protocol
from urm_ray.judge.target import SWAPPED, dithered, target
from urm_ray.media import MediaError, decode_image, encode_image, image_record
from urm_ray.schema import TASKS
from urm_ray.training.collate import RewardCollate
from urm_ray.training.left_out import LeftOut
from urm_ray.training.rows import both_orders
from urm_ray.vlms import load_processor, load_vlm

UNIFIED = protocol("unified")
PAIR, POINT = (UNIFIED.form("image_generation", kind) for kind in ("pair", "point"))
COLUMNS = schema.PREFERENCE
ALL = Sampling()


def table(*rows):
    return both_orders(schema.table_of(list(rows), COLUMNS))


@given(st.lists(st.sampled_from(["pair", "point"]), max_size=12))
def test_every_pair_is_trained_in_both_orders_next_to_each_other(kinds):
    rows = [pair_preference(n) if kind == "pair" else point_preference(n) for n, kind in enumerate(kinds)]
    found = [(r["preference_id"], r[SWAPPED]) for r in both_orders(schema.table_of(rows, COLUMNS)).to_pylist()]
    wanted = [(r["preference_id"], s) for r in rows for s in ((False, True) if r["kind"] == "pair" else (False,))]
    assert found == wanted


def test_both_orders_leave_the_row_itself_as_it_is():
    rows = table(pair_preference(0, "second")).drop_columns([SWAPPED]).to_pylist()
    assert rows == [pair_preference(0, "second")] * 2


@pytest.mark.parametrize("score", [1.0, 1.25, 2.5, 3.7, 4.99, 5.0])
def test_dithered_scores_have_the_right_mean_and_lie_next_to_it(score):
    # Defect 3: 3.67 was cut to 3.
    values = [dithered(score, f"key{n}") for n in range(4000)]
    assert set(values) <= {int(score), int(score) + (score != int(score))}
    assert sum(values) / len(values) == pytest.approx(score, abs=0.03)


def test_dithering_a_row_gives_the_same_number_every_time():
    assert [dithered(3.5, f"key{n}") for n in range(50)] == [dithered(3.5, f"key{n}") for n in range(50)]


@pytest.fixture(scope="module")
def collate(vlm_path) -> RewardCollate:
    return RewardCollate(load_processor(vlm_path), UNIFIED)


def answers(collate, inputs) -> list[str]:
    """What the labels say, row by row."""
    tokenizer = collate.chats.processor.tokenizer
    return [tokenizer.decode(row[row != -100], skip_special_tokens=False) for row in inputs["labels"]]


def end(collate) -> str:
    return collate.chats.processor.tokenizer.eos_token


@pytest.mark.parametrize("label", ["first", "second", "tie"])
def test_labels_are_the_answer_and_its_end_and_nothing_else(collate, label):
    rows = table(
        pair_preference(0, label, prompt="a red circle"), point_preference(1, 4.0, prompt="two cats and a dog")
    )
    inputs = collate(rows)
    mirrored = {"first": "second", "second": "first", "tie": "tie"}[label]
    wanted = [PAIR.answer_for(label), PAIR.answer_for(mirrored), "Final Score: 4"]
    assert answers(collate, inputs) == [answer + end(collate) for answer in wanted]


def test_labels_stand_where_the_tokens_they_teach_stand_and_padding_teaches_nothing(collate):
    inputs = collate(table(pair_preference(), point_preference(1, prompt="a very long caption " * 5)))
    taught = inputs["labels"] != -100
    assert torch.equal(inputs["labels"][taught], inputs["input_ids"][taught])
    assert (inputs["attention_mask"][taught] == 1).all()
    for row, mask in zip(taught, inputs["attention_mask"], strict=True):
        last = int(mask.sum()) - 1
        assert row[last]
        count = int(row.sum())
        assert row[last - count + 1 : last + 1].all()


def test_the_question_is_the_one_the_judge_is_asked(collate):
    # Defect 16: training and judging asked in different ways.
    inputs = collate(table(pair_preference(0, prompt="a red circle")))
    tokenizer = collate.chats.processor.tokenizer
    asked = collate.chats.processor.apply_chat_template(
        PAIR.messages("a red circle"), tokenize=False, add_generation_prompt=True
    )
    question = (
        collate.chats.processor(text=[asked], images=[[picture(10), picture(20)]], return_tensors="pt")
        .input_ids[0]
        .tolist()
    )
    assert inputs["input_ids"][0, : len(question)].tolist() == question
    rest = inputs["input_ids"][0, len(question) :][inputs["attention_mask"][0, len(question) :] == 1]
    assert tokenizer.decode(rest) == PAIR.answer_for("first") + tokenizer.eos_token


def test_a_swapped_row_shows_the_pictures_swapped(collate):
    noisy = [encode_image(picture(shade)) for shade in (0, 250)]
    row = pair_preference(0, candidates=[{"media": media, "text": None} for media in noisy])
    pixels = collate(table(row))["pixel_values"].flatten(1)
    patches = len(pixels) // 4
    one, two, three, four = (pixels[n * patches : (n + 1) * patches] for n in range(4))
    assert torch.equal(one, four)
    assert torch.equal(two, three)
    assert not torch.equal(one, two)


def test_rows_collated_together_are_what_they_are_alone(collate):
    rows = [
        pair_preference(0, "tie", prompt="a cat"),
        point_preference(1, 2.0, prompt="a longer caption about two cats"),
    ]
    together = collate(table(*rows))
    alone = [collate(table(row)) for row in rows]
    single = [
        one["input_ids"][r][one["attention_mask"][r] == 1].tolist()
        for one in alone
        for r in range(len(one["input_ids"]))
    ]
    assert [
        ids[mask == 1].tolist() for ids, mask in zip(together["input_ids"], together["attention_mask"], strict=True)
    ] == single
    assert torch.equal(together["pixel_values"], torch.cat([one["pixel_values"] for one in alone]))


@pytest.mark.parametrize(
    ("score", "low", "high", "answer"),
    [(0.0, 0, 100, 1), (100.0, 0, 100, 5), (50.0, 0, 100, 3), (7.0, 1, 7, 5), (10.0, 1, 10, 5)],
)
def test_a_score_on_another_scale_is_carried_over(collate, score, low, high, answer):
    # Defect 4: a 1-10 score was asked of a judge that knew 1-5.
    scale = SCALE | {"name": "own", "minimum": low, "maximum": high}
    row = table(point_preference(0, score, scale=scale)).to_pylist()[0]
    assert target(row, collate.protocol) == f"Final Score: {answer}"


def test_a_fraction_is_taught_as_its_neighbours(collate):
    rows = table(*[point_preference(n, 3.75) for n in range(400)]).to_pylist()
    scores = [POINT.parse(target(row, collate.protocol)) for row in rows]
    assert set(scores) == {3, 4}
    assert sum(float(s) for s in scores) / 400 == pytest.approx(3.75, abs=0.07)


def test_a_picture_that_does_not_decode_is_an_error_and_not_a_neighbours_picture(collate):
    # Defect 17: on an error the loader silently gave the next row.
    bad = pair_preference(0, candidates=[{"media": image_record(b"broken", 8, 8), "text": None}] * 2)
    with pytest.raises(MediaError):
        collate(table(bad))


HUNDRED = {"name": "0-100", "minimum": 0, "maximum": 100}


def test_answers_are_trained_on_as_the_judge_is_asked_about_them(collate):
    pair = as_answers(pair_preference(0, "first", prompt="How many?"), "two", "three")
    point = as_answers(point_preference(1, 80.0, prompt="How many?"), "two", scale=HUNDRED)
    inputs = collate(table(pair, point))
    form = UNIFIED.form("image_understanding", "pair")
    wanted = [form.answer_for("first"), form.answer_for("second"), "Final Score: 80"]
    assert answers(collate, inputs) == [answer + end(collate) for answer in wanted]
    for row, said in enumerate([["two", "three"], ["three", "two"], ["two"]]):
        asked = UNIFIED.form("image_understanding", "pair" if len(said) == 2 else "point")
        text = collate.chats.processor.apply_chat_template(
            asked.messages("How many?", ["image"], said), tokenize=False, add_generation_prompt=True
        )
        ids = collate.chats.processor(text=[text], images=[[picture(50)]], return_tensors="pt").input_ids[0].tolist()
        assert inputs["input_ids"][row, : len(ids)].tolist() == ids


def test_a_score_between_the_steps_of_its_scale_is_taught_as_its_neighbours(collate):
    rows = table(*[as_answers(point_preference(n, 87.0), "two", scale=HUNDRED) for n in range(400)]).to_pylist()
    scores = [int(target(row, collate.protocol).removeprefix("Final Score: ")) for row in rows]
    assert set(scores) == {80, 90}
    assert sum(scores) / 400 == pytest.approx(87, abs=0.8)


def test_a_grade_in_words_is_taught_as_a_word(collate):
    scale = {"name": "bad-normal-good", "minimum": 1, "maximum": 3}
    row = table(point_preference(0, 3.0, scale=scale)).to_pylist()[0]
    assert target(row, collate.protocol) == "Good."


SHORT, LONG = clip([10, 60, 200], 4), clip([90, 30, 250, 0, 120], 2)


def of_all_tasks() -> list[dict]:
    """A pair and a point of every task; clips and pictures, texts and both."""
    clips = [{"media": media, "text": None} for media in (SHORT, LONG)]
    about_clip = {"task": "video_understanding", "context": [LONG], "prompt": "what moves?"}
    return [
        pair_preference(0),
        point_preference(1),
        as_answers(pair_preference(2, prompt="how many?"), "two", "three"),
        as_answers(point_preference(3, 80.0, scale=HUNDRED), "two"),
        pair_preference(4, "second", task="video_generation", candidates=clips),
        point_preference(5, 2.0, task="video_generation", candidates=clips[:1]),
        as_answers(pair_preference(6, "tie"), "the circle", "nothing", **about_clip),
        as_answers(point_preference(7, 5.0), "the circle", **about_clip),
    ]


@pytest.fixture(scope="module", params=["frames", "native"])
def watching(request, vlm_path) -> RewardCollate:
    return RewardCollate(load_processor(vlm_path), UNIFIED, ClipConfig(maximum=64, shown=request.param))


def test_all_tasks_share_a_batch_whose_labels_are_the_answers_alone(watching):
    inputs = watching(table(*of_all_tasks()))
    one, two, tie = (
        [UNIFIED.form(task, "pair").answer_for(meaning) + end(watching) for task in TASKS]
        for meaning in ("first", "second", "tie")
    )
    score = [f"Final Score: {value}{end(watching)}" for value in (3, 80, 2, 5)]
    images, texts, films, tales = range(4)
    assert answers(watching, inputs) == [
        *(one[images], two[images], score[images]),
        *(one[texts], two[texts], score[texts]),
        *(two[films], one[films], score[films]),
        *(tie[tales], tie[tales], score[tales]),
    ]


def asked_alone(collate, row) -> Any:
    """What the processor makes of a question when its form, its frames and their rate are put together by hand."""
    said = [c["text"] for c in row["candidates"] if c["text"]]
    media = [*row["context"], *(c["media"] for c in row["candidates"] if not c["text"])]
    form = UNIFIED.form_of(row)
    messages = form.messages(row["prompt"], [m["kind"] for m in row["context"]], said)
    content, images, videos, rates, slots = [], [], [], [], iter(media)
    for part in messages[0]["content"]:
        shown = next(slots) if part["type"] != "text" else None
        if shown and shown["kind"] == "video" and collate.chats.native:
            videos.append(decode_clip(shown, ALL).frames)
            rates.append({"total_num_frames": shown["frames"], "fps": shown["fps"]})
        elif shown and shown["kind"] == "video":
            images += decode_clip(shown, ALL).frames
            content += [{"type": "image"}] * (shown["frames"] - 1)
            part = {"type": "image"}
        elif shown:
            images.append(decode_image(shown))
        content.append(part)
    text = collate.chats.processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    given = {"images": [images]} if images else {}
    if videos:
        given |= {"videos": videos, "video_metadata": rates, "do_sample_frames": False}
    return collate.chats.processor(text=[text], return_tensors="pt", **given)


def test_each_row_asks_about_its_own_clips_as_the_processor_takes_them(watching):
    rows = of_all_tasks()
    inputs = watching(table(*rows))
    swapped = [row | {"candidates": row["candidates"][::-1]} for row in rows]
    asked = [
        asked_alone(watching, r)
        for row, other in zip(rows, swapped, strict=True)
        for r in ((row, other) if row["kind"] == "pair" else (row,))
    ]
    for ids, labels, mask, alone in zip(
        inputs["input_ids"], inputs["labels"], inputs["attention_mask"], asked, strict=True
    ):
        own = ids[(labels == -100) & (mask == 1)].tolist()
        assert own == alone["input_ids"][0].tolist()
    for name in ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"):
        assert (name in inputs) == any(name in one for one in asked)
        if name in inputs:
            assert torch.equal(inputs[name], torch.cat([one[name] for one in asked if name in one]))
    if watching.chats.native:
        seconds = [s for one in asked for s in one.get("second_per_grid_ts", [])]
        assert inputs["second_per_grid_ts"] == pytest.approx([float(s) for s in seconds], rel=1e-3)
        assert len(set(inputs["second_per_grid_ts"])) == 2


def labelled(model, inputs) -> torch.Tensor:
    """Log-probabilities of the labelled tokens, row after row."""
    labels = inputs.pop("labels")
    with torch.inference_mode():
        logits = model(**inputs).logits[:, :-1].log_softmax(-1)
    taught = labels[:, 1:] != -100
    return logits[taught].gather(1, labels[:, 1:][taught][:, None])[:, 0]


def test_what_is_taught_does_not_depend_on_the_other_rows_of_a_batch(watching, vlm_path):
    model = load_vlm(vlm_path, device="cpu")[0]
    rows = of_all_tasks()
    together = labelled(model, watching(table(*rows)))
    alone = torch.cat([labelled(model, watching(table(row))) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("number", range(8))
def test_with_native_clips_every_batch_has_pictures_and_clips_and_a_blank_teaches_nothing(vlm_path, number):
    native = RewardCollate(load_processor(vlm_path), UNIFIED, ClipConfig(shown="native"))
    row = of_all_tasks()[number]
    inputs = native(table(row))
    assert {"pixel_values", "pixel_values_videos"} <= inputs.keys()
    said = [text for text in answers(native, inputs) if text]
    assert len(said) == (2 if row["kind"] == "pair" else 1)
    assert len(inputs["labels"]) == len(said) + 1
    assert (inputs["labels"][-1] == -100).all()


def test_a_clip_that_does_not_decode_is_an_error(watching):
    broken = clip([1, 2]) | {"data": b"<html>"}
    rows = pair_preference(0, task="video_generation", candidates=[{"media": broken, "text": None}] * 2)
    with pytest.raises(MediaError, match="the bytes are not a clip"):
        watching(table(rows))


def left_out_of(collate, folder) -> RewardCollate:
    """The same, which leaves rows out and notes them in a stage's folder."""
    left_out = LeftOut(str(folder), 1000, 0.05)
    return RewardCollate(collate.chats.processor, collate.protocol, collate.sampling, left_out)


def noted(folder) -> list[dict]:
    files = store.list_files(str(folder / "quarantine" / "examples"))
    return [row for file in files for row in store.read_table(file).to_pylist()]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
        for name in one
    )


def broken_clip(number: int) -> dict:
    """A pair of clips, one of which only its first bytes pass for one."""
    medias = SHORT, SHORT | {"data": SHORT["data"][:-40]}
    return pair_preference(
        number, task="video_generation", candidates=[{"media": media, "text": None} for media in medias]
    )


def test_rows_that_cannot_be_shown_cost_themselves_alone_and_are_noted_once(watching, tmp_path, capsys):
    rows = of_all_tasks()
    made = left_out_of(watching, tmp_path)(table(*rows[:3], broken_clip(9), *rows[3:]))
    assert same(made, watching(table(*rows)))
    (row,) = noted(tmp_path)
    assert (row["row_id"], row["stage"], row["reason"]) == ("pair9", "reward", "media that cannot be shown")
    assert "cut short" in row["detail"]
    assert capsys.readouterr().out.count("preference pair9 is left out") == 1


def test_a_batch_of_which_nothing_is_left_is_its_blanks_and_teaches_nothing(watching, tmp_path):
    inputs = left_out_of(watching, tmp_path)(table(broken_clip(0)))
    kinds = {"pixel_values", "pixel_values_videos"} if watching.chats.native else {"pixel_values"}
    assert kinds <= inputs.keys()
    assert len(inputs["labels"]) == len(kinds)
    assert (inputs["labels"] == -100).all()


def test_a_row_at_which_the_processor_fails_costs_itself_alone(collate, tmp_path, monkeypatch):
    kind = type(collate.chats.processor)
    plain = kind.__call__

    def strict(self, *args, images=None, **kwargs):
        if any(one.size == (8, 9) for row in images or [] for one in row):
            raise ValueError("8 x 9 is no size")
        return plain(self, *args, images=images, **kwargs)

    odd = point_preference(7, candidates=[{"media": encode_image(picture(3).resize((8, 9))), "text": None}])
    rows = [pair_preference(0), point_preference(1)]
    wanted = collate(table(*rows))
    monkeypatch.setattr(kind, "__call__", strict)
    assert same(left_out_of(collate, tmp_path)(table(rows[0], odd, rows[1])), wanted)
    assert [(row["row_id"], row["detail"]) for row in noted(tmp_path)] == [("point7", "8 x 9 is no size")]


def test_an_error_that_no_row_is_to_blame_for_is_raised(collate, tmp_path, monkeypatch):
    forgiving = left_out_of(collate, tmp_path)
    with pytest.raises(ValueError, match="no answer of this form means 'nonsense'"):
        forgiving(table(pair_preference(0, "nonsense")))

    def wrong(self, *args, **kwargs):
        raise TypeError("no such argument")

    monkeypatch.setattr(type(collate.chats.processor), "__call__", wrong)
    with pytest.raises(TypeError, match="no such argument"):
        forgiving(table(pair_preference(0)))
    assert not noted(tmp_path)
