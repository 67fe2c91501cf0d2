from pathlib import Path
from typing import Any

import pytest
from pipeline.imports import on_this_machine, write_labels

from urm_ray import cli
from urm_ray.config_mix import Mix
from urm_ray.pipeline import import_prompts, import_sources


def main(*arguments: Any) -> int:
    return cli.main(["import", "prepare"], "Prepares.", [str(argument) for argument in arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Mix, str]]:
    """What is imported, and where."""
    calls: list[tuple[Mix, str]] = []
    monkeypatch.setattr(import_sources, "import_sources", lambda mix, folder: calls.append((mix, folder)))
    return calls


def test_one_source_is_a_mix_of_one(tmp_path, asked):
    assert main("--source", "hpd", "--path", "a/b", "--out", tmp_path / "out", "--limit", 7, "--seed", 3) == 0
    assert main("--source", "m:C", "--path", "x", "--media", "y", "--out", tmp_path / "out") == 0
    (first, folder), (second, _) = asked
    assert folder == str(tmp_path / "out")
    assert (first.seed, [s.model_dump(exclude_defaults=True) for s in first.sources]) == (
        3,
        [{"name": "hpd", "source": "hpd", "path": "a/b", "take": 7}],
    )
    assert (second.seed, second.sources[0].media, second.sources[0].take) == (0, "y", "all")


def test_prompts_alone_are_written_in_place_of_preferences(tmp_path, monkeypatch, asked):
    calls = []
    monkeypatch.setattr(import_prompts, "import_prompts", lambda mix, file: calls.append((mix, file)))
    command = ["--source", "questions", "--path", "a/b", "--media", "m", "--task", "image_understanding", "--limit", 7]
    assert main(*command, "--prompts", "p.jsonl") == 0
    ((mix, file),) = calls
    assert (file, [s.model_dump(exclude_defaults=True) for s in mix.sources]) == (
        "p.jsonl",
        [
            {"name": "questions", "source": "questions", "path": "a/b", "media": "m"}
            | {"task": "image_understanding", "take": 7}
        ],
    )
    assert asked == []


def test_a_mix_is_a_file_that_can_be_changed_in_places(tmp_path, asked):
    (tmp_path / "mix.yaml").write_text("seed: 4\nsources:\n  - {source: hpd, path: a}\n")
    assert main("--mix", tmp_path / "mix.yaml", "--out", tmp_path / "out", "--set", "root=/data") == 0
    ((mix, _),) = asked
    assert (mix.seed, mix.root, mix.sources[0].path) == (4, "/data", "a")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "give one of --config, --source and --mix"),
        ("--source hpd --mix m.yaml", "give one of"),
        ("--config c.yaml --source hpd", "give one of"),
        ("--source hpd --path x", "--source needs --out"),
        ("--mix m.yaml", "--mix needs --out"),
        ("--source hpd --out o", "--source needs --path"),
        ("--mix m.yaml --out o --limit 3", "--limit goes with --source"),
        ("--mix m.yaml --out o --seed 3", "--seed goes with --source"),
        ("--config c.yaml --out o", "--out goes with --source and --mix"),
        ("--config c.yaml --path o", "--path goes with --source"),
        ("--source hpd --path x --out o --set seed=3", "--set goes with"),
        ("--source hpd --path x --out o --plan", "--plan goes with --config"),
        ("--source hpd --path x --out o --limit many", "invalid int"),
        ("--source hpd --path x --out o --prompts p.txt", "--prompts stands in place of --out"),
        ("--mix m.yaml --out o --prompts p.txt", "--prompts"),
        ("--config c.yaml --prompts p.txt", "--prompts goes with --source"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(capsys, asked, arguments, problem):
    with pytest.raises(SystemExit) as stopped:
        main(*arguments.split())
    assert stopped.value.code == 2
    assert problem in capsys.readouterr().err
    assert asked == []


def test_other_jobs_do_not_know_of_it(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reward"], "", ["--source", "hpd"])
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--source", "hpd", "--path", "/nowhere", "--out", "out"],
            "error: hpd: there is no file or folder '/nowhere'",
        ),
        (["--source", "nobody", "--path", ".", "--out", "out"], "error: no source 'nobody'; there are csv,"),
        (["--source", "hpd", "--path", ".", "--out", "out", "--limit", "0"], "error: sources.0.take"),
        (
            ["--source", "hpd", "--path", "/nowhere", "--prompts", "p.txt"],
            "error: there is no file or folder '/nowhere'",
        ),
        (["--mix", "nowhere.yaml", "--out", "out"], "error in nowhere.yaml: cannot read nowhere.yaml"),
        (["--mix", "bad.yaml", "--out", "out"], "error in bad.yaml: unknown key sed; did you mean seed?"),
        (["--source", "csv", "--path", ".", "--out", "bad.yaml"], "error: cannot create the run folder"),
    ],
)
def test_what_cannot_work_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("sed: 1\nsources: [{source: hpd, path: x}]\n")
    assert main(*arguments) == 1
    said = capsys.readouterr()
    assert said.err.startswith(problem)
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_an_import_that_is_stopped_says_that_it_can_go_on_and_does(tmp_path, monkeypatch, capsys):
    write_labels(tmp_path / "labels")
    command = ["--source", "csv", "--path", tmp_path / "labels", "--out", tmp_path / "out", "--limit", 3]
    monkeypatch.setattr(import_sources, "spread", on_this_machine(0, 1))
    assert main(*command) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on from here\n"
    monkeypatch.setattr(import_sources, "spread", on_this_machine())
    assert main(*command) == 0
    assert "list" not in capsys.readouterr().out
    assert Path(tmp_path / "out" / "mix.json").exists()


def test_two_imports_into_one_folder_do_not_run_at_once(tmp_path, monkeypatch, capsys):
    write_labels(tmp_path / "labels")
    from urm_ray.run_folder import RunFolder

    with RunFolder.open(str(tmp_path / "out")).lock():
        assert main("--source", "csv", "--path", tmp_path / "labels", "--out", tmp_path / "out") == 1
    assert "is in use by process" in capsys.readouterr().err
