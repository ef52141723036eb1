"""Sessions: listed, and ended one by one or together. A copy of a cookie is worth nothing then."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.accounts import accounts
from portal.activity import record
from portal.core.database import db
from portal.core.models import Account, Activity, SignIn, now
from portal.identity import passwords, second_factor, sessions
from portal.web import filters
from portal.web.account import sign_in as auth
from tests.support.locks import be_impatient, locked
from tests.support.portal import PASSWORD, REDIRECT, sign_in, signed_in, token

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = "other calm otters"


def copied(app: Flask, client: FlaskClient) -> FlaskClient:
    """Create a thief's browser, which sends a copy of the cookie."""
    cookie = client.get_cookie("session")
    assert cookie
    thief = app.test_client()
    thief.set_cookie("session", cookie.value)
    return thief


def works(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def post(client: FlaskClient, path: str, **fields: str) -> int:
    return client.post(path, data={"csrf_token": token(client), **fields}).status_code


def end_links(client: FlaskClient) -> list[str]:
    return re.findall(r'action="(/account/sessions/[^/"]+/end)"', client.get("/account").text)


def _deactivate(_client: FlaskClient, account: Account) -> None:
    accounts.deactivate(account)


def _deactivate_for_a_moment(_client: FlaskClient, account: Account) -> None:
    accounts.deactivate(account)
    accounts.activate(account)


def _set_password(_client: FlaskClient, account: Account) -> None:
    accounts.set_password(account, NEW)


def _delete(_client: FlaskClient, account: Account) -> None:
    accounts.delete(account)


def _sign_out(client: FlaskClient, _account: Account) -> None:
    post(client, "/sign-out")


def _end_this_one(client: FlaskClient, _account: Account) -> None:
    post(client, end_links(client)[0])


def _end_all(client: FlaskClient, _account: Account) -> None:
    post(client, "/account/sessions/end")


def _change_password(client: FlaskClient, _account: Account) -> None:
    fields = {"password": PASSWORD, "new_password": NEW, "again": NEW}
    assert post(client, "/account/password", **fields) == REDIRECT


ENDS = [
    _deactivate,
    _deactivate_for_a_moment,
    _set_password,
    _delete,
    _sign_out,
    _end_this_one,
    _end_all,
    _change_password,
]


@pytest.mark.parametrize("end", ENDS)
def test_copied_cookie_is_refused_afterwards(
    end: Callable[[FlaskClient, Account], None], app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    thief = copied(app, alice)
    assert works(thief)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        end(alice, account)
    assert not works(thief)
    assert works(bob)


def test_sessions_are_listed_with_device_and_address(app: Flask, alice: FlaskClient) -> None:
    other = app.test_client()
    form = {"csrf_token": token(other), "username": "alice", "password": PASSWORD}
    other.post(
        "/sign-in",
        data=form,
        headers={"User-Agent": FIREFOX},
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
    )
    page = alice.get("/account").text
    assert "2 devices" in page
    assert "Firefox on Linux" in page
    assert "192.0.2.7" in page
    assert page.count('<span class="tag">this device</span>') == 1


def test_control_characters_of_a_device_are_not_stored(app: Flask) -> None:
    client = app.test_client()
    form = {"csrf_token": token(client), "username": "alice", "password": PASSWORD}
    client.post("/sign-in", data=form, headers={"User-Agent": "\xff\xa0\x85\x9fq"})
    with app.app_context():
        assert db.session.scalars(select(SignIn.user_agent)).one() == "\xff q"


def test_one_session_is_ended_and_the_others_stay(app: Flask, alice: FlaskClient) -> None:
    other, third = signed_in(app, "alice"), signed_in(app, "alice")
    with app.app_context():
        account = accounts.find("alice")
        assert account
        latest_first = [one.public_id for one in sessions.list_sessions(account)]
    assert post(alice, f"/account/sessions/{latest_first[1]}/end") == REDIRECT
    assert [works(client) for client in (alice, other, third)] == [True, False, True]


def test_password_change_keeps_this_browser_with_another_cookie(
    app: Flask, alice: FlaskClient
) -> None:
    other, thief = signed_in(app, "alice"), copied(app, alice)
    _change_password(alice, Account())
    assert [works(client) for client in (alice, other, thief)] == [True, False, False]
    assert sign_in(app.test_client(), "alice", NEW).status_code == REDIRECT


@pytest.mark.parametrize(
    ("password", "new", "again", "reason"),
    [
        ("wrong password", NEW, NEW, "not your current password"),
        ("", NEW, NEW, "not your current password"),
        (PASSWORD, NEW, "another", "not the same"),
        (PASSWORD, "short", "short", "at least 10"),
        (PASSWORD, "alicealice", "alicealice", "too easy to guess"),
    ],
)
def test_password_is_not_changed(
    password: str, new: str, again: str, reason: str, app: Flask, alice: FlaskClient
) -> None:
    stored = select(Account.password_hash).where(Account.name == "alice")
    with app.app_context():
        before = db.session.scalar(stored)
    form = {"csrf_token": token(alice), "password": password, "new_password": new, "again": again}
    response = alice.post("/account/password", data=form)
    assert response.status_code == 422
    assert reason in response.text
    assert 'aria-invalid="true"' in response.text
    with app.app_context():
        assert db.session.scalar(stored) == before
    signed_in(app, "alice")


def test_extra_fields_of_forms_change_nothing(app: Flask, alice: FlaskClient) -> None:
    extra = {
        "role": "administrator",
        "is_active": "0",
        "quota": "99999",
        "used": "0",
        "name": "root",
        "account_id": "2",
        "totp_secret": "AAAA",
        "id": "2",
    }
    fields = {"password": PASSWORD, "new_password": NEW, "again": NEW}
    assert post(alice, "/account/password", **fields, **extra) == REDIRECT
    assert post(alice, "/account/second-factor/begin", **{**extra, "password": NEW}) == REDIRECT
    form = {"csrf_token": token(alice), "username": "alice", **extra, "password": NEW}
    assert app.test_client().post("/sign-in", data=form).status_code == 400  # another's token
    client = app.test_client()
    form["csrf_token"] = token(client)
    assert client.post("/sign-in", data=form).status_code == REDIRECT
    with app.app_context():
        rows = [
            (one.name, one.role.value, one.is_active, one.quota, one.totp_secret == "AAAA")
            for one, _ in accounts.list_with_last_use()
        ]
        db.session.rollback()
    assert rows == [(name, "member", True, None, False) for name in ("alice", "bob")]


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.5.0", "curl"),
        ("", "Unknown browser"),
        ("<script>alert(1)</script>", "Unknown browser"),
    ],
)
def test_device_is_described(user_agent: str, device: str) -> None:
    assert filters.device(user_agent) == device


# What changes while a request is under way.


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, app: Flask, where: Any, what: str, change: Callable[[], Any]
) -> None:
    """Have something else happen, once, when a function was called and is about to answer."""
    really, done = getattr(where, what), list[bool]()

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        answer = really(*args, **kwargs)
        if not done:
            done.append(True)
            with app.app_context():
                change()
        return answer

    monkeypatch.setattr(where, what, interrupted)


def find() -> Account:
    account = accounts.find("alice")
    assert account
    return account


def sessions_there_are(app: Flask) -> int:
    with app.app_context():
        return len(db.session.scalars(select(SignIn)).all())


def _switch_second_factor_on() -> None:
    second_factor.begin(find())
    account = find()
    account.totp_step = 1
    db.session.commit()


CHANGES: list[Callable[[], Any]] = [
    lambda: accounts.set_password(find(), NEW),
    lambda: accounts.deactivate(find()),
    lambda: accounts.delete(find()),
    _switch_second_factor_on,
]


@pytest.mark.parametrize("change", CHANGES)
def test_sign_in_under_way_survives_no_change(
    change: Callable[[], Any], app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, app, passwords, "spelling_of", change)
    answer = sign_in(anonymous, "alice")
    assert answer.status_code == 422
    assert "The name or the password is wrong" in answer.text
    assert not works(anonymous)
    assert sessions_there_are(app) == 0


@pytest.mark.parametrize("change", CHANGES[:3])
def test_code_given_while_the_account_changes_does_not_sign_in(
    change: Callable[[], Any], app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        _switch_second_factor_on()
        codes = second_factor.renew_recovery_codes(find())
    assert sign_in(anonymous, "alice").location == "/sign-in/code"
    meanwhile(monkeypatch, app, second_factor, "use_recovery_code", change)
    form = {"csrf_token": token(anonymous), "recovery_code": codes[0]}
    assert anonymous.post("/sign-in/code", data=form).location == "/sign-in"
    assert sessions_there_are(app) == 0


def test_due_rehash_does_not_bring_an_old_password_back(
    app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(1, 16, 1))
    meanwhile(
        monkeypatch, app, passwords, "needs_rehash", lambda: accounts.set_password(find(), NEW)
    )
    assert sign_in(anonymous, "alice").status_code == 422
    assert sign_in(anonymous, "alice").status_code == 422
    assert sign_in(anonymous, "alice", NEW).status_code == REDIRECT


def test_due_rehash_of_two_sign_ins_at_once_lets_both_in(
    app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(1, 16, 1))
    meanwhile(
        monkeypatch,
        app,
        passwords,
        "needs_rehash",
        lambda: accounts.authenticate("alice", PASSWORD),
    )
    assert sign_in(anonymous, "alice").status_code == REDIRECT


def test_password_change_does_not_replace_one_that_was_set_meanwhile(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_link = "seven calm otters"
    meanwhile(
        monkeypatch, app, passwords, "check_new", lambda: accounts.set_password(find(), by_link)
    )
    assert post(alice, "/account/password", password=PASSWORD, new_password=NEW, again=NEW) == 422
    assert sign_in(app.test_client(), "alice", by_link).status_code == REDIRECT


def test_activation_brings_no_session_back(app: Flask, alice: FlaskClient) -> None:
    with app.app_context():
        account = find()
        account.is_active = False  # as a version did that left the sessions
        db.session.commit()
        accounts.activate(account)
    assert not works(alice)


def _end_sessions() -> None:
    sessions.end_all(find())


def test_sign_out_while_the_session_ends(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"csrf_token": token(alice)}
    meanwhile(monkeypatch, app, auth, "record", _end_sessions)
    answer = alice.post("/sign-out", data=form)
    assert answer.location == "/sign-in"
    assert not works(alice)


@pytest.mark.parametrize("ends", ["before it is noted", "after it was noted"])
def test_session_that_ends_when_its_use_is_noted_is_over(
    ends: str, app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = now() + timedelta(hours=1)
    monkeypatch.setattr(sessions, "now", lambda: later)
    where = (sessions, "within") if ends.startswith("before") else (sessions, "_note_use")
    meanwhile(monkeypatch, app, *where, _end_sessions)
    assert alice.get("/").status_code == REDIRECT


def test_session_can_be_ended_twice(app: Flask, alice: FlaskClient) -> None:
    with app.app_context():
        (found,) = sessions.list_sessions(find())
        number = found.id
        for _ in range(2):
            sessions.end(number)
    assert not works(alice)


@pytest.mark.parametrize("path", ["/sign-out", "/account/sessions/end"])
def test_session_that_could_not_be_ended_is_not_recorded_as_ended(
    path: str, app: Flask, alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    with app.app_context():
        db.engine.dispose()  # connections that wait longer
    form = {"csrf_token": token(alice)}
    with locked(data):
        assert alice.post(path, data=form).status_code == 503
    assert alice.get("/account").status_code == 200
    with app.app_context():
        record.bring_in(wait=True)
        actions = db.session.scalars(select(Activity.action)).all()
    assert not [action for action in actions if action.startswith("sign out")]
