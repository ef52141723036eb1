"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from textwrap import TextWrapper

from .finding import Finding, Level

_TEXT = TextWrapper(100, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)


def failed(findings: Sequence[Finding]) -> bool:
    """Return whether anything is wrong."""
    return any(finding.level is Level.FAILURE for finding in findings)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Count the findings of each level."""
    return {level: sum(finding.level is level for finding in findings) for level in Level}


def as_json(findings: Sequence[Finding]) -> str:
    """Return a JSON object: ``ok``, ``summary`` and ``findings``."""
    head = {"ok": not failed(findings), "summary": counts(findings)}
    return json.dumps({**head, "findings": [*map(asdict, findings)]}, indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """Return a paragraph for each finding, and a summary."""
    lines = [line for finding in findings for line in _paragraph(finding)]
    summary = ", ".join(f"{number} {level}" for level, number in counts(findings).items())
    return "\n".join([*lines, "", f"{len(findings)} checks: {summary}."])


def _paragraph(finding: Finding) -> list[str]:
    area = "" if finding.area is None else f" [{finding.area}]"
    lines = _wrapped(f"{finding.level:8}{finding.check}{area}: ", finding.seen)
    if finding.why:
        lines += _wrapped("        why: ", finding.why)
    if finding.fix:
        lines += _wrapped("        fix: ", finding.fix)
    return lines


def _wrapped(label: str, text: str) -> list[str]:
    # Text from a server or a file name goes to a terminal: no control characters.
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return _TEXT.wrap(label + clean)
