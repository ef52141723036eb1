from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import Forbidden

from portal.accounts import accounts
from portal.core import database
from portal.web import filters, flashes, headers
from tests.support.extension import behind_apache
from tests.support.portal import (
    REDIRECT,
    choose,
    links,
    prepare,
    public_id,
    sign_in,
    signed_in,
    token,
    upload,
    upload_url,
)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing", "/healthz", "/sign-out"])
def test_pages_have_security_headers(path: str, alice: FlaskClient, anonymous: FlaskClient) -> None:
    for client in (alice, anonymous):
        response = client.get(path)
        for name, value in headers.CONSTANT.items():
            assert response.headers[name] == value
        assert response.headers["Content-Security-Policy"] == PAGE_POLICY
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("wanted", [True, False])
def test_browsers_are_told_to_use_https_where_that_is_set(
    wanted: bool, make_app: Callable[..., Flask]
) -> None:
    app = make_app(HSTS=wanted)
    prepare(app)
    alice = signed_in(app, "alice")
    upload(alice, "a.txt")
    for page in ("/", "/nothing", links(alice)["a.txt"]):
        with alice.get(page) as response:
            found = response.headers.get("Strict-Transport-Security")
            assert found == ("max-age=31536000" if wanted else None)


def test_constant_headers_are_the_ones_meant() -> None:
    assert dict(headers.CONSTANT) == {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def test_delivered_file_keeps_its_own_policy_and_loses_no_header(
    alice: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    upload(alice, "a.html", b"<script>alert(1)</script>")
    alice.get("/")  # so that no message waits
    with alice.get(links(alice)["a.html"]) as response:
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert response.headers["Cache-Control"].startswith("private")
        for name, value in headers.CONSTANT.items():
            assert response.headers.get_all(name) == [value]
    assert "is lost" not in caplog.text


def test_handed_off_file_loses_no_header(
    alice: FlaskClient, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    upload(alice, "a.html", b"<script>alert(1)</script>")
    alice.get("/")  # so that no message waits
    alice.environ_base.update(behind_apache(app).environ_base)
    with alice.get(links(alice)["a.html"]) as response:
        assert response.headers["Location"].startswith("/private/")
    assert "is lost" not in caplog.text


def test_download_is_delivered_while_a_message_waits(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    upload(alice, "b.txt")
    with alice.get(link, headers={"User-Agent": "another"}) as response:
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    assert "Uploaded: b.txt" in alice.get("/").text


def test_messages_are_announced_once(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    assert (
        '<p class="note message" role="status" id="message">Uploaded: a.txt</p>'
        in alice.get("/").text
    )
    assert "Uploaded: a.txt" not in alice.get("/").text


def test_messages_of_many_uploads_fit_into_the_cookie(alice: FlaskClient) -> None:
    names = [f"{n:02} {''.join(map(chr, range(0x20000, 0x20032)))}.txt" for n in range(20)]
    form_token, url = token(alice), upload_url(alice)
    for _ in range(5):  # without a look at the page, which would take the messages out
        form = {"csrf_token": form_token, "file": [(io.BytesIO(b"x"), name) for name in names]}
        response = alice.post(url, data=form)
        assert response.status_code == REDIRECT
        assert len(response.headers["Set-Cookie"]) < 3000
    page = alice.get("/").text
    assert page.count('class="note') == 1
    assert "Uploaded: 20 files: 00 " in page.replace(" (5)", "")
    assert " and 17 more" in page


def test_missing_choice_of_a_file_is_told_at_the_field(alice: FlaskClient) -> None:
    assert "aria-invalid" not in alice.get("/").text
    upload(alice, "", b"")
    page = alice.get("/").text
    assert re.search(r'<p class="note error" role="alert" id="error">Select a file', page)
    assert 'aria-invalid="true" aria-describedby="error limit">' in _input(page, "file")
    assert 'multiple aria-describedby="limit">' in _input(alice.get("/").text, "file")


@pytest.mark.parametrize(("name", "focused"), [("alice", "password"), ("", "username")])
def test_failed_sign_in_is_told_at_both_fields(
    name: str, focused: str, anonymous: FlaskClient
) -> None:
    assert "aria-invalid" not in anonymous.get("/sign-in").text
    page = sign_in(anonymous, name, "wrong password").text
    for field in ("username", "password"):
        marked = _input(page, field)
        assert 'aria-invalid="true"' in marked
        assert 'aria-describedby="problem"' in marked
        assert (" autofocus" in marked) == (field == focused)
    assert " autofocus" in _input(anonymous.get("/sign-in").text, "username")


def _input(page: str, field: str) -> str:
    found = re.search(rf'<input[^>]* id="{field}"[^>]*>', page)
    assert found
    return found[0]


@pytest.mark.parametrize(
    ("uploaded", "listed"),
    [
        (["a.txt"], "a.txt"),
        (["a", "b"], "2 files: a, b"),
        (["a", "b", "c"], "3 files: a, b, c"),
        (["a", "b", "c", "d"], "4 files: a, b, c and 1 more"),
        (["x" * 60 + ".txt"], "x" * 30 + "…xxxxx.txt"),
    ],
)
def test_uploaded_files_are_listed_in_few_words(uploaded: list[str], listed: str) -> None:
    assert flashes.list_names(uploaded) == listed


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing", "/sign-out", "details", "delete"])
def test_pages_have_the_same_frame(path: str, alice: FlaskClient, anonymous: FlaskClient) -> None:
    upload(alice, "a.txt")
    entry = public_id(links(alice)["a.txt"])
    if path == "delete":
        choose(alice, "trash", links(alice)["a.txt"])
    target = {"details": f"/entries/{entry}", "delete": f"/trash/{entry}/delete"}.get(path, path)
    client = anonymous if path == "/sign-in" else alice
    page = client.get(target).text
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert page.count("<h1>") == 1
    assert '<a class="skip" href="#main">' in page
    for script in re.findall(r"<script[^>]*>.", page):
        assert re.fullmatch(
            r'<script type="module"(?: blocking="render")? src="/static/[0-9a-f]{12}/[a-z]+.js"><',
            script,
        )
    assert not re.search(r" (style|on[a-z]+)=", page)
    tags = [tag for tag in re.findall("<(?:input|select) [^>]*>", page) if "aria-label=" not in tag]
    inputs = {found[1] for tag in tags if (found := re.search(' id="([^"]+)"', tag))}
    assert inputs == set(re.findall(r'<label[^>]* for="([^"]+)"', page))


def test_list_of_files_is_a_table_and_says_when_it_is_empty(alice: FlaskClient) -> None:
    assert "No files yet" in alice.get("/").text
    upload(alice, "a.txt", b"x" * 1500)
    page = alice.get("/").text
    assert "<caption>1 item</caption>" in page
    assert "<span>1.5 KiB of 10 GiB used</span>" in page
    assert page.count('<th scope="col"') == 3
    assert page.count('<th scope="row"') == 1
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00">', page)


def test_unexpected_error_has_a_page_without_database(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        database.upgrade()
        accounts.create("alice", "correct horse")
    alice = signed_in(app, "alice")
    with app.app_context(), database.db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE sign_in")
        connection.exec_driver_sql("ALTER TABLE entry RENAME TO elsewhere")
    response = alice.get("/")
    assert response.status_code == 500
    assert "<h1>Something went wrong</h1>" in response.text
    assert "sqlite" not in response.text
    assert response.headers["Content-Security-Policy"] == PAGE_POLICY


def test_forbidden_has_a_page(app: Flask, alice: FlaskClient) -> None:
    def refuse() -> str:
        raise Forbidden

    app.view_functions["files.index"] = refuse
    response = alice.get("/")
    assert response.status_code == 403
    assert "<h1>Not allowed</h1>" in response.text


def test_token_is_good_for_the_whole_session(app: Flask, alice: FlaskClient) -> None:
    assert app.config["WTF_CSRF_TIME_LIMIT"] is None
    assert alice.post("/sign-out", data={"csrf_token": token(alice)}).status_code == REDIRECT


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1 MiB"),
        (1024**3, "1 GiB"),
        (5 * 1024**5, "5120 TiB"),
    ],
)
def test_sizes_read_well(size: int, words: str) -> None:
    assert filters.human_size(size) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024**2 - 1, "1023.9 KiB"),
        (1024**2, "1 MiB"),
        (int(509.19 * 1024), "509.1 KiB"),
        (round(0.3 * 1024**3), "307.2 MiB"),  # as it was typed, and rounded to whole bytes
        (round(1.7 * 1024**3), "1.7 GiB"),
    ],
)
def test_limits_read_well(size: int, words: str) -> None:
    assert filters.human_limit(size) == words


@pytest.mark.parametrize("path", ["/", "/trash", "/nothing", "/account?x=1"])
def test_head_takes_no_message_from_the_next_page(path: str, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    for _ in range(2):
        answer = alice.head(path)
        assert "Set-Cookie" not in answer.headers
    assert "Uploaded: a.txt" in alice.get("/").text
    assert "Uploaded: a.txt" not in alice.get("/").text


_UNITS = {name: 1024**power for power, name in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)}


@given(st.integers(1024, 2**63 - 1), st.integers(0, 5))
def test_limit_that_is_shown_is_accepted(number: int, power: int) -> None:
    size = max(number >> (10 * power), 1024)  # of all magnitudes
    amount, unit = filters.human_limit(size).split()
    shown = Fraction(amount) * _UNITS[unit]
    assert int(shown) <= size < shown + Fraction(_UNITS[unit], 10)
    amount, unit = filters.human_need(size).split()
    assert size <= Fraction(amount) * _UNITS[unit] < size + Fraction(_UNITS[unit], 10)


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_who_hung_up_gets_no_page(
    alice: FlaskClient, anonymous: FlaskClient, multipart: bool, signed: bool
) -> None:
    # A thousand slow bodies that end at once would otherwise render a thousand pages.
    client, path = (alice, upload_url(alice)) if signed else (anonymous, "/sign-in")
    announced = {"CONTENT_LENGTH": "1000"}
    before = links(alice)
    kind = "multipart/form-data" if multipart else "application/x-www-form-urlencoded"
    response = client.post(
        path, data={"username": "a"}, content_type=kind, environ_overrides=announced
    )
    assert (response.status_code, response.data) == (400, b"")
    assert links(alice) == before
