from __future__ import annotations

import fcntl
import io
import json
import os
import re
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from portal import accounts, demo
from portal.cli import portal

from .conftest import links, sign_in

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(make_app: Callable[..., Flask]) -> Run:
    app = make_app()
    return _runner(app.test_cli_runner())


def _runner(runner: FlaskCliRunner) -> Run:
    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        result = runner.invoke(portal, words, input=stdin)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def ready(run: Run) -> Run:
    assert run("upgrade") == (0, "", "")
    return run


def client_of(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


def test_upgrade_is_quiet_and_can_be_repeated(run: Run) -> None:
    assert run("upgrade") == (0, "", "")
    assert run("upgrade") == (0, "", "")


@pytest.mark.parametrize(
    "words", [["create-account", "x"], ["set-password", "x"], ["accounts"], ["demo"]]
)
def test_commands_ask_for_the_upgrade_first(words: list[str], run: Run) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert "flask --app portal portal upgrade" in err


def test_account_with_password_from_stdin(ready: Run, make_app: Callable[..., Flask]) -> None:
    command = ("create-account", "carol", "--password-stdin")
    assert ready(*command, stdin="some password\n") == (0, "", "")
    assert sign_in(client_of(make_app), "carol", "some password").status_code == 302


def test_account_with_prompted_password(ready: Run, make_app: Callable[..., Flask]) -> None:
    code, out, err = ready("create-account", "carol", stdin="some password\nsome password\n")
    assert code == 0
    assert "some password" not in out + err
    assert sign_in(client_of(make_app), "carol", "some password").status_code == 302


def test_account_with_generated_password(ready: Run, make_app: Callable[..., Flask]) -> None:
    code, out, _ = ready("create-account", "carol", "--generate")
    assert code == 0
    assert re.fullmatch(r"[\w-]{20}\n", out)
    assert sign_in(client_of(make_app), "carol", out.strip()).status_code == 302


def test_set_password_ends_sessions(ready: Run, make_app: Callable[..., Flask]) -> None:
    ready("create-account", "carol", "--password-stdin", stdin="some password\n")
    client = client_of(make_app)
    sign_in(client, "carol", "some password")
    assert client.get("/").status_code == 200
    assert ready("set-password", "CAROL", "--password-stdin", stdin="another one\n") == (0, "", "")
    assert client.get("/").status_code == 302
    assert sign_in(client, "carol", "another one").status_code == 302


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["create-account", "x", "--password-stdin"], "short\n", "8 to 1024 characters"),
        (["create-account", "x", "--password-stdin"], "", "8 to 1024 characters"),
        (["create-account", "", "--generate"], "", "1 to 64 printable"),
        (["create-account", "Carol", "--generate"], "", "already"),
        (["set-password", "nobody", "--generate"], "", "no account 'nobody'"),
        (["set-password", "carol", "--password-stdin"], "short\n", "8 to 1024 characters"),
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
    assert set(rows[0]) == {"name", "created_at"}


def test_demo_prints_the_same_again_and_creates_nothing(
    ready: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    code, out, err = ready("demo")
    assert (code, err) == (0, "")
    found = re.fullmatch(r"demo account: alice (\S+)\ndemo account: bob (\S+)\n", out)
    assert found
    before = sorted(data.rglob("*"))
    assert ready("demo") == (0, out, "")
    assert sorted(data.rglob("*")) == before
    assert stat.S_IMODE((data / "demo_accounts.json").stat().st_mode) == 0o600
    client = client_of(make_app)
    assert sign_in(client, "alice", found[1]).status_code == 302
    assert set(links(client)) == set(demo.sample_files("alice"))
    for name, content in demo.sample_files("alice").items():
        with client.get(links(client)[name]) as response:
            assert response.data == content


def test_demos_that_run_at_once_agree(
    ready: Run, make_app: Callable[..., Flask], data: Path
) -> None:
    command = [sys.executable, "-m", "flask", "--app", "portal", "portal", "demo"]
    environment = {**os.environ, "PORTAL_DATA": str(data)}
    running = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = [(*process.communicate(), process.returncode) for process in running]
    assert answers == [(ready("demo")[1], "", 0)] * 4
    passwords = dict(re.findall(r"demo account: (\w+) (\S+)\n", answers[0][0]))
    assert set(passwords) == set(demo.NAMES)
    for name, password in passwords.items():
        client = client_of(make_app)
        assert sign_in(client, name, password).status_code == 302
        assert set(links(client)) == set(demo.sample_files(name))


def test_demo_keeps_another_one_waiting(
    ready: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, looked = demo.ensure_account, []

    def watched(name: str) -> str:
        descriptor = os.open(data, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        looked.append(name)
        return really(name)

    monkeypatch.setattr(demo, "ensure_account", watched)
    assert ready("demo")[0] == 0
    assert looked == list(demo.NAMES)


def test_demo_leaves_somebody_elses_account_alone(
    ready: Run, make_app: Callable[..., Flask]
) -> None:
    ready("create-account", "Alice", "--password-stdin", stdin="some password\n")
    code, out, err = ready("demo")
    assert code == 0
    assert re.fullmatch(r"demo account: bob \S+\n", out)
    assert "'alice' that demo did not make" in err
    client = client_of(make_app)
    sign_in(client, "alice", "some password")
    assert links(client) == {}


def test_demo_does_not_print_a_password_that_is_no_longer_right(ready: Run) -> None:
    ready("demo")
    ready("set-password", "bob", "--generate")
    _, out, err = ready("demo")
    assert re.fullmatch(r"demo account: alice \S+\n", out)
    assert "'bob' has another password" in err


def test_sample_picture_and_document_are_valid() -> None:
    picture = io.BytesIO(demo.png(3, 2))
    assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    while length := picture.read(4):
        kind = picture.read(4)
        chunks[kind] = picture.read(int.from_bytes(length, "big"))
        assert int.from_bytes(picture.read(4), "big") == zlib.crc32(kind + chunks[kind])
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 2 * (1 + 3 * 3)

    document = demo.pdf("Hello (x)")
    start = int(document.rsplit(b"startxref\n", 1)[1].split()[0])
    assert document[start:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(document[start:].splitlines()[3:8], 1):
        assert document[int(line[:10]) :].startswith(b"%d 0 obj" % number)


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
