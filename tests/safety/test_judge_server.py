"""A judge's server is the one that the configuration names: nobody else is asked, and nobody else gets its key."""

import asyncio
import json
from typing import Any

import pytest
from safety.web_server import Server, sends

from urm_ray.config_engines import HttpConfig
from urm_ray.config_file import ConfigError, build
from urm_ray.judge.http_client import HttpClient
from urm_ray.judge.unanswered import EngineError, QuestionError

KEY = "a-key-of-the-judge-0123456789"
ANSWER = sends(json.dumps({"choices": [{"message": {"content": "A"}}]}).encode())


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)


def ask(server: Server, **changes: Any) -> dict[str, Any]:
    settings = {"base_url": server.url("/v1"), "model": "judge", "api_key_env": "JUDGE_KEY", "retries": 0} | changes

    async def once() -> dict[str, Any]:
        client = HttpClient(HttpConfig(**settings))
        try:
            return await client.chat({"messages": []})
        finally:
            await client.close()

    return asyncio.run(once())


def test_the_server_is_asked_with_its_key(server):
    server.answers["/v1/chat/completions"] = ANSWER
    assert ask(server)["choices"][0]["message"]["content"] == "A"
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_cannot_send_the_question_or_the_key_elsewhere(server, other_server, status):
    other_server.answers["/v1/chat/completions"] = ANSWER
    to = other_server.url("/v1/chat/completions")
    server.answers["/v1/chat/completions"] = sends(b"", status, Location=to)
    server.answers["/v1/models"] = sends(b"", status, Location=to)
    with pytest.raises(EngineError, match=f"the server answers {status}"):
        ask(server)
    assert other_server.asked == []


def test_proxies_and_passwords_of_the_environment_are_not_used(server, other_server, monkeypatch, tmp_path):
    server.answers["/v1/chat/completions"] = ANSWER
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, other_server.url(""))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask(server, api_key_env=None)
    assert other_server.asked == []
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_server_that_repeats_the_key_does_not_get_it_into_what_is_said(server, status):
    server.answers["/v1/chat/completions"] = sends(f"you sent Bearer {KEY}\x1b[2J".encode(), status)
    server.answers["/v1/models"] = sends(b"{}")
    with pytest.raises((EngineError, QuestionError)) as caught:
        ask(server)
    assert KEY not in str(caught.value)
    assert "you sent Bearer" in str(caught.value)


@pytest.mark.parametrize("place", [f"http://me:{KEY}@judges/v1", f"http://judges/v1?api_key={KEY}", "file:///v1"])
def test_a_configuration_holds_no_key(place):
    with pytest.raises(ConfigError, match="base_url") as caught:
        build({"judge": {"http": {"base_url": place, "model": "judge"}}})
    assert KEY not in str(caught.value)
    assert KEY not in str(HttpConfig(base_url="http://judges/v1", api_key_env="JUDGE_KEY").model_dump())
