"""``scripts/run``, from an empty data folder to a download, a stop and a second start."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from flask_delegate.testing.apache import free_port
from tests.support.clients import BEHIND_THE_END, get
from tests.support.paths import PROJECT
from tests.support.portal_process import (
    RUN,
    STATE,
    Run,
    commands_of,
    launched,
    processes_of,
    shared_folder,
    signed_in,
    started,
    wait_for,
    wait_until_gone,
)
from tests.support.sites import DAEMON_USER
from tests.support.visitors import Visitor

NAME = "Übersicht 概要.txt"
CONTENT = bytes(range(256)) * 400

# The first start may install packages.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def data() -> Iterator[Path]:
    with shared_folder() as folder:
        yield folder / "data of a test"


@dataclass
class Uploaded:
    """A file that alice has uploaded to a running portal."""

    run: Run
    alice: Visitor
    url: str


@pytest.fixture(scope="module")
def uploaded() -> Iterator[Uploaded]:
    with shared_folder() as folder, started(folder / "data of a test", "--demo") as run:
        alice = signed_in(run, "alice")
        yield Uploaded(run, alice, alice.upload(NAME, CONTENT))


def test_an_uploaded_file_is_in_the_list(uploaded: Uploaded) -> None:
    _, page = uploaded.alice.ask("/")
    assert NAME in page.decode()


def test_the_owner_downloads_the_same_bytes_under_the_same_name(uploaded: Uploaded) -> None:
    response, content = uploaded.alice.ask(uploaded.url)
    assert response.status == 200
    assert content == CONTENT
    assert (
        f"filename*=UTF-8''{quote(NAME)}".lower() in response.headers["Content-Disposition"].lower()
    )


def test_apache_sends_the_file_and_python_does_not(uploaded: Uploaded) -> None:
    response, page = uploaded.alice.ask(uploaded.url, range=BEHIND_THE_END["Range"])
    assert response.status == 416
    assert b"None of the range-specifier values" in page  # Apache's own page


def test_part_of_a_file_can_be_had(uploaded: Uploaded) -> None:
    response, content = uploaded.alice.ask(uploaded.url, range="bytes=1000-1999")
    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
    assert content == CONTENT[1000:2000]


def style_of(run: Run) -> str:
    found = re.search(r'href="(/static/[^"]+\.css)"', get(run.port, "/sign-in").body.decode())
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["portal.css", "icons/folder.svg"])
def test_rest_of_a_static_file_is_of_no_other_coding(name: str, uploaded: Uploaded) -> None:
    """Whoever has the beginning of one coding, and only its date, joins it with no other."""
    port, style = uploaded.run.port, style_of(uploaded.run).replace("portal.css", name)
    coded = get(port, style, headers={"Accept-Encoding": "gzip"})
    whole = get(port, style)
    assert coded.get("Content-Encoding") == "gzip"
    assert gzip.decompress(coded.body) == whole.body
    assert coded.get("Last-Modified") == whole.get("Last-Modified")
    for said in ({}, {"If-Range": str(coded.get("Last-Modified"))}):
        for accepted, expected in (("gzip", coded), ("identity", whole)):
            headers = {"Range": "bytes=50-99", "Accept-Encoding": accepted, **said}
            resumed = get(port, style, headers=headers)
            assert (resumed.status, resumed.get("Content-Range")) == (200, None)
            assert resumed.get("Content-Encoding") == expected.get("Content-Encoding")
            assert resumed.body == expected.body
            assert resumed.get("Accept-Ranges") in {None, "none"}


def test_refused_condition_on_a_static_file_brings_no_file(uploaded: Uploaded) -> None:
    port, style = uploaded.run.port, style_of(uploaded.run)
    whole = get(port, style)
    refused = get(port, style, headers={"If-Match": '"x"'})
    assert (refused.status, len(refused.body) < 2000 < len(whole.body)) == (412, True)
    same = get(port, style, headers={"If-Modified-Since": str(whole.get("Last-Modified"))})
    assert (same.status, same.body) == (304, b"")


def test_page_that_is_not_to_be_compressed_has_no_coding(uploaded: Uploaded) -> None:
    headers = {"Accept-Encoding": "gzip"}
    own = get(uploaded.run.port, "/sign-in", headers=headers)
    assert own.get("Content-Encoding") == "gzip"
    others = get(uploaded.run.port, "/sign-in", headers={**headers, "Sec-Fetch-Site": "cross-site"})
    assert others.get("Content-Encoding") is None
    assert b"<h1>" in others.body
    assert uploaded.alice.ask(uploaded.url)[0].headers["Content-Encoding"] is None


def test_another_account_finds_nothing(uploaded: Uploaded) -> None:
    response, content = signed_in(uploaded.run, "bob").ask(uploaded.url)
    assert response.status == 404
    assert CONTENT[:256] not in content


def test_a_visitor_without_an_account_is_sent_to_sign_in(uploaded: Uploaded) -> None:
    response, content = Visitor(uploaded.run.port).ask(uploaded.url)
    assert response.status in {302, 303, 404}
    if response.status != 404:
        assert "/sign-in" in response.headers["Location"]
    assert CONTENT[:256] not in content


def test_the_internal_url_is_refused(uploaded: Uploaded) -> None:
    url = internal_url(uploaded.run)
    escaped = f"/%{ord(url[1]):02x}{url[2:]}"
    for target in (
        url,
        escaped,
        f"/{url}",
        f"/.{url}",
        f"http://127.0.0.1:{uploaded.run.port}{url}",
    ):
        reply = get(uploaded.run.port, target)
        assert reply.status == 403, target
        assert CONTENT[:256] not in reply.body


def internal_url(run: Run) -> str:
    """Find the uploaded file in the data folder and return the URL that Apache knows it by."""
    (stored,) = (
        path
        for path in run.data.rglob("*")
        if path.is_file() and path.stat().st_size == len(CONTENT) and path.read_bytes() == CONTENT
    )
    guard = (run.folder / "guard.conf").read_text()
    for url, root in re.findall(r'^Alias "(.+)" "(.+)"$', guard, re.MULTILINE):
        if stored.is_relative_to(root):
            return str(url) + quote(str(stored.relative_to(root)))
    raise AssertionError(f"no alias leads to {stored}")


def test_trace_is_refused(uploaded: Uploaded) -> None:
    assert get(uploaded.run.port, "/", method="TRACE").status == 405


def test_every_answer_has_one_header_against_sniffing(uploaded: Uploaded) -> None:
    answers: tuple[tuple[str, dict[str, str], int], ...] = (
        ("/", {}, 200),
        ("/no-such-page", {}, 404),
        (uploaded.url, {}, 200),
        (uploaded.url, {"range": "bytes=1-2"}, 206),
        # Apache's own answers:
        (uploaded.url, {"range": "bytes=999999-"}, 416),
        (internal_url(uploaded.run), {}, 403),
        ("/", {"x_long": "x" * 9000}, 400),
    )
    for path, headers, status in answers:
        response, _ = uploaded.alice.ask(path, None, **headers)
        assert response.status == status
        assert response.headers.get_all("X-Content-Type-Options") == ["nosniff"], (path, status)


def test_the_callers_settings_do_not_reach_the_portal(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_WTF_CSRF_ENABLED", "false")
    with started(data, "--demo") as run:
        form = urlencode({"username": "alice", "password": run.password("alice")}).encode()
        response, _ = Visitor(run.port).ask(
            "/sign-in", form, content_type="application/x-www-form-urlencoded"
        )
        assert response.status == 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(data: Path, number: signal.Signals) -> None:
    with started(data) as run:
        # The script, Apache's parent and worker, two daemon processes.
        assert len(processes_of(run)) >= 5
        assert run.stop(number) == 0
        assert processes_of(run) == []
        assert not run.folder.exists()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", run.port)) != 0


def test_a_signal_stops_a_start_at_any_moment(data: Path) -> None:
    port = free_port()
    for delay in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 1.1, 1.6, 2.2):
        with launched(data, port=port) as run:
            time.sleep(delay)
            # -15 before the script's first line; 0 once Apache was started.
            assert run.stop() in {-signal.SIGTERM, 128 + signal.SIGTERM, 0}, (
                run.messages.read_text()
            )
            # What ends by itself in an instant may be left.
            wait_until_gone(run)
            assert not run.folder.exists()
            said = run.messages.read_text()
            assert re.fullmatch(r"(Created the database, schema [0-9]+\.\n)?", said), said
    with started(data, port=port):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_upgrade_of_a_database_that_is_busy(
    data: Path, number: signal.Signals
) -> None:
    with started(data) as run:
        port = run.port
        run.stop()
    with sqlite3.connect(data / "portal.db") as database:
        database.execute("BEGIN IMMEDIATE")
        with launched(data, port=port) as run:
            wait_for(lambda: any(b"upgrade" in line for line in commands_of(run).values()))
            time.sleep(0.5)
            asked = time.monotonic()
            assert run.stop(number) == 128 + number
            assert time.monotonic() - asked < 5
            assert processes_of(run) == []
        database.rollback()
    database.close()
    with started(data, port=port):
        pass


@pytest.mark.root  # otherwise sudo is between
def test_a_signal_stops_apt(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, lines in {
        "apt-get": "sleep 600 & wait",
        "python3": 'case $2 in *ensurepip*) exit 1 ;; esac; exec /usr/bin/python3 "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FLASK_DELEGATE_PYTHON", str(tmp_path / "python3"))
    with launched(data) as run:
        wait_for(
            lambda: any(line.startswith(b"sleep\x00600") for line in commands_of(run).values())
        )
        assert run.stop() == 128 + signal.SIGTERM
        assert processes_of(run) == []
        assert run.messages.read_text() == "installing python3-venv ...\n"


def test_apache_ends_with_a_script_that_was_killed(data: Path) -> None:
    with started(data) as run:
        run.stop(signal.SIGKILL)
        wait_until_gone(run)


def test_a_second_start_installs_nothing_and_keeps_the_files(data: Path) -> None:
    with started(data, "--demo") as run:
        password = run.password("alice")
        url = signed_in(run, "alice").upload(NAME, CONTENT)
        run.stop()
    with started(data) as again:
        assert "installing" not in again.messages.read_text()
        alice = Visitor(again.port)
        alice.sign_in("alice", password)
        assert alice.ask(url)[1] == CONTENT


def test_it_runs_from_a_clone_that_the_portals_user_cannot_enter(
    tmp_path: Path, data: Path
) -> None:
    closed = tmp_path / "a closed folder"
    clone = closed / "a clone"
    shutil.copytree(PROJECT, clone, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    closed.chmod(0o700)
    with started(data, script=clone / "scripts" / "run") as run:
        response, _ = Visitor(run.port).ask("/healthz")
        assert response.status == 200


def refusal(*options: str, status: int = 2) -> str:
    """Run ``scripts/run``, which has to refuse, and return its words."""
    done = subprocess.run(
        [str(RUN), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr.decode()
    assert done.stdout == b""
    return done.stderr.decode()


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_shown(option: str) -> None:
    done = subprocess.run([str(RUN), option], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: scripts/run ")


def test_a_taken_port_is_refused(data: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        words = refusal("--port", str(port), "--data", str(data))
    assert f"port {port} is taken" in words
    assert "choose another --port" in words


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "80 80"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert "Give --port a number from 1 to 65535" in refusal("--port", port)


@pytest.mark.parametrize("arguments", [["--prot", "8000"], ["8000"]])
def test_an_unknown_option_is_refused(arguments: list[str]) -> None:
    assert f"unknown option '{arguments[0]}'. See --help." in refusal(*arguments)


def test_a_data_folder_that_cannot_be_entered_is_refused(data: Path) -> None:
    data.mkdir(mode=0o000)
    words = refusal("--port", str(free_port()), "--data", str(data / "inside"))
    assert f"cannot enter {data}" in words
    assert "Choose another folder with --data" in words


def test_a_folder_of_somebody_elses_files_is_refused() -> None:
    words = refusal("--port", str(free_port()), "--data", "/etc")
    assert "cannot use the folder /etc" in words
    assert "Choose another with --data" in words


def give_to_the_portal(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, str(DAEMON_USER))


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(data: Path, mode: int) -> None:
    data.mkdir()
    (data / "a file").touch()
    give_to_the_portal(data)
    data.chmod(mode)
    words = refusal("--port", str(free_port()), "--data", str(data))
    assert f"other users may write to it (mode {mode:o})" in words
    assert f"chmod go= '{data}'" in words
    assert "choose another with --data" in words


def test_an_empty_folder_is_closed_to_others(data: Path) -> None:
    data.mkdir()
    data.chmod(0o777)
    with started(data):
        assert data.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("letter", list('"\\*?[]{}$%\n\t\x7f'))
def test_a_folder_that_apache_would_misread_is_refused(data: Path, letter: str) -> None:
    for name in (f"a{letter}b", letter):
        words = refusal("--port", str(free_port()), "--data", f"{data}/{name}")
        assert "a character in its path that Apache would misread" in words
        assert "Choose another with --data" in words
        assert not data.exists()


def test_a_second_start_on_the_same_folder_is_refused(data: Path) -> None:
    with started(data):
        words = refusal("--port", str(free_port()), "--data", str(data))
    assert f"another scripts/run uses the folder {data}. Stop it" in words
    assert "choose another with --data" in words


def test_what_the_portal_refuses_it_says_itself(data: Path) -> None:
    data.mkdir(0o700)
    (data / "secret_key").write_text("short")
    (data / "secret_key").chmod(0o600)
    for path in (data, data / "secret_key"):
        give_to_the_portal(path)
    port = free_port()
    words = refusal("--port", str(port), "--data", str(data), status=1)
    assert "secret_key holds 5 bytes" in words
    assert "scripts/run: " not in words
    assert not (STATE / "run" / str(port)).exists()


@pytest.mark.root  # only root's portal runs as another user
def test_an_interpreter_that_the_portals_user_cannot_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python3"
    interpreter.symlink_to("/usr/bin/python3")
    tmp_path.chmod(0o700)
    monkeypatch.setenv("FLASK_DELEGATE_PYTHON", str(interpreter))
    words = refusal("--port", str(free_port()))
    assert f"cannot run {interpreter}" in words
    assert "Choose another with FLASK_DELEGATE_PYTHON" in words
