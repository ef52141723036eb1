"""A clock that is wrong for a while, and a database that somebody else holds."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest

from tests.support.paths import PROJECT
from tests.support.portal_process import shared_folder, started

from .conftest import SEED, WHOLE
from .server import check_portal, people_of, wait_until_healthy
from .work import at_work, go_on

pytestmark = pytest.mark.timeout(900)

HELD = 30 if WHOLE else 3
"""Seconds; a request waits for 10."""


def test_what_was_acknowledged_outlives_a_clock(faults_library: Path, tmp_path: Path) -> None:
    """It is set a year ahead and back, and back by 10 seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.clocks", str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "LD_PRELOAD": str(faults_library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["a year ahead", "back", "10 seconds back", "right"]


def test_what_was_acknowledged_outlives_a_lock() -> None:
    rules = Random(f"{SEED} lock")  # noqa: S311
    with shared_folder() as folder, ExitStack() as stack:
        run = stack.enter_context(started(folder / "data", "--demo"))
        people = people_of(run)
        with at_work(people, rules):
            time.sleep(1)
            with closing(sqlite3.connect(run.data / "portal.db", timeout=30)) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(HELD)
                other.execute("ROLLBACK")
            time.sleep(1)
        wait_until_healthy(run)
        check_portal(run, people)
        go_on(rules.choice(people))
