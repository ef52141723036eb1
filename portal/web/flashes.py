"""Messages on the next page. Until then the session's cookie holds them, so they are short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import flash, get_flashed_messages

from portal.activity.record import Action, Recorded, record
from portal.core.language import gettext, ngettext
from portal.core.models import Via

_NAMED = 3


def tell(
    text: str,
    category: str = "message",
    undo: str | None = None,
    move_back: Sequence[tuple[str, str]] = (),
    place: tuple[str, str] | None = None,
) -> None:
    """Show a message on the next page, in place of any that was not shown yet.

    :param undo: what a button beside the message sends to undo the action.
    :param move_back: the same for a move: the folder before and what to move there, by their names
        in URLs, each with the name that it had, if it has another one now.
    :param place: a folder that a link in the message leads to: its name, and its address.
    """
    get_flashed_messages()  # which removes them
    flash(text, category)
    if undo:
        flash(undo, "undo")
    if move_back:
        flash([*move_back], "move back")  # type: ignore[arg-type]  # a cookie takes lists, too
    if place:
        flash([*place], "place")  # type: ignore[arg-type]


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


def count_files(number: int) -> str:
    """Return ``2 files``."""
    return ngettext("%(num)s file", "%(num)s files", number)


def count_items(number: int) -> str:
    """Return ``2 items``: files and folders alike."""
    return ngettext("%(num)s item", "%(num)s items", number)


def list_names(names: Sequence[str], count: Callable[[int], str] = count_files) -> str:
    """Return ``a.txt``, ``2 files: a.txt, b.txt`` or ``4 files: a, b, c and 1 more``.

    :param count: returns a number of such things in words.
    """
    return list_placed([(name, name) for name in names], count)


def list_placed(
    placed: Sequence[tuple[str, str]], count: Callable[[int], str] = count_files
) -> str:
    """Return names as :func:`list_names`, first those that were taken, each with a hint.

    :param placed: for each entry, the name that was wanted, and the one that it got.
    """
    taken_first = sorted(placed, key=lambda names: names[0] == names[1])
    shown, rest = taken_first[:_NAMED], taken_first[_NAMED:]
    listed = ", ".join(name_placed(wanted, given) for wanted, given in shown)
    if len(placed) == 1:
        return listed
    return f"{count(len(placed))}: {_and_more(listed, rest) if rest else listed}"


def _and_more(listed: str, rest: Sequence[tuple[str, str]]) -> str:
    taken = sum(wanted != given for wanted, given in rest)
    if not taken:
        return ngettext(
            "%(names)s and %(num)s more", "%(names)s and %(num)s more", len(rest), names=listed
        )
    return ngettext(
        "%(names)s and %(num)s more (%(taken)s of them under other names)",
        "%(names)s and %(num)s more (%(taken)s of them under other names)",
        len(rest),
        names=listed,
        taken=taken,
    )


def list_uploaded(placed: Sequence[tuple[str, str]], replaced: Sequence[str]) -> str:
    """Return what was uploaded, as :func:`list_placed`, and what was replaced by that."""
    said = []
    if placed:
        said.append(gettext("Uploaded: %(files)s", files=list_placed(placed)))
    if replaced:
        said.append(gettext("Replaced: %(files)s", files=list_names(replaced)))
    return ". ".join(said)


def name_placed(wanted: str, given: str) -> str:
    """Return the name that an entry got, with a hint where another one was wanted."""
    name = shorten(given)
    if wanted == given:
        return name
    return gettext("%(name)s (%(wanted)s is taken)", name=name, wanted=shorten(wanted))


def shorten(name: str) -> str:
    """Shorten a long name in the middle: its end is the type of the file."""
    return name if len(name) <= 40 else f"{name[:30]}…{name[-9:]}"
