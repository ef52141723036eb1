"""Links with names of files, which browsers shorten in the middle: the end tells the type."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from markupsafe import Markup, escape

_NARROW = 18
"""Letters of a name that fits on any screen."""
_GAPS = " -_.,([{'"
_JOINED = (("\u0600", "\u08ff"), ("\u1800", "\u18af"), ("\U0001f1e6", "\U0001f1ff"))
"""Characters that look different apart: scripts that are always joined, and the halves of flags."""


class _Ends(NamedTuple):
    """How many characters the end of a name has, at least and at most."""

    least: int
    most: int


_USUAL = _Ends(8, 14)
_WIDE = _Ends(5, 8)


def name_link(address: str, name: str, view_type: str | None = None) -> Markup:
    """Return a link with a file's name.

    A long one has two parts, of which a style shortens the first. Its name for screen readers is
    its title: between two parts they would read a space.

    :param address: safe as HTML.
    :param view_type: as what a script shows the file, if it can.
    """
    kind = f' data-view-type="{view_type}"' if view_type else ""
    end = cut(name)
    whole = escape(name)
    if not end:
        return Markup(f'<a href="{address}"{kind}><bdi>{whole}</bdi></a>')  # noqa: S704
    parts = f"<span>{escape(name[:-end])}</span><span>{escape(name[-end:])}</span>"
    shown = f'<bdi class="cut" aria-hidden="true">{parts}</bdi>'
    return Markup(f'<a href="{address}"{kind} title="{whole}">{shown}</a>')  # noqa: S704


def cut(name: str) -> int:
    """Return how many characters of a name are its end, which always shows; 0 for a short name.

    It begins at a word, if one is near, which browsers can find then. No letter loses its accents.
    """
    wide = 0 if name.isascii() else sum(unicodedata.east_asian_width(one) in "WF" for one in name)
    if len(name) + wide <= _NARROW:
        return 0
    ends = _WIDE if wide else _USUAL
    for end in range(ends.least, min(ends.most, len(name) - 1) + 1):
        if name[-end] in _GAPS and _may_part(name, -end):
            return end
    for end in range(ends.least + 1, len(name)):
        if _may_part(name, -end):
            return end if end <= 2 * ends.most else 0
    return 0


def _may_part(name: str, at: int) -> bool:
    """Return whether a name looks the same if what is before a place stands apart from the rest."""
    before, after = name[at - 1], name[at]
    if before.isascii() and after.isascii():
        return True
    if unicodedata.category(after)[0] == "M" or "Cf" in map(unicodedata.category, (before, after)):
        return False
    if unicodedata.combining(before) == 9 or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False  # a letter that joins the next one, and the colour of a skin
    return not any(low <= before <= high and low <= after <= high for low, high in _JOINED)
