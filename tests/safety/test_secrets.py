"""Tokens, passwords and keys are in nothing that is written or printed."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.finished_run import finished_run

from urm_ray import cli
from urm_ray.config_file import build
from urm_ray.config_mix import Mix
from urm_ray.pipeline import import_sources
from urm_ray.pipeline.attempts import Attempts
from urm_ray.pipeline.import_report import import_report
from urm_ray.report.page import render_page
from urm_ray.report.summary import summary
from urm_ray.run_folder import Stage
from urm_ray.secrets import HIDDEN, masked, masked_all, printed
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY=EXAMPLE"
NAMES = ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "DB_PASSWORD"]
NAMES += ["JUDGE_KEY", "GITHUB_TOKEN", "my_secret", "AZURE_STORAGE_ACCOUNT_KEY", "RAY_AUTH_TOKEN"]


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKID:pass%2Fword@bucket/run", "s3://***@bucket/run"),
        (f"s3://AKID:{KEY}@bucket/run?region=eu", "s3://***@bucket/run?region=eu"),
        ("https://user:word@host:8000/v1", "https://***@host:8000/v1"),
        ("https://sometoken@host/x", "https://***@host/x"),
        (
            "s3://bucket/run?access_key=AB&secret_key=CD&region=eu",
            "s3://bucket/run?access_key=***&secret_key=***&region=eu",
        ),
        (
            "https://h/a?X-Amz-Credential=a%2Fb&X-Amz-Signature=0f&w=3",
            "https://h/a?X-Amz-Credential=***&X-Amz-Signature=***&w=3",
        ),
        ("abfs://c@a.dfs.core.windows.net/x?sig=ab%2B", "abfs://***@a.dfs.core.windows.net/x?sig=***"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("HF_TOKEN=abc AWS_SECRET_ACCESS_KEY='x/y'", "HF_TOKEN=*** AWS_SECRET_ACCESS_KEY='***'"),
        ("--set judge.api_key=abcdef", "--set judge.api_key=***"),
        ("token hf_abcdefghijklmnopqrstuvwx", "token ***"),
        ("sk-abcdefghijklmnop1234 and AKIAIOSFODNN7EXAMPLE", "*** and ***"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123 xoxb-1234567890-abc", "*** ***"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc_-", "***"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
    ],
)
def test_keys_are_hidden_and_what_is_beside_them_is_not(text, shown):
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "runs/quickstart/prepare-0123456789ab",
        "s3://bucket/run@2/stage",
        "gs://bucket/a?region=eu&endpoint_override=localhost:9000",
        "https://judges.example.org:8000/v1",
        "OWNER/NAME@main",
        "max_new_tokens: 512, tokens=12 of 4096, 300 tokens a second",
        "judge.http.api_key_env: OPENAI_API_KEY is not set where the judge runs",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "the basic authorization of a task",
        "me@example.org",
        "sketch-of-a-token",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert masked(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_values_of_the_environments_secrets_are_hidden_wherever_they_stand(monkeypatch, name):
    monkeypatch.setenv(name, KEY)
    assert masked(f"no access with {KEY}: 403") == "no access with ***: 403"
    assert KEY not in str(masked_all({"a": [{"b": KEY, "c": (f"x{KEY}x", 3)}]}))


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "RAY_AUTH_MODE", "PATH", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_other_variables_are_no_secrets(monkeypatch, name):
    monkeypatch.setenv(name, "/some/where/else")
    assert masked("in /some/where/else") == "in /some/where/else"


PASSWORDS = st.text("abcXYZ0189%+=._~-", min_size=1, max_size=30)


@given(st.text(max_size=20), PASSWORDS, st.text(max_size=20))
def test_no_password_of_a_uri_is_left_whatever_is_around_it(before, word, after):
    secret = f"S3cr3t{word}"
    for uri in (f"s3://key:{secret}@bucket/x", f"https://h.org/p?api_key={secret}"):
        assert secret not in masked(f"{before} {uri} {after}")


@given(st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_plain_values_keep_their_form(value):
    def form(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: form(inner) for key, inner in one.items()}
        return [form(inner) for inner in one] if isinstance(one, list) else isinstance(one, str) or one

    assert form(masked_all(value)) == form(value)


def test_a_configuration_is_written_without_keys_and_with_the_names_of_variables(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", KEY)
    http = {"base_url": "http://judges:8000/v1", "model": "j", "api_key_env": "JUDGE_KEY"}
    vllm = {"engine": {"hf_token": "anything", "quantization": "fp8", "seed": 3, "hf_overrides": {"password": "p"}}}
    settings = {"run": {"dir": f"s3://AKID:{KEY}@bucket/run"}, "report": {"title": f"with {KEY}"}}
    config = build(settings | {"judge": {"path": "a/b", "http": http, "vllm": vllm}, "tasks": ["image_generation"]})
    shown = masked_all(config.model_dump(mode="json"))
    assert KEY not in str(shown)
    assert shown["run"]["dir"] == "s3://***@bucket/run"
    assert shown["judge"]["http"] == config.judge.http.model_dump(mode="json")
    engine = {"hf_token": HIDDEN, "quantization": "fp8", "seed": 3, "hf_overrides": {"password": HIDDEN}}
    assert shown["judge"]["vllm"]["engine"] == engine
    assert shown["reward"] == config.model_dump(mode="json")["reward"]


def test_the_page_shows_no_keys_of_paths(tmp_path):
    policy = {"path": f"s3://AKID:{KEY}@bucket/policy", "evaluate": {"scorer": "pkg.oracle:Oracle"}}
    sources = finished_run(tmp_path, settings={"policies": {"image_generation": policy}})
    page = render_page(sources, summary(sources))
    assert KEY not in page
    assert "AKID" not in page
    assert "bucket/" in page.replace("<wbr>", "")


@pytest.mark.parametrize("error", [SourceError, StoreError, RuntimeError])
def test_errors_are_printed_and_logged_without_keys_and_without_escapes(tmp_path, monkeypatch, capsys, error):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    said = f"cannot read s3://AKID:pass@bucket/x with {KEY}\x1b[2J\x9b31m\u202e"
    (tmp_path / "out").mkdir()
    assert cli.explain(error(said), str(tmp_path / "out")) == 1
    printed_line, log = capsys.readouterr().err, (tmp_path / "out/error.log").read_text()
    for text in (printed_line, log):
        assert "s3://***@bucket/x with ***" in text
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "\\x1b[2J" in printed_line
    assert "Traceback" in log or "Error" in log


def test_a_mistake_in_a_configuration_is_said_without_the_key_in_it(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"run: {{dir: [s3://AKID:{KEY}@bucket/x]}}\n")
    assert cli.main(["prepare"], "", ["--config", str(tmp_path / "c.yaml")]) == 1
    found = capsys.readouterr().err
    assert "run.dir" in found
    assert "s3://***@bucket/x" in found
    assert KEY not in found


def test_an_import_writes_no_keys(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/labels.csv").write_text("prompt,image_1,image_2,label\n")
    path = str(tmp_path / "data")
    monkeypatch.setattr(import_sources, "place", lambda mix, path: path.rpartition("?")[0])
    mix = Mix(root=f"s3://AKID:{KEY}@b", sources=[{"source": "csv", "path": f"{path}?api_key={KEY}"}])  # type: ignore[list-item]
    import_sources._planned(mix, str(tmp_path / "out"))
    plan = (tmp_path / "out/_units/plan.json").read_text()
    assert "api_key=***" in plan
    for text in (plan, str(import_report(mix, str(tmp_path / "out"), {}))):
        assert KEY not in text


@given(st.text())
def test_what_is_printed_steers_no_terminal(text):
    found = printed(text)
    assert all(sign in "\n\t" or sign.isprintable() or ord(sign) > 0x9F for sign in found)
    if text.isascii() and text.isprintable() and not {"=", ":", "@"} & set(text):
        assert found == text


LONG = ["a." * 30_000, "sk-" * 20_000, "eyJ-" * 15_000, "x://a:b" * 9_000, "token_" * 10_000, "?" + "." * 60_000]
LONG += ["-----BEGIN " * 6_000, "Bearer " * 9_000, "a://" * 15_000, "_" * 60_000, "?a=" * 20_000]


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:12])
def test_a_long_text_takes_no_longer_than_it_has_characters(text):
    started = time.process_time()
    masked(text)
    assert time.process_time() - started < 2.0  # it took minutes


def test_what_a_row_fails_of_shows_no_key(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-key-of-the-environment")

    def fail() -> None:
        raise RuntimeError("https://me:pass-word@host/x?sig=abcdef a-key-of-the-environment")

    reasons: list[str] = []
    Attempts("judging").each("row", fail, reasons.append)
    stage = Stage(str(tmp_path), "generate", "0")
    stage.finish(1.0, quarantined={"a-key-of-the-environment": 3})
    shown = [*reasons, capsys.readouterr().err, (tmp_path / "manifest.json").read_text()]
    assert all(HIDDEN in text for text in shown)
    for secret in ("pass-word", "abcdef", "a-key-of-the-environment"):
        assert not any(secret in text for text in shown)
