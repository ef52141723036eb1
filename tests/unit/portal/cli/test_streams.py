"""Commands whose input or output is closed, or leads to a full disk."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import pytest
from flask import Flask
from flask.cli import ScriptInfo

from portal.cli import portal
from portal.core import database
from tests.support import postgresql, schemas
from tests.support.paths import PROJECT
from tests.support.stored import store

SECRETS = [
    "create-account carol --generate",
    "set-password alice --generate",
    "invite",
    "invite --json",
    "reset-link alice",
    "reset-link alice --json",
]
ASKING = ["create-account carol", "create-account carol --password-stdin", "delete-account alice"]
ASKING += ["set-password alice", "set-password alice --password-stdin"]
PRINTING = [
    "accounts",
    "quota",
    "trash --json",
    "trash --empty alice",
    "check --json",
    "backup new.tar",
]
PRINTING += ["cleanup --json"]
SILENT = ["activate alice", "deactivate alice", "set-role alice administrator", "demo"]
SILENT += ["set-quota alice 1G", "second-factor-off alice", "upgrade", "receipts empty.log"]
SILENT += ["restore none.tar", "move-to-store", "move-from-store"]
ALL = [*SECRETS, *ASKING, *PRINTING, *SILENT]

Try = Callable[..., int]


def _marked(*commands: str) -> list[Any]:
    """Return commands as parameters: a backup is refused where there is a server."""
    refused = pytest.mark.sqlite("elsewhere, it is refused")
    return [
        pytest.param(words, marks=[refused] if words.startswith("backup") else [])
        for words in commands
    ]


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture
def attempt(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    monkeypatch.chdir(tmp_path)
    Path("empty.log").touch()
    with app.app_context():
        store("alice", "a.txt")

    def run(words: str, **streams: TextIO | None) -> int:
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as ended:
                portal.main(words.split(), "portal", obj=ScriptInfo(create_app=lambda: app))
        code = ended.value.code
        assert isinstance(code, int)
        return code

    return run


def state(data: Path) -> schemas.Rows:
    if postgresql.SERVER:
        return postgresql.rows(data)
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        return schemas.rows(connection)


def test_all_commands_are_tried() -> None:
    assert {words.split()[0] for words in ALL} == set(portal.commands)


@pytest.mark.parametrize("words", ALL)
def test_nothing_is_done_where_nobody_could_read_the_answer(
    words: str, attempt: Try, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(data)
    assert attempt(words, stdout=None) == 1
    assert state(data) == before
    assert "Standard output is closed" in capsys.readouterr().err


@pytest.mark.parametrize("words", _marked(*SECRETS, *PRINTING))
def test_answer_that_cannot_be_written_is_an_error(
    words: str, attempt: Try, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(data)
    assert attempt(words, stdout=Full()) == 1
    assert "No space left on device" in capsys.readouterr().err
    if words in SECRETS:
        assert state(data) == before
        assert attempt(words) == 0
        assert state(data) != before
        assert capsys.readouterr().out != ""


@pytest.mark.parametrize("words", ASKING)
def test_closed_input_is_an_error_in_a_sentence(
    words: str, attempt: Try, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(data)
    assert attempt(words, stdin=None) == 1
    assert state(data) == before
    err = capsys.readouterr().err
    assert err.splitlines()[-1] in {
        "Error: Standard input has no password. Nothing was changed.",
        "Error: There is no terminal to ask for the password. Use --password-stdin or --generate.",
        "Aborted!",
    }


@pytest.mark.parametrize("words", _marked(*SECRETS, *PRINTING, *SILENT[:4]))
def test_closed_streams_that_are_not_needed_do_not_matter(words: str, attempt: Try) -> None:
    assert attempt(words, stdin=None, stderr=None) == 0


def test_reader_that_is_gone_gets_no_secret(app: Flask, data: Path) -> None:
    with app.app_context():
        database.db.engine.dispose()
    before = state(data)
    command = f"{sys.executable} -m flask --app portal portal"
    environment = {**os.environ, "PORTAL_DATA": str(data)}
    for words, redirected in (
        ("set-password alice --generate", "| exec true"),
        ("set-password alice --generate", ">&-"),
        ("reset-link alice", ">/dev/full"),
        ("set-password alice --password-stdin", "<&-"),
    ):
        script = f"set -o pipefail; {command} {words} {redirected}"
        done = subprocess.run(
            ["bash", "-c", script],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert state(data) == before
