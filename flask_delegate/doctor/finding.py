"""What a check reports, and the names of all checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from ..areas import Area
from .requests.families import FAMILIES

_SHORTEST = 8  # characters of a secret


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


CHECKS = frozenset(
    [
        *("settings", "interpreter", "root", "root-link", "permissions", "files", "overlap"),
        *("backend", "network", "config", "config-secret", "sendfile"),
        *("apache-modules", "apache-paths", "reach", "probe-file", "probe", "agreement"),
        *("daemon-mode", "guard", "handoff", "head", "range", "conditional"),
        *("signed-url", "signed-url-forged", "listing", "other-paths"),
        *(f"attack-{family.name}" for family in FAMILIES),
    ]
)
"""All checks. The page on the doctor says what each is for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    :param check: its name, one of :data:`CHECKS`.
    :param level: how it came out.
    :param seen: what was seen; for a check that was skipped, the reason.
    :param why: why it matters.
    :param fix: what to do.
    :param area: the area that it is about, if any.
    """

    check: str
    level: Level = field(kw_only=True)
    seen: str
    why: str = ""
    fix: str = ""
    area: str | None = None

    def __post_init__(self) -> None:
        if self.check not in CHECKS:
            raise ValueError(f"there is no check {self.check!r}")


ok = partial(Finding, level=Level.OK)
skipped = partial(Finding, level=Level.SKIPPED)
warning = partial(Finding, level=Level.WARNING)
failure = partial(Finding, level=Level.FAILURE)


def about(area: Area, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Add the area's name."""
    for finding in findings:
        yield replace(finding, area=area.name)


def without(secrets: Iterable[str], finding: Finding) -> Finding:
    """Remove secrets from what a finding says; shorter ones would be found in any text."""
    seen, fix = finding.seen, finding.fix
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            seen, fix = seen.replace(secret, "[secret]"), fix.replace(secret, "[secret]")
    return replace(finding, seen=seen, fix=fix)
