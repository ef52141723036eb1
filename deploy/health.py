"""What ``/healthz`` says of a portal, in words for whoever installs it."""

from __future__ import annotations

import json
import subprocess
from typing import NamedTuple

from deploy.make_folders import DATA
from deploy.site import SETTINGS

_MEANINGS = {
    "database": f"the database in {DATA}, or that of --cluster, cannot be written, or another"
    " program has locked it.",
    "schema": "the database is not up to date.",
    "space": f"the disk of {DATA} has less space free than DISK_RESERVE, so the portal refuses"
    f" uploads. Free some space, or set a smaller DISK_RESERVE in {SETTINGS}/settings.toml (in"
    " bytes; 64 MiB if it is not there).",
    "storage": f"the files in {DATA} cannot be written, or the disk, or the store of --cluster,"
    " does not answer.",
}
"""By what fails, as docs/portal/index.md has it."""


class Health(NamedTuple):
    """The status of an answer, 0 without one, what it says fails, and what it warns of."""

    status: int
    failing: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether waiting would change nothing: all is well, or the disk is full."""
        return self.status == 200 or "space" in self.failing

    @property
    def problem(self) -> str:
        """What fails, and the cure; empty if nothing does."""
        if self.status == 200:
            return ""
        said = " ".join(_MEANINGS.get(one, f"{one} does not work.") for one in self.failing)
        answer = f"answered with status {self.status}" if self.status else "did not answer"
        return said or f"it {answer}."


def ask(url: str, *options: str) -> Health:
    """Ask a portal once, with options of curl."""
    usual = ("--silent", "--insecure", "--max-time", "10", "--write-out", "\n%{http_code}")
    done = subprocess.run(["curl", *usual, *options, url], stdout=subprocess.PIPE, check=False)
    body, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    try:
        answer = json.loads(body)
        parts = [tuple(answer.get(name, ())) for name in ("failing", "warning")]
    except (ValueError, AttributeError, TypeError):
        parts = []
    return Health(int(status or 0), *parts)
