"""What a row costs that ends, blocks or breaks the process that works on it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from urm_ray.judge.unanswered import EngineError, EngineGoneError, QuestionError
from urm_ray.pipeline import attempts as attempts_module
from urm_ray.pipeline.attempts import MOST_OF_A_UNIT, Attempts, Care
from urm_ray.pipeline.ledger import DIED, Ledger
from urm_ray.store import StoreError


class GoneError(BaseException):
    """Stands for the end of a process."""


def ledger(rows: int = 1000, share: float = 0.05) -> Ledger:
    return Ledger("generate", rows, share)


def leave(status: int) -> None:
    raise GoneError(status)


def process(of: Ledger, limit_s: float = 60.0) -> Attempts:
    """A new process that takes the place of another: it knows what is in the ledger."""
    return Attempts("judging", Care(of, limit_s), leave)


def kill() -> None:
    raise GoneError


def until_done(of: Ledger, work, most: int = 20):
    """Does the work in one process after another, as Ray does; what came of it, and how many processes ended."""
    for ended in range(most):
        try:
            return work(process(of)), ended
        except GoneError:
            pass
    raise AssertionError("it would be tried for ever")


def rows(attempts: Attempts, bad: str | None, what=kill, done: list[str] | None = None) -> dict[str, str]:
    def work(key: str) -> str:
        if key == bad:
            what()
        if done is not None:
            done.append(key)
        return key.upper()

    return {key: attempts.each(key, lambda key=key: work(key), lambda why: why) for key in "abcd"}


def test_a_row_that_kills_its_process_twice_is_put_aside_and_costs_the_others_nothing():
    kept = ledger()
    found, ended = until_done(kept, lambda process: rows(process, "c"))
    assert ended == 2
    assert found == {"a": "A", "b": "B", "c": f"judging failed 2 times, at last because {DIED}", "d": "D"}
    assert kept.open.keys() == {"judging c"}


def test_a_row_that_kills_once_is_done_by_the_next_process():
    deaths = iter([True])
    found, ended = until_done(ledger(), lambda process: rows(process, "b", lambda: next(deaths, None) and kill()))
    assert (found["b"], ended) == ("B", 1)


def test_a_process_that_dies_of_no_row_leaves_no_trace():
    kept = ledger()
    rows(process(kept), None)
    assert kept.open == kept.aside == {}


def broken() -> None:
    raise ValueError("no such thing\nand more")


def test_an_unexpected_error_is_tried_again_in_place_and_costs_its_row(capsys):
    done: list[str] = []
    found = rows(process(ledger()), "b", broken, done)
    assert found["b"] == "judging failed 2 times, at last because ValueError: no such thing"
    assert done == ["a", "c", "d"]
    assert "b is put aside" in capsys.readouterr().err


def test_what_a_question_fails_of_is_its_reason():
    def ask() -> None:
        raise QuestionError("it is too long")

    assert rows(process(ledger()), "a", ask)["a"].endswith("because it is too long")


@pytest.mark.parametrize("error", [EngineError("no server"), StoreError("no space")])
def test_what_is_wrong_with_all_rows_is_raised_at_once(error):
    kept, tried = ledger(), []

    def fail() -> None:
        tried.append(1)
        raise error

    with pytest.raises(type(error), match="no s"):
        rows(process(kept), "a", fail)
    assert (len(tried), kept.open) == (1, {})


def test_a_fault_of_the_accelerator_ends_the_process_and_its_row_is_done_by_another():
    faults = iter([RuntimeError("CUDA error: device-side assert triggered")])

    def fault() -> None:
        for error in faults:
            raise error

    found, ended = until_done(ledger(), lambda process: rows(process, "d", fault))
    assert (found["d"], ended) == ("D", 1)


def test_an_engine_that_died_is_made_anew_and_what_it_dies_of_is_put_aside():
    def dies() -> None:
        raise EngineGoneError("vLLM has died")

    found, ended = until_done(ledger(), lambda process: rows(process, "b", dies))
    assert ended == 2
    assert found["b"] == "judging failed 2 times, at last because EngineGoneError: vLLM has died"
    assert (found["a"], found["c"]) == ("A", "C")


def test_a_process_that_ran_out_of_memory_tries_once_more_by_itself():
    import torch

    errors = iter([torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")])

    def full() -> None:
        for error in errors:
            raise error

    found, ended = until_done(ledger(), lambda process: rows(process, "d", full))
    assert (found["d"], ended) == ("D", 0)


def test_the_stage_stops_when_too_many_rows_fail_and_says_of_what():
    kept, done = ledger(rows=400, share=0.05), []
    attempts = process(kept)

    def work() -> None:
        for number in range(400):
            attempts.each(str(number), broken, done.append)

    with pytest.raises(StoreError, match=r"generate: 21 of 400 rows .* put_aside_share allows \(0.05\)") as stopped:
        work()
    assert "ValueError: no such thing" in str(stopped.value)
    assert len(done) == 20


def test_few_rows_may_fail_of_few():
    attempts = process(ledger(rows=12, share=0.0))
    assert all(attempts.each(str(n), broken, lambda why: "aside") == "aside" for n in range(10))
    with pytest.raises(StoreError):
        attempts.each("10", broken, lambda why: "aside")


# Units


def unit(attempts: Attempts, bad: set[str], what=kill, single=None) -> dict[str, str]:
    """Rows that are made together; what `what` does happens wherever a bad row is worked on."""

    def joint(aside: dict[str, str]) -> dict[str, str]:
        if bad - aside.keys():
            what()
        return {key: aside.get(key, key.upper()) for key in "abcdef"}

    def alone(key: str) -> None:
        (single or (lambda key: key in bad and what()))(key)

    return attempts.together("unit 3", 6, joint, lambda: ((key, lambda key=key: alone(key)) for key in "abcdef"))


@pytest.mark.parametrize("bad", [{"a"}, {"d"}, {"f"}, {"b", "e"}, set("abcdef")])
def test_a_unit_that_dies_is_looked_through_and_made_without_what_kills(bad):
    kept = ledger()
    found, ended = until_done(kept, lambda process: unit(process, bad))
    assert ended == 1 + 2 * len(bad)  # with the unit, and twice each alone
    for key in "abcdef":
        assert (found[key] == key.upper()) is (key not in bad)
    assert {key for key in "abcdef" if f"judging {key}" in kept.aside} == bad


def test_a_unit_that_breaks_in_place_needs_no_new_process():
    found, ended = until_done(ledger(), lambda process: unit(process, {"b", "c"}, broken))
    assert ended == 0
    assert found["b"].endswith("ValueError: no such thing")
    assert found["a"] == "A"


def test_a_unit_whose_process_died_of_something_else_is_made_whole():
    deaths = iter([True])
    found, ended = until_done(
        ledger(), lambda process: unit(process, {"a"}, lambda: next(deaths, None) and kill(), lambda key: None)
    )
    assert ended == 1
    assert found == {key: key.upper() for key in "abcdef"}


@pytest.mark.parametrize("innocent", "acf")
@pytest.mark.parametrize("bad", [set(), {"b"}, {"e"}], ids=["no bad row", "b", "e"])
def test_a_process_that_is_killed_while_a_unit_is_looked_through_costs_no_innocent_row(innocent, bad):
    kept, joint, outside = ledger(), iter([True]), iter([True])

    def alone(key: str) -> None:
        if key in bad or (key == innocent and next(outside, None)):
            kill()

    def together() -> None:
        if bad or next(joint, None):
            kill()

    found, ended = until_done(kept, lambda process: unit(process, bad or {"d"}, together, alone))
    reason = f"judging failed 2 times, at last because {DIED}"
    assert found == {key: reason if key in bad else key.upper() for key in "abcdef"}
    assert ended == 1 + 1 + 2 * len(bad)  # the unit, the kill from outside, and twice for the row that is to blame
    assert kept.aside.keys() == {f"judging {key}" for key in bad}


def test_a_row_of_a_unit_that_failed_is_worked_on_alone_from_the_first():
    attempts, begun, beside = process(ledger()), threading.Event(), []
    failures = iter([ValueError("together")])

    def other() -> None:
        begun.set()
        time.sleep(0.2)
        beside.append("other")

    def joint(aside: dict[str, str]) -> str:
        thread.start()
        begun.wait(10)
        for error in failures:
            raise error
        return "done"

    def joint_once(aside: dict[str, str]) -> str:
        return "done" if beside else joint(aside)

    thread = threading.Thread(target=lambda: attempts.each("another unit's", other, str))
    found = attempts.together("unit 3", 1, joint_once, lambda: [("a", lambda: beside.append("a"))])
    thread.join()
    assert (found, beside) == ("done", ["other", "a"])


def test_a_unit_that_dies_though_no_row_does_is_not_tried_for_ever():
    tried: list[int] = []

    def work(process: Attempts) -> dict[str, str]:
        tried.append(1)
        return unit(process, {"a"}, kill, lambda key: None)

    with pytest.raises(StoreError, match=f"judging unit 3 failed {MOST_OF_A_UNIT} times, though its rows do not"):
        until_done(ledger(), work)
    assert len(tried) == MOST_OF_A_UNIT + 1


def test_rows_that_cannot_be_found_are_not_looked_for_for_ever():
    def look(process: Attempts):
        def rows():
            yield "a", lambda: None
            kill()

        return process.together("unit 3", 2, lambda aside: kill(), rows)

    with pytest.raises(StoreError, match="while its rows were looked through: its process ended"):
        until_done(ledger(), look)


def test_attempts_that_ended_with_their_node_count_for_nothing():
    class Cluster(Ledger):
        gone: frozenset[str] = frozenset()

        def lost(self):
            return self.gone

    kept = Cluster("generate", 100, 0.05)
    for node in ("one", "two", "three"):
        assert kept.begin("judging a", node) == []
        kept.gone |= {node}
    kept.begin("judging a", "four")
    assert kept.earlier("judging a") == [DIED]  # that node lives: its process died by itself
    kept.why("judging a", "no memory")
    kept.gone |= {"four"}
    assert kept.earlier("judging a") == ["no memory"]


# Several rows at a time


def test_a_row_that_failed_is_worked_on_alone():
    attempts, at_work, beside = process(ledger()), set(), []
    failures = iter([ValueError("once")])

    def work(key: str) -> str:
        at_work.add(key)
        time.sleep(0.01)
        if key == "bad":
            for error in failures:
                at_work.remove(key)
                raise error
            beside.append(set(at_work))
            time.sleep(0.05)
            beside.append(set(at_work))
        at_work.remove(key)
        return key

    keys = [f"row {n}" for n in range(12)]
    keys.insert(4, "bad")
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda key=key: found.append(attempts.each(key, lambda: work(key), str)))
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(keys)
    assert beside == [{"bad"}, {"bad"}]


# What takes too long


def test_a_row_that_does_not_end_ends_its_process_and_is_named():
    kept, left = ledger(), []
    attempts = Attempts("judging", Care(kept, 0.05), left.append)
    attempts.each("slow", lambda: time.sleep(0.4), str)
    assert left == [70]
    assert kept.earlier("judging slow") == []  # it did end, late
    ends = Attempts("judging", Care(kept, 0.05), lambda _: None)
    seen: list[list[str]] = []
    ends.each("slow", lambda: (time.sleep(0.4), seen.append(kept.earlier("judging slow"))), str)
    assert seen == [["it took longer than 0.05 s"]]


def test_work_is_hung_once_it_takes_far_longer_than_all_before(monkeypatch):
    monkeypatch.setattr(attempts_module, "LEAST_S", 0.2)
    left: list[int] = []
    attempts = Attempts("judging", Care(ledger(), 3600.0), left.append)
    attempts.each("first", lambda: time.sleep(0.3), str)  # nothing is known yet
    attempts.longest = 0.0
    for number in range(attempts_module.KNOWN):
        attempts.each(str(number), lambda: time.sleep(0.01), str)
    assert left == []
    attempts.each("slow", lambda: time.sleep(0.6), str)
    assert left == [70]


@pytest.mark.parametrize("held", [False, True], ids=["waits", "holds the interpreter's lock"])
def test_hung_work_is_ended_even_where_no_other_thread_can_run(held, tmp_path):
    # A regular expression holds the lock for as long as it searches.
    script = f"""
        import re, time
        from urm_ray.pipeline import attempts, ledger, watch
        watch.Watch.GRACE_S = 1.0
        work = attempts.Attempts("judging", attempts.Care(ledger.Ledger("s", 1, 0.1), 0.3))
        hang = (lambda: re.match("(a+)+b", "a" * 64)) if {held} else (lambda: time.sleep(600))
        work.each("row", hang, str)
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert done.returncode == (1 if held else 70)
    assert time.monotonic() - started < 30
    assert 'File "<string>"' in done.stderr
    assert held or "it took longer than 0.3 s" in done.stderr
