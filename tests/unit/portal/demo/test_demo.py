"""Accounts and files to try the portal with."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import stat
import subprocess
import sys
import wave
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal.accounts import accounts
from portal.accounts.invitations import open_invitations
from portal.core.database import db
from portal.core.models import Activity
from portal.demo import create, samples
from tests.support import postgresql
from tests.support.portal import REDIRECT, Run, client_of, folders, links, sign_in

DEMO = r"demo account: alice (\S+)\ndemo account: bob (\S+)\ndemo account: admin (\S+)\n"


def test_demo_prints_the_same_again_and_creates_nothing(
    ready: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    code, out, err = ready("demo")
    assert (code, err) == (0, "")
    found = re.fullmatch(DEMO, out)
    assert found
    before = sorted(data.rglob("*"))
    assert ready("demo") == (0, out, "")
    assert sorted(data.rglob("*")) == before
    assert stat.S_IMODE((data / "demo_accounts.json").stat().st_mode) == 0o600
    client = client_of(make_app)
    assert sign_in(client, "alice", found[1]).status_code == REDIRECT
    shown = {name: data for name, data in create.sample_files("alice").items() if "/" not in name}
    del shown["Old notes.txt"]  # which is in the trash
    assert set(links(client)) == set(shown)
    assert set(folders(client)) == {"Music", "Pictures", "Projects"}
    for name, content in shown.items():
        with client.get(links(client)[name]) as response:
            assert response.data == content


def test_demo_shows_what_the_portal_can_do(ready: Run, make_app: Callable[..., Flask]) -> None:
    ready("demo")
    rows = {row["name"]: row for row in json.loads(ready("quota", "--json")[1])}
    assert rows["bob"]["quota"] < rows["alice"]["quota"]
    assert {row["files"] for row in json.loads(ready("trash", "--json")[1])} == {2}
    with make_app().app_context():
        admin = accounts.find("admin")
        assert admin
        assert admin.is_administrator
        (invitation,) = open_invitations().rows
        assert "Carol" in invitation.note
    assert ready("check", "--content") == (0, "", "")


def test_history_of_the_demo_is_of_people(ready: Run, make_app: Callable[..., Flask]) -> None:
    found = re.fullmatch(DEMO, ready("demo")[1])
    assert found
    client = client_of(make_app)
    sign_in(client, "alice", found[1])
    page = client.get("/activity").text
    assert "<em>Visitor</em>" in page
    assert page.count("192.0.2.17") > 3
    with make_app().app_context():
        rows = db.session.scalars(select(Activity)).all()
        made_up = [row for row in rows if row.action in {"upload", "download"}]
        assert {row.address for row in made_up} == {"192.0.2.17"}
        assert {row.actor for row in made_up} == {"", *create.NAMES}


def test_demos_that_run_at_once_agree(
    ready: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    command = [sys.executable, "-m", "flask", "--app", "portal", "portal", "demo"]
    environment = {**os.environ, **postgresql.variables(data)}
    running = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = [(*process.communicate(), process.returncode) for process in running]
    assert answers == [(ready("demo")[1], "", 0)] * 4
    passwords = dict(re.findall(r"demo account: (\w+) (\S+)\n", answers[0][0]))
    assert set(passwords) == set(create.NAMES)
    for name, password in passwords.items():
        client = client_of(make_app)
        assert sign_in(client, name, password).status_code == REDIRECT
        assert "Welcome.txt" in links(client)
    assert ready("check", "--content") == (0, "", "")


def test_demo_keeps_another_one_waiting(
    ready: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, looked = create.ensure_account, []

    def watched(name: str) -> str:
        descriptor = os.open(data, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        looked.append(name)
        return really(name)

    monkeypatch.setattr(create, "ensure_account", watched)
    assert ready("demo")[0] == 0
    assert looked == list(create.NAMES)


def test_demo_leaves_somebody_elses_account_alone(
    ready: Run, make_app: Callable[..., Flask]
) -> None:
    ready("create-account", "Alice", "--password-stdin", stdin="some password\n")
    code, out, err = ready("demo")
    assert code == 0
    assert re.fullmatch(r"demo account: bob \S+\ndemo account: admin \S+\n", out)
    assert "did not create the account 'alice'" in err
    client = client_of(make_app)
    sign_in(client, "alice", "some password")
    assert links(client) == {}


def test_demo_does_not_print_a_password_that_is_no_longer_right(ready: Run) -> None:
    ready("demo")
    ready("set-password", "bob", "--generate")
    _, out, err = ready("demo")
    assert re.fullmatch(r"demo account: alice \S+\ndemo account: admin \S+\n", out)
    assert "'bob' has another password" in err


def test_sample_picture_and_document_are_valid() -> None:
    picture = io.BytesIO(samples.png(3, 2))
    assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    while length := picture.read(4):
        kind = picture.read(4)
        chunks[kind] = picture.read(int.from_bytes(length, "big"))
        assert int.from_bytes(picture.read(4), "big") == zlib.crc32(kind + chunks[kind])
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 2 * (1 + 3 * 3)

    document = samples.pdf("Hello (x)")
    start = int(document.rsplit(b"startxref\n", 1)[1].split()[0])
    assert document[start:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(document[start:].splitlines()[3:8], 1):
        assert document[int(line[:10]) :].startswith(b"%d 0 obj" % number)


def test_sample_sound_is_valid() -> None:
    with wave.open(io.BytesIO(samples.wav(440, 660))) as sound:
        assert (sound.getnframes(), sound.getframerate(), sound.getsampwidth()) == (4000, 8000, 1)


def test_account_of_a_lost_database_is_made_again(
    ready: Run, make_app: Callable[..., Flask]
) -> None:
    out = ready("demo")[1]
    app = make_app()
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.delete(account)
    assert ready("demo")[1] == out
