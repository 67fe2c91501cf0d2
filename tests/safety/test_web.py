"""Media are fetched from allowed places alone, and never from private ones unless told."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safety.web_server import LOCAL, sends, why
from sources.native import grey, shade_of, write

from urm_ray.config_file import ConfigError, build_as
from urm_ray.config_mix import Mix, WebConfig
from urm_ray.pipeline.import_unit import Errand, ImportUnit
from urm_ray.sources.addresses import RefusedError, checked, place_of
from urm_ray.sources.draft import File, Frames
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.reader import reader
from urm_ray.sources.web import Web


def test_nothing_is_fetched_unless_a_host_is_named(server, tmp_path):
    server.answers["/1.png"] = sends(grey(1, "PNG"))
    url = server.url("/1.png")
    with pytest.raises(FieldError, match=r"name its host in the mix's web\.hosts") as caught:
        MediaFolder(str(tmp_path)).read(File(url))
    assert caught.value.reason == "URL is not allowed"
    assert server.asked == []
    assert shade_of(MediaFolder(str(tmp_path), WebConfig(**LOCAL)).read(File(url))) == 1
    clip = MediaFolder(str(tmp_path), WebConfig(**LOCAL)).read(Frames((url, url)))
    assert (clip["kind"], clip["frames"]) == ("video", 2)


def test_a_csv_of_urls_is_imported_as_one_of_files_and_put_aside_where_urls_are_not_allowed(server, tmp_path):
    for n in (1, 2):
        server.answers[f"/{n}.png"] = sends(grey(n, "PNG"))
    one, two = server.url("/1.png"), server.url("/2.png")
    write(tmp_path / "set/labels.csv", f"prompt,image_1,image_2,label\na,{one},{two},first\n")
    source = {"source": "csv", "path": str(tmp_path / "set")}
    (part,) = reader("csv", source["path"]).units(10)
    for name, settings, kept in (("on", LOCAL, 1), ("off", {}, 0)):
        mix = build_as(Mix, {"sources": [source], "web": settings})
        work = ImportUnit(str(tmp_path / name), 0, {"csv": mix.sources[0].model_dump()}, frozenset(), mix.web)
        assert work.work(Errand("csv", 0, part)) == kept
    assert server.asked == ["/1.png", "/2.png"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "none of the schemes"),
        ("ftp://a.org/1.png", "none of the schemes"),
        ("http://a.org/1.png", "none of the schemes"),
        ("https://evil.org/1.png", "none of the hosts"),
        ("https://a.org.evil.org/1.png", "none of the hosts"),
        ("https://evila.org/1.png", "none of the hosts"),
        ("https://b.net/1.png", "none of the hosts"),
        ("https://a.org:pass@evil.org/", "user name or password"),
        ("https://user:pass@a.org/1.png", "user name or password"),
        ("https://a.org\\@evil.org/1.png", "no plain URL"),
        ("https://a.org/1 2.png", "no plain URL"),
        ("https://a.org/\r\nHost: b", "no plain URL"),
        ("https://a.org/\0", "no plain URL"),
        ("https://\u0430.org/1.png", "no plain URL"),
        ("https://a.org:99999/", "no plain URL"),
        ("https://a.org:0/", "port 0"),
        ("https://[::1/", "no plain URL"),
        ("https:///1.png", "no plain name"),
        ("https://a..org/", "no plain name"),
        ("https://a%2eorg/", "no plain name"),
        ("https://2130706433/", "another spelling"),
        ("https://0x7f.0.0.1/", "another spelling"),
        ("https://0177.0.0.1/", "another spelling"),
        ("https://127.1/", "another spelling"),
        ("https://a.org/" + "a" * 3000, "no plain URL"),
    ],
)
def test_what_is_not_allowed_is_never_looked_up(url, reason):
    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    use = Web(WebConfig(hosts=["a.org", "*.b.net", "127.0.0.1"]), never)
    found = why(url, use)
    assert found.startswith("URL is not allowed")
    assert reason in found
    assert "pass@" not in found


@given(st.one_of(st.text(max_size=60), st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True)))
def test_whatever_a_url_holds_only_an_allowed_host_is_asked(url):
    asked = []

    async def look(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        raise OSError("no")

    with pytest.raises(FieldError):
        Web(WebConfig(hosts=["a.org", "*.b.net"], retries=0), look).fetch(url)
    assert all(host == "a.org" or host.endswith(".b.net") for host in asked)


@pytest.mark.parametrize("host", ["a.org", "A.ORG", "a.org.", "x.b.net", "x.y.b.net", "[2606:4700::1111]"])
def test_allowed_hosts_are_names_or_all_below_one(host):
    config = WebConfig(hosts=["a.org", "*.B.net", "2606:4700::1111"])
    assert place_of(f"https://{host}/p?q=1#f", config).target == "/p?q=1"


@pytest.mark.parametrize("hosts", [["https://a.org"], ["a.org/x"], ["* a"], ["a b"], [""], ["*."]])
def test_a_host_is_a_name_alone(hosts):
    with pytest.raises(ConfigError, match=r"web\.hosts: .* is no host"):
        build_as(Mix, {"sources": [{"source": "csv", "path": "x"}], "web": {"hosts": hosts}})


PRIVATE = ["127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "::1", "fc00::1", "::ffff:127.0.0.1"]
PRIVATE += ["198.18.0.1", "192.0.2.1", "2001:db8::1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "240.0.0.1"]
NEVER = ["169.254.169.254", "fe80::1", "fe80::1%1", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1"]
NEVER += ["255.255.255.255", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "100.100.100.200"]
NEVER += ["2002:a9fe:a9fe::1", "168.63.129.16", "192.0.0.192", "::ffff:0:a9fe:a9fe"]
PRIVATE += ["::ffff:0:7f00:1", "192.88.99.1", "fec0::1", "3fff::1", "5f00::1"]


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_addresses_that_are_not_public_are_refused_even_beside_public_ones(address):
    for found in ([address], ["1.1.1.1", address], [address, "2606:4700::1111"]):
        with pytest.raises(RefusedError, match="its host has the address"):
            checked(found, WebConfig(hosts=["*"]))
    assert checked(["1.1.1.1", "2606:4700::1111"], WebConfig()) == ["1.1.1.1", "2606:4700::1111"]


def test_private_ones_are_open_where_that_is_set_but_not_those_that_hand_out_credentials():
    config = WebConfig(hosts=["*"], allow_private=True)
    assert checked(PRIVATE, config) == PRIVATE
    for address in NEVER:
        with pytest.raises(RefusedError):
            checked([address], config)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "169.254.169.254"]
)
def test_loopback_is_refused_by_name_and_by_address(server, host):
    url = server.url("/").replace("127.0.0.1", host)
    found = why(url, Web(WebConfig(hosts=["*"], schemes=["http"])))
    assert "its host has the address" in found
    assert server.asked == []


def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere(server):
    """The addresses are looked up once, checked, and are the ones that are connected to."""
    server.answers["/"] = sends(b"x")
    times = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        times.append(host)
        return ["127.0.0.1"] if len(times) == 1 else ["10.255.255.1"]

    config = WebConfig(**LOCAL | {"hosts": ["rebind.test"], "timeout_s": 5})
    assert Web(config, rebinding).fetch(f"http://rebind.test:{server.server_port}/") == b"x"
    assert times == ["rebind.test"]
    assert server.headers[0]["Host"] == f"rebind.test:{server.server_port}"

    async def private(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    assert "no public one" in why(
        f"http://rebind.test:{server.server_port}/", Web(config.model_copy(update={"allow_private": False}), private)
    )
    assert len(server.asked) == 1
