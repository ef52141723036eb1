"""Disks that are full, fail or take no writes, at each write of each operation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

from .conftest import WHOLE
from .failing import FAULTS

pytestmark = pytest.mark.timeout(3600)

STEP = 1 if WHOLE else 41


@pytest.mark.parametrize("fault", FAULTS if WHOLE else ["full", "fails once"])
def test_what_was_acknowledged_outlives_a_disk(
    fault: str, faults_library: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.failing", str(tmp_path), fault, str(STEP)],
        cwd=PROJECT,
        env={**os.environ, "LD_PRELOAD": str(faults_library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tried = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({operation for operation, *_ in tried}) == 16
    wrong = [line for line in tried if line[-1]]
    assert not wrong, "\n".join(
        f"{name} {call}: {said}\n{text}" for name, call, said, text in wrong
    )
