"""scripts/release: build, test and tag a release of the extension. It uploads nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ...lib.jobs import Jobs
from ...lib.machine import CLONE
from ...lib.messages import Parser
from .. import systems, tools
from .steps import Release
from .trials import PYTHONS

_ABOUT = """\
Build, test and tag a release of flask_delegate from a clean tree. It writes the version and the
date into pyproject.toml and CHANGES.md, builds the wheel and the source distribution twice and
compares them, runs scripts/check and scripts/test unit, and tests both files on every supported
Python. Only then the commit and its tag are put on the branch, and the files into dist/VERSION."""
_AFTER = "Nothing is uploaded: the last line says which command does that."


def main(words: Sequence[str]) -> None:
    """Make the release, or refuse before anything in the clone has changed."""
    parser = Parser(_ABOUT, _AFTER)
    parser.add_argument("version", metavar="VERSION", help="such as 1.2.0 or 1.2.0rc1")
    parser.add_argument(
        "--without",
        metavar="SYSTEM",
        action="append",
        default=[],
        choices=[*PYTHONS],
        help="do not test on this system, which this machine cannot make; may be repeated."
        f" The systems are {', '.join(PYTHONS)}. The tag names what was left out",
    )
    options = parser.parse_args(words)
    wanted = [system for system in PYTHONS if system not in options.without]
    release = Release(CLONE, options.version)
    release.check_tree()
    if wanted:
        systems.check_rights()
    variables = tools.prepare("shellcheck")
    if wanted:
        with Jobs() as jobs:
            systems.install_tools(jobs)
    release.make(variables, wanted)
