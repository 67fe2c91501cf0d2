"""What `ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml` sends, as Ray itself packs it."""

import zipfile
from pathlib import Path

import pytest
from cluster.files import read
from helpers import ROOT
from ray._private.runtime_env.packaging import create_package
from ray.runtime_env import RuntimeEnv

CHECKPOINTS = "urm_ray/scenes/checkpoints/"
MIB = 2**20


def sent(folder: Path, target: Path) -> dict[str, int]:
    """Bytes of every file that travels, by its path."""
    create_package(str(folder), target, include_gitignore=True, excludes=read("runtime_env.yaml")["excludes"])
    with zipfile.ZipFile(target) as package:
        return {one.filename: one.compress_size for one in package.infolist() if not one.is_dir()}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return sent(ROOT, tmp_path_factory.mktemp("package") / "code.zip")


def test_code_travels_and_nothing_large(repository):
    assert {"jobs/pipeline.py", "jobs/configs/quickstart.yaml", "urm_ray/cli.py", "pyproject.toml"} <= repository.keys()
    assert {name.partition("/")[0] for name in repository if "/" in name} == {"urm_ray", "jobs"}
    assert not [name for name in repository if "__pycache__" in name]
    shipped = sum(size for name, size in repository.items() if name.startswith(CHECKPOINTS))
    assert 0 < shipped < 21 * MIB
    assert sum(repository.values()) - shipped < 4 * MIB


def test_all_that_the_package_needs_travels(repository):
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "urm_ray").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package <= repository.keys()


def test_what_lies_beside_the_code_stays_at_home(tmp_path: Path):
    travels = {"urm_ray/cli.py", "urm_ray/judge/protocols/unified.yaml", "jobs/pipeline.py", "jobs/configs/mine.yaml"}
    travels |= {"my_prompts.txt", "mine.yaml"}
    stays = {".env", ".git/config", ".venv/lib/urm_ray/x.py", "runs/a/jobs/x.parquet", "downloads/EvalMuse/images.zip"}
    stays |= {"tests/urm_ray/test_cli.py", "prepared/x.parquet", "exports/trl/x.parquet", "judges/7b/model.safetensors"}
    stays |= {"urm_ray/__pycache__/cli.pyc", "build/lib/urm_ray/cli.py", ".huggingface/token"}
    for name in travels | stays:
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_text("x")
    assert sent(tmp_path / "home", tmp_path / "code.zip").keys() == travels


def test_ray_knows_every_field():
    found = read("runtime_env.yaml")
    assert found.keys() <= RuntimeEnv.known_fields
    assert dict(RuntimeEnv(**found)) == found
