"""Where a form comes from, as browsers and proxies say it, and its token."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from flask import Flask, session
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]

from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    folder_id,
    folders,
    prepare,
    sign_in,
    signed_in,
    token,
)

OWN = "https://files.example"


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ({"Origin": OWN}, True),
        ({"Origin": f"{OWN}:443"}, True),
        ({"Referer": f"{OWN}/folders/x"}, True),
        ({}, True),  # no browser; its token is right
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        # A proxy dropped the port from Host.
        ({"Sec-Fetch-Site": "same-origin", "Origin": f"{OWN}:8443"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Origin": f"{OWN}:8443"}, False),
        ({"Origin": "http://files.example"}, False),
        ({"Origin": "https://evil.example", "Referer": OWN}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://["}, False),
        ({"Referer": "https://evil.example/https://files.example"}, False),
    ],
)
def test_form_is_judged_by_its_origin(
    said: dict[str, str], is_taken: bool, make_app: Callable[..., Flask]
) -> None:
    app = make_app()
    prepare(app)
    client = signed_in(app, "alice")
    form = {"csrf_token": token(client), "name": "New"}
    page = f"/folders/{folder_id(client)}/folders"
    cookie = next(iter((client._cookies or {}).values()))
    headers = {"Host": "files.example", "Cookie": f"{cookie.key}={cookie.value}", **said}
    answer = app.test_client(use_cookies=False).post(page, base_url=OWN, data=form, headers=headers)
    assert (answer.status_code == 400) is not is_taken
    assert list(folders(client)) == (["New"] if is_taken else [])
    if not is_taken:
        text = answer.text.partition("<main")[2].partition("</main>")[0]
        assert "the proxy in front of the portal hides it" in text
        assert "reload" not in text


@pytest.mark.parametrize("origin", ["https://files.example:8443", "https://files.example:8443/x"])
def test_address_that_is_set_is_the_portals(origin: str, make_app: Callable[..., Flask]) -> None:
    app = make_app(BASE_URL="https://files.example:8443/")
    prepare(app)
    client = signed_in(app, "alice")
    form = {"csrf_token": token(client), "name": "New"}
    answer = client.post(
        f"/folders/{folder_id(client)}/folders", data=form, headers={"Origin": origin}
    )
    assert (answer.status_code, list(folders(client))) == (REDIRECT, ["New"])


@pytest.mark.parametrize("header", ["Origin", "Referer"])
def test_international_name_is_the_portals_own(header: str, make_app: Callable[..., Flask]) -> None:
    app = make_app()
    prepare(app)
    client, own = signed_in(app, "alice"), "http://xn--bcher-kva.example:8137"
    form = {"csrf_token": token(client), "name": "New"}
    page = f"/folders/{folder_id(client)}/folders"
    cookie = next(iter((client._cookies or {}).values()))
    headers = {"Cookie": f"{cookie.key}={cookie.value}", header: own}
    anybody = app.test_client(use_cookies=False)
    answer = anybody.post(page, base_url=own, data=form, headers=headers)
    assert (answer.status_code, list(folders(client))) == (REDIRECT, ["New"])


def test_cookie_that_is_kept_back_is_no_expired_form(make_app: Callable[..., Flask]) -> None:
    app = make_app(SESSION_COOKIE_SECURE=True)
    prepare(app)
    form = {"csrf_token": token(app.test_client()), "username": "alice", "password": "x"}
    answer = app.test_client(use_cookies=False).post("/sign-in", data=form)
    assert answer.status_code == 400
    assert "for HTTPS only" in answer.text
    assert "reload the page" not in answer.text


def test_sign_in_from_before_a_sign_in_elsewhere_goes_on(app: Flask) -> None:
    """Browsers open the tabs of yesterday together, and each shows the form."""
    client = app.test_client()
    old = {"csrf_token": token(client), "username": "alice", "password": PASSWORD, "next": "/trash"}
    sign_in(client, "alice")
    answer = client.post("/sign-in", data=old)
    assert (answer.status_code, answer.location) == (REDIRECT, "/trash")
    assert "expired" not in client.get("/trash").text


def test_sign_in_that_has_expired_signs_nobody_in_and_is_shown_anew(app: Flask) -> None:
    client = app.test_client()
    client.get("/sign-in")
    form = {"csrf_token": "x", "username": "alice", "password": PASSWORD}
    answer = client.post("/sign-in", data=form)
    assert (answer.status_code, answer.location) == (REDIRECT, "/sign-in")
    assert "you are not signed in yet" in client.get(answer.location).text
    assert client.get("/").location == "/sign-in"


def test_browser_without_cookies_is_told(app: Flask) -> None:
    form = {"csrf_token": token(app.test_client()), "username": "alice", "password": PASSWORD}
    answer = app.test_client(use_cookies=False).post("/sign-in", data=form)
    assert answer.status_code == 400
    assert "allow cookies for this address" in answer.text


def test_tokens_of_two_pages_share_nothing(app: Flask) -> None:
    """In none of the characters, which a length could tell one after the other (BREACH)."""
    client = signed_in(app, "alice")
    values = [base64.urlsafe_b64decode(token(client)) for _ in range(40)]
    assert {len(one) for one in values} == {len(values[0])}
    for place in zip(*values, strict=True):
        assert len(set(place)) > 25


def test_all_tokens_of_a_page_are_one(app: Flask) -> None:
    page = signed_in(app, "alice").get("/").text
    found = re.findall(r'(?:name="csrf_token" value|data-token)="([^"]+)"', page)
    assert len(found) > 3
    assert len(set(found)) == 1


def test_no_page_shows_the_token_itself(app: Flask) -> None:
    client = signed_in(app, "alice")
    shown, page = token(client), client.get("/").text
    with client.session_transaction() as mine:
        raw = mine["csrf_token"]
    with app.test_request_context():
        session["csrf_token"] = raw
        bare = generate_csrf()
    begin = bare.partition(".")[0]
    assert begin not in page
    assert begin not in shown
    form = {"csrf_token": bare, "name": "New"}
    answer = client.post(f"/folders/{folder_id(client)}/folders", data=form)
    assert (answer.status_code, list(folders(client))) == (400, [])


def test_each_token_of_a_session_is_taken_and_none_of_another(app: Flask) -> None:
    client, other = signed_in(app, "alice"), signed_in(app, "alice")
    page = f"/folders/{folder_id(client)}/folders"
    for number, shown in enumerate([token(client), token(client), token(other)]):
        client.post(page, data={"csrf_token": shown, "name": f"New {number}"})
    assert list(folders(client)) == ["New 0", "New 1"]


@pytest.mark.parametrize("place", [0, 1, 60, 89, 91, 120, 180])
def test_token_that_was_changed_is_refused(place: int, app: Flask) -> None:
    client = signed_in(app, "alice")
    changed = bytearray(base64.urlsafe_b64decode(token(client)))
    assert len(changed) > 180
    changed[place] ^= 1
    form = {"csrf_token": base64.urlsafe_b64encode(changed).decode(), "name": "New"}
    answer = client.post(f"/folders/{folder_id(client)}/folders", data=form)
    assert (answer.status_code, list(folders(client))) == (400, [])


@pytest.mark.parametrize("given", ["", "x", "=", "ab==", "AAAA", "a b", "ä", "AAECAwQ", "-" * 8000])
@pytest.mark.parametrize("where", ["form", "header"])
def test_what_is_no_token_is_refused(given: str, where: str, app: Flask) -> None:
    client = signed_in(app, "alice")
    form = {"csrf_token": given} if where == "form" else {}
    headers = {"X-CSRFToken": given.encode().decode("latin-1")} if where == "header" else {}
    page = f"/folders/{folder_id(client)}/folders"
    answer = client.post(page, data={**form, "name": "New"}, headers=headers)
    assert (answer.status_code, list(folders(client))) == (400, [])


def test_renewed_token_of_the_tray_is_masked_and_taken(app: Flask) -> None:
    client = signed_in(app, "alice")
    renewed = [client.options("/uploads/").headers["X-CSRFToken"] for _ in range(2)]
    assert renewed[0] != renewed[1]
    page = f"/folders/{folder_id(client)}/folders"
    client.post(page, data={"name": "New"}, headers={"X-CSRFToken": renewed[1]})
    assert list(folders(client)) == ["New"]
