"""What administrators do to accounts, and what they cannot do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.accounts.accounts import AccountError
from portal.core.database import db
from portal.core.models import Account, Activity, OneTimeLink, Role, SignIn, StoredFile
from portal.files import entries
from portal.files.quota import usage_of
from portal.identity import second_factor
from portal.tus import uploads
from portal.tus.announced import Announced
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    Run,
    kept,
    links,
    sign_in,
    signed_in,
    token,
    upload,
)


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def id_of(app: Flask, name: str) -> int:
    with app.app_context():
        account = accounts.find(name)
        assert account
        return account.id


def send(
    app: Flask, client: FlaskClient, name: str, action: str, /, **fields: str | list[str]
) -> TestResponse:
    form = {"csrf_token": token(client), **fields}
    path = f"/accounts/{id_of(app, name)}/{action}"
    return client.post(path, data=form, follow_redirects=True)


def test_accounts_are_listed_without_what_they_keep(
    app: Flask, root: FlaskClient, alice: FlaskClient
) -> None:
    upload(alice, "love-letter.txt", b"x" * 2048)
    pages = [
        root.get(path).text
        for path in (
            "/accounts",
            f"/accounts/{id_of(app, 'alice')}",
            f"/accounts/{id_of(app, 'alice')}/delete",
        )
    ]
    assert "alice" in pages[0]
    assert "2 KiB of 10 GiB" in pages[0]
    assert "administrator" in pages[0]
    assert "This also deletes 1 file (2 KiB" in " ".join(pages[2].split())
    assert not [page for page in pages if "love-letter" in page]


@pytest.mark.usefixtures("alice")
def test_the_first_of_two_quotas_counts(app: Flask, root: FlaskClient) -> None:
    assert send(app, root, "alice", "quota", quota=["3", "5"]).status_code == 200
    with app.app_context():
        assert db.session.get_one(Account, id_of(app, "alice")).quota == 3 * 1024**3
    assert send(app, root, "alice", "quota", quota=["many", "5"]).status_code == 422
    with app.app_context():
        assert db.session.get_one(Account, id_of(app, "alice")).quota == 3 * 1024**3


@pytest.mark.parametrize("typed", ["1.7", "0.1", "1024.25", "3"])
def test_quota_is_shown_as_it_was_typed(typed: str, app: Flask, root: FlaskClient) -> None:
    send(app, root, "alice", "quota", quota=typed)
    page = root.get(f"/accounts/{id_of(app, 'alice')}").text
    shown = re.search(r'name="quota"[^>]* value="([^"]*)"', page)
    assert shown
    assert shown[1] == typed
    with app.app_context():
        quota = db.session.get_one(Account, id_of(app, "alice")).quota
        assert quota == round(Fraction(typed) * 1024**3)


@pytest.mark.parametrize("quota", [20 * 1024**2, 26_214_401, 1, 10 * 1024**3 + 1])
def test_quota_that_is_not_changed_stays_to_the_byte(
    quota: int, app: Flask, root: FlaskClient
) -> None:
    with app.app_context():
        account = db.session.get_one(Account, id_of(app, "alice"))
        account.quota = quota
        db.session.commit()
    page = root.get(f"/accounts/{id_of(app, 'alice')}").text
    shown = re.search(r'name="quota"[^>]* value="([^"]*)"', page)
    assert shown
    send(app, root, "alice", "quota", quota=shown[1])
    with app.app_context():
        assert db.session.get_one(Account, id_of(app, "alice")).quota == quota


def test_administrators_see_all_that_counts_against_a_quota(
    app: Flask, root: FlaskClient, alice: FlaskClient, run: Run
) -> None:
    upload(alice, "a.txt", b"x" * 2048)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        folder = entries.root_folder(account.id)
        uploads.create(account, folder, Announced("b.txt", 1024**2, ""))
        usage = usage_of(account)
        assert (usage.used, usage.uploads) == (1024**2 + 2048, 1)
    shown = [*re.findall(r"[0-9.]+ [KM]iB of 10 GiB", root.get("/accounts").text)]
    assert shown == ["1 MiB of 10 GiB"]
    page = root.get(f"/accounts/{id_of(app, 'alice')}").text
    said = "including the trash, versions and 1 unfinished upload (1 MiB)"
    assert f"1 MiB of 10 GiB used, {said}" in page
    for command in ("quota", "accounts"):
        rows = json.loads(run(command, "--json")[1])
        assert [row["used"] for row in rows if row["name"] == "alice"] == [usage.used]
    assert root.get("/accounts").text.count("not signed in") == 1  # bob


def test_changed_quota_and_its_limits_are_said(app: Flask, root: FlaskClient) -> None:
    for typed, said in (("2.5", "set to 2.5 GiB."), ("", "set to 10 GiB (the default).")):
        assert f"Quota of alice {said}" in send(app, root, "alice", "quota", quota=typed).text
    for typed in ("0.0000000001", "1048577"):
        refused = send(app, root, "alice", "quota", quota=typed)
        assert refused.status_code == 422
        assert "at most 1048576, and at least 0.000000001" in refused.text
    with app.app_context():
        assert db.session.get_one(Account, id_of(app, "alice")).quota is None


def test_quota_is_set_and_taken_back(app: Flask, root: FlaskClient, alice: FlaskClient) -> None:
    send(app, root, "alice", "quota", quota="0.000001")
    assert "1 KiB used" in alice.get("/account").text
    upload(alice, "a.txt", b"x" * 2048)
    assert "a.txt" not in links(alice)
    assert send(app, root, "alice", "quota", quota="lots").status_code == 422
    send(app, root, "alice", "quota", quota="")
    assert "10 GiB used" in alice.get("/account").text


def test_deactivation_ends_sessions_at_once_and_keeps_the_files(
    app: Flask, root: FlaskClient, alice: FlaskClient
) -> None:
    upload(alice, "a.txt")
    answer = send(app, root, "alice", "deactivate")
    assert "cannot sign in" in answer.text
    with app.app_context():
        account = accounts.find("alice")
        assert account
        assert not account.is_active
        assert db.session.scalars(select(SignIn).where(SignIn.account_id == account.id)).all() == []
        (kept,) = db.session.scalars(select(StoredFile).where(StoredFile.owner_id == account.id))
        assert (kept.name, kept.trash_id) == ("a.txt", None)
    assert alice.get("/").status_code == REDIRECT
    assert sign_in(app.test_client(), "alice").status_code == 422
    send(app, root, "alice", "activate")
    assert alice.get("/").status_code == REDIRECT
    assert "a.txt" in signed_in(app, "alice").get("/").text


def test_role_is_given_and_taken_and_counts_at_once(
    app: Flask, root: FlaskClient, alice: FlaskClient
) -> None:
    send(app, root, "alice", "role", role="administrator")
    assert alice.get("/accounts").status_code == 200
    send(app, root, "alice", "role", role="member")
    assert alice.get("/accounts").status_code == 403
    assert send(app, root, "alice", "role", role="emperor").status_code == 400


def test_lost_second_factor_is_switched_off(app: Flask, root: FlaskClient) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        second_factor.begin(account)
        account.totp_step = 1
        second_factor.renew_recovery_codes(account)
    assert sign_in(app.test_client(), "alice").location == "/sign-in/code"
    send(app, root, "alice", "second-factor-off")
    assert sign_in(app.test_client(), "alice").location == "/"


def test_account_is_deleted_with_its_files_once_its_name_is_typed(
    app: Flask, root: FlaskClient, alice: FlaskClient, bob: FlaskClient, data: Path
) -> None:
    upload(alice, "a.txt")
    upload(bob, "b.txt")
    number = id_of(app, "alice")
    for wrong in ("", "bob"):
        answer = send(app, root, "alice", "delete", name=wrong)
        assert answer.status_code == 422
    assert alice.get("/").status_code == 200
    assert send(app, root, "alice", "delete", name="Alice").status_code == 200
    assert alice.get("/").status_code == REDIRECT
    assert root.get(f"/accounts/{number}").status_code == 404
    assert len(kept(data)) == 1
    assert "b.txt" in bob.get("/").text


def _deactivate(account: Account) -> None:
    accounts.deactivate(account)


def _demote(account: Account) -> None:
    accounts.set_role(account, Role.MEMBER)


def _delete(account: Account) -> None:
    accounts.delete(account)


@pytest.mark.parametrize(
    ("action", "fields"),
    [("deactivate", {}), ("role", {"role": "member"}), ("delete", {"name": "root"})],
)
def test_last_active_administrator_stays(
    action: str, fields: dict[str, str], app: Flask, root: FlaskClient
) -> None:
    with app.app_context():
        retired = accounts.create("retired", PASSWORD, Role.ADMINISTRATOR)
        accounts.deactivate(retired)
    answer = send(app, root, "root", action, **fields)
    assert "This is the only active administrator" in answer.text
    assert root.get("/accounts").status_code == 200


@pytest.mark.parametrize(
    ("action", "fields", "path"),
    [
        ("deactivate", {}, "/sign-in"),
        ("role", {"role": "member"}, "/account"),
        ("delete", {"name": "root"}, "/sign-in"),
    ],
)
def test_administrator_who_is_not_the_last_may_go(
    action: str, fields: dict[str, str], path: str, app: Flask, root: FlaskClient
) -> None:
    with app.app_context():
        accounts.create("second", PASSWORD, Role.ADMINISTRATOR)
    answer = send(app, root, "root", action, **fields)
    assert answer.status_code == 200
    assert answer.request.path == path
    assert root.get("/accounts").status_code in {REDIRECT, 403}


@pytest.mark.parametrize("change", [_deactivate, _demote, _delete])
def test_two_administrators_cannot_remove_each_other_at_once(
    change: Callable[[Account], None], app: Flask
) -> None:
    with app.app_context():
        for name in ("one", "two"):
            accounts.create(name, PASSWORD, Role.ADMINISTRATOR)
    start, refused = threading.Barrier(2), []

    def remove(name: str) -> None:
        with app.app_context():
            account = accounts.find(name)
            assert account
            start.wait()
            try:
                change(account)
            except AccountError:
                refused.append(name)

    threads = [threading.Thread(target=remove, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    with app.app_context():
        left = accounts.find(refused[0])
        assert left
        assert left.is_administrator
        assert left.is_active
        db.session.rollback()


def test_extra_fields_of_an_administrators_forms_change_nothing_else(
    app: Flask, root: FlaskClient
) -> None:
    extra = {"role": "administrator", "is_active": "0", "used": "5", "name": "mallory", "id": "99"}
    send(app, root, "alice", "quota", quota="1", **extra)
    send(app, root, "alice", "activate", **extra, quota="7")
    with app.app_context():
        account = accounts.find("alice")
        assert account
        found = (account.role, account.is_active, account.used, account.quota)
    assert found == (Role.MEMBER, True, 0, 1024**3)


def test_member_sees_no_way_to_the_accounts(alice: FlaskClient, root: FlaskClient) -> None:
    assert 'href="/accounts"' not in alice.get("/").text
    assert 'href="/accounts"' in root.get("/").text
    assert alice.get("/accounts/999").status_code == 403  # the same, whether there is one or not


@pytest.mark.parametrize("action", ["second-factor-off", "reset-link"])
def test_administrators_own_password_and_second_factor_are_no_matter_of_this_page(
    action: str, app: Flask, root: FlaskClient
) -> None:
    with app.app_context():
        account = accounts.find("root")
        assert account
        second_factor.begin(account)
        account.totp_step = 1
        second_factor.renew_recovery_codes(account)
    answer = send(app, root, "root", action)
    assert answer.status_code == 200
    assert "This is your own account" in answer.text
    assert 'href="/account"' in answer.text
    assert f"/{action}" not in answer.text
    with app.app_context():
        account = accounts.find("root")
        assert account
        assert account.has_second_factor
        assert db.session.scalars(select(OneTimeLink)).all() == []


def test_what_happens_to_accounts_is_recorded_with_its_actor(app: Flask, root: FlaskClient) -> None:
    with app.app_context():
        accounts.create("second", PASSWORD, Role.ADMINISTRATOR)
    send(app, root, "alice", "second-factor-off")
    send(app, root, "root", "deactivate")
    with app.app_context():
        found = db.session.execute(
            select(Activity.actor, Activity.detail).where(Activity.action == "change account")
        ).all()
    assert [tuple(row) for row in found] == [
        ("root", "alice: second factor off"),
        ("root", "root: deactivated"),
    ]


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 23, "9" * 5000])
def test_number_that_no_account_can_have(number: str, root: FlaskClient) -> None:
    assert root.get(f"/accounts/{number}").status_code == 404
