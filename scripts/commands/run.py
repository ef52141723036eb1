"""scripts/run: install what is missing and serve the portal on the loopback interface."""

from __future__ import annotations

import errno
import http.client
import os
import pwd
import re
import resource
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from ..lib.environment import BrowserFiles, Environment
from ..lib.jobs import Jobs, as_user, hold
from ..lib.machine import (
    CERTIFICATES,
    body_limit,
    check_python,
    choose_sizes,
    copy_code,
    daemon,
    install_packages,
    state,
)
from ..lib.messages import Parser, fail, refuse, say

INCLUDED = ("server.conf", "nosniff.conf", "uploads.conf")
HELP = """\
Serve the portal with Apache and mod_wsgi on http://127.0.0.1:PORT/, and keep serving until Ctrl-C
or SIGTERM, which stops all of it at any time. On Debian and Ubuntu, what is missing is installed
first; packages that are being unpacked are finished before it stops."""
MORE = """\
Prints 'ready: URL' once the portal answers. As root, the portal runs as the user www-data.

environment:
  PORTAL_MAX_CONTENT_LENGTH   bytes that one upload may have (default: 1073741824)
  FLASK_DELEGATE_PYTHON       the Python to use (default: /usr/bin/python3)
Other variables PORTAL_... and FLASK_... do not reach the portal.

exit status: 0 after Ctrl-C or SIGTERM, once everything has stopped (130 or 143 where Apache was not
started yet); 1 when something failed; 2 when it cannot work as called."""
_DATA = """the folder for the database, the files and the secret key; created if it is missing
    (default as root: /var/lib/flask-delegate/data; else:
    ${XDG_STATE_HOME:-$HOME/.local/state}/flask-delegate/data)"""
_OTHER = "Choose another with --data"
_MISREAD = re.compile(r'[\x00-\x1f\x7f"\\*?\[\]{}$%]')


def main(words: Sequence[str]) -> None:
    """Serve until a signal."""
    parser = Parser(HELP, MORE)
    parser.add_argument("--port", default="8000", help="where to listen (default: 8000)")
    parser.add_argument("--data", metavar="DIR", help=_DATA)
    clients = "how many slow clients to expect at once (default: 1000, or what memory allows)"
    parser.add_argument("--clients", metavar="N", help=clients)
    demo = "create demo accounts and files; prints 'demo account: NAME PASSWORD' for each account"
    parser.add_argument("--demo", action="store_true", help=demo)
    given = parser.parse(words)
    for name in ("port", "data", "clients"):
        if getattr(given, name) == "":
            refuse(f"--{name} needs a value. See --help.")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given.port) or int(given.port) > 65535:
        refuse(f"'{given.port}' is not a port. Give --port a number from 1 to 65535, such as 8000.")
    limit = os.environ.get("PORTAL_MAX_CONTENT_LENGTH") or str(1024**3)
    if not re.fullmatch(r"[1-9][0-9]{0,14}", limit):
        refuse(f"PORTAL_MAX_CONTENT_LENGTH is '{limit}'. Set it to a number of bytes, or unset it.")
    # The caller's may be meant for something else, or switch the portal's protection off.
    for name in [name for name in os.environ if name.startswith(("PORTAL_", "FLASK_"))]:
        del os.environ[name]
    with ExitStack() as stack, Jobs() as jobs:
        install_packages(jobs, "mod_wsgi", "npm", CERTIFICATES)
        check_python(daemon())
        variables = choose_sizes("run", given.clients)
        _check_port(int(given.port))
        data = _prepare_data(given.data or str(state() / "data"), stack)
        environment, browser = Environment(["mod-wsgi"]), BrowserFiles()
        environment.make(jobs)
        browser.make(jobs)
        folder = _new_folder(given.port, stack)
        copy_code(folder / "app", "flask_delegate", "portal", "deploy/wsgi.py", "deploy/apache")
        browser.put(folder / "app")
        # Apache and its daemon processes inherit these, too.
        os.environ |= {
            **variables,
            "APP": str(folder / "app"),  # uploads.conf reads it, and the sizes
            "PORTAL_DATA": str(data),
            "PORTAL_SESSION_COOKIE_SECURE": "false",  # plain HTTP, on the loopback interface
            "PORTAL_MAX_CONTENT_LENGTH": limit,
        }
        _Server(jobs, folder, environment, given.port, int(limit)).serve(demo=given.demo)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "")
            if name == "EADDRINUSE":
                owner = _owner(port)
                refuse(f"port {port} is taken{owner}. Stop that, or choose another --port.")
            if name == "EACCES":
                refuse(f"only root may listen on port {port}. Choose a --port from 1024 up.")
            refuse(f"cannot listen on 127.0.0.1:{port} ({name}). Choose another --port.")


def _owner(port: int) -> str:
    with suppress(OSError):
        command = ["ss", "-Hltnp", f"sport = :{port}"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if found := re.search(r'users:\(\("([^"]*)",pid=([0-9]*)', listed):
            return f" ({found[1]}, process {found[2]})"
    return ""


def _prepare_data(given: str, stack: ExitStack) -> Path:
    """Return a folder that is the portal's user's alone, and this script's."""
    data = Path(given).resolve()
    if _MISREAD.search(given + str(data)):
        refuse(
            f"the folder {shlex.quote(given)} has a character in its path that Apache would"
            f' misread: " \\ * ? [ ] {{ }} $ % or a control character. {_OTHER}.'
        )
    user = daemon() or pwd.getpwuid(os.geteuid())
    for folder in data.parents:
        # Path.exists raises where a folder above is closed.
        if os.path.exists(folder) and not _test("-d", folder, "-a", "-x", folder):  # noqa: PTH110
            refuse(
                f"the user {user.pw_name} cannot enter {folder}, so it cannot keep data in {data}."
                " Choose another folder with --data, such as /srv/portal."
            )
    _make_data(data, user)
    if not _test("-O", data, "-a", "-r", data, "-a", "-w", data, "-a", "-x", data):
        refuse(
            f"cannot use the folder {data}: it is not empty, and it has to belong to the user"
            f" {user.pw_name}, which the portal runs as. {_OTHER}, a new or an empty one."
        )
    found = data.stat()
    if (mode := stat.S_IMODE(found.st_mode)) & 0o022:
        refuse(
            f"cannot use the folder {data}: other users may write to it (mode {mode:o}). If you"
            f" trust what is in it: chmod go= {shlex.quote(str(data))}. Or choose another with"
            " --data."
        )
    # Elsewhere, as the portal locks the folder itself for moments.
    lock = state() / "run" / f"data-{found.st_dev}-{found.st_ino}"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    if not hold(lock, stack):
        refuse(f"another scripts/run uses the folder {data}. Stop it, or c{_OTHER[1:]}.")
    stack.callback(lock.unlink, missing_ok=True)
    return data


def _make_data(data: Path, user: pwd.struct_passwd) -> None:
    """Create the folder where it is missing, and close it to others where it is empty."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        refuse(f"{data} is not a folder. {_OTHER}.")
    except OSError:
        refuse(f"cannot create the folder {data}. {_OTHER}.")
    if not subprocess.run(["ls", "-A", data], capture_output=True, check=False).stdout:
        try:
            data.chmod(0o700)
            os.chown(data, user.pw_uid, user.pw_gid)
        except OSError:
            refuse(f"the folder {data} is not yours. {_OTHER}.")


def _test(*words: str | Path) -> bool:
    """Ask ``test``, as the portal's user."""
    return subprocess.run(["test", *words], check=False, **as_user(daemon())).returncode == 0


def _new_folder(port: str, stack: ExitStack) -> Path:
    """Create the folder of this start: the code as it is now, the server's configuration and logs.

    The portal's user can read it, but not change it.
    """
    folder = state() / "run" / port
    folder.mkdir(exist_ok=True)
    if not hold(folder, stack):
        refuse(
            f"another scripts/run is at work for port {port}. Stop it, or choose another --port."
        )
    stack.callback(_remove, folder)
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
    folder.chmod(0o750)
    if user := daemon():
        os.chown(folder, -1, user.pw_gid)
    for name in ("app", "server"):
        (folder / name).mkdir()
    return folder


def _remove(folder: Path) -> None:
    if not (folder / "failed").exists():
        shutil.rmtree(folder, ignore_errors=True)


class _Server:
    """Apache with the portal, and what reads its receipts."""

    def __init__(
        self, jobs: Jobs, folder: Path, environment: Environment, port: str, upload_limit: int
    ) -> None:
        self.jobs, self.folder, self.port, self.limit = jobs, folder, port, upload_limit
        self.app, self.server, self.bin = folder / "app", folder / "server", environment.bin

    def serve(self, *, demo: bool) -> None:
        """Prepare the portal, start all of it, and wait for its end."""
        # The portal says itself what is wrong.
        if self._flask("portal", "upgrade", stdout=sys.stderr):
            raise SystemExit(1)
        if demo and self._flask("portal", "demo"):
            raise SystemExit(1)
        self._write_guard()
        output = (self.server / "output").open("wb")
        self.jobs.status = 0
        apache = self._start_apache(output)
        if not self.jobs.wait_until(lambda: apache.poll() is not None or self._is_healthy(), 60):
            self._fail_with_log("the portal did not become healthy in 60 seconds")
        if apache.poll() is not None:
            self._fail_with_log("Apache did not start")
        follow = ("portal", "receipts", "--follow", self.server / "downloads.log")
        self.jobs.start(
            *self._flask_words(*follow), **self._options(), stdout=output, stderr=output
        )
        print(f"ready: http://127.0.0.1:{self.port}/", flush=True)
        with self.jobs.waiting():
            apache.wait()
        self._fail_with_log("Apache stopped")

    def _flask(self, *words: str | Path, **options: Any) -> int:
        return self.jobs.run(*self._flask_words(*words), **self._options(), **options)

    def _flask_words(self, *words: str | Path) -> list[str | Path]:
        return ["env", "PYTHONDONTWRITEBYTECODE=1", self.bin / "flask", "--app", "portal", *words]

    def _options(self) -> dict[str, Any]:
        return {"cwd": self.app, **as_user(daemon())}

    def _write_guard(self) -> None:
        """Write Apache's configuration for the user who starts it alone: it holds a token."""
        words = ("--process-group", "portal", "--receipts", self.server / "downloads.log")
        descriptor = os.open(self.folder / "guard.conf", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if self._flask("delegate", "apache-config", *words, stdout=file):
                fail("could not write Apache's configuration.")

    def _start_apache(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        apache, user = self.app / "deploy" / "apache", daemon()
        included = (self.folder / "guard.conf", *map(apache.joinpath, INCLUDED))
        # No path has a space: lib.machine.state sees to that. Somebody may take an hour for a ZIP.
        options = f"""
            --host 127.0.0.1 --port {self.port} --locale C.UTF-8 --server-root {self.server}
            --working-directory {self.app} --python-path {self.app} --process-group portal
            --processes {os.environ["SIZE_PROCESSES"]} --threads {os.environ["SIZE_THREADS"]}
            --max-clients {os.environ["SIZE_WORKERS"]} --startup-timeout 60 --request-timeout 0
            --enable-sendfile --limit-request-body {body_limit(self.limit)}
            --rewrite-rules {apache}/uploads.rules
            {" ".join(f"--include-file {file}" for file in included)}
            --header-timeout 20 --header-max-timeout 40 --header-min-rate 500
            --body-timeout 20 --body-min-rate 1000 --log-level warn
            {f"--user {user.pw_name} --group {user.pw_name}" if user else ""}"""
        # A download needs one for its connection and one for its file.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        command = [self.bin / "mod_wsgi-express", "start-server", *options.split()]
        script = self.app / "deploy" / "wsgi.py"
        return self.jobs.start(*command, script, cwd=self.app, stdout=output, stderr=output)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=10)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False

    def _fail_with_log(self, message: str) -> NoReturn:
        (self.folder / "failed").touch()  # so the logs are kept
        say(f"the end of {self.server}/output and error_log:")
        for name in ("output", "error_log"):
            with suppress(OSError):
                lines = (self.server / name).read_text(errors="replace").splitlines()
                say("\n".join(lines[-20:]))
        fail(f"{message}.")
