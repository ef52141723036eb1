"""Text that people typed: folding, cutting to one line, and invisible characters."""

from __future__ import annotations

import re
import unicodedata

LONGEST_NOTE = 255
"""In characters."""

# Invisible by themselves: fillers, a blank pattern, and what Unicode lets programs ignore.
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
IGNORABLES = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_IGNORABLE = range(0xE0000, 0xE1000)


def fold(name: str) -> str:
    """Return one key for names that differ only by case or compatible characters."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def one_line(text: str) -> str:
    """Return the printable characters on one line, cut to the length of a note."""
    words = " ".join(text.split())
    return "".join(one for one in words if one.isprintable())[:LONGEST_NOTE]


def has_invisible(name: str) -> bool:
    """Return whether a name has invisible characters."""
    return bool(IGNORABLES.search(name)) or not BLANKS.isdisjoint(name)


def can_be_seen(name: str) -> bool:
    """Return whether a name has more than blanks and combining characters."""
    return any(is_visible(character) for character in name)


def is_visible(character: str) -> bool:
    """Return whether people could see, and click, a name of this character alone."""
    if character in BLANKS or ord(character) in _IGNORABLE:
        return False
    category = unicodedata.category(character)
    return category[0] not in {"M", "Z"} and category not in {"Cc", "Cf", "Co", "Cs"}
