"""What a request says of its client and its host."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from portal.web.headers import CONSTANT
from tests.support.portal import prepare, token


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:5007", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7:5007 ", "198.51.100.7"),
        ("[2001:db8::7]:5007", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("_hidden", "unknown"),
        ("198.51.100.7:x", "unknown"),
        ("[]", "unknown"),
        ("6.6.6.6, []:1", "unknown"),
    ],
)
def test_address_is_read_in_each_form(
    said: str, seen: str, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROXIES=1)
    prepare(app)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = said
    form = {"csrf_token": token(client), "username": "alice", "password": "wrong password"}
    client.post("/sign-in", data=form)
    assert f"sign-in failed from {seen}: 'alice'" in caplog.text


@pytest.mark.parametrize(("hops", "said"), [(1, None), (1, ""), (2, "198.51.100.7"), (1, ",")])
def test_request_that_does_not_say_where_it_comes_from_is_refused(
    hops: int, said: str | None, make_app: Callable[..., Flask]
) -> None:
    headers = {} if said is None else {"X-Forwarded-For": said}
    answer = make_app(PROXIES=hops).test_client().get("/sign-in", headers=headers)
    assert answer.status_code == 400
    assert "X-Forwarded-For is missing, or too short for PORTAL_PROXIES" in answer.text
    assert set(CONSTANT.items()) <= set(answer.headers.items())
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.parametrize(
    "host",
    [
        "a" * 64 + ".x",
        ".x",
        "x..y",
        "xn--",
        "a." * 130,
        "a b",
        "a/b",
        "[::1",
        "x:999999",
        "x:y",
        "ü",
    ],
)
def test_host_that_is_none_is_refused_in_words(
    host: str, proxies: int, make_app: Callable[..., Flask]
) -> None:
    said = host.encode().decode("latin-1")
    environ = {"HTTP_HOST": said}
    if proxies:
        forwarded = {"HTTP_X_FORWARDED_HOST": said, "HTTP_X_FORWARDED_FOR": "::1"}
        environ = {"HTTP_HOST": "localhost", **forwarded}
    # The test client reads the name itself.
    environ = EnvironBuilder("/sign-in").get_environ() | environ
    body, status, _ = run_wsgi_app(make_app(PROXIES=proxies).wsgi_app, environ)
    assert status == "400 Bad Request"
    assert b"".join(body) == b"The request's Host header is not the name of a host.\n"


@pytest.mark.parametrize(
    "host", ["localhost", "a.example:8443", "[::1]:80", "192.0.2.1", "xn--mnchen-3ya.de", "A-1.x."]
)
def test_host_that_is_one_is_taken(host: str, make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    assert client.get("/sign-in", environ_overrides={"HTTP_HOST": host}).status_code != 400


def test_host_that_is_not_trusted_is_refused_in_a_sentence(make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_HOSTS=["files.example"])
    prepare(app)
    client = app.test_client()
    assert client.get("/sign-in", base_url="http://files.example").status_code == 200
    refused = client.get("/sign-in", base_url="http://other.example")
    assert refused.status_code == 400
    assert "PORTAL_TRUSTED_HOSTS" in refused.text
    assert refused.headers["X-Content-Type-Options"] == "nosniff"


_NOT_UTF_8 = [
    "\xff",
    "a\x80",
    "%ff",
    "%C3%28",
    "%ed%a0%80",
    "%c0%af",
    "%f4%90%80%80",
    "é%e9",
]


@pytest.mark.parametrize("written", [*_NOT_UTF_8, "%00", "%7f", "\x07"])
@pytest.mark.parametrize("where", ["PATH_INFO", "QUERY_STRING"])
@pytest.mark.parametrize("path", ["/sign-in", "/search", "/"])
def test_address_that_cannot_be_read_is_refused_in_a_sentence(
    written: str, where: str, path: str, alice: FlaskClient
) -> None:
    base = {"PATH_INFO": path, "QUERY_STRING": "next="}
    response = alice.get("/", environ_overrides={**base, where: base[where] + written})
    assert response.status_code == 400
    assert "has control characters, or is not UTF-8" in response.text


@pytest.mark.parametrize("written", ["é", "%C3%A9", "%e2%82%ac", "a+b%20c", "%25ff", "%"])
def test_address_that_can_be_read_is_taken(written: str, alice: FlaskClient) -> None:
    query = f"q={written}".encode().decode("latin-1")
    response = alice.get("/", environ_overrides={"PATH_INFO": "/search", "QUERY_STRING": query})
    assert response.status_code == 200
    assert "Nothing found" in response.text
