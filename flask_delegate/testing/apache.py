"""A real Apache on the loopback interface: mod_wsgi-express, from its start to its end."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

_PATIENCE = 60  # seconds until the server must answer
_MISSING = (
    "mod_wsgi-express is neither next to {python} nor on PATH. 'pip install mod_wsgi' installs it,"
    " and needs Apache with its headers (Debian: apt install apache2-bin apache2-dev)."
)
RIGHTS = (
    "Started by root, Apache runs the application as {user}, who must be able to read the"
    " interpreter, the code and the files, and to enter every folder above them; pytest's tmp_path"
    " and /root are closed to it. Run the tests as an ordinary user, or move what is named above,"
    " for example to a folder from tempfile.mkdtemp() with chmod 755."
)


class Apache(AbstractContextManager["Apache"]):
    """A running server, which :meth:`stop` or the end of a ``with`` block stops.

    :param port: where it listens on 127.0.0.1.
    :param folder: its files, which :meth:`stop` deletes.
    :param process: Apache's parent process, which leads a session of its own.
    """

    def __init__(self, port: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.port, self.folder, self._process = port, folder, process
        self._last_log: str | None = None

    @property
    def url(self) -> str:
        """The server's URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """Return Apache's error log, which holds the application's log too."""
        if self._last_log is not None:
            return self._last_log
        log = self.folder / "server" / "error_log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self) -> None:
        """Stop Apache and all that it started, and delete its files."""
        if self._last_log is not None:
            return
        end(self._process)
        self._last_log = self.log()
        shutil.rmtree(self.folder)

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Wait until the server answers.

        :raises RuntimeError: with Apache's output, if it does not.
        """
        deadline = time.monotonic() + _PATIENCE
        answer = b""
        while self._process.poll() is None and time.monotonic() < deadline:
            address = ("127.0.0.1", self.port)
            # Apache waits long before it reports a daemon process that does not come up.
            with suppress(OSError), socket.create_connection(address, _PATIENCE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = connection.recv(100)
            if answer:
                break
            time.sleep(0.05)
        # Apache's status where a daemon process does not come up; no application has it for "/".
        gone = answer.split(b" ")[1:2] == [b"504"]
        if gone or not answer:
            output = (self.folder / "output").read_text(errors="replace")
            user = daemon_user()
            advice = RIGHTS.format(user=user) if gone and user else ""
            raise RuntimeError(f"Apache did not start:\n{output}\n{self.log()}\n{advice}".rstrip())


def start(
    script: str,
    *options: str,
    include: str | None = None,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Apache:
    """Run a WSGI script under ``mod_wsgi-express start-server``, and wait until it answers.

    :param script: the source of a module that defines ``application``.
    :param options: more options for mod_wsgi-express.
    :param include: the text of a file for ``--include-file``.
    :param env: the server's environment; none: this process's.
    :param port: where to listen; none: any free port.
    :raises RuntimeError: with Apache's output, if it does not start.
    """
    command = [_express(), "start-server"]
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="flask-delegate-")).resolve()
    with ExitStack() as on_error:
        on_error.callback(shutil.rmtree, folder, ignore_errors=True)
        command += _prepare(folder, script, include)
        command += ["--host", "127.0.0.1", "--port", str(port), *options]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 -- the command is made here
                command,
                stdout=output,
                stderr=output,
                cwd="/",
                env=env,
                umask=0o022,
                start_new_session=True,
            )
        apache = on_error.enter_context(Apache(port, folder, process))
        apache.wait()
        on_error.pop_all()
    return apache


def _express() -> str:
    """Return the mod_wsgi-express of this interpreter, or else the first on PATH."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    found = shutil.which("mod_wsgi-express", path=search)
    if found is None:
        raise RuntimeError(_MISSING.format(python=sys.executable))
    return found


def _prepare(folder: Path, script: str, include: str | None) -> list[str]:
    """Write the server's files; return the options that name them and the user."""
    folder.chmod(0o755)
    options = [str(folder / "app.wsgi"), "--server-root", str(folder / "server")]
    options += ["--locale", "C.UTF-8", "--log-level", "info"]
    if user := daemon_user():
        _check_open(folder, user)
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
        options += ["--user", user, "--group", group]
    (folder / "app.wsgi").write_text(script, errors="surrogateescape")
    (folder / "app.wsgi").chmod(0o644)
    if include is not None:
        configuration = folder / "include.conf"
        configuration.touch(0o600)  # it holds the token
        configuration.write_text(include, errors="surrogateescape")
        options += ["--include-file", str(configuration)]
    return options


def _check_open(folder: Path, user: str) -> None:
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise RuntimeError(
                f"{parent}, above the folder for temporary files, may not be entered by {user}, as"
                " whom Apache runs the application. Set TMPDIR to another one."
            )


def daemon_user() -> str | None:
    """Return the user that a root's Apache runs the application as; ``None`` for anyone else.

    :raises RuntimeError: if the system has no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "apache", "http", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("There is no user for Apache to run as. Run the tests as an ordinary user.")


def end(process: subprocess.Popen[bytes], patience: float = 20) -> None:
    """Terminate a process that leads a session; kill the session if it takes too long.

    :param patience: seconds.
    """
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
