"""What is exported lies in the folder that was named, whatever the rows say of their files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exports.rows import pairs_folder
from helpers import picture
from safety.traps import objects

from urm_ray.exports.export import export
from urm_ray.media import encode_image
from urm_ray.sources.registry import SourceError

HOSTILE = ["../../escaped", "/tmp/urm-out", "a/b", "..", "a\0b", "", "x" * 400, "~/out"]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_are_named_by_what_is_in_them_and_not_by_what_the_row_says(tmp_path, name):
    media = encode_image(picture(7))
    task = "image_generation"
    honest, hostile = tmp_path / "honest", tmp_path / "hostile"
    for folder, given in ((honest, media), (hostile, media | {"sha256": name})):
        source = pairs_folder(folder, {task: 1}, chosen_media=[given])
        before = files(tmp_path)
        export("pick-a-pic", source, str(folder / "out"))
        assert all(path.startswith(f"{folder.name}/out/") for path in files(tmp_path) - before)
    source = pairs_folder(tmp_path / "answers", {"image_understanding": 1})
    (unit,) = Path(source).glob("*.parquet")
    table = pq.read_table(unit)
    rows = table.to_pylist()
    for row in rows:
        row["context"] = [media | {"sha256": name}]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), unit)
    export("llama-factory", source, str(tmp_path / "answers/out"))
    assert f"answers/out/media/{media['sha256'][:32]}.png" in files(tmp_path)
    assert not Path("/tmp/urm-out.png").exists()
    assert not list(tmp_path.parent.glob("escaped*"))


def test_columns_of_objects_are_not_exported(tmp_path, ran):
    source = Path(pairs_folder(tmp_path, {"image_understanding": 1}))
    (unit,) = source.glob("*.parquet")
    table = pq.read_table(unit)
    at = table.schema.get_field_index("prompt")
    pq.write_table(table.set_column(at, "prompt", objects(ran, len(table))), unit)
    with pytest.raises(SourceError, match="its column prompt holds Python objects"):
        export("llama-factory", str(source), str(tmp_path / "out"))
