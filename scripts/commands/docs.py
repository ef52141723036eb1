"""scripts/docs: build the documentation as a site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..lib.environment import for_developers
from ..lib.jobs import Jobs, in_foreground
from ..lib.machine import CLONE, install_packages
from ..lib.messages import Parser, say


def main(words: Sequence[str]) -> None:
    """Build it into the folder that is named, or into build/docs. Any warning is an error."""
    parser = Parser("Build the documentation as a site. Any warning is an error.")
    parser.add_argument("folder", nargs="?", type=Path, default=CLONE / "build" / "docs")
    target = parser.parse(words).folder.resolve()
    environment = for_developers(groups=("docs",))
    with Jobs() as jobs:
        install_packages(jobs)
        environment.make(jobs)
    # No build before this one decides what is read and warned of.
    options = ("--fresh-env", "--fail-on-warning", "--keep-going", "--quiet")
    sphinx = (environment.bin / "python", "-m", "sphinx", *options, "docs", target)
    status = in_foreground(*sphinx, cwd=CLONE, env=environment.variables())
    if status == 0:
        say(f"open {target}/index.html")
    raise SystemExit(status)
