"""scripts/run: install what is missing and serve the portal on the loopback interface."""

from __future__ import annotations

import atexit
import errno
import http.client
import json
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from ..lib import machine
from ..lib.environment import BrowserFiles, Environment
from ..lib.jobs import Jobs, as_user, hold
from ..lib.messages import Parser, fail, refuse, say

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
    given = parser.parse_args(words)
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
    variables = machine.choose_sizes("run", given.clients)  # before anything is installed
    with Jobs() as jobs:
        machine.install_packages(jobs, *machine.MOD_WSGI, "npm", machine.CERTIFICATES)
        machine.check_python(machine.daemon())
        _check_port(int(given.port))
        data = _prepare_data(given.data or str(machine.state() / "data"))
        environment, browser = Environment(["mod-wsgi"]), BrowserFiles()
        environment.make(jobs)
        browser.make(jobs)
        folder = _new_folder(given.port)
        code = ("wsgi.py", "apache", "apache-express")
        machine.copy_code(
            folder / "app", "flask_delegate", "portal", *(f"deploy/{name}" for name in code)
        )
        browser.put(folder / "app")
        # Apache and its daemon processes inherit these, too.
        os.environ |= {
            **variables,
            "LOOPBACK_PORT": given.port,
            "VENV": str(environment.path),
            "CREDENTIALS_DIRECTORY": str(folder),
            "BODY_LIMIT": str(int(limit) + machine.BODY_MARGIN),
            "PORTAL_DATA": str(data),
            "PORTAL_SESSION_COOKIE_SECURE": "false",  # plain HTTP, on the loopback interface
            "PORTAL_MAX_CONTENT_LENGTH": limit,
        }
        _Server(jobs, folder, environment.bin / "flask", given.port).serve(demo=given.demo)


def _check_port(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        if name == "EADDRINUSE":
            refuse(f"port {port} is taken{_owner(port)}. Stop that, or choose another --port.")
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


def _prepare_data(given: str) -> Path:
    """Return a folder that is the portal's user's alone, and this script's."""
    data = Path(given).resolve()
    if _MISREAD.search(given + str(data)):
        refuse(
            f"the folder {shlex.quote(given)} has a character in its path that Apache would"
            f' misread: " \\ * ? [ ] {{ }} $ % or a control character. {_OTHER}.'
        )
    user = machine.daemon() or pwd.getpwuid(os.geteuid())
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
    lock = machine.state() / "run" / f"data-{found.st_dev}-{found.st_ino}"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    if not hold(lock):
        refuse(f"another scripts/run uses the folder {data}. Stop it, or c{_OTHER[1:]}.")
    atexit.register(lock.unlink, missing_ok=True)
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
    return subprocess.call(["test", *words], **as_user(machine.daemon())) == 0


def _new_folder(port: str) -> Path:
    """Create the folder of this start: the code as it is now, the server's configuration and logs.

    The portal's user can read it, but not change it.
    """
    folder = machine.state() / "run" / port
    folder.mkdir(exist_ok=True)
    if not hold(folder):
        refuse(
            f"another scripts/run is at work for port {port}. Stop it, or choose another --port."
        )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
    folder.chmod(0o750)
    if user := machine.daemon():
        os.chown(folder, -1, user.pw_gid)
    for name in ("app", "server"):
        (folder / name).mkdir()
    return folder


@dataclass
class _Server:
    """Apache with the portal, and what reads its receipts."""

    jobs: Jobs
    folder: Path
    flask: Path
    port: str

    def serve(self, *, demo: bool) -> None:
        """Prepare the portal, start all of it, and wait for its end."""
        # The portal says itself what is wrong.
        run = self.jobs.run
        if self._flask(run, "portal", "upgrade", stdout=sys.stderr):
            raise SystemExit(1)
        if demo and self._flask(run, "portal", "demo"):
            raise SystemExit(1)
        log = self.folder / "server/downloads.log"
        # For the user who starts Apache alone: it holds a token.
        descriptor = os.open(self.folder / "guard.conf", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            rules = ("delegate", "apache-config", "--process-group", "portal", "--receipts", log)
            if self._flask(run, *rules, stdout=file):
                fail("could not write Apache's configuration.")
        output = (self.folder / "server/output").open("wb")
        self.jobs.status = 0
        apache = self._start_apache(output)
        if not self.jobs.wait_until(lambda: apache.poll() is not None or self._is_healthy(), 60):
            self._fail_with_log("the portal did not become healthy in 60 seconds")
        if apache.poll() is not None:
            self._fail_with_log("Apache did not start")
        follow = ("portal", "receipts", "--follow", log)
        self._flask(self.jobs.start, *follow, stdout=output, stderr=output)
        print(f"ready: http://127.0.0.1:{self.port}/", flush=True)
        with self.jobs.waiting():
            apache.wait()
        self._fail_with_log("Apache stopped")

    def _start_apache(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        # A download needs one for its connection and one for its file.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        app, user = self.folder / "app", machine.daemon()
        command = [app / "deploy/apache-express/serve", "start-server", self.folder / "server"]
        options = ("--user", user.pw_name, "--group", user.pw_name) if user else ()
        return self.jobs.start(*command, *options, cwd=app, stdout=output, stderr=output)

    def _flask(self, start: Callable[..., Any], *words: object, **options: Any) -> Any:
        """Start the command 'flask' in one of the two ways of jobs, as the portal's user."""
        flask = ("env", "PYTHONDONTWRITEBYTECODE=1", self.flask, "--app", "portal")
        options |= {"cwd": self.folder / "app", **as_user(machine.daemon())}
        return start(*flask, *words, **options)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=10)
        with suppress(OSError, http.client.HTTPException, ValueError):
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            # On a full disk, people have to be able to delete.
            return response.status == 200 or json.load(response).get("failing") == ["space"]
        return False

    def _fail_with_log(self, message: str) -> NoReturn:
        atexit.unregister(shutil.rmtree)  # so the logs are kept
        server = self.folder / "server"
        say(f"the end of {server}/output and error_log:")
        for name in ("output", "error_log"):
            with suppress(OSError):
                say("\n".join((server / name).read_text(errors="replace").splitlines()[-20:]))
        fail(f"{message}.")
