"""The commands that manage accounts; test_cli.py has those that are about all of the portal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.accounts import accounts, invitations
from portal.cli import portal
from portal.core.database import db
from portal.core.models import Account, Activity, Role, now
from portal.core.setting_checks import SettingError
from portal.identity import second_factor
from tests.support.portal import PASSWORD, REDIRECT, sign_in, signed_in, upload
from tests.support.portal import links as file_links

NEW = "other calm otters"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(app: Flask) -> Run:
    runner = app.test_cli_runner()

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        result = runner.invoke(portal, words, input=stdin)
        return result.exit_code, result.stdout, result.stderr

    return run


def look(app: Flask, name: str = "alice") -> Account:
    with app.app_context():
        account = accounts.find(name)
        assert account
        return account


def test_first_administrator_is_made_on_the_command_line(run: Run, app: Flask) -> None:
    command = ("create-account", "root", "--administrator", "--password-stdin")
    assert run(*command, stdin=f"{NEW}\n") == (0, "", "")
    assert look(app, "root").role is Role.ADMINISTRATOR
    assert look(app, "alice").role is Role.MEMBER


def test_invitation_prints_a_link_that_works(run: Run, app: Flask) -> None:
    code, out, err = run("invite", "--quota", "2G", "--note", "Dora", "--days", "2")
    assert code == 0
    found = re.fullmatch(r"/invitation/([\w-]{32})\n", out)
    assert found
    assert "It works once" in err
    assert "PORTAL_BASE_URL" in err
    with app.app_context():
        link = invitations.find_invitation(found[1])
        assert (link.role, link.quota, link.note) == (Role.MEMBER, 2 * 1024**3, "Dora")
        assert timedelta(days=1.9) < link.expires_at - now() < timedelta(days=2)
        invitations.accept_invitation(found[1], "dora", NEW)
    assert look(app, "dora").quota == 2 * 1024**3


@pytest.mark.parametrize(
    "base", ["https://files.example.org", "https://files.example.org/", "http://localhost/portal/"]
)
def test_links_are_whole_where_the_address_is_known(
    base: str, make_app: Callable[..., Flask], app: Flask
) -> None:
    del app
    runner = make_app(BASE_URL=base).test_cli_runner()
    out = json.loads(runner.invoke(portal, ["invite", "--administrator", "--json"]).stdout)
    assert re.fullmatch(re.escape(base.rstrip("/")) + r"/invitation/[\w-]{32}", out["url"])
    assert set(out) == {"id", "url", "expires_at"}
    out = json.loads(runner.invoke(portal, ["reset-link", "alice", "--json"]).stdout)
    assert re.fullmatch(re.escape(base.rstrip("/")) + r"/reset/[\w-]{32}", out["url"])


@pytest.mark.parametrize("base", ["files.example.org", "ftp://x", "https://", "https://x/?a", 5])
def test_address_that_is_none_is_refused(base: object, make_app: Callable[..., Flask]) -> None:
    with pytest.raises(SettingError, match="PORTAL_BASE_URL"):
        make_app(BASE_URL=base)


def test_reset_link_prints_a_link_that_works(run: Run, app: Flask) -> None:
    code, out, _ = run("reset-link", "alice")
    assert code == 0
    with app.app_context():
        invitations.reset_password(out.strip().rpartition("/")[2], NEW)
    assert sign_in(app.test_client(), "alice", NEW).status_code == REDIRECT


def test_account_is_deactivated_and_activated(run: Run, app: Flask) -> None:
    client = signed_in(app, "alice")
    assert run("deactivate", "alice") == (0, "", "Changed alice: deactivated.\n")
    assert client.get("/").status_code == REDIRECT
    assert sign_in(app.test_client(), "alice").status_code == 422
    assert "alice (deactivated)" in run("accounts")[1]
    assert run("activate", "alice") == (0, "", "Changed alice: activated.\n")
    assert sign_in(app.test_client(), "alice").status_code == REDIRECT


def test_role_and_quota_are_set(run: Run, app: Flask) -> None:
    assert run("set-role", "alice", "administrator")[2] == "Changed alice: role administrator.\n"
    assert run("set-quota", "alice", "1.5G")[2] == "Changed alice: quota 1.5 GiB.\n"
    account = look(app)
    assert (account.role, account.quota) == (Role.ADMINISTRATOR, 1536 * 1024**2)
    assert "alice (administrator)" in run("accounts")[1]
    assert run("set-quota", "alice", "default")[2] == "Changed alice: quota 10 GiB.\n"
    assert look(app).quota is None


def test_list_in_json_says_what_the_page_says(run: Run, app: Flask) -> None:
    upload(signed_in(app, "alice"), "a.txt", b"12345")
    row = json.loads(run("accounts", "--json")[1])[0]
    assert datetime.fromisoformat(row.pop("created_at")) <= now()
    assert datetime.fromisoformat(row.pop("last_used_at")) <= now()
    assert row == {
        "name": "alice",
        "role": "member",
        "active": True,
        "second_factor": False,
        "used": 5,
        "quota": 10 * 1024**3,
    }


def test_second_factor_is_switched_off(run: Run, app: Flask) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        second_factor.begin(account)
        account.totp_step = 1
        second_factor.renew_recovery_codes(account)
    assert run("second-factor-off", "alice")[2] == "Changed alice: second factor off.\n"
    signed_in(app, "alice")


@pytest.mark.parametrize(("words", "stdin"), [(["--yes"], ""), ([], "Alice\n")])
def test_account_is_deleted(words: list[str], stdin: str, run: Run, app: Flask) -> None:
    upload(signed_in(app, "alice"), "a.txt")
    code, out, err = run("delete-account", "alice", *words, stdin=stdin)
    assert code == 0, err
    assert ("1 file, 8 bytes" in out) is not bool(words)
    with app.app_context():
        assert accounts.find("alice") is None


def test_account_stays_if_another_name_is_typed(run: Run, app: Flask) -> None:
    upload(signed_in(app, "alice"), "a.txt")
    code, _, err = run("delete-account", "alice", stdin="bob\n")
    assert code == 1
    assert "Nothing was deleted" in err
    assert "a.txt" in file_links(signed_in(app, "alice"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deactivate", "nobody"], "no account 'nobody'"),
        (["activate", "nobody"], "no account 'nobody'"),
        (["set-role", "nobody", "member"], "no account 'nobody'"),
        (["set-quota", "nobody", "1G"], "no account 'nobody'"),
        (["second-factor-off", "nobody"], "no account 'nobody'"),
        (["delete-account", "nobody", "--yes"], "no account 'nobody'"),
        (["reset-link", "nobody"], "no account 'nobody'"),
        (["deactivate", "root"], "only active administrator"),
        (["set-role", "root", "member"], "only active administrator"),
        (["delete-account", "root", "--yes"], "only active administrator"),
        (["set-quota", "alice", "much"], "not a size"),
        (["set-role", "alice", "king"], "king"),
        (["invite", "--days", "0"], "0"),
        (["invite", "--quota", "much"], "not a size"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    words: list[str], message: str, run: Run, app: Flask
) -> None:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    code, out, err = run(*words)
    assert code in {1, 2}
    assert out == ""
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["create-account", "d\udce4", "--generate"], ""),
        (["create-account", "dora", "--password-stdin"], b"gr\xfcne Otter am Fluss\n"),
        (["set-password", "alice", "--password-stdin"], b"gr\xfcne Otter am Fluss\n"),
        (["set-password", "\udce4", "--generate"], ""),
        (["deactivate", "\udce4"], ""),
        (["delete-account", "\udce4", "--yes"], ""),
        (["reset-link", "\udce4"], ""),
    ],
)
def test_bytes_that_are_no_utf_8_are_refused_in_words(
    words: list[str], stdin: str | bytes, app: Flask
) -> None:
    result = app.test_cli_runner().invoke(portal, words, input=stdin)
    assert result.exit_code == 1
    assert "not UTF-8" in result.stderr
    with app.app_context():
        assert [one.name for one, _ in accounts.list_with_last_use()] == ["alice", "bob"]


def test_what_commands_change_is_recorded(run: Run, app: Flask) -> None:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    run("create-account", "Dora", "--generate")
    run("set-password", "dora", "--generate")
    run("invite")
    run("reset-link", "dora")
    run("set-role", "dora", "administrator")
    run("set-quota", "dora", "1G")
    run("second-factor-off", "dora")
    run("set-role", "dora", "member")
    run("deactivate", "dora")
    run("activate", "dora")
    number = look(app, "dora").id
    run("deactivate", "nobody")
    run("delete-account", "dora", "--yes")
    run("accounts")
    with app.app_context():
        found = db.session.scalars(select(Activity).order_by(Activity.id)).all()
        assert {(one.action, one.actor, one.address) for one in found} == {
            ("change account", "", "command line")
        }
        assert [(one.owner_id, one.detail) for one in found] == [
            (number, "Dora: created"),
            (number, "Dora: password"),
            (None, "an invitation"),
            (number, "Dora: reset link"),
            (number, "Dora: role administrator"),
            (number, "Dora: quota 1 GiB"),
            (number, "Dora: second factor off"),
            (number, "Dora: role member"),
            (number, "Dora: deactivated"),
            (number, "Dora: activated"),
            (number, "Dora: deleted"),
        ]


def test_reset_link_for_a_deactivated_account_is_refused(run: Run) -> None:
    run("deactivate", "alice")
    code, _, err = run("reset-link", "alice")
    assert code == 1
    assert "deactivated" in err
