"""Names of people to invite, as they are typed or pasted: one a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from portal.core import text
from portal.core.language import gettext

from . import accounts, usernames
from .accounts import UnusableNameError

MOST = 100
"""Names at once."""
_WITH_ADDRESS = re.compile(r"(?P<name>[^<>]*)<(?P<mailbox>[^<>@\s]+)@[^<>@\s]+>")
_ADDRESS = re.compile(r"(?P<mailbox>[^<>@\s]+)@[^<>@\s]+")
_BETWEEN = " \t,;"
_QUOTED = re.compile(r"\"(.*)\"|'(.*)'|[“„](.*)[“”]|«(.*)»")


class Named(NamedTuple):
    """A name, and the line that it stands in."""

    line: int
    name: str


def read(written: str) -> Sequence[Named]:
    """Return the names in a text: one a line, with its commas; columns are joined by a space.

    An e-mail address beside a name is left out. Where a line holds addresses only, each is for a
    person, who is named as the address says: by what stands before <...>, or before the @.
    """
    return [
        Named(number, name)
        for number, line in enumerate(written.splitlines(), start=1)
        for name in _names_in(line)
    ]


def _names_in(line: str) -> Sequence[str]:
    addressees = _addressees(line)
    if addressees:
        return addressees
    addresses = [
        word for word in re.split(r"[\s,;]+", line) if _ADDRESS.fullmatch(word.strip("<>"))
    ]
    if len(addresses) == 1:
        before, _, after = line.partition(addresses[0])
        line = f"{before.strip(_BETWEEN)} {after.strip(_BETWEEN)}"
    name = _plain(line)
    return [name] if name else []


def _addressees(line: str) -> Sequence[str]:
    """Return whom a line of nothing but addresses names; nothing where it has anything else."""
    found, kept = [], ""
    # A comma stands between addresses, but within "Last, First <address>", too.
    for part in re.split(r"([,;])", line):
        kept += part
        words = kept.strip(_BETWEEN).split()
        alone = [_ADDRESS.fullmatch(word) for word in words]
        if one := _WITH_ADDRESS.fullmatch(kept.strip(_BETWEEN)):
            found.append(_plain(one["name"]) or one["mailbox"])
        elif words and all(alone):
            found += [one["mailbox"] for one in alone if one]
        else:
            continue
        kept = ""
    return [] if kept.strip(_BETWEEN) else found


def _plain(name: str) -> str:
    """Return a name without what spreadsheets and mail programs write around it."""
    name = " ".join(name.strip(_BETWEEN).split())
    quoted = _QUOTED.fullmatch(name)
    return _plain(next(filter(None, quoted.groups()), "")) if quoted else name


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
