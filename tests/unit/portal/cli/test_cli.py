from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from portal.accounts import accounts
from portal.cli import portal
from portal.cli.group import parse_size, progress
from portal.core import database, sqlite
from portal.files import trash
from tests.support import postgresql
from tests.support.paths import PROJECT
from tests.support.portal import REDIRECT, Run, client_of, kept, sign_in
from tests.support.stored import store


def test_upgrade_says_what_it_did_and_can_be_repeated(run: Run) -> None:
    newest = database.revisions()[0]
    assert run("upgrade") == (0, f"Created the database, schema {newest}.\n", "")
    assert run("upgrade") == (0, "", "")


def test_database_of_a_newer_version_is_refused_in_words(
    ready: Run, make_app: Callable[..., Flask]
) -> None:
    with make_app().app_context(), database.db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("UPDATE fact SET value = '9999' WHERE name = 'oldest code'")
    code, out, err = ready("upgrade")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"Error: .* schema 9999, which .* a newer version .*\n", err)


@pytest.mark.sqlite("its file")
@pytest.mark.parametrize("left", [None, b""])
def test_lost_database_is_not_created_beside_what_people_uploaded(
    left: bytes | None, app: Flask, data: Path, make_app: Callable[..., Flask]
) -> None:
    with app.app_context():
        store("alice", "a.txt", b"precious")
        database.db.engine.dispose()
    for path in data.glob("portal.db*"):
        path.unlink()
    if left is not None:
        (data / "portal.db").write_bytes(left)
        (data / "portal.db").chmod(0o600)
    result = make_app().test_cli_runner().invoke(portal, ["upgrade"])
    assert result.exit_code == 1
    assert "portal.db is missing or empty" in result.stderr
    with closing(sqlite3.connect(data / "portal.db")) as left_alone:
        assert left_alone.execute("SELECT * FROM sqlite_schema").fetchall() == []
    assert len(kept(data)) == 1


def _damage(data: Path) -> None:
    content = bytearray((data / "portal.db").read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    (data / "portal.db").write_bytes(content)


def _is_no_database(data: Path) -> None:
    (data / "portal.db").write_bytes(b"text " * 1000)


@pytest.mark.sqlite("its file")
@pytest.mark.parametrize("damage", [_damage, _is_no_database])
@pytest.mark.parametrize(
    "words", [["check"], ["upgrade"], ["cleanup"], ["accounts"], ["quota"], ["trash"]]
)
def test_damaged_database_is_told_in_a_sentence(
    words: list[str], damage: Callable[[Path], None], app: Flask, data: Path
) -> None:
    with app.app_context():
        database.db.engine.dispose()
    for path in data.glob("portal.db-*"):
        path.unlink()
    damage(data)
    result = app.test_cli_runner().invoke(portal, words)
    assert result.exit_code == 1
    assert re.fullmatch(
        r"Error: The database \S+/portal.db is damaged: .* restore the last backup .*\n",
        result.stderr,
    )


@pytest.mark.sqlite("its lock")
def test_locked_database_is_told_in_a_sentence(
    app: Flask, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_WAIT", "busy_timeout = 10")
    with closing(sqlite3.connect(data / "portal.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        result = app.test_cli_runner().invoke(portal, ["set-quota", "alice", "1G"])
    assert result.exit_code == 1
    assert "is locked by another process" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [(BrokenPipeError(32, "Broken pipe"), 1), (IntegrityError("INSERT", {}, Exception("x")), 1)],
)
def test_what_is_neither_the_disks_nor_the_databases_fault_is_not_blamed_on_them(
    error: Exception, status: int, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(database, "schema_problem", fail)
    result = app.test_cli_runner().invoke(portal, ["accounts"])
    assert (result.exit_code, result.stderr) == (status, "")
    assert isinstance(error, BrokenPipeError) or result.exception is error


def test_failing_disk_is_told_in_a_sentence(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(database, "schema_problem", fail)
    result = app.test_cli_runner().invoke(portal, ["accounts"])
    assert (result.exit_code, result.stderr) == (1, "Error: No space left on device.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["create-account", "x"],
        ["set-password", "x"],
        ["accounts"],
        ["demo"],
        ["backup", "x"],
        ["check"],
        ["cleanup"],
        ["quota"],
        ["trash"],
    ],
)
def test_commands_ask_for_the_upgrade_first(words: list[str], run: Run) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert "flask --app portal portal upgrade" in err


def test_account_with_password_from_stdin(ready: Run, make_app: Callable[..., Flask]) -> None:
    command = ("create-account", "carol", "--password-stdin")
    assert ready(*command, stdin="some password\n") == (0, "", "")
    assert sign_in(client_of(make_app), "carol", "some password").status_code == REDIRECT


def test_account_with_prompted_password(ready: Run, make_app: Callable[..., Flask]) -> None:
    code, out, err = ready("create-account", "carol", stdin="some password\nsome password\n")
    assert code == 0
    assert "some password" not in out + err
    assert sign_in(client_of(make_app), "carol", "some password").status_code == REDIRECT


def test_account_with_generated_password(ready: Run, make_app: Callable[..., Flask]) -> None:
    code, out, _ = ready("create-account", "carol", "--generate")
    assert code == 0
    assert re.fullmatch(r"[\w-]{20}\n", out)
    assert sign_in(client_of(make_app), "carol", out.strip()).status_code == REDIRECT


def test_set_password_ends_sessions(ready: Run, make_app: Callable[..., Flask]) -> None:
    ready("create-account", "carol", "--password-stdin", stdin="some password\n")
    client = client_of(make_app)
    sign_in(client, "carol", "some password")
    assert client.get("/").status_code == 200
    changed = ready("set-password", "CAROL", "--password-stdin", stdin="another one\n")
    assert changed == (0, "", "Changed carol: password.\n")
    assert client.get("/").status_code == REDIRECT
    assert sign_in(client, "carol", "another one").status_code == REDIRECT


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["create-account", "x", "--password-stdin"], "short\n", "at least 10 characters"),
        (["create-account", "x", "--password-stdin"], "", "Standard input has no password"),
        (["create-account", "", "--generate"], "", "1 to 64 printable"),
        (["create-account", "Carol", "--generate"], "", "already"),
        (["set-password", "nobody", "--generate"], "", "no account 'nobody'"),
        (
            ["set-password", "carol", "--password-stdin"],
            "short\n",
            "at least 10 characters",
        ),
        (["set-password", "carol", "--generate", "--password-stdin"], "", "either"),
    ],
)
def test_errors_are_said_in_words(words: list[str], stdin: str, message: str, ready: Run) -> None:
    ready("create-account", "carol", "--generate")
    code, out, err = ready(*words, stdin=stdin)
    assert (code, out) == (1, "")
    assert message in err


def test_accounts_are_listed(ready: Run) -> None:
    for name in ("zoe", "Ann"):
        ready("create-account", name, "--generate")
    code, out, _ = ready("accounts")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["Ann", "zoe"]
    rows = json.loads(ready("accounts", "--json")[1])
    assert [row["name"] for row in rows] == ["Ann", "zoe"]
    assert rows[0].pop("created_at")
    assert rows[0] == {
        "name": "Ann",
        "role": "member",
        "active": True,
        "second_factor": False,
        "used": 0,
        "quota": 10 * 1024**3,
        "last_used_at": None,
    }


def test_quota_lists_what_accounts_have_and_may_have(
    ready: Run, make_app: Callable[..., Flask]
) -> None:
    with make_app().app_context():
        accounts.create("carol", "some password")
        accounts.create("dave", "some password", quota=2048)
        store("carol", "a.txt", bytes(1024))
    assert ready("quota") == (
        0,
        "     1 KiB of     10 GiB  carol\n   0 bytes of      2 KiB  dave\n",
        "",
    )
    assert json.loads(ready("quota", "--json")[1]) == [
        {"name": "carol", "used": 1024, "quota": 10 * 1024**3},
        {"name": "dave", "used": 0, "quota": 2048},
    ]


def test_trash_is_listed_and_emptied(
    ready: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    with make_app().app_context():
        for name in ("carol", "dave"):
            accounts.create(name, "some password")
            trash.put([store(name, "a.txt", bytes(1024)), store(name, "b.txt", b"b")])
            store(name, "kept.txt")
    assert ready("trash")[1].splitlines() == [
        "     1 KiB in 2 files  carol",
        "     1 KiB in 2 files  dave",
    ]
    expected = [{"name": name, "files": 2, "bytes": 1025} for name in ("carol", "dave")]
    assert json.loads(ready("trash", "--json")[1]) == expected
    assert ready("trash", "--empty", "CAROL") == (0, "2 files, 1 KiB: deleted permanently.\n", "")
    assert json.loads(ready("trash", "--json")[1]) == expected[1:]
    assert json.loads(ready("trash", "--empty", "dave", "--json")[1]) == {"files": 2, "bytes": 1025}
    assert len(kept(data)) == 2
    code, out, err = ready("trash", "--empty", "nobody")
    assert (code, out) == (1, "")
    assert "no account 'nobody'" in err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("1.5M", 1572864),
        ("1.7G", 1825361101),
        ("10g", 10 * 1024**3),
        ("10 GiB", 10 * 1024**3),
        ("10GB", 10 * 1024**3),
        ("7B", 7),
        ("1024T", 2**50),
        ("0.0M", 0),
    ],
)
def test_sizes_are_understood(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "-1", "G", "10X", "1.3", "1e3", "٣", "1025T", "9999999T", str(2**63), "0.0000000001G"],
)
def test_what_is_no_size_is_refused_with_an_example_and_the_limits(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"Write it like 500M.* at most 1024T"):
        parse_size(text)


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda shown=terminal: shown)
        with progress("Counting", 10) as advance:
            advance(10)
        out, err = capsys.readouterr()
        assert out == ""
        assert ("Counting" in err) is terminal


@pytest.mark.parametrize("name", sorted(portal.commands))
def test_each_command_is_documented(name: str) -> None:
    docs = PROJECT / "docs"
    pages = [path.read_text(encoding="utf-8") for path in docs.rglob("*.md")]
    assert any(re.search(rf"flask --app portal portal {name}\b(?!-)", page) for page in pages)


@pytest.mark.parametrize("words", [["accounts"], ["accounts", "--json"], ["--help"], ["quota"]])
def test_full_disk_where_the_output_goes_is_told_in_a_sentence(
    words: list[str], app: Flask, data: Path
) -> None:
    with app.app_context():
        database.db.engine.dispose()
    command = [sys.executable, "-m", "flask", "--app", "portal", "portal", *words]
    environment = {**os.environ, **postgresql.variables(data)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device.\n")
