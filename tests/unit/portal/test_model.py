"""The portal beside a model of it: many steps of several people, compared after each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test
from jinja2 import FileSystemBytecodeCache

from portal import cli, create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.models import Role
from tests.support.model.browser import through_wsgi
from tests.support.model.clock import Clock, believed
from tests.support.model.machine import Machine
from tests.support.model.state import NAMES, PASSWORD, Running
from tests.support.model.world import QUOTA, TRASH_DAYS, UPLOAD_DAYS

STEPS = int(os.environ.get("MODEL_STEPS", "1000"))
SEED = int(os.environ.get("MODEL_SEED", "0"))
EACH = 50 if STEPS <= 1000 else 100
_PREPARED: list[bytes] = []


@contextmanager
def opened(templates: FileSystemBytecodeCache) -> Iterator[Running]:
    """Open a portal in this process, which believes the model's clock."""
    clock = Clock()
    with TemporaryDirectory() as folder, believed(clock):
        data = Path(folder).resolve() / "data"
        app = create_app(
            {
                "DATA": str(data),
                "QUOTA": QUOTA,
                "TRASH_DAYS": TRASH_DAYS,
                "UPLOAD_DAYS": UPLOAD_DAYS,
                "SESSION_COOKIE_SECURE": False,
            }
        )
        app.jinja_env.bytecode_cache = templates
        with app.app_context():
            if _PREPARED:
                (data / "portal.db").write_bytes(_PREPARED[0])
            else:
                _prepare(data)
        runner = app.test_cli_runner()

        def clean_up() -> None:
            result = runner.invoke(cli.portal, ["cleanup"])
            assert result.exit_code == 0, result.output

        yield Running(through_wsgi(app), data, clock, clean_up)
        with app.app_context():
            database.db.engine.dispose()


def _prepare(data: Path) -> None:
    database.upgrade()
    for name in NAMES:
        role = Role.ADMINISTRATOR if name == NAMES[0] else Role.MEMBER
        accounts.create(name, PASSWORD.format(name), role)
    database.db.session.close()
    database.db.engine.dispose()  # which ends the journal
    _PREPARED.append((data / "portal.db").read_bytes())


@pytest.mark.timeout(8 * 60 * 60)
def test_portal_is_as_its_model(compiled_templates: FileSystemBytecodeCache) -> None:
    class Here(Machine):
        open = staticmethod(lambda: opened(compiled_templates))

    seeded(SEED)(Here)
    wanted = settings(
        max_examples=max(STEPS // EACH, 1),
        stateful_step_count=EACH,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=wanted)
    print(dict(Machine.steps))  # noqa: T201  (what a long run has done)
