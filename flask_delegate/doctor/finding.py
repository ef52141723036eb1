"""What a check reports, as text for people and as JSON for programs, and all checks' names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from textwrap import TextWrapper

from ..areas import Area
from .requests.families import FAMILIES

_TEXT = TextWrapper(100, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)
_SHORTEST = 8  # characters of a secret


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


CHECKS = frozenset(
    [
        *(
            "settings",
            "interpreter",
            "root",
            "root-link",
            "permissions",
            "files",
            "links",
            "overlap",
        ),
        *("backend", "network", "config", "config-secret", "sendfile"),
        *(
            "apache-modules",
            "apache-paths",
            "admin-api",
            "reach",
            "probe-file",
            "probe",
            "agreement",
        ),
        *("prefix", "longest-path"),
        *("store-reach", "store-keys", "store-clock", "store-public", "store-outside"),
        *("store-versioning",),
        *("daemon-mode", "guard", "handoff", "head", "range", "conditional"),
        *("names", "filters", "siblings", "codings", "policies", "length", "fresh"),
        *("signed-url", "signed-url-forged", "signed-folder", "signed-folder-forged"),
        *("listing", "other-paths", "send-file"),
        *(f"attack-{family.name}" for family in FAMILIES),
    ]
)
"""The names of all checks; docs/extension/doctor.md says what each is for."""


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


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Count the findings of each level."""
    return {level: sum(finding.level is level for finding in findings) for level in Level}


def as_json(findings: Sequence[Finding]) -> str:
    """Return a JSON object: ``ok``, ``summary`` and ``findings``."""
    number = counts(findings)
    head = {"ok": not number[Level.FAILURE], "summary": number}
    return json.dumps({**head, "findings": [*map(asdict, findings)]}, indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """Return a paragraph for each finding, and a summary.

    What was skipped for the same reason in several areas has one paragraph.
    """
    alike: dict[Finding | int, list[Finding]] = {}
    for number, finding in enumerate(findings):
        is_skipped = finding.level is Level.SKIPPED
        alike.setdefault(replace(finding, area=None) if is_skipped else number, []).append(finding)
    lines = [line for some in alike.values() for line in _paragraph(*some)]
    summary = ", ".join(f"{number} {level}" for level, number in counts(findings).items())
    return "\n".join([*lines, "", f"{len(findings)} checks: {summary}."])


def _paragraph(finding: Finding, *others: Finding) -> list[str]:
    areas = ", ".join(one.area for one in (finding, *others) if one.area is not None)
    where = f" [{areas}]" if areas else ""
    lines = _wrapped(f"{finding.level:8}{finding.check}{where}: ", finding.seen)
    if finding.why:
        lines += _wrapped("        why: ", finding.why)
    if finding.fix:
        lines += _wrapped("        fix: ", finding.fix)
    return lines


def _wrapped(label: str, text: str) -> list[str]:
    # Text from a server or a file name goes to a terminal: no control characters.
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return _TEXT.wrap(label + clean)
