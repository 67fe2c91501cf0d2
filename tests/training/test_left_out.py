import pytest

from urm_ray import schema, store
from urm_ray.training.guards import TrainingError
from urm_ray.training.left_out import EMPTY, FEW, Fault, LeftOut


def fault(number: int) -> Fault:
    return Fault(f"pair{number}", "media that cannot be shown", "decoding takes longer than 30 seconds")


def test_both_orders_and_a_second_worker_write_one_file_and_print_one_line(tmp_path, capsys):
    for _ in range(2):
        left_out = LeftOut(str(tmp_path), 1000, 0.05)
        left_out(4, [fault(1), fault(1)])
        left_out(4, [fault(1)])
    (file,) = store.list_files(str(tmp_path / "quarantine" / "examples"), ".parquet")
    found = store.read_table(file)
    assert found.schema.equals(schema.QUARANTINE)
    assert found.to_pylist() == [
        {"row_id": "pair1", "stage": "reward", "reason": fault(1).reason, "detail": fault(1).detail}
    ]
    assert capsys.readouterr().out.count("pair1 is left out") == 1


@pytest.mark.parametrize(("examples", "allowed"), [(50, FEW), (1000, 50)])
def test_more_than_the_share_stops_the_training_in_one_sentence(tmp_path, examples, allowed):
    left_out = LeftOut(str(tmp_path), examples, 0.05)
    for number in range(allowed):
        left_out(2, [fault(number)])
    left_out(2, [])
    said = rf"reward: {allowed + 1} of the {examples} examples .* put_aside_share allows \(0.05\); the last because"
    with pytest.raises(TrainingError, match=said + ".* longer than 30 seconds"):
        left_out(2, [fault(allowed)])


def test_whole_batches_in_a_row_stop_the_training_long_before_the_share_is_reached(tmp_path):
    left_out = LeftOut(str(tmp_path), 1_000_000, 0.05)
    for _ in range(2):
        for _ in range(EMPTY - 1):
            left_out(2, [fault(1), fault(1)])
        left_out(2, [fault(1)])
    for _ in range(EMPTY - 1):
        left_out(2, [fault(1), fault(1)])
    with pytest.raises(TrainingError, match=f"nothing is left of {EMPTY} batches in a row"):
        left_out(2, [fault(1), fault(1)])
