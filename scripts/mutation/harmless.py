"""Changes that change nothing anybody could see, with the reasons."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from .changes import Change

FILE = Path(__file__).with_name("harmless.toml")


@cache
def entries() -> dict[tuple[str, str, str], str]:
    """Return the reason for each change in the file, by module, old line and new line."""
    listed = tomllib.loads(FILE.read_text())
    return {
        (path, one["line"], one["becomes"]): one["reason"]
        for path, changes in listed.items()
        for one in changes
    }


def is_harmless(change: Change) -> bool:
    """Return whether a rule or an entry of the file says so."""
    old, new = ("\n".join(lines) for lines in change.lines())
    if old.lower() == new.lower() and _only_the_case_of_names(old, new):
        return True
    return bool({(change.path, old, new), (change.path, old, "…")} & entries().keys())


def _only_the_case_of_names(old: str, new: str) -> bool:
    """Return whether a header or an encoding is written in another case only (RFC 9110, 5.1)."""
    names = re.findall(r'"([A-Za-z]+(?:-[A-Za-z0-9]+)*)"', old)
    others = re.findall(r'"([A-Za-z]+(?:-[A-Za-z0-9]+)*)"', new)
    changed = [one for one, other in zip(names, others, strict=False) if one != other]
    return bool(changed) and all(
        re.fullmatch(r"[A-Z][A-Za-z]*(-[A-Za-z]+)+|Location|Server|Vary|utf-8|ascii|latin-1", one)
        for one in changed
    )
