import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import schema
from urm_ray.training.encoded import collate_encoded, pack, pack_named, stack, unpack
from urm_ray.training.guards import TrainingError

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])


def tensor(seed: int, shape, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def column(*tensors: torch.Tensor) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([pack(t) for t in tensors], schema.TENSOR)])


@given(st.integers(0, 99), st.lists(st.tuples(SHAPES, DTYPES), min_size=1, max_size=3))
def test_tensors_of_any_shape_and_type_survive_a_file(seed, kinds):
    made = [tensor(seed + i, shape, dtype) for i, (shape, dtype) in enumerate(kinds)]
    file = io.BytesIO()
    pq.write_table(pa.table({"t": column(*made)}), file)
    read = pq.read_table(file)
    assert read.schema.field("t").type.equals(schema.TENSOR)
    for back, before in zip((unpack(v) for v in read["t"]), made, strict=True):
        assert back.dtype == before.dtype
        assert torch.equal(back, before)


def test_a_tensor_that_is_a_view_is_kept_as_it_looks():
    whole = tensor(0, (4, 6))
    assert torch.equal(unpack(column(whole.T[1:3])[0]), whole.T[1:3])


def test_a_tensor_is_read_without_a_copy():
    value = column(tensor(0, (3, 2)), tensor(1, (3, 2)))[1]
    assert unpack(value).data_ptr() == value["data"].as_buffer().address


def test_one_batch_has_one_shape():
    assert stack(column(tensor(0, (2, 3)), tensor(1, (2, 3), torch.bfloat16))).dtype == torch.float32
    with pytest.raises(TrainingError, match=r"unlike shapes \[\(2, 3\), \(2, 4\)\]"):
        stack(column(tensor(0, (2, 3)), tensor(1, (2, 4))))


def conditioning(number: int) -> dict[str, torch.Tensor]:
    return {
        "prompt_embeds": torch.full((5, 6), float(number), dtype=torch.bfloat16),
        "mask": torch.tensor([True, number > 1]),
        "guidance": torch.tensor(float(number)),
    }


def encoded(number: int, errors: bool) -> dict:
    parts = ("chosen_mean", "chosen_std", "rejected_mean", "rejected_std")
    return dict.fromkeys(schema.ENCODED_PAIR.names) | {
        "pair_id": f"pair{number}",
        "conditioning": pack_named(conditioning(number)),
        **{name: pack(torch.full((2, 3, 3), number + i / 10)) for i, name in enumerate(parts)},
        "chosen_reference": [number + 0.25, number + 0.5] if errors else None,
        "rejected_reference": [number + 100.25, number + 100.5] if errors else None,
    }


def test_winners_come_first():
    batch = collate_encoded(schema.table_of([encoded(n, errors=True) for n in (1, 2, 3)], schema.ENCODED_PAIR))
    assert batch["ids"] == ["pair1", "pair2", "pair3"]
    told = batch["conditioning"]
    assert told["prompt_embeds"].shape == (3, 5, 6)
    assert told["prompt_embeds"].dtype == told["guidance"].dtype == torch.float32
    assert told["prompt_embeds"][:, 0, 0].tolist() == told["guidance"].tolist() == [1, 2, 3]
    assert told["mask"].dtype == torch.bool
    assert told["mask"].tolist() == [[True, False], [True, True], [True, True]]
    assert batch["mean"].shape == batch["std"].shape == (6, 2, 3, 3)
    assert batch["mean"][:, 0, 0, 0].tolist() == pytest.approx([1, 2, 3, 1.2, 2.2, 3.2])
    assert batch["std"][:, 0, 0, 0].tolist() == pytest.approx([1.1, 2.1, 3.1, 1.3, 2.3, 3.3])
    assert batch["reference"].tolist() == [[n + 0.25, n + 0.5] for n in (1, 2, 3, 101, 102, 103)]


def test_without_stored_errors_there_are_none():
    batch = collate_encoded(schema.table_of([encoded(1, errors=False)], schema.ENCODED_PAIR))
    assert set(batch) == {"ids", "conditioning", "mean", "std"}
