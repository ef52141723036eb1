"""Names of files and folders: made safe to store, show and unpack, and numbered."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from posixpath import splitext

from flask_delegate.media_types import guess
from portal.core.text import is_visible

LONGEST = 255
"""In bytes of UTF-8: what common file systems take."""

_UNNAMED = "unnamed"
_UNKNOWN_TYPE = "application/octet-stream"
# Marks that turn the reading direction, so that 'exe.txt' can look like 'txt.exe'.
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LONGEST_EXTENSION = 64
_MOST_READ = 1024
"""Characters: to normalise many combining marks takes the square of their number."""
# What Windows does not take in a name, or takes for a part of a path.
_NOT_PORTABLE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
# What it takes for a device, whatever the extension.
_NUMBERED = re.compile(r"(.+) \(([2-9]|[1-9][0-9]{1,2})\)", re.DOTALL | re.ASCII)
_NUMBER = "[0-9\u00b9\u00b2\u00b3]"
_DEVICE = re.compile(rf"(CON|PRN|AUX|NUL|(COM|LPT){_NUMBER})\s*(\.|$)", re.IGNORECASE)


def clean(name: str) -> str:
    """Make a client's name for a file or folder safe to store and show.

    What stays is its last component, in NFC, without control characters and direction marks.
    """
    return clean_or_none(name) or _UNNAMED


def clean_or_none(name: str) -> str | None:
    """Do as :func:`clean` does; none, where nothing stays that could be a name."""
    last = re.split(r"[/\\]", name)[-1]
    if len(last) > _MOST_READ:
        last = last[: _MOST_READ - _LONGEST_EXTENSION] + last[-_LONGEST_EXTENSION:]
    controls = {"Cc", "Cs", "Zl", "Zp"}
    visible = "".join(one for one in last if unicodedata.category(one) not in controls)
    plain = re.sub(f"[{_DIRECTION_MARKS}]", "", visible)
    short = _shorten(unicodedata.normalize("NFC", plain).strip())
    seen = "".join(character for character in short if is_visible(character))
    return None if seen in {"", ".", ".."} else short


def is_kept(wanted: str, given: str) -> bool:
    """Return whether a name is as a client gave it, however that composes accents."""
    return len(wanted) <= _MOST_READ and unicodedata.normalize("NFC", wanted).strip() == given


def portable(name: str) -> str:
    """Make a name stay one component of a path, whichever system unpacks it from a ZIP."""
    # Windows leaves dots and spaces at the end out, so that '.. ' would be '..'.
    plain = _NOT_PORTABLE.sub("_", name).rstrip(". ") or _UNNAMED
    return f"_{plain}" if _DEVICE.match(plain) else plain


def first_free(name: str, is_taken: Callable[[str], bool]) -> str:
    """Return a name if it is free, or else ``a (2).txt``, ``a (3).txt`` and so on.

    Not each number is tried: where there are thousands, that would take its time. A gap among the
    numbers may be left out.
    """
    if not is_taken(name):
        return name
    # Of 'a (2).txt', the next is 'a (3).txt', and not 'a (2) (2).txt'. A year is no such number.
    stem, extension = splitext(name)
    numbered = _NUMBERED.fullmatch(stem)
    base, first = (numbered[1] + extension, int(numbered[2])) if numbered else (name, 1)

    def with_number(number: int) -> str:
        return _shorten(base, f" ({number})")

    taken, free = first, first + 1
    while is_taken(with_number(free)):
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        if is_taken(with_number(middle)):
            taken = middle
        else:
            free = middle
    return with_number(free)


def guess_mimetype(name: str) -> str:
    """Return the media type by the name."""
    return guess(name) or _UNKNOWN_TYPE


def _shorten(name: str, suffix: str = "") -> str:
    """Cut a name before its extension, and put a suffix there."""
    stem, extension = splitext(name)
    if len(extension.encode()) > _LONGEST_EXTENSION:
        stem, extension = name, ""
    room = LONGEST - len((suffix + extension).encode())
    cut = stem.encode()[:room].decode(errors="ignore")
    return f"{cut.strip()}{suffix}{extension}"
