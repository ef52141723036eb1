"""Links that an administrator hands over: an invitation, or one for a new password."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError
from portal.accounts.invitations import LinkError, LinkUnknownError
from portal.core.database import db
from portal.core.models import OneTimeLink, Role, now
from portal.identity import passwords, sessions, throttle
from tests.support.portal import PASSWORD, REDIRECT, sign_in, signed_in, token, upload

NEW = "other calm otters"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How much later than now it is."""
    later = [timedelta()]

    def moment() -> datetime:
        return now() + later[0]

    monkeypatch.setattr(invitations, "now", moment)
    return later


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def invite(app: Flask, role: Role = Role.MEMBER, quota: int | None = None) -> str:
    with app.app_context():
        return invitations.create_invitation(role, quota, "")[1]


def allow_reset(app: Flask, name: str = "alice") -> str:
    with app.app_context():
        account = accounts.find(name)
        assert account
        return invitations.create_reset_link(account)[1]


def follow(client: FlaskClient, kind: str, link_token: str) -> TestResponse:
    return client.get(f"/{kind}/{link_token}", follow_redirects=True)


def send(client: FlaskClient, kind: str, **fields: str) -> TestResponse:
    form = {"csrf_token": token(client), "new_password": NEW, "again": NEW, **fields}
    return client.post(f"/{kind}", data=form)


def test_invited_person_makes_an_account_and_is_signed_in(
    app: Flask, anonymous: FlaskClient
) -> None:
    link_token = invite(app, quota=5)
    assert "You are invited" in follow(anonymous, "invitation", link_token).text
    assert send(anonymous, "invitation", username="Dora").location == "/"
    assert "Dora" in anonymous.get("/account").text
    with app.app_context():
        dora = accounts.find("dora")
        assert dora
        assert (dora.role, dora.quota, dora.is_active) == (Role.MEMBER, 5, True)
    assert upload(anonymous, "a.txt", b"1234").status_code == REDIRECT


def test_invitation_works_once(app: Flask, anonymous: FlaskClient) -> None:
    link_token = invite(app)
    follow(anonymous, "invitation", link_token)
    send(anonymous, "invitation", username="dora")
    second = app.test_client()
    answer = follow(second, "invitation", link_token)
    assert answer.status_code == 410
    assert "has been used" in answer.text
    assert send(second, "invitation", username="eve").status_code == 410
    with app.app_context():
        assert accounts.find("eve") is None


def test_invitation_used_by_several_at_once_makes_one_account(app: Flask) -> None:
    link_token = invite(app)
    answers: list[str | None] = []
    start = threading.Barrier(4)

    def accept(name: str) -> None:
        with app.app_context():
            start.wait()
            try:
                answers.append(invitations.accept_invitation(link_token, name, NEW).name)
            except LinkError:
                answers.append(None)

    threads = [threading.Thread(target=accept, args=(f"Person {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([name for name in answers if name]) == 1
    with app.app_context():
        assert len(accounts.list_with_last_use()) == 3


@pytest.mark.parametrize(("kind", "days"), [("invitation", 7), ("reset", 1)])
def test_link_ends_after_its_time(
    kind: str, days: int, app: Flask, anonymous: FlaskClient, clock: list[timedelta]
) -> None:
    link_token = invite(app) if kind == "invitation" else allow_reset(app)
    clock[0] = timedelta(days=days, seconds=-5)
    assert follow(anonymous, kind, link_token).status_code == 200
    clock[0] = timedelta(days=days, seconds=5)
    assert send(anonymous, kind, username="dora").status_code == 410
    answer = follow(anonymous, kind, link_token)
    assert answer.status_code == 410
    assert "It has expired" in answer.text
    with app.app_context():
        assert accounts.find("dora") is None
    assert sign_in(app.test_client(), "alice").status_code == REDIRECT


def test_expired_links_are_forgotten_one_day(app: Flask, clock: list[timedelta]) -> None:
    clock[0] = timedelta(days=-60)
    invite(app)
    clock[0] = timedelta()
    invite(app)
    with app.app_context():
        assert len(db.session.scalars(select(OneTimeLink)).all()) == 1


def test_revoked_invitation_says_so(app: Flask, root: FlaskClient, anonymous: FlaskClient) -> None:
    link_token = invite(app)
    path = re.search(r'action="(/invitations/[^"]+/revoke)"', root.get("/invitations").text)
    assert path
    assert root.post(path[1], data={"csrf_token": token(root)}).status_code == REDIRECT
    answer = follow(anonymous, "invitation", link_token)
    assert answer.status_code == 410
    assert "revoked" in answer.text
    assert "No open invitations" in root.get("/invitations").text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"username": ""}, "1 to 64 printable"),
        ({"username": "ALICE"}, "or one that looks like it"),
        ({"username": "аlice"}, "or one that looks like it"),  # noqa: RUF001  (a Cyrillic letter)
        ({"username": "a1ice"}, "or one that looks like it"),
        ({"username": "dora", "new_password": "short", "again": "short"}, "at least 10"),
        (
            {"username": "dora", "new_password": "1234567890", "again": "1234567890"},
            "easy to guess",
        ),
        ({"username": "dora", "again": "another"}, "not the same"),
    ],
)
def test_refused_name_or_password_does_not_use_the_invitation_up(
    fields: dict[str, str], reason: str, app: Flask, anonymous: FlaskClient
) -> None:
    follow(anonymous, "invitation", invite(app))
    answer = send(anonymous, "invitation", **fields)
    assert answer.status_code == 422
    assert reason in answer.text
    assert send(anonymous, "invitation", username="frida").status_code == REDIRECT


def test_extra_fields_give_no_rights(app: Flask, anonymous: FlaskClient) -> None:
    follow(anonymous, "invitation", invite(app))
    extra = {
        "role": "administrator",
        "administrator": "1",
        "quota": "9",
        "is_active": "0",
        "id": "1",
    }
    send(anonymous, "invitation", username="dora", **extra)
    with app.app_context():
        dora = accounts.find("dora")
        assert dora
        assert (dora.role, dora.quota, dora.is_active) == (Role.MEMBER, None, True)
    assert anonymous.get("/accounts").status_code == 403


def test_first_account_is_no_administrator_by_itself(app: Flask, anonymous: FlaskClient) -> None:
    with app.app_context():
        for account, _ in accounts.list_with_last_use():
            accounts.delete(account)
    follow(anonymous, "invitation", invite(app))
    send(anonymous, "invitation", username="dora")
    with app.app_context():
        assert [one.role for one, _ in accounts.list_with_last_use()] == [Role.MEMBER]


def test_there_is_no_sign_up_without_an_invitation(anonymous: FlaskClient, app: Flask) -> None:
    assert anonymous.get("/invitation").status_code == 410
    assert send(anonymous, "invitation", username="dora").status_code == 410
    with app.app_context():
        assert accounts.find("dora") is None


def test_reset_changes_the_password_and_ends_all_sessions(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    link_token = allow_reset(app)
    assert "alice" in follow(anonymous, "reset", link_token).text
    assert send(anonymous, "reset").location == "/sign-in"
    assert alice.get("/account").status_code == REDIRECT
    assert anonymous.get("/account").status_code == REDIRECT
    assert sign_in(app.test_client(), "alice").status_code == 422
    assert sign_in(app.test_client(), "alice", NEW).status_code == REDIRECT
    assert follow(app.test_client(), "reset", link_token).status_code == 410


def test_reset_opens_an_account_that_was_closed_for_its_failures(
    app: Flask, anonymous: FlaskClient
) -> None:
    for _ in range(11):
        last = sign_in(anonymous, "alice", "wrong password")
    assert last.status_code == 429
    follow(anonymous, "reset", allow_reset(app))
    send(anonymous, "reset")
    assert sign_in(anonymous, "alice", NEW).status_code == REDIRECT


def test_refused_password_does_not_use_the_reset_up(app: Flask, anonymous: FlaskClient) -> None:
    follow(anonymous, "reset", allow_reset(app))
    assert send(anonymous, "reset", new_password="short", again="short").status_code == 422
    assert send(anonymous, "reset", again="another").status_code == 422
    assert send(anonymous, "reset").status_code == REDIRECT


def test_reset_is_void_once_another_was_made_or_the_password_changed(app: Flask) -> None:
    first, second = allow_reset(app), allow_reset(app)
    with app.app_context(), pytest.raises(LinkUnknownError):
        invitations.find_reset(first)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.set_password(account, NEW)
        with pytest.raises(LinkUnknownError):
            invitations.find_reset(second)


def test_deactivated_account_gets_no_new_password(app: Flask) -> None:
    link_token = allow_reset(app)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.deactivate(account)
        with pytest.raises(LinkUnknownError):
            invitations.reset_password(link_token, NEW)
        with pytest.raises(AccountError, match="deactivated"):
            invitations.create_reset_link(account)


def test_link_of_one_kind_is_none_of_the_other(app: Flask) -> None:
    invitation, reset = invite(app), allow_reset(app)
    with app.app_context():
        with pytest.raises(LinkUnknownError):
            invitations.find_reset(invitation)
        with pytest.raises(LinkUnknownError):
            invitations.accept_invitation(reset, "dora", NEW)


def _demote(name: str) -> None:
    account = accounts.find(name)
    assert account
    accounts.set_role(account, Role.MEMBER)


def _deactivate(name: str) -> None:
    account = accounts.find(name)
    assert account
    accounts.deactivate(account)


@pytest.mark.parametrize("take_rights", [_demote, _deactivate])
def test_links_do_not_outlive_an_administrators_rights(
    take_rights: object, app: Flask, root: FlaskClient
) -> None:
    del root
    assert callable(take_rights)
    invitation, reset = invite(app, Role.ADMINISTRATOR), allow_reset(app)
    with app.app_context():
        accounts.create("second", PASSWORD, Role.ADMINISTRATOR)
        _deactivate("bob")
        invitations.find_invitation(invitation)  # as bob never managed anybody
        take_rights("root")
        for find, link_token in (
            (invitations.find_invitation, invitation),
            (invitations.find_reset, reset),
        ):
            with pytest.raises(LinkUnknownError):
                find(link_token)


@pytest.mark.parametrize("kind", ["invitation", "reset"])
def test_token_stays_out_of_the_pages_their_addresses_the_log_and_the_database(
    kind: str, app: Flask, anonymous: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link_token = invite(app) if kind == "invitation" else allow_reset(app)
    first = anonymous.get(f"/{kind}/{link_token}")
    assert first.location == f"/{kind}"
    page = anonymous.get(first.location)
    assert page.status_code == 200
    for answer in (first, page):
        assert link_token not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
    with app.app_context():
        (row,) = db.session.execute(select(OneTimeLink.__table__)).all()
    assert link_token not in map(str, row)
    send(anonymous, kind, username="dora")
    anonymous.get(f"/{kind}/{link_token}", follow_redirects=True)
    assert link_token not in caplog.text
    with anonymous.session_transaction() as session:
        assert link_token not in str(dict(session))


def test_accepting_while_signed_in_ends_that_session(app: Flask, alice: FlaskClient) -> None:
    page = follow(alice, "invitation", invite(app))
    assert "You are signed in as" in page.text
    send(alice, "invitation", username="dora")
    assert "dora" in alice.get("/account").text
    with app.app_context():
        account = accounts.find("alice")
        assert account
        assert sessions.list_sessions(account) == []


@pytest.mark.parametrize("link_token", ["x" * 5000, "é", "%0A%0Aforged"])
def test_nonsense_is_a_link_that_does_not_work(link_token: str, anonymous: FlaskClient) -> None:
    assert follow(anonymous, "invitation", link_token).status_code == 410


def test_administrator_gets_the_whole_link_once(root: FlaskClient, anonymous: FlaskClient) -> None:
    form = {
        "csrf_token": token(root),
        "note": "Dora\nfrom the workshop",
        "quota": "0.5",
        "days": "3",
        "administrator": "1",
    }
    answer = root.post("/invitations", data=form, follow_redirects=True)
    found = re.search(r">(http://localhost/invitation/([\w-]{32}))</textarea>", answer.text)
    assert found
    page = root.get("/invitations").text
    assert found[2] not in page
    assert "Dora from the workshop" in page
    follow(anonymous, "invitation", found[2])
    send(anonymous, "invitation", username="dora")
    assert anonymous.get("/accounts").status_code == 200
    assert "512 MiB" in anonymous.get("/account").text


@pytest.mark.parametrize("quota", ["x", "-1", "nan", "inf", "1e400", "99999999999"])
def test_quota_that_is_no_size_is_refused(quota: str, app: Flask, root: FlaskClient) -> None:
    form = {"csrf_token": token(root), "quota": quota}
    answer = root.post("/invitations", data=form)
    assert answer.status_code == 422
    assert "number of GiB" in answer.text
    assert "No open invitations" in answer.text
    with app.app_context():
        assert db.session.scalars(select(OneTimeLink)).all() == []


def test_taken_name_is_refused_before_the_password_is_hashed(
    app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(anonymous, "invitation", invite(app))
    monkeypatch.setattr(passwords, "hasher", None)  # whoever uses it fails
    for name in ("Alice", "a1ice"):
        assert send(anonymous, "invitation", username=name).status_code == 422


@pytest.mark.parametrize("kind", ["invitation", "reset", "account/password"])
def test_refused_choices_are_throttled(kind: str, app: Flask, alice: FlaskClient) -> None:
    if kind != "account/password":
        follow(alice, kind, invite(app) if kind == "invitation" else allow_reset(app))
    form = {
        "csrf_token": token(alice),
        "username": "alice",
        "password": PASSWORD,
        "new_password": "1234567890",
        "again": "1234567890",
    }
    answers = [
        alice.post(f"/{kind}", data=form).status_code for _ in range(throttle.CHOICE.amount + 1)
    ]
    assert answers == [422] * throttle.CHOICE.amount + [429]


def test_accepted_choices_are_not_throttled(app: Flask) -> None:
    for number in range(throttle.CHOICE.amount + 1):
        client = app.test_client()
        follow(client, "invitation", invite(app))
        assert send(client, "invitation", username=f"Person {number}").status_code == REDIRECT


@pytest.mark.parametrize("take_rights", [_demote, _deactivate])
@pytest.mark.parametrize("kind", ["invitation", "reset link"])
def test_link_made_while_the_right_is_taken_is_none(
    kind: str,
    take_rights: Callable[[str], None],
    app: Flask,
    root: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form, path = {"csrf_token": token(root)}, "/invitations"
    with app.app_context():
        accounts.create("second", PASSWORD, Role.ADMINISTRATOR)
        alice = accounts.find("alice")
        assert alice
        if kind == "reset link":
            path = f"/accounts/{alice.id}/reset-link"
    makes = "create_invitation" if kind == "invitation" else "create_reset_link"
    really = getattr(invitations, makes)

    def late(*args: object) -> object:
        with app.app_context():
            take_rights("root")
        return really(*args)

    monkeypatch.setattr(invitations, makes, late)
    assert root.post(path, data=form).status_code == (403 if kind == "invitation" else REDIRECT)
    with app.app_context():
        assert db.session.scalars(select(OneTimeLink)).all() == []


def test_invitation_revoked_by_several_at_once_is_revoked_once(app: Flask) -> None:
    with app.app_context():
        public_id = invitations.create_invitation(Role.MEMBER, None, "")[0].public_id
    answers: list[bool] = []
    start = threading.Barrier(4)

    def revoke() -> None:
        with app.app_context():
            start.wait()
            answers.append(invitations.revoke_invitation(public_id))

    threads = [threading.Thread(target=revoke) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]


def test_only_administrators_see_the_note_of_an_invitation(
    root: FlaskClient, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    form = {"csrf_token": token(root), "note": "Dora, on trial"}
    shown = root.post("/invitations", data=form, follow_redirects=True).text
    found = re.search(r">http://localhost(/invitation/[\w-]{32})</textarea>", shown)
    assert found
    assert "on trial" in root.get("/invitations").text
    assert "on trial" not in anonymous.get(found[1], follow_redirects=True).text
    assert alice.get("/invitations").status_code == 403


@pytest.mark.parametrize("kind", ["invitation", "reset"])
def test_nobody_has_a_text_of_theirs_kept_in_the_cookie(kind: str, app: Flask) -> None:
    """It is compressed, and its length would tell what else is in it."""
    client = app.test_client()
    answer = client.get(f"/{kind}/{'x' * 32}")
    assert "session=" not in str(answer.headers.getlist("Set-Cookie"))
    assert client.get(answer.location).status_code == 410
