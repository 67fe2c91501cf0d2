"""Which benchmarks there are, and how one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from urm_ray.fingerprint import fingerprint
from urm_ray.reward_benchmarks.comparison import Benchmark
from urm_ray.schema import digest
from urm_ray.sources.hub import local_path
from urm_ray.sources.registry import SourceError, load_object

BENCHMARKS = {
    "vl_rewardbench": "urm_ray.reward_benchmarks.vl_rewardbench:VLRewardBench",
    "genai_bench_image": "urm_ray.reward_benchmarks.genai_bench:Images",
    "genai_bench_image_v1": "urm_ray.reward_benchmarks.genai_bench:ImagesV1",
    "genai_bench_edit": "urm_ray.reward_benchmarks.genai_bench:Edits",
    "genai_bench_edit_v1": "urm_ray.reward_benchmarks.genai_bench:EditsV1",
    "genai_bench_video": "urm_ray.reward_benchmarks.genai_bench:Clips",
    "genai_bench_video_v1": "urm_ray.reward_benchmarks.genai_bench:ClipsV1",
    "videogen_rewardbench": "urm_ray.reward_benchmarks.videogen_rewardbench:VideoGenRewardBench",
    "multimodal_rewardbench": "urm_ray.reward_benchmarks.multimodal_rewardbench:MultimodalRewardBench",
    "mmrb2": "urm_ray.reward_benchmarks.mmrb2:MMRB2",
    "sharegptvideo": "urm_ray.reward_benchmarks.sharegptvideo:ShareGPTVideo",
    "preferences": "urm_ray.reward_benchmarks.preferences:Preferences",
}
"""`module:Class` of each benchmark by the name that people use."""

_RECORDS = (".parquet", ".json", ".jsonl", ".csv", ".tsv")


def benchmark(name: str) -> type[Benchmark]:
    """A benchmark by its registered name or as `module:Class`; NAME@LABEL is the same as NAME."""
    name = name.partition("@")[0]
    if name not in BENCHMARKS and ":" not in name:
        raise SourceError(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}, or module:Class")
    found = load_object(BENCHMARKS.get(name, name))
    if not isinstance(found, type) or not issubclass(found, Benchmark):
        raise SourceError(f"{name} is no benchmark: it has to be a class that extends comparison.Benchmark")
    return found


def locate(kind: type[Benchmark], path: str) -> tuple[str, str]:
    """(where its records are, where its media are); a path that is none is a name on the hub, an empty one its own."""
    if not path and not kind.hub:
        raise SourceError(f"{kind.title} has no name on the hub: say where it lies, as NAME=FOLDER")
    records = local_path(path or kind.hub)
    from_hub = not Path(path).expanduser().exists() if path else True
    media = local_path(kind.media_hub) if kind.media_hub and from_hub else records
    return records, media


def data_digest(*paths: str) -> str:
    """Digest of what a benchmark is read from: its records by content, its pictures and clips by name and size."""
    parts: list[Any] = []
    for root in map(Path, sorted(set(paths))):
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file() and p.name[0] != ".")
        for file in files:
            known = fingerprint(str(file)) if file.suffix.lower() in _RECORDS else file.stat().st_size
            parts.append([str(file.relative_to(root)), known])
    return digest(parts)
