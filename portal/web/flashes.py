"""Messages on the next page. Until then the session's cookie holds them, so they are short."""

from __future__ import annotations

from collections.abc import Sequence

from flask import flash, get_flashed_messages

from portal.activity.record import Action, Recorded, record
from portal.core.models import Via

_NAMED = 3


def tell(
    text: str, category: str = "message", undo: str | None = None, move_back: Sequence[str] = ()
) -> None:
    """Show a message on the next page, in place of any that was not shown yet.

    :param undo: what a button beside the message sends to undo the action.
    :param move_back: the same for a move: the folder before and what to move there, by their names
        in URLs.
    """
    get_flashed_messages()  # which removes them
    flash(text, category)
    if undo:
        flash(undo, "undo")
    if move_back:
        flash(" ".join(move_back), "move back")


def done(
    action: Action,
    *things: Recorded,
    owner_id: int | None = None,
    detail: str = "",
    actor: str | None = None,
    linked: str | None = None,
    via: Via | None = None,
    say: str | None = None,
    undo: str | None = None,
) -> None:
    """Record and log what was done, and say it on the next page.

    :param things: as for :func:`portal.activity.record.record`, like the next five.
    :param say: the message; None: the page shows the result anyway.
    :param undo: as for :func:`tell`.
    """
    record(action, *things, owner_id=owner_id, detail=detail, actor=actor, linked=linked, via=via)
    if say:
        tell(say, undo=undo)


def list_names(names: Sequence[str], noun: str = "files") -> str:
    """Return ``a.txt``, ``2 files: a.txt, b.txt`` or ``4 files: a, b, c and 1 more``."""
    return list_placed([(name, name) for name in names], noun)


def list_placed(placed: Sequence[tuple[str, str]], noun: str = "files") -> str:
    """Return names as :func:`list_names`, first those that were taken, each with a hint.

    :param placed: for each entry, the name that was wanted, and the one that it got.
    """
    taken_first = sorted(placed, key=lambda names: names[0] == names[1])
    shown, rest = taken_first[:_NAMED], taken_first[_NAMED:]
    listed = ", ".join(f"{shorten(given)}{taken_hint(wanted, given)}" for wanted, given in shown)
    if len(placed) == 1:
        return listed
    taken = sum(wanted != given for wanted, given in rest)
    hint = f" ({taken} of them under other names)" if taken else ""
    more = f" and {len(rest)} more{hint}" if rest else ""
    return f"{len(placed)} {noun}: {listed}{more}"


def list_uploaded(placed: Sequence[tuple[str, str]], replaced: Sequence[str]) -> str:
    """Return what was uploaded, as :func:`list_placed`, and what was replaced by that."""
    new = [f"Uploaded: {list_placed(placed)}"] if placed else []
    return ". ".join([*new, *([f"Replaced: {list_names(replaced)}"] if replaced else [])])


def taken_hint(wanted: str, given: str) -> str:
    """Return a hint, where an entry did not get the name that was wanted."""
    return "" if wanted == given else f" ({shorten(wanted)} is taken)"


def shorten(name: str) -> str:
    """Shorten a long name in the middle: its end is the type of the file."""
    return name if len(name) <= 40 else f"{name[:30]}…{name[-9:]}"
