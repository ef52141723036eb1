"""scripts/reference: write the API reference, made from the docstrings, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..lib.environment import for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CLONE, install_packages
from ..lib.messages import say

MODULES = (
    "flask_delegate",
    "!flask_delegate.",
    "flask_delegate.testing",
    "flask_delegate.receipts",
)


def main(words: Sequence[str]) -> None:
    """Write it into the folder that is named, or into build/reference."""
    target = Path(words[0] if words else CLONE / "build" / "reference").resolve()
    environment = for_developers()
    with Jobs() as jobs:
        install_packages(jobs)
        environment.make(jobs)
    pdoc = (environment.bin / "python", "-m", "pdoc", "--docformat", "restructuredtext")
    command = (*pdoc, "--output-directory", target, *MODULES)
    status = in_foreground(*command, cwd=CLONE, env=environment.variables())
    say(f"open {target}/index.html")
    raise SystemExit(status)
