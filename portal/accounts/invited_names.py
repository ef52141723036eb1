"""Names of people to invite, as they are typed or pasted: one a line, or from a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portal.core import text
from portal.core.language import gettext

from . import accounts, usernames
from .accounts import UnusableNameError

MOST = 100
"""Names at once."""
_SEPARATORS = re.compile(r"[,;\t]")
_WITH_ADDRESS = re.compile(r"\s*\"?([^<>\"]*?)\"?\s*<([^<>@\s]+)@[^<>@\s]+>\s*")
_ADDRESS = re.compile(r"([^@\s]+)@[^@\s]+")


class Named(NamedTuple):
    """A name, and the line that it stands in."""

    line: int
    name: str


def read(written: str) -> Sequence[Named]:
    """Return the names in a text: of lines, and in lines between commas, semicolons and tabs.

    Of an e-mail address, it is the name beside it, or the part before the @.
    """
    return [
        Named(number, name)
        for number, line in enumerate(written.splitlines(), start=1)
        for part in _SEPARATORS.split(line)
        for name in _names_in(part)
        if name
    ]


def _names_in(part: str) -> Iterator[str]:
    if found := _WITH_ADDRESS.fullmatch(part):
        yield " ".join(found[1].split()) or found[2]
    elif part.split() and all(map(_ADDRESS.fullmatch, part.split())):
        yield from (address.partition("@")[0] for address in part.split())
    else:
        yield " ".join(part.split())


def problems(named: Sequence[Named]) -> Sequence[str]:
    """Return what is wrong with names, each with its line; nothing, if all can be invited."""
    if not named:
        return [gettext("Enter the names of the people to invite, one a line.")]
    if len(named) > MOST:
        return [
            gettext(
                "These are %(number)s names. Invite at most %(most)s at once.",
                number=len(named),
                most=MOST,
            )
        ]
    found, first = [], dict[str, int]()
    taken = accounts.taken_of([one.name for one in named])
    for line, name in named:
        key, at = usernames.skeleton(name), {"line": line, "name": _short(name)}
        try:
            accounts.check_name(name)
        except UnusableNameError as error:
            said = gettext("Line %(line)s: “%(name)s” is no name. %(problem)s", problem=error, **at)
            found.append(said)
            continue
        if name in taken:
            said = gettext("Line %(line)s: there is an account “%(name)s”, or one like it.", **at)
            found.append(said)
        elif key in first:
            said = gettext(
                "Line %(line)s: “%(name)s” is in line %(other)s, too, or like it.",
                other=first[key],
                **at,
            )
            found.append(said)
        first.setdefault(key, line)
    return found


def _short(name: str) -> str:
    seen = text.one_line(name)
    return seen if len(seen) <= 40 else f"{seen[:39]}…"
