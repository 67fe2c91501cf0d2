import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.media import MediaError
from urm_ray.training.stream import DealtBatches, ShardBatches


class Shard:
    """Stands for a Ray Data shard: rows in a fixed order, shuffled by the seed it is given."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: dict = {}
        self.given = 0

    def iter_batches(self, *, batch_size, drop_last, **options):
        self.asked = options | {"batch_size": batch_size, "drop_last": drop_last}
        for start in range(0, self.rows, batch_size):
            ids = list(range(start, min(start + batch_size, self.rows)))
            if len(ids) == batch_size or not drop_last:
                self.given += 1
                yield pa.table({"id": ids})


class Collate:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, table: pa.Table) -> dict:
        ids = table["id"].to_pylist()
        self.seen += ids
        return {"ids": ids}


def batches(shard, collate, batch=3, total=5, start=0, window=100) -> ShardBatches:
    return ShardBatches(shard, collate, batch, total, start, seed=7, window=window)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 8), st.integers(0, 8))
def test_a_restart_goes_on_exactly_where_the_first_run_was(rows, batch, total, start):
    # Defect 6: after a restart the loop went on at too small an index.
    whole = [b["ids"] for b in batches(Shard(rows), Collate(), batch, total)]
    collate = Collate()
    rest = [b["ids"] for b in batches(Shard(rows), collate, batch, total, start)]
    assert rest == whole[start:]
    assert whole == [list(range(n * batch, (n + 1) * batch)) for n in range(min(total, rows // batch))]
    # What is skipped is not decoded again.
    assert collate.seen == [i for ids in rest for i in ids]


def test_the_stream_ends_after_its_total_and_leaves_the_rest_alone():
    shard = Shard(1000)
    assert len(list(batches(shard, Collate(), total=4))) == 4
    assert shard.given <= 5


def test_its_length_is_the_total_whatever_was_skipped():
    assert len(batches(Shard(100), Collate(), total=5, start=2)) == 5


def test_the_shuffle_is_seeded_and_drops_what_fills_no_batch():
    shard = Shard(10)
    list(batches(shard, Collate()))
    assert shard.asked["local_shuffle_seed"] == 7
    assert shard.asked["local_shuffle_buffer_size"] == 100
    assert shard.asked["drop_last"] is True


@pytest.mark.parametrize(("window", "buffer"), [(1, 3), (3, 3), (50, 50)])
def test_the_shuffle_window_holds_at_least_a_batch(window, buffer):
    shard = Shard(10)
    list(batches(shard, Collate(), window=window))
    assert shard.asked["local_shuffle_buffer_size"] == buffer


def test_the_next_batches_are_made_while_the_trainer_is_at_its_step():
    begun = threading.Semaphore(0)

    def collate(table: pa.Table) -> dict:
        begun.release()
        return {"ids": table["id"].to_pylist()}

    made = iter(batches(Shard(30), collate, total=9))
    first = next(made)
    # Two lie ready and one waits for its place, though no other was asked for.
    assert all(begun.acquire(timeout=10) for _ in range(4))
    assert not begun.acquire(timeout=0.3)
    assert [first, *made] == [{"ids": [n, n + 1, n + 2]} for n in range(0, 27, 3)]


def test_an_error_comes_where_its_batch_would_have():
    def collate(table: pa.Table) -> int:
        first = table["id"][0].as_py()
        if first == 6:
            raise MediaError("row 6")
        return first

    made = iter(batches(Shard(30), collate))
    assert [next(made), next(made)] == [0, 3]
    with pytest.raises(MediaError, match="row 6"):
        next(made)
    assert next(made, None) is None


def test_a_trainer_that_stops_early_leaves_no_thread_behind():
    made = iter(batches(Shard(300), Collate(), total=90))
    next(made)
    made.close()
    until = time.monotonic() + 10
    while any(thread.name == "batches" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("turn", [1, 2])
def test_one_worker_sees_in_a_step_what_two_would(turn):
    def share(first: int, start: int = 0) -> ShardBatches:
        return ShardBatches(Shard(60), lambda t: [first + i for i in t["id"].to_pylist()], 3, 4 * turn, start, 7, 100)

    two = [list(share(first)) for first in (0, 1000)]
    both = DealtBatches([share(0), share(1000)], turn)
    seen = list(both)
    steps = [[one for batches in two for one in batches[n * turn : (n + 1) * turn]] for n in range(4)]
    assert [seen[n * 2 * turn : (n + 1) * 2 * turn] for n in range(4)] == steps
    assert len(both) == len(seen) == 8 * turn
    # A restart after the second step.
    resumed = DealtBatches([share(0, 2 * turn), share(1000, 2 * turn)], turn)
    assert list(resumed) == seen[4 * turn :]
    assert resumed.start == 2 * turn


def test_no_share_is_waited_for_before_all_are_asked():
    asked = threading.Barrier(2, timeout=10)

    class Together(Shard):
        def iter_batches(self, **options):
            asked.wait()
            yield from super().iter_batches(**options)

    assert len(list(DealtBatches([batches(Together(30), Collate()) for _ in range(2)], 1))) == 10
