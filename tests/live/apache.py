"""A real Apache with mod_wsgi-express on the loopback interface, for one test or one module."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from flask_delegate import Delegate

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "a secret for the tests only"
DAEMON_USER = "www-data" if os.geteuid() == 0 else None


@dataclass
class Site:
    """A folder for one server: ``root`` holds the private files, ``app`` the code.

    Everything in it can be read by the user that Apache's workers run as.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "files"

    @property
    def app(self) -> Path:
        return self.folder / "app"

    def write(self, name: str | bytes, content: bytes = b"private content\n") -> Path:
        """Put a private file in place, old enough for a strong ETag."""
        path = Path(os.fsdecode(os.fsencode(self.root) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
        old = time.time() - 3600
        os.utime(path, (old, old))
        return path

    def configure(self, **settings: Any) -> Flask:
        """Make an application with the site's settings, to generate configuration from."""
        app = Flask("generator", static_folder=None)
        app.config.update(DELEGATE_ROOT=str(self.root), SECRET_KEY=SECRET, **self.settings)
        app.config.update(settings)
        Delegate(app)
        return app

    def apache_config(self, *options: str, **settings: Any) -> str:
        """Run ``flask delegate apache-config`` for the site's settings."""
        runner = self.configure(**settings).test_cli_runner()
        result = runner.invoke(args=["delegate", "apache-config", *options])
        assert result.exit_code == 0, result.output
        return result.output

    def nginx_config(self, *options: str) -> str:
        """Run ``flask delegate nginx-config`` for the site's settings."""
        runner = self.configure().test_cli_runner()
        result = runner.invoke(args=["delegate", "nginx-config", *options])
        assert result.exit_code == 0, result.output
        return result.output

    def token(self) -> str:
        """Give the default area's token."""
        token: str = self.configure().extensions["delegate"].marks["default"].token
        return token


@contextmanager
def new_site(**settings: Any) -> Iterator[Site]:
    """Make a site in a folder that other users may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="flask-delegate-"))
    try:
        folder.chmod(0o755)
        site = Site(folder.resolve(), settings)
        site.root.mkdir()
        site.app.mkdir()
        for package in ("flask_delegate", "portal"):
            shutil.copytree(
                REPOSITORY / package,
                site.app / package,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        yield site
    finally:
        shutil.rmtree(folder)


@dataclass
class Server:
    """A running server.

    :param port: where it listens on 127.0.0.1.
    :param log: its error log.
    """

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def logged(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def express(
    site: Site,
    application: str,
    *options: str,
    include: str | None = None,
    port: int | None = None,
) -> Iterator[Server]:
    """Run an application under ``mod_wsgi-express start-server``.

    :param application: the source of a module that defines ``application``; ``SITE_ROOT``,
        ``SITE_SETTINGS`` and ``SECRET`` are defined for it.
    :param options: more options for mod_wsgi-express.
    :param include: the text of a file for ``--include-file``.
    """
    port = port or free_port()
    base = Path(tempfile.mkdtemp(prefix="run-", dir=site.folder))
    base.chmod(0o755)
    script = base / "app.wsgi"
    script.write_text(
        f"SITE_ROOT = {str(site.root)!r}\nSITE_SETTINGS = {site.settings!r}\n"
        f"SECRET = {SECRET!r}\n" + application
    )
    command = [str(Path(sys.executable).parent / "mod_wsgi-express"), "start-server", str(script)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--server-root", str(base / "server")]
    command += ["--python-path", str(site.app), "--locale", "C.UTF-8", "--log-level", "info"]
    if include is not None:
        (base / "include.conf").write_text(include)
        command += ["--include-file", str(base / "include.conf")]
    if DAEMON_USER is not None:
        command += ["--user", DAEMON_USER, "--group", DAEMON_USER]
    with _running([*command, *options], port, base / "server" / "error_log") as server:
        yield server


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[Server]:
    output = log.parent.parent / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd="/", start_new_session=True
        )
    server = Server(port, log, process)
    try:
        _wait_until_answering(server, output)
        yield server
    finally:
        _stop(process)


def _wait_until_answering(server: Server, output: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if connection.recv(1):
                    return
        except OSError:
            time.sleep(0.05)
    log = server.logged() if server.log.exists() else ""
    raise RuntimeError(f"Apache did not start:\n{output.read_text(errors='replace')}\n{log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop Apache and everything that it started; they share its session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def daemon_ids() -> tuple[int, int]:
    """Give user and group id of the user that the application runs as."""
    entry = pwd.getpwnam(DAEMON_USER) if DAEMON_USER else pwd.getpwuid(os.geteuid())
    return entry.pw_uid, entry.pw_gid
