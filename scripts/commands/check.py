"""scripts/check: what can be said of the code without running it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..lib.environment import for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CLONE, install_packages
from ..lib.messages import Parser, say

_CHECKS = ("ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo")


def main(words: Sequence[str]) -> None:
    """Run all checks; one is enough to fail."""
    Parser(
        "Check style, types, imports and shell scripts. All checks run; one is enough to fail."
    ).parse(words)
    environment = for_developers()
    with Jobs() as jobs:
        install_packages(jobs, "shellcheck")
        environment.make(jobs)
    status = 0
    for check in [*_CHECKS, " ".join(["shellcheck", *_shell_scripts()])]:
        say(check)
        if in_foreground(*check.split(), cwd=CLONE, env=environment.variables()):
            status = 1
    raise SystemExit(status)


def _shell_scripts() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CLONE, capture_output=True, text=True, check=True
    )
    found = []
    for name in listed.stdout.splitlines():
        path = Path(CLONE, name)
        if not path.suffix and path.is_file() and path.open("rb").read(64).startswith(b"#!"):
            found += [name] if b"sh\n" in path.open("rb").readline() else []
    return found
