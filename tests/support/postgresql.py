"""A PostgreSQL server of one's own: on a socket in a folder, for as long as something runs.

``python -m tests.support.postgresql COMMAND...`` runs a command with one. Where it cannot start,
that fails.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

VARIABLE = "TEST_POSTGRESQL"
"""Names the folder of the server's socket; where it is set, the portal's tests use that server."""
SERVER = os.environ.get(VARIABLE, "")
MIGRATED, PREPARED = "migrated", "prepared"
"""Databases to copy: of the present schema, and with the accounts of the tests as well."""
_USER = "portal"
_SETTINGS = (
    "listen_addresses=",
    # What is lost with the power is of a test.
    *("fsync=off", "full_page_writes=off", "autovacuum=off"),
    *("max_connections=200", "shared_buffers=64MB", "max_wal_size=4GB"),
    "unix_socket_permissions=0777",
)
_LONGEST_START = 60
_created: set[str] = set()


def url(folder: str | Path, database: str) -> str:
    """Return the address of a database."""
    return f"postgresql://{_USER}@/{database}?host={folder}"


class Server:
    """A server that runs.

    :ivar folder: of its socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        folder = self.folder
        command = _program("postgres", "-D", str(folder / "data"), "-k", str(folder))
        options = [word for one in _SETTINGS for word in ("-c", one)]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        self._wait()

    def url(self, database: str) -> str:
        return url(self.folder, database)

    def execute(self, *statements: str) -> None:
        execute(self.folder, *statements)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, or as the signal says."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(how)
        self._process.wait(30)

    def freeze(self) -> None:
        """Have neither it nor its children do anything until :meth:`thaw`."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        pid = self._process.pid
        if self._process.poll() is not None:
            return []
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _wait(self) -> None:
        end = time.monotonic() + _LONGEST_START
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("template1")).close()
                return
            time.sleep(0.05)
        self._process.kill()
        raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()}")


@contextmanager
def folder(above: Path | None = None) -> Iterator[Path]:
    """Create a folder with the data of a server that was never started; none: in memory."""
    memory = Path("/dev/shm")  # noqa: S108  (to copy databases takes a fifth of the time there)
    above = above or (memory if memory.is_dir() else None)
    path = Path(tempfile.mkdtemp(prefix="portal-pg-", dir=above))
    try:
        if user := _user():
            os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(0o755)
        words = ["-D", str(path / "data"), "-U", _USER, "--auth=trust", "--no-sync"]
        words += ("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions")
        subprocess.run(_program("initdb", *words), check=True, capture_output=True, cwd="/")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running(above: Path | None = None) -> Iterator[Server]:
    """Start a server, and end it with the block; the folder above is that of :func:`folder`."""
    with folder(above) as path:
        server = Server(path)
        try:
            yield server
        finally:
            server.thaw()
            server.stop()


@contextmanager
def following(primary: Server) -> Iterator[Server]:
    """Start a standby of a server, and end it with the block."""
    with folder() as path:
        shutil.rmtree(path / "data")
        words = (f"--pgdata={path}/data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        command = _program("pg_basebackup", *words, f"--dbname={primary.url('template1')}")
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        server = Server(path)
        try:
            yield server
        finally:
            server.thaw()
            server.stop()


def execute(folder: str | Path, *statements: str) -> None:
    """Run statements in no database of a test."""
    with psycopg.connect(url(folder, "template1"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def name_for(data: Path) -> str:
    """Return the name of the database that a data folder has in place of a file."""
    return f"t_{hashlib.sha256(str(data).encode()).hexdigest()[:24]}"


def url_for(data: Path) -> str | None:
    """Return the address of a data folder's database; none for SQLite."""
    return url(SERVER, name_for(data)) if SERVER else None


def variables(data: Path) -> dict[str, str]:
    """Return the variables of a process with the portal of a data folder."""
    address = url_for(data)
    return {"PORTAL_DATA": str(data), **({"PORTAL_DATABASE": address} if address else {})}


def create(data: Path, template: str = "template0") -> None:
    """Create a data folder's database, in place of another one."""
    name = name_for(data)
    drop = [f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"] if name in _created else []
    execute(SERVER, *drop, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    _created.add(name)


def ensure(data: Path) -> None:
    """Create a data folder's database, empty, unless there is one."""
    if name_for(data) not in _created:
        create(data)


def rows(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Read all tables of the portal."""
    address = url_for(data)
    assert address
    with psycopg.connect(address, row_factory=dict_row) as connection:
        tables = connection.execute(
            "SELECT table_name AS name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_name != 'alembic_version' ORDER BY 1"
        ).fetchall()
        return {
            one["name"]: connection.execute(f'SELECT * FROM "{one["name"]}" ORDER BY 1').fetchall()  # noqa: S608
            for one in tables
        }


def save(data: Path) -> None:
    """Remember what a data folder's database holds, for :func:`restore`; nobody is connected."""
    name = name_for(data)
    execute(SERVER, f"CREATE DATABASE {name}_saved TEMPLATE {name} STRATEGY file_copy")
    _created.add(f"{name}_saved")


def restore(data: Path) -> None:
    """Have a data folder's database hold what it held."""
    create(data, f"{name_for(data)}_saved")


@contextmanager
def dropped() -> Iterator[None]:
    """Drop the databases that are created in the block at its end."""
    before = set(_created)
    yield
    if made := _created - before:
        execute(SERVER, *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in made))
        _created.difference_update(made)


def _program(name: str, *words: str) -> list[str]:
    """Return a command, run by an ordinary user: PostgreSQL refuses to run as root."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise RuntimeError(f"there is no {name}: install Debian's package postgresql")
    if user := _user():
        ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        return ["setpriv", *ids, program, *words]
    return [program, *words]


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _main(command: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with running() as server:
        variables = {**os.environ, VARIABLE: str(server.folder)}
        # In a process of its own, as it sets what the portal's tests set.
        subprocess.run([sys.executable, "-m", "tests.support.databases"], env=variables, check=True)
        return subprocess.run(command, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
