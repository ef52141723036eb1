"""Text that people typed: folded to compare, cut to one line, checked for what nobody sees."""

from __future__ import annotations

import re
import unicodedata

LONGEST_NOTE = 255
"""In characters."""

# Nothing to see by themselves: fillers, a blank pattern, and what Unicode says may be ignored.
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
IGNORABLES = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_IGNORABLE = range(0xE0000, 0xE1000)


def fold(name: str) -> str:
    """Map names that differ only by case or compatible characters to one key."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def one_line(text: str) -> str:
    """Make a note of what somebody typed: one line of what can be seen, and not too long."""
    words = " ".join(text.split())
    return "".join(one for one in words if one.isprintable())[:LONGEST_NOTE]


def has_invisible(name: str) -> bool:
    """Tell whether there is something in a name that nobody sees."""
    return bool(IGNORABLES.search(name)) or not BLANKS.isdisjoint(name)


def can_be_seen(name: str) -> bool:
    """Tell whether there is more in a name than blanks and what is set at other characters."""
    return any(is_visible(character) for character in name)


def is_visible(character: str) -> bool:
    """Tell whether somebody could see, and click, a name of this character alone."""
    if character in BLANKS or ord(character) in _IGNORABLE:
        return False
    category = unicodedata.category(character)
    return category[0] not in {"M", "Z"} and category not in {"Cc", "Cf", "Co", "Cs"}
