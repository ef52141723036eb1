"""Two tabs of one browser: what a form does that was opened before somebody signed out or in."""

from __future__ import annotations

import io
import re

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Activity, Entry, FileRequest, SignIn
from portal.identity import sessions
from portal.sharing import links
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    folder_id,
    make_folder,
    public_id,
    sign_in,
    signed_in,
    token,
    upload,
)
from tests.support.portal import links as links_on
from tests.support.stored import root

OWN = {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/trash?x=1"}


def who(client: FlaskClient) -> str:
    """Return who the browser is signed in as; nobody: an empty string."""
    return client.get("/", follow_redirects=True).text.partition("Signed in as </span>")[2][:5]


def live_sessions(app: Flask) -> list[str]:
    with app.app_context():
        return sorted(one.account.name for one in db.session.scalars(select(SignIn)))


def entries(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Entry)) or 0


def sign_out(client: FlaskClient, form_token: str) -> TestResponse:
    return client.post("/sign-out", data={"csrf_token": form_token})


def test_signing_out_twice_is_signed_out(app: Flask, alice: FlaskClient) -> None:
    first = second = token(alice)
    sign_out(alice, first)
    answer = sign_out(alice, second)
    assert (answer.status_code, answer.location) == (REDIRECT, "/sign-in")
    assert "You are signed out." in alice.get("/sign-in").text
    assert live_sessions(app) == []


def test_signing_out_after_the_session_was_ended_elsewhere_is_signed_out(
    app: Flask, alice: FlaskClient
) -> None:
    page = token(alice)
    end_all(app)
    assert sign_out(alice, page).location == "/sign-in"
    assert "You are signed out." in alice.get("/sign-in").text


def test_signing_out_in_the_tab_of_another_account_signs_nobody_out(
    app: Flask, alice: FlaskClient
) -> None:
    old = token(alice)
    sign_out(alice, old)
    sign_in(alice, "bob")
    answer = sign_out(alice, old)
    assert answer.status_code == 400
    assert "You are signed in as bob now." in answer.text
    assert live_sessions(app) == ["bob"]


def test_form_of_another_session_says_who_is_signed_in_and_shows_what_was_typed(
    app: Flask, alice: FlaskClient
) -> None:
    old, folder = token(alice), folder_id(alice)
    sign_out(alice, old)
    sign_in(alice, "bob")
    before = entries(app)
    form = {"csrf_token": old, "name": "A long <name> & more", "entry": "hidden"}
    answer = alice.post(f"/folders/{folder}/folders", data=form, headers=OWN)
    assert answer.status_code == 400
    assert "You are signed in as bob now." in answer.text
    assert "sign out first" in answer.text
    assert "<dt>Name</dt><dd><bdi>A long &lt;name&gt; &amp; more</bdi></dd>" in answer.text
    assert "entry" not in answer.text.partition("<main")[2]
    assert '<a class="quiet" href="/trash?x=1">Open the page again</a>' in answer.text
    assert entries(app) == before
    assert live_sessions(app) == ["bob"]


@pytest.mark.parametrize("site", [None, "same-site", "cross-site", "none"])
def test_no_other_site_can_have_a_text_shown(site: str | None, alice: FlaskClient) -> None:
    headers = {"Referer": "http://elsewhere.example/x"} | ({"Sec-Fetch-Site": site} if site else {})
    form = {"csrf_token": "x", "name": "Call 555"}
    answer = alice.post(f"/folders/{folder_id(alice)}/folders", data=form, headers=headers)
    assert answer.status_code == 400
    assert "Call 555" not in answer.text
    assert "Open the page again</a>" not in answer.text


def end_all(app: Flask) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        sessions.end_all(account)


@pytest.mark.parametrize("how", ["elsewhere", "in another tab"])
@pytest.mark.parametrize("typed", ["", "New folder"])
def test_form_of_a_session_that_has_ended_says_so(
    how: str, typed: str, app: Flask, alice: FlaskClient
) -> None:
    form, folder = {"csrf_token": token(alice)}, folder_id(alice)
    if how == "elsewhere":
        end_all(app)
    else:
        sign_out(alice, form["csrf_token"])
    before = entries(app)
    answer = alice.post(f"/folders/{folder}/folders", data={**form, "name": typed}, headers=OWN)
    target = "/sign-in?next=/trash?x%3D1"
    if typed:
        assert answer.status_code == 400
        assert f"<bdi>{typed}</bdi>" in answer.text
        assert f'href="{target}">Sign in</a>' in answer.text
        page = answer.text
    else:
        assert (answer.status_code, answer.location) == (REDIRECT, target)
        page = alice.get(target).text
    assert "Your session has ended, so nothing was changed." in page
    assert entries(app) == before
    assert sign_in(alice, "alice", next="/trash?x=1").location == "/trash?x=1"


GONE = "<h1>Not here any more</h1>\n  <p>%s is not here any more:"


def back(page: TestResponse) -> list[str]:
    return re.findall(r'<a class="main" href="([^"]+)">Back</a>', page.text)


def test_what_another_tab_has_put_into_the_trash_is_named_with_a_way_back(
    app: Flask, alice: FlaskClient
) -> None:
    folder, other = make_folder(alice, "Here"), make_folder(alice, "Elsewhere")
    upload(alice, "a.txt", page=folder)
    entry = public_id(links_on(alice, folder)["a.txt"])
    trash(alice, entry, folder)
    with app.app_context():
        before = db.session.scalars(select(Activity.id)).all()
    form = {"csrf_token": token(alice), "entry": entry}
    for address, fields in {
        "/selection/trash": {"next": f"{folder}?sort=size"},
        "/selection/move": {"next": f"{folder}?sort=size"},
        "/move": {"next": f"{folder}?sort=size", "folder": public_id(other)},
        f"/entries/{entry}/rename": {"name": "b.txt"},
        f"/entries/{entry}/share": {},
    }.items():
        answer = alice.post(address, data=form | fields)
        assert answer.status_code == 404, address
        assert GONE % "a.txt" in answer.text
        assert back(answer) == [fields.get("next", folder)]
    shown = alice.get(f"/entries/{entry}")
    assert (shown.status_code, back(shown)) == (404, [folder])
    assert GONE % "a.txt" in shown.text
    with app.app_context():
        assert db.session.scalars(select(Activity.id)).all() == before


def test_what_was_deleted_is_not_named_to_anybody(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    entry = public_id(links_on(alice)["a.txt"])
    trash(alice, entry, "/")
    foreign = signed_in(app, "bob")
    for client in (foreign, alice):
        form = {"csrf_token": token(client), "entry": entry}
        if client is alice:
            client.post(f"/trash/{entry}/delete", data=form)
            again = client.post(f"/trash/{entry}/delete", data=form)
            assert "It is not in the trash any more" in again.text
            assert (again.status_code, back(again)) == (404, ["/trash"])
        answer = client.post("/selection/trash", data=form)
        assert answer.status_code == 404
        assert GONE % "What you selected" in answer.text
        assert "a.txt" not in answer.text


def trash(client: FlaskClient, entry: str, page: str) -> None:
    form = {"csrf_token": token(client), "entry": entry, "next": page}
    assert client.post("/selection/trash", data=form).location == page
    client.get(page)  # which shows the message


def test_files_of_a_session_that_has_ended_are_not_read(app: Flask, alice: FlaskClient) -> None:
    form, url = {"csrf_token": token(alice)}, f"/uploads/folders/{folder_id(alice)}"
    sign_out(alice, form["csrf_token"])
    before = entries(app)
    sent = {**form, "file": (io.BytesIO(b"content"), "a.txt")}
    answer = alice.post(url, data=sent, content_type="multipart/form-data", headers=OWN)
    assert (answer.status_code, answer.location) == (REDIRECT, "/sign-in?next=/trash?x%3D1")
    assert entries(app) == before


def test_visitor_is_told_to_open_the_page_again(app: Flask) -> None:
    with app.app_context():
        address = f"/r/{links.create(FileRequest, root('alice'))[1]}"
    visitor = app.test_client()
    page = visitor.get(address).location
    old = token(visitor, page)
    sign_in(visitor, "bob")
    url = page.replace("/requested/", "/uploads/requested/")
    form = {"csrf_token": old, "file": (io.BytesIO(b"content"), "a.txt")}
    answer = visitor.post(url, data=form, content_type="multipart/form-data")
    assert answer.status_code == 400
    assert "Open the page again, and send the form again." in answer.text
    assert "sign out first" not in answer.text
    assert visitor.get(page).status_code == 200


def second_sign_in(client: FlaskClient, form_token: str, name: str, **fields: str) -> TestResponse:
    form = {"csrf_token": form_token, "username": name, "password": PASSWORD, **fields}
    return client.post("/sign-in", data=form)


def test_signing_in_as_another_in_a_second_tab_asks_and_then_changes(app: Flask) -> None:
    client = app.test_client()
    old = token(client)
    sign_in(client, "alice")
    asked = second_sign_in(client, old, "bob", next="/trash")
    assert asked.status_code == 400
    assert "You are signed in as alice. To sign in as bob instead" in asked.text
    assert 'value="bob"' in asked.text
    assert PASSWORD not in asked.text
    assert live_sessions(app) == ["alice"]
    fresh = asked.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = second_sign_in(client, fresh, "bob", next="/trash")
    assert (answer.status_code, answer.location) == (REDIRECT, "/trash")
    assert "alice is signed out. You are signed in as bob." in client.get("/trash").text
    assert live_sessions(app) == ["bob"]


def test_wrong_password_of_another_changes_nothing(app: Flask, alice: FlaskClient) -> None:
    form = {"csrf_token": token(alice), "username": "bob", "password": "wrong password"}
    assert alice.post("/sign-in", data=form).status_code == 422
    assert live_sessions(app) == ["alice"]
    assert who(alice) == "alice"


def test_signing_in_as_another_with_a_second_factor_ends_the_first_session(app: Flask) -> None:
    with app.app_context():
        bob = accounts.find("bob")
        assert bob
        bob.totp_secret, bob.totp_step = pyotp.random_base32(), 1
        db.session.commit()
    client = signed_in(app, "alice")
    answer = second_sign_in(client, token(client), "bob")
    assert answer.location == "/sign-in/code"
    assert "alice is signed out." in client.get("/sign-in/code").text
    assert live_sessions(app) == []


def test_name_that_is_too_long_is_not_compared(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.web.account.sign_in.fold", None)  # whoever uses it fails
    form = {"csrf_token": token(alice), "username": "a" * 300, "password": PASSWORD}
    assert alice.post("/sign-in", data=form).status_code == 422
