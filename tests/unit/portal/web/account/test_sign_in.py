from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from sqlalchemy import select
from werkzeug.test import TestResponse

from flask_delegate.servers import signing
from portal import create_app
from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import SignIn, StoredFile
from portal.files import listing
from portal.identity import passwords, sessions
from portal.web.next_page import is_local
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    links,
    make_folder,
    prepare,
    sign_in,
    signed_in,
    token,
    upload,
)

FAILURE = "The name or the password is wrong."


def test_unknown_account_and_wrong_password_get_the_same_answer(anonymous: FlaskClient) -> None:
    unknown = sign_in(anonymous, "nobody", "wrong password")
    wrong = sign_in(anonymous, "alice", "wrong password")
    assert unknown.status_code == wrong.status_code == 422
    assert FAILURE in unknown.text
    lines = [_without_token(page.text).replace("nobody", "alice") for page in (unknown, wrong)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_password_is_verified_once_whether_the_account_exists_or_not(
    name: str, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
            verified.append(str(hash).split("$")[3])
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", hasher)
    sign_in(anonymous, name, "wrong password")
    assert verified == ["m=8,t=1,p=1"]


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_password_of_impossible_length_is_not_hashed(
    password: str, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hasher", None)  # whoever uses it fails
    assert FAILURE in sign_in(anonymous, "alice", password).text


@pytest.mark.parametrize("name", ["alice", "ALICE", "ａｌｉｃｅ", " alice "])  # noqa: RUF001
def test_name_is_found_whatever_its_case_and_width(name: str, anonymous: FlaskClient) -> None:
    assert sign_in(anonymous, name).status_code == REDIRECT


@pytest.mark.parametrize("name", ["Alice", "ａlice", "ALICE", "alice\u0332"])  # noqa: RUF001
def test_account_that_looks_like_another_is_refused(name: str, app: Flask) -> None:
    with app.app_context(), pytest.raises(accounts.AccountError):
        accounts.create(name, PASSWORD)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a\nb",
        "a\u202eb",
        "x" * 65,
        "dora\ufe0f",
        "dora\u034f",
        "\u3164",
        "\u2800",
        "do\u2800ra",
        "\u0332\u0333",
        "\U000e0100a",
    ],
)
def test_unusable_account_name_is_refused(name: str, app: Flask) -> None:
    with app.app_context(), pytest.raises(accounts.AccountError):
        accounts.create(name, PASSWORD)


def test_hash_is_renewed_at_sign_in(
    app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", stronger)
    sign_in(anonymous, "alice")
    with app.app_context():
        account = accounts.find("alice")
        assert account
        assert "m=16,t=2" in account.password_hash


def test_deactivated_account_looks_like_a_wrong_password(
    app: Flask, anonymous: FlaskClient
) -> None:
    wrong = sign_in(anonymous, "alice", "wrong password")
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.deactivate(account)
    right = sign_in(anonymous, "alice")
    assert right.status_code == 422
    assert _without_token(right.text) == _without_token(wrong.text)
    with app.app_context():
        assert accounts.authenticate("alice", PASSWORD) is None


def test_session_before_sign_in_is_not_kept(anonymous: FlaskClient) -> None:
    old_token = token(anonymous)
    with anonymous.session_transaction() as session:
        session["planted"] = "by an attacker"
        old_raw_token = session["csrf_token"]
    sign_in(anonymous, "alice")
    token(anonymous)
    with anonymous.session_transaction() as session:
        assert "planted" not in session
        assert session["csrf_token"] != old_raw_token
    assert anonymous.post("/sign-out", data={"csrf_token": old_token}).status_code == 400


def test_password_change_ends_sessions(app: Flask, alice: FlaskClient, bob: FlaskClient) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.set_password(account, "another password")
    assert alice.get("/").status_code == REDIRECT
    assert bob.get("/").status_code == 200


def test_cookie_copied_before_sign_out_is_worthless(app: Flask, alice: FlaskClient) -> None:
    copied = alice.get_cookie("session")
    assert copied
    alice.post("/sign-out", data={"csrf_token": token(alice)})
    thief = app.test_client()
    thief.set_cookie("session", copied.value)
    assert thief.get("/").status_code == REDIRECT


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example/",
        "/\n/evil.example/",
        "\t//evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "",
        "//[",
    ],
)
def test_sign_in_redirects_to_this_site_only(target: str, anonymous: FlaskClient) -> None:
    assert not is_local(target)
    assert sign_in(anonymous, "alice", next=target).location == "/"


@pytest.mark.parametrize("target", ["/" + "x" * 1024, "/" + "é" * 512])
def test_sign_in_goes_on_to_no_address_that_is_too_long_for_a_cookie(
    target: str, anonymous: FlaskClient
) -> None:
    assert is_local(target[:-1])
    assert not is_local(target)
    assert sign_in(anonymous, "alice", next=target).location == "/"


def test_sign_in_goes_on_to_the_page_asked_for(anonymous: FlaskClient) -> None:
    asked = anonymous.get("/account?x=1")
    assert asked.location == "/sign-in?next=/account?x%3D1"
    target = "/account?x=1"
    assert f'name="next" value="{target}"' in anonymous.get(asked.location).text
    assert sign_in(anonymous, "alice", next=target).location == target


def test_someone_signed_in_is_not_redirected_elsewhere(alice: FlaskClient) -> None:
    assert alice.get("/sign-in?next=//evil.example/").location == "/"


def test_session_cookie_is_protected(make_app: Callable[..., Flask]) -> None:
    app = make_app(SESSION_COOKIE_SECURE=True)
    prepare(app)
    cookie = app.test_client().get("/sign-in").headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_cookie_is_secure_by_default(data: Path) -> None:
    app = create_app({"DATA": str(data)})
    assert app.config["SESSION_COOKIE_SECURE"] is True


def test_session_ends_after_its_lifetime(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alice.get("/").status_code == 200
    now = TimestampSigner("x").get_timestamp()
    later = now + app.config["PERMANENT_SESSION_LIFETIME"] + 2
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: later)
    assert alice.get("/").status_code == REDIRECT


def test_sign_in_is_logged_on_one_line(
    app: Flask, anonymous: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sign_in(anonymous, "alice\nsigned in: admin\u202e", "wrong password")
    signed_in(app, "alice")
    own = {"portal.activity.record", "portal.identity.throttle"}
    lines = [record.getMessage() for record in caplog.records if record.name in own]
    assert len(lines) == 2
    assert lines[0].startswith("sign-in failed from 127.0.0.1: 'alice\\nsigned in")
    assert "\n" not in lines[0]
    assert "\u202e" not in lines[0]
    assert lines[1] == "sign in: '' '', by 'alice' from 127.0.0.1"
    assert PASSWORD not in caplog.text


def _without_token(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "csrf_token" not in line)


def _sign_out(app: Flask, client: FlaskClient) -> TestResponse:
    del app
    return client.post("/sign-out", data={"csrf_token": token(client)})


def _sign_out_everywhere(app: Flask, client: FlaskClient) -> TestResponse:
    del app
    return client.post("/account/sessions/end", data={"csrf_token": token(client)})


def _end_in_the_list(app: Flask, client: FlaskClient) -> TestResponse:
    with app.app_context():
        (mine,) = db.session.scalars(select(SignIn.public_id))
    return client.post(f"/account/sessions/{mine}/end", data={"csrf_token": token(client)})


def _end_elsewhere(app: Flask, client: FlaskClient) -> TestResponse:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        sessions.end_all(account)
    return client.get("/account")


@pytest.mark.parametrize("end", [_sign_out, _sign_out_everywhere, _end_in_the_list, _end_elsewhere])
def test_signed_urls_stop_in_a_browser_whose_session_ended(
    end: Callable[[Flask, FlaskClient], TestResponse], app: Flask, alice: FlaskClient
) -> None:
    alice.set_cookie(signing.COOKIE, "0" * 32)
    assert end(app, alice).status_code == REDIRECT
    assert alice.get_cookie(signing.COOKIE) is None


def test_visitor_without_a_session_keeps_the_cookie(anonymous: FlaskClient) -> None:
    anonymous.set_cookie(signing.COOKIE, "0" * 32)
    assert anonymous.get("/account").status_code == REDIRECT
    assert anonymous.get_cookie(signing.COOKIE) is not None


def test_signing_in_ends_on_the_page_of_the_folder_with_the_file(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    folder = make_folder(alice, "Folder")
    for number in range(8):
        upload(alice, f"{number}.txt", page=folder)
    with app.app_context():
        ids = {one.name: one.public_id for one in db.session.scalars(select(StoredFile))}
    sign_in(anonymous, "alice")
    for number in range(8):
        page = anonymous.get(f"/entries/{ids[f'{number}.txt']}/folder", follow_redirects=True)
        assert page.request.path == folder
        assert f"{number}.txt" in links(anonymous, page.request.full_path)


def test_filters_of_a_csv_are_kept_while_signing_in(anonymous: FlaskClient) -> None:
    query = "action=upload&name=a%26b&_scheme=x&endpoint=y"
    asked = anonymous.get(f"/activity.csv?{query}")
    assert parse_qs(urlsplit(asked.location).query)["next"] == [f"/activity?{query}"]
