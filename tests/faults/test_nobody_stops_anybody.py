"""One person, or one program, keeps nobody else from pages and downloads.

``FAULTS=all`` tries all of it, as ``scripts/test faults`` does; else one of each kind.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

WHOLE = os.environ.get("FAULTS") == "all"
SEED = os.environ.get("FAULTS_SEED", "1")


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Keep everybody from writing the database."""
    with closing(sqlite3.connect(data / "portal.db", timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("number", range(25 if WHOLE else 1))
def test_what_was_recorded_outlives_its_process_once(number: int, tmp_path: Path) -> None:
    rules, data = Random(f"{SEED} {number}"), tmp_path.resolve() / "data"  # noqa: S311
    environment = {**os.environ, "PORTAL_DATA": str(data)}
    portal = [sys.executable, "-m", "flask", "--app", "portal", "portal"]
    subprocess.run([*portal, "upgrade"], env=environment, check=True)
    with (tmp_path / "said").open("wb") as said:
        words = [sys.executable, "-u", "-m", "tests.support.recorder"]
        recorders = [
            subprocess.Popen([*words, name], env=environment, stdout=said, stderr=said)
            for name in ("a", "b", "c", "d")
        ]
        while b"c 1\n" not in (tmp_path / "said").read_bytes():
            time.sleep(0.01)
        for recorder in recorders:
            with locked(data):
                time.sleep(rules.uniform(0, 0.2))
                if rules.random() < 0.5:
                    recorder.kill()
            time.sleep(rules.uniform(0, 0.2))
            recorder.kill()
            recorder.wait()
    acknowledged = (tmp_path / "said").read_text().splitlines()
    subprocess.run([*portal, "cleanup"], env=environment, check=True)
    with closing(sqlite3.connect(data / "portal.db")) as database:
        rows = database.execute("SELECT detail FROM activity ORDER BY id")
        recorded = [detail for (detail,) in rows]
    assert len(recorded) == len(set(recorded))
    for name in ("a", "b", "c", "d"):
        mine = [detail for detail in recorded if detail.startswith(name)]
        told = [detail for detail in acknowledged if detail.startswith(name)]
        # What was recorded last may be there without having been told.
        assert mine in ([f"{name} {n}" for n in range(len(told) + more)] for more in (0, 1))
