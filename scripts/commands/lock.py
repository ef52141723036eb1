"""scripts/lock: renew requirements.lock, what production installs, with hashes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..lib.environment import LOCK, group
from ..lib.jobs import Jobs
from ..lib.machine import CLONE, PYTHON
from ..lib.messages import Parser

_OPTIONS = ("--universal", "--python-version=3.11", "--generate-hashes", "--upgrade", "--no-header")
"""One file for every Python from that one on; and no name of a host in it."""


def main(words: Sequence[str]) -> None:
    """Resolve the dependency group anew."""
    Parser("Renew requirements.lock with the newest versions that pyproject.toml allows.").parse(
        words
    )
    with Jobs() as jobs, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv, failure = folder / "venv", "cannot install uv."
        jobs.quietly(PYTHON, "-m", "venv", venv, failure=failure)
        jobs.quietly(venv / "bin/pip", "install", *group("lock"), failure=failure)
        found = folder / LOCK.name
        command = (venv / "bin/uv", "pip", "compile", *_OPTIONS, "--no-annotate", "--no-config")
        jobs.quietly(
            *command,
            *("--group=production", "--no-emit-index-url", f"--output-file={found}"),
            cwd=CLONE,
            failure="uv could not resolve the requirements.",
        )
        text = "# What production installs. scripts/lock renews it from pyproject.toml.\n"
        LOCK.write_text(text + found.read_text())
    subprocess.run(["git", "diff", "--stat", "--", LOCK], cwd=CLONE, check=False)
