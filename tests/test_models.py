import pytest

from urm_ray.models import resolve
from urm_ray.store import StoreError


@pytest.mark.parametrize("name", ["config.json", "model_index.json"])
def test_a_folder_with_a_checkpoint_is_itself(tmp_path, name, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).write_text("{}")
    assert resolve(str(tmp_path / "model")) == str(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert resolve("model") == resolve("./model") == str(tmp_path / "model")


def test_a_folder_inside_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "somepackage" / "checkpoints" / "vlm").mkdir(parents=True)
    (tmp_path / "somepackage" / "__init__.py").write_text("")
    (tmp_path / "somepackage" / "checkpoints" / "vlm" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("somepackage:checkpoints/vlm") == str(tmp_path / "somepackage/checkpoints/vlm")
    with pytest.raises(StoreError, match="there is no checkpoint at"):
        resolve("somepackage:checkpoints/other")


def test_a_name_on_the_hub_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert resolve("Qwen/Qwen2.5-VL-7B-Instruct") == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_a_name_on_the_hub_is_refused_at_once_when_the_hub_is_off(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(StoreError, match="hub is switched off"):
        resolve("Qwen/Qwen2.5-VL-7B-Instruct")


@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("", "model path is missing"),
        ("/nowhere/model", "no checkpoint at /nowhere/model"),
        ("./nowhere", "no checkpoint at"),
        ("nowhere", "no checkpoint at nowhere"),
        ("a/b/c", "no checkpoint at a/b/c"),
        ("no_such_package:vlm", "no package 'no_such_package'"),
    ],
)
def test_a_path_without_a_checkpoint_is_one_sentence(path, about):
    with pytest.raises(StoreError, match=about):
        resolve(path)


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"holds no checkpoint: neither config\.json nor model_index\.json"):
        resolve(str(tmp_path))
