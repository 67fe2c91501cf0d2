"""The records that flow through the system, as Arrow schemas. A column name is spelled here and nowhere else.

Every record of one prompt carries all its candidates, so that a later step is a map and never a group-by.
Media travel as encoded bytes with their sizes and a digest, never as pixels.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa

TASKS = ("image_generation", "image_understanding", "video_generation", "video_understanding")
KINDS = ("pair", "point")
LABELS = ("first", "second", "tie")

MEDIA = pa.struct(
    [
        ("kind", pa.string()),  # image or video
        ("data", pa.binary()),  # the encoded file
        ("uri", pa.string()),  # where it came from, if that is worth knowing
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("fps", pa.float32()),
        ("sha256", pa.string()),
    ]
)

SCALE = pa.struct([("name", pa.string()), ("minimum", pa.int32()), ("maximum", pa.int32())])

PREFERENCE = pa.schema(
    [
        ("preference_id", pa.string()),
        ("task", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("context", pa.list_(MEDIA)),
        (
            "candidates",
            pa.list_(pa.struct([("media", MEDIA), ("text", pa.string())])),
        ),  # two for a pair, one for a point
        ("label", pa.string()),  # of a pair: first, second or tie
        ("score", pa.float32()),  # of a point
        ("scale", SCALE),
        ("dimension", pa.string()),
        ("rationale", pa.string()),
        ("source", pa.string()),
    ]
)

PROMPT = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("context", pa.list_(MEDIA)),
        ("source", pa.string()),
    ]
)

CANDIDATE = pa.struct(
    [
        ("index", pa.int32()),
        ("seed", pa.int64()),
        ("media", MEDIA),
        ("text", pa.string()),
        ("error", pa.string()),  # why there is neither media nor text
    ]
)

CANDIDATE_SET = pa.schema([*PROMPT, ("candidates", pa.list_(CANDIDATE)), ("sampler_digest", pa.string())])

# What a judge says of candidates dimension by dimension, where it does; a number that could not be read is null.
PAIR_DIMENSION = pa.struct([("name", pa.string()), ("first", pa.float32()), ("second", pa.float32())])
POINT_DIMENSION = pa.struct([("name", pa.string()), ("score", pa.float32())])

PAIR_VERDICT = pa.struct(
    [
        ("first", pa.int32()),  # index of the candidate shown first
        ("second", pa.int32()),
        ("outcome", pa.string()),  # first, second, tie, unparsed, refused or media_error
        ("p_first", pa.float32()),
        ("p_second", pa.float32()),
        ("p_tie", pa.float32()),
        ("text", pa.string()),  # what the judge said, where it decoded an answer
        ("reason", pa.string()),
        ("dimensions", pa.list_(PAIR_DIMENSION)),  # null where there are none
    ]
)

POINT_VERDICT = pa.struct(
    [
        ("index", pa.int32()),
        ("outcome", pa.string()),  # score, unparsed, refused or media_error
        ("score", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),  # of each value of the scale; null where an answer was decoded
        ("text", pa.string()),
        ("reason", pa.string()),
        ("dimensions", pa.list_(POINT_DIMENSION)),  # null where there are none
    ]
)

JUDGED_SET = pa.schema(
    [
        *CANDIDATE_SET,
        ("pair_verdicts", pa.list_(PAIR_VERDICT)),
        ("point_verdicts", pa.list_(POINT_VERDICT)),
        ("scale", SCALE),
        ("judge_digest", pa.string()),
    ]
)

PREFERENCE_PAIR = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("chosen", CANDIDATE),
        ("rejected", CANDIDATE),
        ("chosen_score", pa.float32()),
        ("rejected_score", pa.float32()),
        ("margin", pa.float32()),  # chosen - rejected score; null, as they are, where there is no score
        ("dropped", pa.string()),  # null where the pair is kept, else the reason
        ("winners", pa.list_(pa.int32())),
        ("losers", pa.list_(pa.int32())),
        ("pairs_asked", pa.int32()),  # these three count the verdicts that sifting goes by: `pairs.orders`
        ("orders_agreed", pa.int32()),
        ("first_preferred", pa.int32()),  # verdicts for the candidate shown first: position bias
    ]
)

# A prompt's verdicts and the pair that was sifted from them; of the candidates only those of the pair, since they are
# what a row's bytes are made of. All of them are in the judged set of the same prompt.
SIFTED_SET = pa.schema(
    [field for field in JUDGED_SET if field.name != "candidates"]
    + [field for field in PREFERENCE_PAIR if field.name not in JUDGED_SET.names]
)

# What the reference of a VLM's DPO adds to a preference pair of answers.
REFERENCE = pa.schema(
    [
        ("ref_chosen_logps", pa.float32()),  # summed over the answer's tokens; null where the pair is unfit
        ("ref_rejected_logps", pa.float32()),
        ("reference_digest", pa.string()),
        ("length", pa.int32()),  # tokens of question and longer answer; null where they could not be counted
        ("unfit", pa.string()),  # null where the pair can be trained on, else the reason
    ]
)

# A preference pair of answers as a VLM's DPO reads it.
ANSWER_PAIR = pa.schema(
    [
        *[SIFTED_SET.field(name) for name in ("pair_id", "prompt_id", "prompt", "context", "chosen", "rejected")],
        *REFERENCE,
    ]
)

TENSOR = pa.struct(
    [
        ("dtype", pa.string()),  # as torch names it: float32, bfloat16, ...
        ("shape", pa.list_(pa.int32())),
        ("data", pa.large_binary()),  # the elements in C order
    ]
)

# A preference pair as the frozen encoders of a diffusion policy see it: all that Diffusion-DPO needs of it.
ENCODED_PAIR = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        (
            "dropped",
            pa.string(),
        ),  # null where there are tensors, else why: sifting's reason, or media_error: ...
        # What the denoiser is told beside latents and timestep: the prompt's embeddings, masks, sizes; no batch axis.
        ("conditioning", pa.list_(pa.struct([("name", pa.string()), ("tensor", TENSOR)]))),
        ("chosen_mean", TENSOR),  # of the latents' posterior, scaled: (C, h, w) of a picture, (C, F, h, w) of a clip
        ("chosen_std", TENSOR),
        ("rejected_mean", TENSOR),
        ("rejected_std", TENSOR),
        (
            "chosen_reference",
            pa.list_(pa.float32()),
        ),  # the reference's error in each stored draw, else null
        ("rejected_reference", pa.list_(pa.float32())),
    ]
)

# What a judge said about one item of a benchmark, with all that its figures need.
PREDICTION = pa.schema(
    [
        ("item_id", pa.string()),
        ("task", pa.string()),
        ("group", pa.string()),  # its category; empty where a benchmark has none
        ("cluster", pa.string()),  # what it shares with items that hang together with it
        ("labels", pa.list_(pa.struct([("dimension", pa.string()), ("label", pa.string())]))),
        ("pair_verdicts", pa.list_(PAIR_VERDICT)),  # of both orders; `first` is 0 where the first candidate came first
        ("point_verdicts", pa.list_(pa.struct([*POINT_VERDICT, ("dimension", pa.string())]))),
        ("skipped", pa.string()),  # null where it was asked, else why it cannot be
    ]
)

QUARANTINE = pa.schema(
    [("row_id", pa.string()), ("stage", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)


def digest(*parts: Any) -> str:
    """32 hex digits that depend only on the parts (bytes, or anything that JSON can hold)."""
    state = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, separators=(",", ":")).encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:32]


def seed_of(*parts: Any) -> int:
    """A seed of 63 bits from ids, so that randomness never depends on the order or the place of the work."""
    return int(digest(*parts)[:16], 16) >> 1


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly this schema; KeyError where a row lacks a column, so that no typo becomes a null."""
    return pa.table(
        {field.name: pa.array([row[field.name] for row in rows], field.type) for field in schema}, schema=schema
    )


def objects_in(fields: pa.Schema) -> list[str]:
    """The columns that hold Python objects, on their own or inside other values: Ray Data registers types with Arrow
    whose values are unpickled when they are looked at, and pickles of strangers can run code. Arrow's own types, all
    named arrow.*, are plain values."""
    return [field.name for field in fields if _holds_objects(field.type)]


def _holds_objects(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return not kind.extension_name.startswith("arrow.") or _holds_objects(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _holds_objects(kind.value_type)
    return any(_holds_objects(kind.field(i).type) for i in range(kind.num_fields))
