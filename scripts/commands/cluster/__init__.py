"""scripts/cluster: serve the portal with several hosts that share a database and a bucket."""

from __future__ import annotations

import atexit
import errno
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...lib import machine
from ...lib.environment import BrowserFiles, Environment
from ...lib.jobs import Jobs, hold
from ...lib.messages import Parser, refuse
from .files import give
from .hosts import Hosts, Places, address_of
from .postgresql import Databases
from .seaweedfs import BUCKET, PORTS, Store
from .services import Services

HELP = """\
Serve the portal with several hosts on one machine, to try it and to test it: PostgreSQL, a bucket
in SeaweedFS with two copies of everything, hosts that share nothing else, and nginx in front of
them on http://127.0.0.1:PORT/. It keeps serving until Ctrl-C or SIGTERM, which stops all of it.
What ends by itself, such as a host that you kill, is started again. On Debian and Ubuntu, what is
missing is installed first."""
MORE = """\
Prints 'host N: ADDRESS:PORT' for each host, and 'ready: URL' once the portal answers. The
number of each process, and what it prints, are in the folder that 'processes:' names. All of them
are on the loopback interface; as root, they run as the user www-data. Where the standby has taken
over, the next start with the same --data begins with it, and makes the other one anew.

exit status: 0 after Ctrl-C or SIGTERM (130 or 143 while it starts); 1 when something failed; 2 when
it cannot work as called."""
_POSTGRESQL = "postgresql:pg_createcluster"
_MOST_HOSTS = 16
_OTHER = "Choose another folder with --data"
_MARK = "cluster"
"""A file in a folder that a start has made."""
_HIGHEST_PORT = 55_000
"""The store has more of them above it."""


def main(words: Sequence[str]) -> None:
    """Serve until a signal."""
    parser = Parser(HELP, MORE)
    parser.add_argument("--hosts", default="2", metavar="N", help="how many hosts (default: 2)")
    parser.add_argument("--port", default="8100", help="where to listen (default: 8100)")
    kept = (
        "the folder for all that is kept; created if it is missing (default: a new one each time)"
    )
    parser.add_argument("--data", metavar="DIR", help=kept)
    standby = "have a second PostgreSQL, with all that was committed, take over if the first ends"
    parser.add_argument("--standby", action="store_true", help=standby)
    demo = "create demo accounts and files; prints 'demo account: NAME PASSWORD' for each account"
    parser.add_argument("--demo", action="store_true", help=demo)
    given = parser.parse_args(words)
    count = _number("hosts", given.hosts, _MOST_HOSTS)
    port = _number("port", given.port, _HIGHEST_PORT)
    kept_in = _checked(given.data) if given.data else None
    for name in [name for name in os.environ if name.startswith(("PORTAL_", "FLASK_", "PG"))]:
        del os.environ[name]  # the caller's may be meant for something else
    with Jobs() as jobs:
        machine.install_packages(jobs, "nginx", "npm", _POSTGRESQL, machine.CERTIFICATES)
        machine.check_python(machine.daemon())
        _check_ports(port, count)
        run = _new_folder(port)
        data = kept_in or run / "data"
        _hold(data)
        environment, browser = Environment(["gunicorn"], ["cluster"]), BrowserFiles()
        environment.make(jobs)
        browser.make(jobs)
        app = run / "app"
        app.mkdir()
        machine.copy_code(app, "flask_delegate", "portal", "deploy/wsgi.py")
        browser.put(app)
        services = Services(jobs, run)
        store = Store(jobs, services, environment.bin / "weed", data, port)
        try:
            databases = Databases(jobs, services, data, standby=given.standby)
            databases.start()
            store.start()
            shared = {
                "PORTAL_DATABASE": databases.url,
                "PORTAL_STORE": f'{{"endpoint": "{store.endpoint}", "bucket": "{BUCKET}"}}',
                "PORTAL_STORE_KEYS_FILE": str(store.keys),
            }
            places = Places(app, run, data, port)
            Hosts(jobs, services, environment, places, shared).start(count, demo=given.demo)
            jobs.status = 0
            print(f"processes: {run}")
            for number in range(1, count + 1):
                print(f"host {number}: {address_of(number)}:{port}")
            print(f"ready: http://127.0.0.1:{port}/", flush=True)
            services.keep()
        finally:
            services.stop()
            store.delete_sockets()


def _number(name: str, given: str, most: int) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given) or int(given) > most:
        refuse(f"--{name} is '{given}'. Give it a number from 1 to {most}.")
    return int(given)


def _check_ports(port: int, count: int) -> None:
    hosts = [(address_of(number), port) for number in range(1, count + 1)]
    for place in [("127.0.0.1", port + more) for more in (0, *PORTS)] + hosts:
        try:
            socket.create_server(place).close()
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "")
            refuse(f"cannot listen on {place[0]}:{place[1]} ({name}). Choose another --port.")


def _new_folder(port: int) -> Path:
    """Create the folder of this start, which the portal's user may write to."""
    folder = machine.state() / "run" / f"cluster-{port}"
    folder.parent.mkdir(exist_ok=True)
    give(folder)
    if not hold(folder):
        refuse(f"another scripts/cluster is at work for port {port}. Choose another --port.")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
    folder.chmod(0o711)
    return folder


def _checked(given: str) -> Path:
    """Return a folder that is empty, or that an earlier start has made, or refuse it."""
    folder = Path(given).resolve()
    if not re.fullmatch(r"/[A-Za-z0-9._/-]{1,60}", str(folder)):
        refuse(
            f"cannot keep data in {shlex.quote(str(folder))}. Choose a path of at most 60 letters,"
            " digits and . _ / -, which PostgreSQL's sockets and servers' configurations take."
        )
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
            refuse(f"{folder} is not empty. {_OTHER}, a new or an empty one.")
        if folder.exists() and folder.stat().st_uid not in {os.geteuid(), _user()}:
            refuse(f"{folder} belongs to somebody else. {_OTHER}.")
    except OSError as error:
        refuse(f"cannot use {folder}: {error.strerror}. {_OTHER}.")
    return folder


def _user() -> int:
    user = machine.daemon()
    return user.pw_uid if user else os.geteuid()


def _hold(folder: Path) -> None:
    try:
        give(folder)
        (folder / _MARK).touch()
    except OSError as error:
        refuse(f"cannot use {folder}: {error.strerror}. {_OTHER}.")
    if not hold(folder / _MARK):
        refuse(f"another scripts/cluster uses {folder}. Stop it, or choose another --data.")
