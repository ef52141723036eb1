"""The doctor's client."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import pytest

from flask_delegate.doctor.requests import client
from flask_delegate.doctor.requests.client import parse_url


def test_urls() -> None:
    target = parse_url("https://[::1]/a b")
    assert (target.port, target.path, target.host_header) == (443, "/a%20b/", "[::1]")
    assert parse_url("http://x:81").host_header == "x:81"
    assert parse_url("http://x").path == "/"
    named = parse_url("https://127.0.0.1:81/", name="x.example", verify=False)
    assert (named.host_header, named.host, named.verify) == ("x.example", "127.0.0.1", False)


def test_a_server_may_have_its_root_at_each_folder_of_the_path() -> None:
    assert parse_url("http://x/").roots == [""]
    assert parse_url("http://x/outer/app").roots == ["", "/outer", "/outer/app"]


def test_what_lets_the_doctor_through() -> None:
    target = parse_url("http://ann:p%40ss@x/", headers=["cookie:  a=b; c", "X-ONE:"])
    wanted = {"Authorization": "Basic YW5uOnBAc3M=", "Cookie": "a=b; c", "X-One": ""}
    assert target.headers == wanted
    assert target.url("/a?k=secret") == "http://x/a"
    assert "YW5u" not in repr(target)
    # A server may repeat them as it has read them.
    assert {"Basic YW5uOnBAc3M=", "ann:p@ss", "p@ss", "a=b; c"} == set(target.secrets)
    assert parse_url("http://x/", headers=["Authorization: Basic ?"]).secrets == ["Basic ?"]
    assert parse_url("http://x/").headers == {}


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://x/", "hidden"),
        ("http://x/", "hid den: x"),
        ("http://x/", "X: hidden\r\nY: x"),
        ("http://x/", "Host: hidden"),
        ("http://x/", "X: hidden €"),
        ("http://ann:hidden", "X: x"),
        ("ftp://ann:hidden@x/", "X: x"),
        ("http://ann:hidden@größe/", "X: x"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_being_shown(url: str, header: str) -> None:
    with pytest.raises(ValueError, match=r"URL is not|a header is written") as caught:
        parse_url(url, headers=[header])
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("use_http2", [True, False])
def test_what_tls_agrees_on(monkeypatch: pytest.MonkeyPatch, verify: bool, use_http2: bool) -> None:
    offered: list[list[str]] = []

    class Context(ssl.SSLContext):
        def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
            offered.append([*alpn_protocols])

    made = Context(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(ssl, "create_default_context", lambda: made)
    context = client._tls_context.__wrapped__(verify=verify, use_http2=use_http2)
    assert offered == ([["h2"]] if use_http2 else [])
    assert context.check_hostname == verify
    assert (context.verify_mode == ssl.CERT_REQUIRED) == verify
