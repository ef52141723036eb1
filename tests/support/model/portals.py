"""Portals for the machine to drive: in this process, or behind a real Apache."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from unittest.mock import patch

from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test
from hypothesis.strategies._internal import featureflags
from jinja2 import FileSystemBytecodeCache

from portal import cli, create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.models import Role

from ..portal_process import shared_folder, started
from ..sites import DAEMON_USER
from .browser import through_port, through_wsgi
from .clock import Clock, RealClock, believed
from .machine import Machine
from .state import NAMES, PASSWORD, Running
from .world import QUOTA, TRASH_DAYS, UPLOAD_DAYS

_prepared: list[bytes] = []


@contextmanager
def in_this_process(templates: FileSystemBytecodeCache) -> Iterator[Running]:
    """Open a portal that believes the model's clock."""
    clock = Clock()
    with TemporaryDirectory() as folder, believed(clock):
        data = Path(folder).resolve() / "data"
        app = _create(data)
        app.jinja_env.bytecode_cache = templates
        if _prepared:
            (data / "portal.db").write_bytes(_prepared[0])
        else:
            _prepare(app)
            _prepared.append((data / "portal.db").read_bytes())
        runner = app.test_cli_runner()

        def clean_up() -> None:
            result = runner.invoke(cli.portal, ["cleanup"])
            assert result.exit_code == 0, result.output

        yield Running(through_wsgi(app), data, clock, clean_up)
        with app.app_context():
            database.db.engine.dispose()


@contextmanager
def behind_apache() -> Iterator[Running]:
    """Start ``scripts/run``, with accounts whose quota is the model's."""
    with shared_folder() as folder:
        data = folder / "data"
        _prepare(_create(data), quota=QUOTA)
        for path in (data, *data.rglob("*")):
            if DAEMON_USER:
                shutil.chown(path, DAEMON_USER, DAEMON_USER)
        with started(data) as run:
            yield Running(through_port(run.port), data, RealClock(), lambda: None, quota=QUOTA)


def _create(data: Path) -> Flask:
    days = {"TRASH_DAYS": TRASH_DAYS, "UPLOAD_DAYS": UPLOAD_DAYS}
    return create_app({"DATA": str(data), "QUOTA": QUOTA, "SESSION_COOKIE_SECURE": False, **days})


def _prepare(app: Flask, quota: int | None = None) -> None:
    with app.app_context():
        database.upgrade()
        for name in NAMES:
            role = Role.ADMINISTRATOR if name == NAMES[0] else Role.MEMBER
            accounts.create(name, PASSWORD.format(name), role, quota)
        database.db.session.close()
        database.db.engine.dispose()  # which ends the journal


def drive(
    opened: Callable[[], AbstractContextManager[Running]], steps: int, each: int
) -> Counter[str]:
    """Drive portals with so many steps, each portal with a few; return what was done.

    ``MODEL_SEED`` chooses other steps.
    """

    class Here(Machine):
        open = staticmethod(opened)
        done: ClassVar[Counter[str]] = Counter()

    seeded(int(os.environ.get("MODEL_SEED", "0")))(Here)
    wanted = settings(
        max_examples=2 + steps // each,  # the first has one step, the second one step many times
        stateful_step_count=each,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # each step that is tried while shrinking takes its time, too
        suppress_health_check=list(HealthCheck),
    )
    # Hypothesis would leave many rules out of each portal, to reach deep into a few: with portals
    # as few as these, some rules would hardly be tried.
    with patch.object(featureflags.FeatureFlags, "is_enabled", lambda _flags, _name: True):
        run_state_machine_as_test(Here, settings=wanted)
    return Here.done
