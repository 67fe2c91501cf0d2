import pyarrow as pa
import pytest
import torch
from helpers import NOT_A_PICTURE, answer_pair, answer_table, candidate, clip, picture

from urm_ray.clips import decode_clip
from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import VlmDpoConfig
from urm_ray.media import decode_image, encode_image
from urm_ray.schema import REFERENCE
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.encode_once import encode_once
from urm_ray.training.logps import ReferenceLogps, answer_logps
from urm_ray.training.rows import reference_digest
from urm_ray.vlms import load_vlm

ALL = ClipConfig(maximum=64)
LONG = "a cat, a dog and two birds beside a very large green triangle"


def answer(text) -> dict:
    return candidate(0, media=None, text=text)


ROWS = [
    answer_pair(0, context=[encode_image(picture(10).resize((16, 24)))]),
    answer_pair(1, context=[encode_image(picture(s).resize((32, 16))) for s in (30, 200)], chosen=answer(LONG)),
    answer_pair(2, context=[], prompt="how many?", rejected=answer("3")),
    answer_pair(3, context=[clip([10, 200, 60, 90])]),
]


@pytest.fixture(scope="module")
def plain(vlm_path):
    model, processor, _ = load_vlm(vlm_path, device="cpu")
    return model, processor


@pytest.fixture(scope="module")
def model(vlm_path):
    model = load_vlm(vlm_path, device="cpu")[0]
    encode_once(model)
    return model


@torch.no_grad()
def alone(plain, row, side, clips) -> float:
    """The log-probability of one answer: question and answer as one text, logits everywhere, nothing batched."""
    model, processor = plain
    slots, images, videos = [], [], []
    for media in row["context"]:
        frames = decode_clip(media, ALL).frames if media["kind"] == "video" else [decode_image(media)]
        native = media["kind"] == "video" and clips == "native"
        slots += ["video"] if native else ["image"] * len(frames)
        videos += [frames] * native
        images += [] if native else frames
    content = [*({"type": slot} for slot in slots), {"type": "text", "text": row["prompt"]}]
    asked = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    given = {"images": [images]} if images else {}
    if videos:
        given |= {"videos": videos, "video_metadata": [{"total_num_frames": 4, "fps": 2.0}]}
    inputs = processor(text=[f"{asked}{row[side]['text']}<|im_end|>"], return_tensors="pt", **given)
    before = processor(text=[asked], return_tensors="pt", **given).input_ids.shape[1]
    logits = model(**inputs).logits[0].double().log_softmax(-1)
    ids = inputs.input_ids[0]
    return float(sum(logits[n - 1, ids[n]] for n in range(before, len(ids))))


@torch.no_grad()
def together(model, processor, rows, clips="frames") -> tuple[list[float], list[float]]:
    pairs = AnswerPairs(processor, clips=ClipConfig(maximum=64, shown=clips))
    chosen, rejected = answer_logps(model, pairs.join([pairs.prepare(row) for row in rows])).chunk(2)
    return chosen.tolist(), rejected.tolist()


@pytest.mark.parametrize("clips", ["frames", "native"])
def test_each_sum_is_that_of_the_answer_alone_with_all_its_logits(model, plain, clips):
    chosen, rejected = together(model, plain[1], ROWS, clips)
    assert chosen == pytest.approx([alone(plain, row, "chosen", clips) for row in ROWS], abs=1e-3, rel=1e-5)
    assert rejected == pytest.approx([alone(plain, row, "rejected", clips) for row in ROWS], abs=1e-3, rel=1e-5)


def test_sums_do_not_depend_on_the_padding(model, plain):
    batched = together(model, plain[1], ROWS)
    single = [together(model, plain[1], [row]) for row in ROWS]
    for half in (0, 1):
        assert batched[half] == pytest.approx([one[half][0] for one in single], abs=1e-3, rel=1e-5)


def test_logits_are_made_for_answers_alone(model, plain):
    rows = [ROWS[0], ROWS[1]]
    seen = []
    hook = model.lm_head.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    together(model, plain[1], rows)
    hook.remove()
    ids = [plain[1].tokenizer(row[side]["text"]).input_ids for row in rows for side in ("chosen", "rejected")]
    assert sum(seen) == sum(len(i) + 1 for i in ids)


@torch.no_grad()
def test_a_half_precision_model_still_sums_in_float32(vlm_path, plain):
    shared = load_vlm(vlm_path, "bfloat16", "cpu")[0]
    encode_once(shared)
    chosen, _ = together(shared, plain[1], ROWS[1:2])
    half = load_vlm(vlm_path, "bfloat16", "cpu")[0], plain[1]
    assert chosen == pytest.approx([alone(half, ROWS[1], "chosen", "frames")], rel=2e-4)


def reference(vlm_path, **settings) -> ReferenceLogps:
    return ReferenceLogps(vlm_path, VlmDpoConfig(**settings), "digest", ALL, device="cpu")


@pytest.fixture(scope="module")
def stored(vlm_path) -> pa.Table:
    return reference(vlm_path)(answer_table(ROWS))


def test_the_reference_is_stored_with_its_digest_beside_each_pair(stored, plain):
    table = answer_table(ROWS)
    assert stored.select(table.column_names).equals(table)
    assert stored.schema.field("ref_chosen_logps") == REFERENCE.field("ref_chosen_logps")
    assert stored["reference_digest"].to_pylist() == ["digest"] * 4
    assert stored["unfit"].to_pylist() == [None] * 4
    wanted = [alone(plain, row, "chosen", "frames") for row in ROWS]
    assert stored["ref_chosen_logps"].to_pylist() == pytest.approx(wanted, abs=1e-3, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_size_of_its_batches_changes_nothing(vlm_path, stored, batch):
    again = reference(vlm_path, reference_batch=batch)(answer_table(ROWS))
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        assert again[name].to_pylist() == pytest.approx(stored[name].to_pylist(), abs=1e-3, rel=1e-5)


def test_unfit_pairs_keep_their_row_and_are_not_cut(vlm_path, stored):
    lengths = stored["length"].to_pylist()
    limit = sorted(lengths)[-2]
    longest = lengths.index(max(lengths))
    broken = answer_pair(9, context=[NOT_A_PICTURE])
    rows = reference(vlm_path, max_length=limit)(answer_table([*ROWS, broken])).to_pylist()
    assert [row["unfit"] for row in rows] == ["too_long" if n == longest else None for n in range(len(ROWS))] + [
        "media_error"
    ]
    assert [row["length"] for row in rows] == [*lengths, None]
    for n, row in enumerate(rows):
        assert (row["ref_chosen_logps"] is None) == (row["ref_rejected_logps"] is None) == (row["unfit"] is not None)
        if row["unfit"] is None:
            assert row["ref_chosen_logps"] == pytest.approx(stored["ref_chosen_logps"][n].as_py(), abs=1e-3)


def test_a_table_without_a_fit_pair_passes(vlm_path):
    table = reference(vlm_path)(answer_table([answer_pair(0, context=[NOT_A_PICTURE])]))
    assert table["unfit"].to_pylist() == ["media_error"]
    assert reference(vlm_path)(answer_table([])).num_rows == 0


def test_the_digest_changes_with_what_changes_the_sums():
    base = reference_digest("policy", VlmDpoConfig(), ALL)
    assert reference_digest("policy", VlmDpoConfig(lr=1.0, beta=9.0, reference_batch=1), ALL) == base
    assert reference_digest("another", VlmDpoConfig(), ALL) != base
    for change in ({"bf16": True}, {"attention": "eager"}, {"max_length": 9}):
        assert reference_digest("policy", VlmDpoConfig(**change), ALL) != base, change
    for clips in (ClipConfig(), ClipConfig(rate=2), ClipConfig(maximum=64, shown="native")):
        assert reference_digest("policy", VlmDpoConfig(), clips) != base, clips
