"""What servers can do to whoever fetches from them: lead elsewhere, send without end, lie about lengths."""

import gzip
import time
from typing import Any

import pytest
from safety.web_server import LOCAL, sends, web, why

from urm_ray.config_mix import WebConfig
from urm_ray.sources.web import Web


def redirects(to: str, status: int = 302) -> Any:
    return sends(b"", status, Location=to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_a_few_times(server, status):
    server.answers |= {f"/{n}": redirects(f"/{n + 1}", status) for n in range(9)}
    server.answers["/3"] = sends(b"here")
    assert web().fetch(server.url("/0")) == b"here"
    assert "leads on more than 2 times" in why(server.url("/0"), web(redirects=2))
    assert "leads on more than 0 times" in why(server.url("/2"), web(redirects=0))


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("http://10.0.0.1/", "none of the hosts"),
        ("//169.254.169.254/latest/meta-data", "none of the hosts"),
        ("http://localhost:1/", "none of the hosts"),
        ("file:///etc/passwd", "none of the schemes"),
        ("https://127.0.0.1/", "none of the schemes"),
        ("http://user:word@127.0.0.1/", "user name or password"),
        ("http://[", "no URL"),
    ],
)
def test_where_a_redirect_leads_is_checked_as_the_first_address_was(server, to, reason):
    server.answers["/"] = redirects(to)
    assert reason in why(server.url("/"), web())
    assert server.asked == ["/"]


def test_a_redirect_to_a_private_address_is_refused_where_all_hosts_are_allowed(server):
    server.answers["/"] = redirects("http://inside.test/")

    async def look(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "127.0.0.1" else ["169.254.169.254"]

    use = Web(WebConfig(**LOCAL | {"hosts": ["*"]}), look)
    assert "169.254.169.254" in why(server.url("/"), use)


def test_a_body_that_says_it_is_too_long_is_not_begun_and_one_that_lies_is_broken_off(server):
    def endless(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        while not request.server.stopped.is_set():
            try:
                request.wfile.write(b"x" * 65536)
            except OSError:
                return

    server.answers |= {"/long": sends(b"x" * 3000), "/endless": endless, "/fits": sends(b"x" * 1000)}
    server.answers["/says"] = sends(b"", Content_Length="99999999999")
    small = web(max_mib=2000 / (1 << 20), retries=0)
    assert "its 3000 bytes are more than the 2000 allowed" in why(server.url("/long"), small)
    assert "99999999999 bytes are more" in why(server.url("/says"), small)
    assert "more than the 2000 bytes allowed" in why(server.url("/endless"), small)
    assert len(small.fetch(server.url("/fits"))) == 1000


def test_a_body_shorter_than_its_length_is_no_body(server):
    server.answers["/"] = sends(b"half", Content_Length="8")
    assert "(2 tries)" in why(server.url("/"), web(retries=1))


def test_a_packed_body_is_not_unpacked(server):
    packed = gzip.compress(b"0" * 1_000_000)
    server.answers["/"] = sends(packed, Content_Encoding="gzip")
    assert web().fetch(server.url("/")) == packed
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_up(server, where):
    def drips(request: Any) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        if where == "body":
            request.wfile.write(b"\r\nContent-Length: 1000\r\n\r\n")
        while not request.server.stopped.wait(0.05):
            try:
                request.wfile.write(b"x")
                request.wfile.flush()
            except OSError:
                return

    server.answers["/"] = drips
    began = time.monotonic()
    assert "took longer than 0.4 s (1 tries)" in why(server.url("/"), web(timeout_s=0.4, retries=0))
    assert time.monotonic() - began < 3


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(server):
    left = [503, 429, 200]
    server.answers["/"] = lambda request: sends(b"x", left.pop(0))(request)
    server.answers["/gone"] = sends(b"", 404)
    server.answers["/never"] = sends(b"", 500)
    assert web(retries=2).fetch(server.url("/")) == b"x"
    assert "answers 500 (3 tries)" in why(server.url("/never"), web(retries=2))
    assert server.asked.count("/never") == 3
    assert "answers 404" in why(server.url("/gone"), web(retries=2))
    assert server.asked.count("/gone") == 1


def test_pauses_grow(server, monkeypatch):
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("urm_ray.sources.web.asyncio.sleep", sleep)
    server.answers["/"] = sends(b"", 500)
    why(server.url("/"), web(retries=3, backoff_s=8))
    assert [low <= pause <= 2 * low for low, pause in zip((4, 8, 16), pauses, strict=True)] == [True] * 3


def test_neither_proxies_nor_cookies_nor_passwords_of_the_environment_are_used(server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers |= {"/": sends(b"", 302, Location="/next", Set_Cookie="a=b"), "/next": sends(b"x")}
    assert web().fetch(server.url("/")) == b"x"
    for headers in server.headers:
        assert not {"Authorization", "Cookie", "Proxy-Authorization", "Referer"} & set(headers)


def test_what_a_url_holds_as_a_key_is_not_repeated(server):
    server.answers["/"] = sends(b"", 404)
    found = why(server.url("/?X-Amz-Signature=abcdef0123&size=3"), web())
    assert "abcdef" not in found
    assert "size=3" in found
