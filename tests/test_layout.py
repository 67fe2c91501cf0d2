"""Rules about who may import what, read off the source."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from helpers import ROOT

PACKAGE = ROOT / "urm_ray"
MODULES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_RAY = (
    "judge",
    "candidates",
    "pairs",
    "sources",
    "scenes",
    "evaluation",
    "reward_benchmarks",
    "report",
    "exports",
)
WITHOUT_RAY += ("denoisers",)
SINGLE = (
    "media.py",
    "clips.py",
    "clip_decoder.py",
    "schema.py",
    "config.py",
    "config_pairs.py",
    "config_policy.py",
    "config_training.py",
    "config_benchmarks.py",
    "config_engines.py",
    "config_file.py",
    "config_storage.py",
    "file_systems.py",
    "local_copies.py",
    "fingerprint.py",
    "lock.py",
    "config_tracking.py",
    "tracking.py",
    "store.py",
    "run_folder.py",
    "models.py",
    "checkpoint_files.py",
    "secrets.py",
    "chat.py",
    "vlms.py",
    "llava_next_format.py",
    "llava_next_convert.py",
)
MAX_LINES = 300


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path, top_level_only: bool = False) -> frozenset[str]:
    """Every module that a file imports, those inside functions too unless told otherwise."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{path}: relative imports hide where a name comes from")
    return frozenset(found)


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def reached(path: Path) -> dict[str, Path]:
    """The modules of the package that importing a file loads, itself among them."""
    files = {name_of(p): p for p in MODULES}
    seen, waiting = {}, [name_of(path)]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in files:
            continue
        seen[name] = files[name]
        waiting += imports(files[name], top_level_only=True)
        waiting += [name.rpartition(".")[0]]
    return seen


TRAINING = (
    "noising.py",
    "objectives.py",
    "encoded.py",
    "encode_pairs.py",
    "diffusion_dpo.py",
    "guards.py",
    "losses.py",
    "collate.py",
    "loops.py",
    "rows.py",
)
FREE = [p for room in WITHOUT_RAY for p in sorted((PACKAGE / room).rglob("*.py"))] + [
    *(PACKAGE / name for name in SINGLE),
    *(PACKAGE / "training" / name for name in TRAINING),
    *(p for p in sorted((PACKAGE / "experiments").glob("*.py")) if p.name != "run.py"),
]


def test_there_is_something_to_look_at():
    assert len(MODULES) > 40
    assert len(FREE) > 25


@pytest.mark.parametrize("path", FREE, ids=name_of)
def test_models_and_data_know_no_ray(path):
    assert not [name for name in imports(path) if is_of(name, "ray")]
    for name, other in reached(path).items():
        assert not [n for n in imports(other, top_level_only=True) if is_of(n, "ray")], f"{name_of(path)} loads {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "pipeline").glob("*.py")), ids=name_of)
def test_drivers_and_tasks_load_no_models(path):
    """Each process would load torch and transformers in eight seconds, and there are five beside a training."""
    for name, other in reached(path).items():
        heavy = ("torch", "transformers", "diffusers", "deepspeed", "trl", "peft", "accelerate")
        found = [n for n in imports(other, top_level_only=True) if any(is_of(n, package) for package in heavy)]
        assert not found, f"{name_of(path)} loads {name}"


def test_nothing_knows_that_the_embedded_world_exists():
    for path in MODULES:
        if (PACKAGE / "scenes") not in path.parents:
            assert not [name for name in imports(path) if is_of(name, "urm_ray.scenes")], path
            assert "urm_ray.scenes" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("scorer", ["oracle.py", "truth.py"])
def test_the_independent_scorer_shares_nothing_with_the_judge(scorer):
    for name in reached(PACKAGE / "scenes" / scorer):
        assert not name.startswith("urm_ray.judge")


def test_the_configuration_is_importable_without_anything_heavy():
    for name, path in reached(PACKAGE / "config_file.py").items():
        heavy = [
            n
            for n in imports(path, top_level_only=True)
            if n.partition(".")[0] in ("torch", "ray", "transformers", "diffusers")
        ]
        assert not heavy, name


def test_pictures_and_clips_are_each_decoded_in_one_place():
    for path in MODULES:
        text = path.read_text("utf-8")
        assert path.name == "media.py" or not re.search(r"\bImage\.open\(", text), path
        assert path.name == "clip_decoder.py" or not re.search(r"\bVideoReader\(|\bav\.open\([^,]*\)", text), path


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "jobs").glob("*.py"))], ids=name_of)
def test_no_module_is_long(path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_LINES


def test_a_job_only_names_its_stages():
    for path in (ROOT / "jobs").glob("*.py"):
        assert {name.partition(".")[0] for name in imports(path)} <= {"sys", "urm_ray"}
        ours = {name for name in imports(path) if is_of(name, "urm_ray")}
        assert all(re.fullmatch(r"urm_ray\.cli(_\w+)?(\.main)?", name) for name in ours), path


def test_checkpoints_never_run_code():
    for path in [*MODULES, *(ROOT / "jobs").rglob("*.*")]:
        text = path.read_text("utf-8")
        assert "trust_remote_code" not in text.replace("trust_remote_code=False", ""), path
        assert not re.search(
            r"\bpickle\.loads?\(|\btorch\.load\(|\byaml\.(unsafe_)?load\(|use_safetensors=False", text
        ), path
        assert not re.search(r"\b(eval|exec)\(", text.replace(".eval(", "")), path


def test_every_room_says_what_it_is():
    for path in PACKAGE.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


@pytest.mark.parametrize("mark", ["local", "train"])
def test_every_marked_test_is_where_make_looks_for_it(mark):
    places = re.search(rf"^{mark.upper()} := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert places
    allowed = [ROOT / place for place in places.group(1).split()]
    marked = [path for path in (ROOT / "tests").rglob("*.py") if f"pytest.mark.{mark}" in path.read_text("utf-8")]
    assert marked
    for path in marked:
        assert any(place in (path, *path.parents) for place in allowed), path
