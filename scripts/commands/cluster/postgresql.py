"""PostgreSQL for the cluster: a server, and a standby that has all that was committed."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from ...lib import machine
from ...lib.jobs import Jobs, as_user
from ...lib.messages import fail, say
from .services import Service, Services

_SHORT_OF_MEMORY = ("shared_buffers=64MB", "max_connections=200")
_PRIMARY = (*_SHORT_OF_MEMORY, "listen_addresses=")


def programs() -> Path:
    """Return the folder with the newest PostgreSQL's programs, which Debian does not link."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    if not found:
        fail("there is no PostgreSQL in /usr/lib/postgresql.")
    return found[-1]


class Databases:
    """The server, and its standby.

    They listen on sockets in folders that nobody else can enter, so they ask for no password.

    :param data: where they keep what they have.
    """

    def __init__(self, jobs: Jobs, services: Services, data: Path, *, standby: bool) -> None:
        self._jobs, self._services = jobs, services
        self._mark, self._places = data / "first", (data / "postgresql", data / "standby")
        first, other = self._places
        if self._mark.exists():  # the standby has taken over, and has what came since
            first, other = other, first
        self._folders = [first, *([other] if standby else [])]

    @property
    def url(self) -> str:
        """The address of the database, for the portal: whichever server takes writes."""
        hosts = ",".join(str(folder) for folder in self._folders)
        wanted = "&target_session_attrs=read-write" if len(self._folders) > 1 else ""
        return f"postgresql://portal@/portal?host={hosts}{wanted}"

    def start(self) -> None:
        """Start them, with an empty database where there is none."""
        first, *others = self._folders
        is_new = not (first / "data/PG_VERSION").exists()
        if is_new:
            words = ("--username=portal", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
            self._run("initdb", "-D", first / "data", *words)
        primary = self._service("postgresql", first, synchronous=bool(others))
        if others:
            primary.instead = self._take_over
        self._services.run(primary)
        self._services.wait_until(lambda: self._answers(first), primary, 60)
        if is_new:
            # Nobody waits for a standby that is not there yet.
            self._run("createdb", "-h", first, "-U", "portal", "portal", env=_NOT_WAITING)
        for folder in others:
            self._copy(first, folder)
            standby = self._service("standby", folder)
            self._services.run(standby)
            self._services.wait_until(lambda: self._answers(others[0]), standby, 60)

    def _service(self, name: str, folder: Path, *, synchronous: bool = False) -> Service:
        settings = [*_PRIMARY, "synchronous_standby_names=*"] if synchronous else list(_PRIMARY)
        words = [word for one in settings for word in ("-c", one)]
        command = (programs() / "postgres", "-D", folder / "data", "-k", folder, *words)
        return Service(name, command, ends_by=signal.SIGINT)

    def _copy(self, first: Path, folder: Path) -> None:
        """Make a standby of a server, anew with each start."""
        shutil.rmtree(folder / "data", ignore_errors=True)
        words = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self._run("pg_basebackup", "-h", first, "-U", "portal", "-D", folder / "data", *words)

    def _take_over(self) -> None:
        say("the standby takes over; the first server is not started again")
        self._run("pg_ctl", "promote", "-D", self._folders[1] / "data")
        # From the next start on, it is the first one, and the other is made anew.
        if self._folders[1] == self._places[0]:
            self._mark.unlink()
        else:
            self._mark.touch()

    def _answers(self, folder: Path) -> bool:
        return subprocess.call([programs() / "pg_isready", "-q", "-h", str(folder)]) == 0

    def _run(self, name: str, *words: str | Path, **options: Any) -> None:
        failure = f"{name} failed."
        options |= {"cwd": "/", **as_user(machine.daemon())}
        self._jobs.quietly(programs() / name, *words, failure=failure, **options)


_NOT_WAITING = {"PGOPTIONS": "-c synchronous_commit=local"}
