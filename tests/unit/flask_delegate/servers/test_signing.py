"""Signed URLs as far as the application makes them; what Apache does with them is in tests/live."""

from __future__ import annotations

import hashlib
import re
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from flask_delegate import FileMissing, Handoff, HandoffUnavailable, UnknownArea, signed_url
from flask_delegate.delivery import describe
from flask_delegate.resolve import resolve
from flask_delegate.servers import signing
from tests.support.extension import SECRET, Factory, behind_apache, refused

SIGNED = {"DELEGATE_SIGNED_URL": "/signed/"}


@pytest.fixture
def app(make_app: Factory) -> Flask:
    return make_app(**SIGNED)


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_outside_of_a_request_a_url_is_made(app: Flask) -> None:
    with app.app_context():
        url = signed_url("report.txt", expires_in=60, as_attachment=True, max_age=5)
    assert url.startswith("/signed/report.txt?e=")
    assert set(query(url)) == {"e", "ct", "cd", "ma", "s"}


def test_in_a_request_the_server_has_to_verify_it(app: Flask) -> None:
    @app.get("/sign")
    def sign() -> str:
        return signed_url("report.txt", expires_in=60)

    assert app.test_client().get("/sign").status_code == 500
    assert behind_apache(app).get("/sign").status_code == 200
    with app.test_request_context(), pytest.raises(HandoffUnavailable):
        signed_url("report.txt", expires_in=60)


def test_an_area_without_them_has_none(make_app: Factory) -> None:
    with make_app().app_context():
        with pytest.raises(HandoffUnavailable, match="Set DELEGATE_SIGNED_URL"):
            signed_url("report.txt", expires_in=60)
        with pytest.raises(UnknownArea):
            signed_url("report.txt", expires_in=60, area="another")


def test_a_file_that_is_not_there_has_none(app: Flask) -> None:
    with app.app_context(), pytest.raises(FileMissing):
        signed_url("nothing.txt", expires_in=60)


@pytest.mark.parametrize(
    ("mount", "path", "received", "prefix"),
    [
        ("", "/x", "/x", ""),
        ("/app", "/x", "/app/x", ""),
        ("/app", "/x", "/x", "/app"),
        ("/app", "/", "/", "/app"),
        ("/app/", "/x", "/x", "/app"),
        ("/outer/app", "/x", "/app/x", "/outer"),
        ("/app/part", "/x", "/part/x", "/app"),
        ("/\xc3\xa4 b", "/x", "/x", "/%C3%A4%20b"),
        ("//other.example", "/x", "/x", "/other.example"),
        # The proxy replaced a path, or middleware rewrote one.
        ("/app", "/x", "/inner/x", ""),
        ("", "/v1/x", "/x", ""),
        ("", "/x", "/en/x", ""),
        ("/app", "/x", "", ""),
    ],
)
def test_a_signed_url_begins_with_what_a_proxy_has_in_front_of_apache(
    mount: str, path: str, received: str, prefix: str
) -> None:
    environ = {"SCRIPT_NAME": mount, "PATH_INFO": path}
    for cut in range(len(received) + 1):
        split = {
            "mod_wsgi.script_name": received[:cut],
            "mod_wsgi.path_info": received[cut:],
        }
        assert signing.outer_prefix(environ | split) == prefix
    assert signing.outer_prefix(environ) == ""


@pytest.mark.parametrize("seconds", [0, -1, signing.LONGEST + 1])
def test_a_life_that_is_no_life_is_refused(seconds: int, app: Flask) -> None:
    with app.app_context(), pytest.raises(ValueError, match="between 1 and"):
        signed_url("report.txt", expires_in=seconds)


@pytest.mark.parametrize("seconds", [True, 1.5, "60"])
def test_a_life_is_a_whole_number(seconds: Any, app: Flask) -> None:
    with app.app_context(), pytest.raises(TypeError, match="expires_in is a number of seconds"):
        signed_url("report.txt", expires_in=seconds)


def test_it_is_never_good_for_longer_and_the_same_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = []
    for second in range(1000):
        monkeypatch.setattr(time, "time", lambda now=1_700_000_000 + second: now + 0.9)
        end = signing.expiry(1000)
        assert 900 <= end - (1_700_000_000 + second) <= 1000
        ends.append(end)
    assert len(set(ends)) <= 11


def test_each_area_and_secret_has_its_own_key(make_app: Factory, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    areas = {"b": {"root": other, "url": "/b/", "signed_url": "/signed-b/"}}
    made = [make_app(**SIGNED, DELEGATE_AREAS=areas), make_app(**SIGNED, SECRET_KEY="another")]
    found = [one for app in made for (one,) in app.extensions["delegate"].keys.values()]
    keys = [one.signing_key for one in found]
    assert len(set(keys)) == 3
    assert all(len(key) == 32 for key in keys)
    assert not set(keys) & {one.token for one in found}


def test_switching_them_on_needs_a_new_configuration(make_app: Factory) -> None:
    prints = {
        make_app(**one).extensions["delegate"].keys["default"][0].fingerprint
        for one in ({}, SIGNED, {"DELEGATE_SIGNED_URL": "/signed-2/"})
    }
    assert len(prints) == 3


@pytest.mark.parametrize("backend", ["caddy", "lighttpd", "xsendfile", "stream"])
def test_a_server_that_cannot_verify_them_is_refused(backend: str, root: Path) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_BACKEND=backend, **SIGNED)
    assert error.key == "DELEGATE_SIGNED_URL"
    assert "cannot verify signed URLs" in error.problem


@pytest.mark.parametrize("url", ["/private/", "/private/signed/", "signed/", "/signed", "/"])
def test_a_prefix_of_their_own_is_needed(url: str, root: Path) -> None:
    error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_SIGNED_URL=url)
    assert error.key == "DELEGATE_SIGNED_URL"


def test_two_areas_cannot_share_a_prefix(root: Path, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    for url, signed in (("/signed/", None), ("/b/", "/signed/"), ("/b/", "/private/")):
        areas = {"b": {"root": other, "url": url, "signed_url": signed}}
        error = refused(SECRET_KEY=SECRET, DELEGATE_ROOT=root, DELEGATE_AREAS=areas, **SIGNED)
        assert "overlap" in error.problem


BROWSER = "0123456789abcdef" * 2


def test_a_browser_that_has_the_cookie_gets_a_bound_url(app: Flask) -> None:
    @app.get("/sign")
    def sign() -> str:
        return signed_url("report.txt", expires_in=60, bind_to_browser=True)

    client = behind_apache(app)
    client.set_cookie(signing.COOKIE, BROWSER)
    response = client.get("/sign")
    assert "&b=1&" in response.text
    assert "Set-Cookie" not in response.headers
    client.set_cookie(signing.COOKIE, BROWSER[::-1])
    assert query(client.get("/sign").text)["s"] != query(response.text)["s"]


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("{0}={1}; {0}={2}", 2),
        ("a=b;{0}={1};{0}=none", 1),
        ('{0}={1}; {0}="{2}"', 1),
        ("x{0}={2}; {0}={1}", 1),
        ('{0}="{1}"', 0),
    ],
)
def test_of_several_cookies_the_one_counts_that_servers_take(
    app: Flask, sent: str, found: int
) -> None:
    """A neighbouring host can set one for this one, too."""
    values = ["", BROWSER, BROWSER[::-1]]
    with app.test_request_context(headers={"Cookie": sent.format(signing.COOKIE, *values[1:])}):
        value = signing.browser_value()
    assert value == values[found] or (not found and value not in values)


def test_two_bound_urls_of_one_request_have_one_cookie(app: Flask) -> None:
    @app.get("/both")
    def both() -> str:
        one, other = (
            signed_url("report.txt", expires_in=60, bind_to_browser=True) for _ in range(2)
        )
        assert one == other
        return one

    client = behind_apache(app)
    response = client.get("/both", base_url="https://localhost")
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert re.fullmatch(
        f"{signing.COOKIE}=[0-9a-f]{{32}}; Secure; HttpOnly; Path=/; SameSite=Lax", cookie
    )


@pytest.mark.parametrize("browser", ["", BROWSER])
def test_the_signature_is_a_nested_hash_of_query_browser_and_path(app: Flask, browser: str) -> None:
    area = app.extensions["delegate"].settings.areas["default"]
    delivery = describe(Handoff("report.txt"), area, resolve(area.root, "report.txt"))
    mac = partial(signing.nested_sha1, "key")
    url = signing.sign(delivery, mac, 1_700_000_000, browser)
    path, _, rest = url.partition("?")
    signed, _, given = rest.partition("&s=")
    subject = " ".join(filter(None, [signed, browser, path]))
    inner = hashlib.sha1(f"key{subject}".encode(), usedforsecurity=False).hexdigest()
    assert given == hashlib.sha1(f"key{inner}".encode(), usedforsecurity=False).hexdigest()


def test_nothing_may_follow_a_signature() -> None:
    pattern = re.search("m#(.*?)#", signing.condition(["key"]))
    assert pattern
    asked = "GET t=1700000000123456 e=1700000060&ct=a&cd=b&s=" + "0" * 40
    assert re.search(pattern[1], asked)
    for altered in (asked + "0", asked + "&x=1", "POST" + asked[3:], asked.replace("e=", "x=")):
        assert not re.search(pattern[1], altered), altered


def test_the_ends_of_a_life_are_as_they_are_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_003
    monkeypatch.setattr(time, "time", lambda: now + 0.9)
    assert signing.LONGEST == 31 * 24 * 3600
    assert signing.expiry(1) == now + 1
    assert signing.expiry(10) == now + 10
    assert signing.expiry(19) == now + 19
    assert signing.expiry(20) == (now + 20) // 2 * 2
    step = signing.LONGEST // 10
    assert signing.expiry(signing.LONGEST) == (now + signing.LONGEST) // step * step


@pytest.mark.parametrize("value", [BROWSER[:-1], BROWSER + "0", BROWSER.upper(), "", "x" * 32])
def test_a_cookie_of_another_form_is_replaced(app: Flask, value: str) -> None:
    @app.get("/sign")
    def sign() -> str:
        return signed_url("report.txt", expires_in=60, bind_to_browser=True)

    client = behind_apache(app)
    client.set_cookie(signing.COOKIE, value)
    (cookie,) = client.get("/sign").headers.getlist("Set-Cookie")
    pattern = "flask_delegate_browser=[0-9a-f]{32}; HttpOnly; Path=/; SameSite=Lax"
    assert re.fullmatch(pattern, cookie)


def test_a_url_names_the_file_quoted_once_and_says_what_is_asked(app: Flask, root: Path) -> None:
    (root / "größe 1%.txt").touch()
    with app.app_context():
        url = signed_url("größe 1%.txt", expires_in=60, rate_limit=2048, csp="sandbox", max_age=5)
    path, _, said = url.partition("?")
    assert path == "/signed/gr%C3%B6%C3%9Fe%201%25.txt"
    fields = [one.partition("=")[0] for one in said.split("&")]
    assert fields == ["e", "ct", "cd", "ma", "csp", "rl", "s"]
    assert query(url)["ct"] == ["text/plain; charset=utf-8"]
    (root / "raw\udcff").touch()
    with app.app_context():
        assert signed_url("raw\udcff", expires_in=60).startswith("/signed/raw%FF?e=")


def test_a_key_that_was_replaced_still_signs_for_a_server_that_has_it(make_app: Factory) -> None:
    def sign(app: Flask, environ: dict[str, Any]) -> str:
        with app.test_request_context(environ_base=environ):
            return query(signed_url("report.txt", expires_in=3600))["s"][0]

    old, new = make_app(**SIGNED, SECRET_KEY="old"), make_app(**SIGNED, SECRET_KEY="new")
    both = make_app(**SIGNED, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    for one in (old, new):
        environ = behind_apache(one).environ_base
        assert sign(both, environ) == sign(one, environ)


def test_bound_or_not_and_old_or_new_each_have_a_condition() -> None:
    forms = signing.condition(["new", "old"]).split(" || ")
    assert len(forms) == 4
    assert [re.findall("sha1:(new|old)", form)[0] for form in forms] == ["new", "new", "old", "old"]
    assert ["b=1" in form for form in forms] == [False, True, False, True]


def test_urls_are_signed_where_a_policy_forbids_sha1_for_security(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIPS 140 allows it for other uses; here a keyed hash needs no resistance to collisions."""
    sha1 = hashlib.sha1

    def strict(data: bytes, *, usedforsecurity: bool = True) -> Any:
        assert not usedforsecurity
        return sha1(data, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "sha1", strict)
    with app.app_context():
        assert len(query(signed_url("report.txt", expires_in=60))["s"][0]) == 40
