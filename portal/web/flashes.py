"""Messages on the next page. They wait in the session's cookie, which has to stay small."""

from __future__ import annotations

from collections.abc import Sequence

from flask import flash, get_flashed_messages

_NAMED = 3


def tell(text: str, category: str = "message", undo: str | None = None) -> None:
    """Show a message on the next page, in place of any that still waits.

    :param undo: the moment of what can be undone, for a button beside the message.
    """
    get_flashed_messages()  # which forgets them
    flash(text, category)
    if undo:
        flash(undo, "undo")


def list_names(names: Sequence[str], noun: str = "files") -> str:
    """Write ``a.txt``, ``2 files: a.txt, b.txt`` or ``5 files: a.txt, b.txt, c.txt and 2 more``."""
    listed = ", ".join(shorten(name) for name in names[:_NAMED])
    if len(names) == 1:
        return listed
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {noun}: {listed}{more}"


def shorten(name: str) -> str:
    """Cut a long name in its middle: its end tells the kind of file."""
    return name if len(name) <= 40 else f"{name[:30]}…{name[-9:]}"
