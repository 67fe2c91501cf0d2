from pathlib import Path

import pytest
from helpers import NOT_A_PICTURE, as_answers, clip, pair_preference
from sources.native import grey, write
from sources.native_general import write_preferences

from urm_ray import schema, store
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.reader import reader
from urm_ray.sources.registry import Rejected


def read(path: Path) -> list:
    """What becomes of every row, read three at a time."""
    found = reader("preferences", str(path))
    media = MediaFolder(str(path))
    drafts = [draft for unit in found.units(3) for draft in found.drafts(unit)]
    return [draft if isinstance(draft, Rejected) else media.fill(draft) for draft in drafts]


def test_rows_come_back_as_they_are(tmp_path: Path):
    rows = write_preferences(tmp_path / "data" / "a.parquet")
    clips = [{"media": clip([1, 2]), "text": None}, {"media": clip([3, 4]), "text": None}]
    more = [
        pair_preference(20, task="video_generation", candidates=clips, dimension="motion", rationale="It moves."),
        as_answers(pair_preference(21), "a cat", "a dog"),
    ]
    store.write_table(str(tmp_path / "data" / "b.parquet"), schema.table_of(more, schema.PREFERENCE))
    store.write_table(str(tmp_path / "_quarantine" / "c.parquet"), schema.table_of(more, schema.PREFERENCE))
    assert read(tmp_path) == [*rows, *more]


def test_media_may_be_named_and_not_held(tmp_path: Path):
    write(tmp_path / "a.jpg", grey(3))
    media = [{**NOT_A_PICTURE, "data": None, "uri": uri} for uri in ("a.jpg", "b.jpg")]
    rows = [pair_preference(n, candidates=[{"media": one, "text": None}] * 2) for n, one in enumerate(media)]
    store.write_table(str(tmp_path / "rows.parquet"), schema.table_of(rows, schema.PREFERENCE))
    first, second = read(tmp_path)
    assert first["candidates"][0]["media"]["data"] == grey(3)
    assert (second.row_id, second.reason) == ("pair1", "missing picture")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"preference_id": None}, "no preference_id"),
        ({"source": " "}, "empty source"),
        ({"candidates": [{"media": NOT_A_PICTURE, "text": None}] * 2}, "undecodable picture"),
        ({"context": [NOT_A_PICTURE | {"kind": "sound"}]}, "unknown kind of media"),
        ({"context": [NOT_A_PICTURE | {"data": None}]}, "media without data"),
        ({"context": [None]}, "unknown kind of media"),
    ],
)
def test_a_broken_row_costs_itself(tmp_path: Path, changes, reason):
    rows = [pair_preference(0), pair_preference(1, **changes), pair_preference(2)]
    store.write_table(str(tmp_path / "rows.parquet"), schema.table_of(rows, schema.PREFERENCE))
    found = read(tmp_path)
    assert [found[0], found[2]] == [rows[0], rows[2]]
    assert found[1].reason == reason
