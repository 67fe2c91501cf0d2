import numpy as np
import pytest
import torch
from helpers import NOT_A_PICTURE, answer_pair, answer_table, candidate, clip, picture
from PIL import Image

from urm_ray.candidates.answers import AnswerSampler, Asked
from urm_ray.config_policy import ClipConfig, SamplerConfig
from urm_ray.media import decode_image, encode_image
from urm_ray.training.answer_pairs import AnswerPairs, PairError
from urm_ray.training.rows import fitting
from urm_ray.vlms import load_processor

GRID = "image_grid_thw"
ALL = ClipConfig(maximum=64)
NATIVE = ClipConfig(maximum=64, shown="native")


@pytest.fixture(scope="module")
def processor(vlm_path):
    return load_processor(vlm_path)


@pytest.fixture(scope="module")
def pairs(processor) -> AnswerPairs:
    return AnswerPairs(processor, clips=ALL)


@pytest.fixture(scope="module")
def native(processor) -> AnswerPairs:
    return AnswerPairs(processor, clips=NATIVE)


def answer(text) -> dict:
    return candidate(0, media=None, text=text)


def noise(seed: int, width: int = 16, height: int = 16) -> dict:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return encode_image(Image.fromarray(pixels))


def joined(pairs, *rows) -> dict:
    return pairs.join([pairs.prepare(row) for row in rows])


def sequences(batch) -> list[list[int]]:
    return [ids[mask == 1].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]


def whole(processor, row, side, slots, **media) -> list[int]:
    """The tokens of a question and its answer when the processor is given both as one text."""
    content = [*({"type": slot} for slot in slots), {"type": "text", "text": row["prompt"]}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return processor(text=[f"{text}{row[side]['text']}<|im_end|>"], **media).input_ids[0]


ROWS = [
    answer_pair(0, context=[noise(0)]),
    answer_pair(1, context=[noise(1, 24, 8), noise(2)], chosen=answer("two of them, side by side")),
    answer_pair(2, context=[], prompt="how many?"),
]


def test_chosen_answers_come_first_and_each_row_is_what_the_processor_makes_of_it(pairs, processor):
    batch = joined(pairs, *ROWS)
    wanted = []
    for side in ("chosen", "rejected"):
        for row in ROWS:
            images = [decode_image(media) for media in row["context"]]
            wanted.append(whole(processor, row, side, ["image"] * len(images), images=[images] if images else None))
    assert sequences(batch) == wanted


def test_the_mask_marks_the_answer_and_its_end_alone(pairs, processor):
    batch = joined(pairs, *ROWS)
    said = [
        processor.tokenizer.decode(ids[mask == 1], skip_special_tokens=False)
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    assert said == [row[side]["text"] + "<|im_end|>" for side in ("chosen", "rejected") for row in ROWS]
    assert (batch["attention_mask"][batch["completion_mask"] == 1] == 1).all()


def test_media_stand_once(pairs, processor):
    batch = joined(pairs, *ROWS)
    images = [decode_image(media) for row in ROWS for media in row["context"]]
    alone = processor.image_processor(images, return_tensors="pt")
    assert torch.equal(batch["pixel_values"], alone["pixel_values"])
    assert batch[GRID].tolist() == alone[GRID].tolist()


def test_each_picture_is_decoded_once(pairs, monkeypatch):
    from urm_ray.training import answer_pairs

    decoded = []
    monkeypatch.setattr(answer_pairs, "decode_media", lambda media, sampling: decoded.append(media) or picture(3))
    joined(pairs, *ROWS)
    assert len(decoded) == 3


def test_a_batch_without_pictures_gets_one_that_stands_in_no_sequence(pairs, processor):
    batch = joined(pairs, ROWS[2])
    assert len(batch[GRID]) == 1
    assert len(batch["pixel_values"]) == batch[GRID].prod()
    assert (batch["input_ids"] != processor.image_token_id).all()
    assert "pixel_values" not in pairs.prepare(ROWS[2]).media


def test_a_clip_as_frames_is_a_picture_for_each_frame(pairs):
    shades = [10, 60, 200]
    shown = answer_pair(0, context=[clip(shades)])
    as_pictures = answer_pair(0, context=[encode_image(picture(shade)) for shade in shades])
    made, wanted = joined(pairs, shown), joined(pairs, as_pictures)
    assert made.keys() == wanted.keys()
    assert all(torch.equal(made[name], wanted[name]) for name in made)


def test_a_native_clip_fills_the_processors_slot_at_its_own_rate(native, processor):
    row = answer_pair(0, context=[noise(4), clip([10, 60, 200, 90], fps=8.0)])
    batch = joined(native, row)
    frames = [picture(shade) for shade in (10, 60, 200, 90)]
    alone = processor.video_processor([frames], return_tensors="pt", do_sample_frames=False)
    assert torch.equal(batch["pixel_values_videos"], alone["pixel_values_videos"])
    assert batch["video_grid_thw"].tolist() == alone["video_grid_thw"].tolist()
    # 8 frames a second, two frames in one step of the grid.
    assert batch["second_per_grid_ts"] == [0.25]
    media = {"images": [[decode_image(row["context"][0])]], "videos": [frames]}
    wanted = [whole(processor, row, side, ["image", "video"], **media) for side in ("chosen", "rejected")]
    assert sequences(batch) == wanted


def test_the_rate_is_that_of_the_frames_that_are_shown(processor):
    every_other = AnswerPairs(processor, clips=ClipConfig(rate=4, shown="native"))
    batch = joined(every_other, answer_pair(0, context=[clip([10, 60, 200, 90], fps=8.0)]))
    assert batch["second_per_grid_ts"] == [0.5]


@pytest.mark.parametrize("shown", ["frames", "native"])
def test_a_policy_is_trained_on_the_question_that_it_was_asked(vlm_path, processor, shown):
    clips = ClipConfig(count=3, shown=shown)
    row = answer_pair(0, context=[noise(4), clip(range(0, 250, 30)), clip([10, 60])])
    asked = AnswerSampler(vlm_path, SamplerConfig(), device="cpu", clips=clips).chats([Asked.of(row, clips).chat])
    made = AnswerPairs(processor, clips=clips).prepare(row)
    for name, tokens in made.question.items():
        assert tokens == asked[name][0].tolist(), name
    assert {"pixel_values", "image_grid_thw"} <= made.media.keys()
    for name, value in made.media.items():
        assert value == asked[name] if isinstance(value, list) else torch.equal(value, asked[name]), name


@pytest.mark.parametrize("context", [[], [noise(5)], [clip([1, 2])], [noise(5), clip([1, 2])]])
def test_with_native_clips_every_batch_has_pictures_and_clips(native, context):
    batch = joined(native, answer_pair(0, context=context))
    for pixels, grid in (("pixel_values", GRID), ("pixel_values_videos", "video_grid_thw")):
        assert len(batch[grid]) == 1
        assert len(batch[pixels]) == batch[grid].prod()


def test_a_pair_as_long_as_allowed_fits_and_a_longer_one_is_left_out_whole(processor, pairs):
    row = ROWS[1]
    length = pairs.prepare(row).length
    assert length == max(map(len, sequences(joined(pairs, row))))
    assert AnswerPairs(processor, max_length=length).fits(row)
    short = AnswerPairs(processor, max_length=length - 1)
    assert not short.fits(row)
    with pytest.raises(PairError, match=f"{length} tokens") as caught:
        short.prepare(row)
    assert (caught.value.reason, caught.value.length) == ("too_long", length)


def test_a_pictures_tokens_count(processor, pairs):
    small, large = (answer_pair(0, context=[noise(0, side, side)]) for side in (8, 64))
    assert pairs.prepare(large).length - pairs.prepare(small).length == 63
    assert AnswerPairs(processor, max_length=60).fits(small)
    assert not AnswerPairs(processor, max_length=60).fits(large)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"context": [NOT_A_PICTURE]}, "media_error"),
        ({"rejected": answer(None)}, "no_answer"),
        ({"chosen": answer("")}, "no_answer"),
        ({"chosen": answer("see <|image_pad|>")}, "special_token"),
        ({"rejected": answer("done<|im_end|>and more")}, "special_token"),
        ({"prompt": "<|video_pad|> what is this?"}, "special_token"),
    ],
)
def test_a_row_that_cannot_be_trained_on_says_why(pairs, changes, reason):
    assert not pairs.fits(answer_pair(0, **changes))
    with pytest.raises(PairError) as caught:
        pairs.prepare(answer_pair(0, **changes))
    assert caught.value.reason == reason


def referenced(*rows, **changes):
    values = {"ref_chosen_logps": -3.5, "ref_rejected_logps": -4.25, "reference_digest": "r"} | changes
    table = answer_table(rows)
    for name, value in values.items():
        table = table.append_column(name, [[value] * len(rows)])
    return table


def test_a_batch_carries_the_stored_log_probabilities(processor):
    batch = AnswerPairs(processor, reference_digest="r")(referenced(*ROWS))
    assert batch["ref_chosen_logps"].tolist() == [-3.5] * 3
    assert batch["ref_rejected_logps"].tolist() == [-4.25] * 3


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"reference_digest": "another"}, "pair0.*another, not r"),
        ({"ref_chosen_logps": float("nan")}, "pair0: ref_chosen_logps is nan"),
        ({"ref_rejected_logps": None}, "pair0: ref_rejected_logps is None"),
    ],
)
def test_a_missing_or_foreign_reference_is_refused(processor, changes, about):
    with pytest.raises(ValueError, match=about):
        AnswerPairs(processor, reference_digest="r")(referenced(ROWS[0], **changes))


def test_only_rows_without_a_reason_against_them_fit():
    table = answer_table([answer_pair(n) for n in range(3)]).append_column("unfit", [[None, "too_long", None]])
    assert fitting(table)["pair_id"].to_pylist() == ["pair0", "pair2"]
