"""vLLM held against transformers: the same judge, the same questions. vLLM runs in an environment of its own, whose
interpreter VLLM_PYTHON names; `make test-vllm` builds it. JUDGE names another judge than the one that is trained here.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from helpers import ROOT, as_answers, pair_preference
from judge.asked_elsewhere import answers

from urm_ray import schema
from urm_ray.judge.protocol import protocol
from urm_ray.sources.registry import source
from urm_ray.training.collate import RewardCollate
from urm_ray.training.rows import both_orders
from urm_ray.vlms import load_processor, trainable_vlm

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("VLLM_PYTHON" not in os.environ, reason="make test-vllm builds what this needs"),
]
WORLD = "urm_ray.scenes.source:world"
SMALL = {"max_model_len": 2048, "max_num_seqs": 32, "gpu_memory_utilization": 0.2, "cache_gb": 0.5}
VLLM = {"engine": "vllm", "vllm": SMALL | {"engine": {"enforce_eager": True}}}
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


def preferences(part: str, kind: str, count: int, task: str = "image_generation") -> list[dict]:
    name = f"{part}_{kind}"
    drawn = source(WORLD, None, 0, task, {name: count})
    return [row for row in drawn.read(name, 0, count) if isinstance(row, dict)]


@pytest.fixture(scope="module")
def judge(tmp_path_factory, vlm_path) -> str:
    """A judge that was trained for a short while, so that it answers as it was taught and is sure of some things."""
    if "JUDGE" in os.environ:
        return os.environ["JUDGE"]
    steps, batch, lr = 120, 16, 2e-3
    torch.manual_seed(0)
    model, processor = trainable_vlm(vlm_path, "float32", None, train_vision=False), load_processor(vlm_path)
    collate = RewardCollate(processor, protocol("unified"))
    rows = preferences("train", "pairs", steps * batch // 2) + preferences("train", "points", steps * batch // 2)
    rows.sort(key=lambda row: schema.seed_of(row["preference_id"]))
    table = both_orders(schema.table_of(rows, schema.PREFERENCE))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        model(**collate(table.slice(step * batch, batch))).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    folder = tmp_path_factory.mktemp("judge")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def in_vllm(folder: Path, path: str, rows: list[dict], settings: dict) -> dict:
    pq.write_table(schema.table_of(rows, schema.PREFERENCE), folder / "rows.parquet")
    job = {"path": path, "rows": str(folder / "rows.parquet"), "out": str(folder / "out.json")}
    (folder / "job.json").write_text(json.dumps(job | {"judge": VLLM | settings}))
    command = [os.environ["VLLM_PYTHON"], "tests/judge/asked_elsewhere.py", str(folder / "job.json")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "out.json").read_text())


def apart(one: dict, two: dict) -> float:
    """The largest difference of two verdicts' probabilities."""
    names = ("p_first", "p_second", "p_tie")
    chances = [(one[name], two[name]) for name in names if name in one]
    chances += zip(one.get("probabilities") or [], two.get("probabilities") or [], strict=True)
    assert None not in [p for pair in chances for p in pair], (one, two)
    return max(abs(a - b) for a, b in chances)


@pytest.mark.parametrize("shown", ["frames", "native"])
def test_both_engines_read_the_same(tmp_path, judge, shown):
    rows = preferences("heldout", "pairs", 240) + preferences("heldout", "points", 40)
    rows += preferences("heldout", "pairs", 30, "video_generation")
    settings = {"clips": {"shown": shown, "count": 8}}
    there, here = in_vllm(tmp_path, judge, rows, settings), answers(judge, rows, settings)
    pairs, differences, points = [], [], []
    for one, two in zip(there["verdicts"], here["verdicts"], strict=True):
        differences.append(apart(one, two))
        if "p_first" in one:
            pairs.append(one["outcome"] == two["outcome"])
        else:
            points.append(abs(one["score"] - two["score"]))
    print(
        f"{shown}: verdicts {len(pairs)}, the same {sum(pairs)}; probabilities apart at most {max(differences):.1e},"
        f" mean {sum(differences) / len(differences):.1e}; scores {len(points)}, apart at most {max(points):.1e};"
        f" seconds {there['seconds']:.1f} (vLLM), {here['seconds']:.1f} (transformers)"
    )
    assert len(pairs) >= 400
    assert len({one["outcome"] for one in here["verdicts"]}) > 2
    assert sum(pairs) >= 0.99 * len(pairs)
    assert max(differences) <= 0.02


@pytest.fixture
def server(judge) -> Iterator[str]:
    """vLLM's own server with the judge."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["VLLM_PYTHON"], "-m", "vllm.entrypoints.openai.api_server", "--model", judge]
    command += ["--served-model-name", "judge", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "2048", "--max-num-seqs", "32", "--gpu-memory-utilization", "0.2", "--enforce-eager"]
    log = Path(tempfile.mkstemp()[1])
    with log.open("w") as to:
        process = subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=to, stderr=to, start_new_session=True)
    try:
        for _ in range(150):
            assert process.poll() is None, log.read_text()[-3000:]
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                break
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        log.unlink()


def test_a_judge_that_is_served_reads_and_writes_the_same(judge, server):
    rows = preferences("heldout", "pairs", 100) + preferences("heldout", "points", 20)
    rows += preferences("heldout", "pairs", 10, "video_generation")
    http = {"engine": "http", "http": {"base_url": server, "model": "judge"}, "max_new_tokens": 24}
    there, here = answers(judge, rows, http), answers(judge, rows, {})
    differences = [apart(one, two) for one, two in zip(there["verdicts"], here["verdicts"], strict=True)]
    same = [one["outcome"] == two["outcome"] for one, two in zip(there["verdicts"], here["verdicts"], strict=True)]
    print(f"http: verdicts {len(same)}, the same {sum(same)}; probabilities apart at most {max(differences):.1e}")
    assert sum(same) >= 0.99 * len(same)
    assert max(differences) <= 0.02
    generate = {"readout": "generate", "max_new_tokens": 24}
    there, here = answers(judge, rows, http | generate), answers(judge, rows, generate)
    written = [one["text"] == two["text"] for one, two in zip(there["verdicts"], here["verdicts"], strict=True)]
    assert sum(written) >= 0.99 * len(written)


def test_both_engines_write_the_same(tmp_path, judge):
    rows = preferences("heldout", "pairs", 40) + preferences("heldout", "points", 20)
    settings = {"readout": "generate", "max_new_tokens": 24}
    there, here = in_vllm(tmp_path, judge, rows, settings), answers(judge, rows, settings)
    same = [one["text"] == two["text"] for one, two in zip(there["verdicts"], here["verdicts"], strict=True)]
    assert len(same) == 100
    assert sum(same) >= 99
    assert {one["outcome"] for one in there["verdicts"]} >= {"first", "second", "score"}


def test_a_question_that_is_too_long_costs_itself_alone(tmp_path, judge):
    rows = [pair_preference(0), as_answers(pair_preference(1), "word " * 3000, "short"), pair_preference(2)]
    verdicts = in_vllm(tmp_path, judge, rows, {})["verdicts"]
    assert [one["outcome"] == "unparsed" for one in verdicts] == [False, False, True, True, False, False]
    assert "maximum context length" in verdicts[2]["reason"]
