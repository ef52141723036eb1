"""The server that speaks SCGI: its processes, its sockets and its signals."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flask_delegate.testing.apache import end, free_port
from tests.support.paths import PROJECT
from tests.support.processes import children_of
from tests.support.scgi_frames import frame

APPLICATION = """
import os
import time

VERSION = "first"
# What outlives its process, with all that it has open.
if "FORKS" in os.environ and not os.fork():
    time.sleep(10)
    os._exit(0)


def app(environ, start_response):
    query = environ["QUERY_STRING"]
    if query.startswith("fork"):
        return forked(query, start_response)
    time.sleep(float(query or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()}".encode()]


def forked(query, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield f"{VERSION} ".encode()
    if not os.fork():
        time.sleep(20)
        os._exit(0)
    if query == "fork and fail":
        raise RuntimeError("on purpose")
    yield str(os.getpid()).encode()


def make():
    return app


nothing = 1
"""
SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""
ONE = ("--processes", "1")
BARE = (sys.executable, "-m", "flask_delegate.scgi")


@dataclass
class Server:
    """A server that runs.

    :param place: its port, or the path of its socket.
    """

    process: subprocess.Popen[bytes]
    place: int | Path
    folder: Path

    def connection(self) -> socket.socket:
        """Return a new one."""
        if isinstance(self.place, int):
            return socket.create_connection(("127.0.0.1", self.place), timeout=30)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        try:
            connection.connect(str(self.place))
        except OSError:
            connection.close()
            raise
        return connection

    def ask(self, query: float | str = 0) -> tuple[str, int]:
        """Return version and process of an answer that takes so long."""
        with self.connection() as connection:
            connection.sendall(frame(QUERY_STRING=str(query)))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"Status: 200 OK\r\n"), answer
        version, process = body.decode().split()
        return version, int(process)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.log().count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{self.log()}"
            time.sleep(0.02)

    def wait_for_version(self, version: str) -> None:
        """Wait until the old processes, too, have seen that they should end."""
        deadline = time.monotonic() + 30
        while self.ask()[0] != version:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def replace(self, old: str, new: str) -> None:
        """Change the application's code."""
        module = self.folder / "served.py"
        module.write_text(module.read_text().replace(old, new))


@contextmanager
def serving(
    folder: Path,
    *options: str,
    place: int | Path | None = None,
    name: str = "served:app",
    command: tuple[str, ...] = BARE,
    environment: dict[str, str] | None = None,
    passed: tuple[int, ...] = (),
) -> Iterator[Server]:
    """Run the server until the end of the block."""
    (folder / "served.py").write_text(APPLICATION)
    place = place or free_port()
    bind = f"unix:{place}" if isinstance(place, Path) else f"127.0.0.1:{place}"
    words = [*command, name, *options, *(("--bind", bind) if command is BARE else ())]
    # What is written twice within a second would be taken from a cache.
    made = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stderr=log,
            start_new_session=True,
            pass_fds=passed,
            env={**made, **(environment or {})},
        )
    server = Server(process, place, folder)
    try:
        server.wait_for("ready, with")
        yield server
    finally:
        end(process)


def ended(process: int) -> bool:
    return (
        not Path(f"/proc/{process}").exists() or " Z " in Path(f"/proc/{process}/stat").read_text()
    )


def wait_until_ended(process: int) -> None:
    deadline = time.monotonic() + 30
    while not ended(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_socket_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(tmp_path, *ONE, "--mode", "620", place=path, name="served:make()") as server:
        assert server.ask()[0] == "first"
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        again = subprocess.run(
            [*BARE, "served:app", "--bind", f"unix:{path}"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
        assert (again.returncode, "Address already in use" in again.stderr) == (2, True)
        processes = children_of(server.process.pid)
        server.process.kill()
        server.process.wait()
        for process in processes:
            wait_until_ended(process)
    # What a server that was killed has left is not in the way of the next one.
    assert path.is_socket()
    with serving(tmp_path, *ONE, place=path) as server:
        assert server.ask()[0] == "first"
        # What is at its place meanwhile is another's.
        path.unlink()
        (tmp_path / "other").mkdir()
        with serving(tmp_path / "other", *ONE, place=path) as other:
            server.signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
            assert other.ask()[0] == "first"
        assert not path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    command = [*BARE, "served:app", "--bind", f"unix:{tmp_path}/file"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, "there is a file which is no socket" in done.stderr) == (2, True)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_socket_of_systemd_and_its_notification(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        service = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        service.bind(str(tmp_path / "notify"))
        service.settimeout(30)
        command = (sys.executable, "-c", SYSTEMD, str(listener.fileno()), "flask_delegate.scgi")

        def started() -> AbstractContextManager[Server]:
            return serving(
                tmp_path,
                *ONE,
                place=int(listener.getsockname()[1]),
                command=command,
                environment={"NOTIFY_SOCKET": str(tmp_path / "notify")},
                passed=(listener.fileno(),),
            )

        with started() as server:
            assert service.recv(100) == b"READY=1"
            assert server.ask()[0] == "first"
        assert service.recv(100) == b"STOPPING=1"
        # Who comes between two servers is answered by the next one.
        with server.connection() as waiting:
            waiting.sendall(frame())
            with started():
                assert waiting.recv(1000).startswith(b"Status: 200 OK")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--bind is missing, and systemd has passed no socket on."),
        (("--bind", "unix:"), "'unix:' has no path."),
        (("--bind", "unix:x", "--threads", "99999"), "not a whole number from 1 to 1024"),
        (("--bind", "unix:x", "--grace", "9999999"), "not a whole number from 0 to 86400"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: tuple[str, ...], said: str) -> None:
    command = [*BARE, "served:app", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_who_can_be_reached_from_elsewhere_is_warned(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APPLICATION)
    command = [*BARE, "missing:app", "--bind", f"0.0.0.0:{free_port()}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert "whoever does can pretend to be the web server" in done.stderr


def test_a_reload_loses_no_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "3") as server:
        stop, answers, failures = threading.Event(), [], []

        def hammer() -> None:
            while not stop.is_set():
                try:
                    answers.append(server.ask(0.01))
                except Exception as error:
                    failures.append(error)

        hammering = [threading.Thread(target=hammer) for _ in range(8)]
        for thread in hammering:
            thread.start()
        for number, version in enumerate(("second", "third"), 1):
            server.replace('VERSION = "', f'VERSION = "{version}"  # ')
            server.signal(signal.SIGHUP)
            server.wait_for("INFO: reloaded", number)
            server.wait_for_version(version)
        time.sleep(0.5)
        stop.set()
        for thread in hammering:
            thread.join()
        assert failures == []
        assert {version for version, _ in answers} == {"first", "second", "third"}
        for process in {process for version, process in answers if version != "third"}:
            wait_until_ended(process)
        assert len(children_of(server.process.pid)) == 2


def test_a_reload_of_what_does_not_start_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, *ONE) as server:
        server.replace('VERSION = "first"', "VERSION = 1 / 0")
        server.signal(signal.SIGHUP)
        server.wait_for("the new processes do not start: the old ones go on")
        assert "ZeroDivisionError" in server.log()
        assert server.ask()[0] == "first"
        server.replace("VERSION = 1 / 0", 'VERSION = "second"')
        server.signal(signal.SIGHUP)
        server.wait_for("INFO: reloaded")
        server.wait_for_version("second")
        # None is left when the next new ones do not start: it begins anew by itself.
        os.kill(server.ask()[1], signal.SIGKILL)
        server.replace('VERSION = "second"', "VERSION = 1 / 0")
        server.wait_for("has ended with status -9")
        server.signal(signal.SIGHUP)
        server.wait_for("the new processes do not start: none is left, trying again")
        server.replace("VERSION = 1 / 0", 'VERSION = "third"')
        assert server.ask()[0] == "third"


def test_a_reload_during_a_reload_follows_it(tmp_path: Path) -> None:
    with serving(tmp_path, *ONE) as server:
        slow = "VERSION = os.write(2, b'loading') and time.sleep(1)"
        server.replace('VERSION = "first"', slow)
        server.signal(signal.SIGHUP)
        server.wait_for("loading")
        server.replace(slow, 'VERSION = "second"')
        server.signal(signal.SIGHUP)
        server.wait_for("INFO: reloaded", 2)
        server.wait_for_version("second")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing:app", "No module named 'missing'"),
        ("served:missing", "has no attribute 'missing'"),
        ("served:nothing", "served:nothing is no WSGI application"),
    ],
)
def test_what_cannot_be_loaded_ends_the_server(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "served.py").write_text(APPLICATION)
    command = [*BARE, name, "--bind", f"127.0.0.1:{free_port()}", *ONE]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr
    assert "the processes do not start: status 3" in done.stderr


@pytest.mark.parametrize("environment", [{}, {"FORKS": "1"}], ids=["alone", "with children"])
def test_a_process_that_is_killed_is_replaced(tmp_path: Path, environment: dict[str, str]) -> None:
    with serving(tmp_path, environment=environment) as server:
        before = children_of(server.process.pid)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        server.wait_for("has ended with status -9")
        assert server.ask()[1] == before[1]
        deadline = time.monotonic() + 30
        while len(children_of(server.process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_no_process_outlives_its_master(tmp_path: Path) -> None:
    with serving(tmp_path, environment={"FORKS": "1"}) as server:
        processes = children_of(server.process.pid)
        server.process.kill()
        server.process.wait()
        for process in processes:
            wait_until_ended(process)
    # What they have forked does not keep the place.
    with serving(tmp_path, *ONE, place=server.place) as server:
        assert server.ask()[0] == "first"


def test_what_an_application_forks_holds_no_answer(tmp_path: Path) -> None:
    with serving(tmp_path, *ONE) as server:
        began = time.monotonic()
        neighbour = threading.Thread(target=server.ask, args=(0.5,))
        neighbour.start()
        time.sleep(0.2)
        assert server.ask("fork")[0] == "first"
        with pytest.raises(ConnectionResetError):
            server.ask("fork and fail")
        neighbour.join()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", ["port", "UNIX"])
def test_what_has_begun_is_answered_before_the_end(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "socket" if kind == "UNIX" else None
    with serving(tmp_path, *ONE, "--threads", "1", place=place) as server:
        answers: list[tuple[str, int]] = []
        asking = [threading.Thread(target=lambda: answers.append(server.ask(1))) for _ in range(2)]
        # Of the two, one waits for the other's thread. At a port, there is none.
        for thread in asking if kind == "UNIX" else asking[:1]:
            thread.start()
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        time.sleep(0.2)
        # The web server learns at once that nobody answers.
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            server.connection()
        assert answers == []
        assert server.process.wait(30) == 0
        for thread in asking if kind == "UNIX" else asking[:1]:
            thread.join()
        expected = ["first", "first"] if kind == "UNIX" else ["first"]
        assert [version for version, _ in answers] == expected


@pytest.mark.parametrize("signals", [1, 2])
def test_the_grace_is_limited(tmp_path: Path, signals: int) -> None:
    with serving(tmp_path, *ONE, "--grace", "1" if signals == 1 else "30") as server:
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                server.ask(20)
            except (AssertionError, OSError) as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(signals):
            server.signal(signal.SIGINT)
            time.sleep(0.5)
        assert server.process.wait(30) == 0
        assert 0.5 < time.monotonic() - began < 10
        asking.join()
        assert len(failures) == 1
        assert signals == 2 or "1 requests took more than 1 s (--grace): broken off" in server.log()


def test_each_process_answers_as_many_requests_at_once_as_it_has_threads(tmp_path: Path) -> None:
    with serving(tmp_path, "--processes", "2", "--threads", "2") as server:
        began = time.monotonic()
        found: list[tuple[str, int]] = []
        asking = [threading.Thread(target=lambda: found.append(server.ask(1))) for _ in range(5)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert 2 <= time.monotonic() - began < 10
        processes = [process for _, process in found]
        assert len(set(processes)) == 2
        assert max(map(processes.count, processes)) <= 3
