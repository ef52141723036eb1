"""Processes that are killed at random moments: nothing that was acknowledged is lost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.support.portal_process import Run, shared_folder, started
from tests.support.sites import DAEMON_USER

from .application import check_application, open_portal
from .conftest import SEED, WHOLE
from .person import Person
from .server import (
    check_portal,
    command,
    kill,
    kill_command,
    output_of,
    people_of,
    wait_until_healthy,
)
from .work import at_work, copy_of, go_on

pytestmark = pytest.mark.timeout(900)

ROUNDS = [
    ("web", "worker", "cleanup", "backup", "restore"),
    ("uploads", "web", "check", "receipts", "parent"),
]
"""Whom to kill, one after another. Apache's parent comes last, as all ends with it."""


@dataclass
class Portal:
    """A portal that is started again where it ended, and its people."""

    run: Run
    people: list[Person]
    folder: Path
    stack: ExitStack

    def kill(self, victim: str, rules: Random) -> None:
        """Kill a process of the server, or a command that this starts."""
        match victim:
            case "cleanup":
                kill_command(command(self.run, "cleanup"), rules)
            case "check":
                kill_command(command(self.run, "check", "--repair"), rules)
            case "backup":
                kill_command(command(self.run, "backup", self.folder / "killed.tar"), rules)
                (self.folder / "killed.tar").unlink(missing_ok=True)
            case "restore":
                self.kill_restore(rules)
            case _:
                kill(self.run, victim, rules)
        if victim == "parent":
            began = time.monotonic()
            assert self.run.process.wait(30) == 1
            assert time.monotonic() - began < 8
            self.stack.close()
            self.run = self.stack.enter_context(started(self.run.data, port=self.run.port))

    def kill_restore(self, rules: Random) -> None:
        """Kill the restore of a backup of the portal at work, restore it again, and check it."""
        archive, restored = self.folder / "whole.tar", self.folder / "restored"
        before = time.monotonic()
        output_of(command(self.run, "backup", archive))
        until, known = time.monotonic(), copy_of(self.people)
        kill_command(command(self.run, "restore", archive, data=restored), rules)
        repeated = command(self.run, "restore", archive, data=restored)
        if "is in use" not in repeated.communicate(timeout=120)[1]:  # it had ended before its death
            assert repeated.returncode == 0
        for person in known:
            for file in person.files.values():
                file.upload = None  # backups have no unfinished uploads
        with open_portal(restored) as app:
            check_application(app, known, before, until)
            go_on(rules.choice(known))
        shutil.rmtree(restored)
        archive.unlink()


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with shared_folder() as folder, ExitStack() as stack:
        run = stack.enter_context(started(folder / "data", "--demo"))
        backups = folder / "backups"
        backups.mkdir()
        if DAEMON_USER:
            shutil.chown(backups, DAEMON_USER)
        yield Portal(run, people_of(run), backups, stack)


@pytest.mark.parametrize("number", range(40 if WHOLE else 2))
def test_what_was_acknowledged_outlives_processes(portal: Portal, number: int) -> None:
    rules = Random(f"{SEED} {number}")  # noqa: S311
    with at_work(portal.people, rules):
        for victim in ROUNDS[number % 2]:
            time.sleep(rules.uniform(0.1, 1))
            portal.kill(victim, rules)
        time.sleep(rules.uniform(0, 0.5))
    wait_until_healthy(portal.run)
    check_portal(portal.run, portal.people)
    go_on(rules.choice(portal.people))
