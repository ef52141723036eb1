"""Text that people typed: keys to compare and sort by, and what in it cannot be seen."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST_NOTE = 255
"""In characters."""
LONGEST_LINK_NAME = 80
"""In characters."""

# Invisible by themselves: fillers, a blank pattern, and what Unicode lets programs ignore.
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
IGNORABLES = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_IGNORABLE = range(0xE0000, 0xE1000)


_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

LONGEST_KEY = 255
"""Characters that :func:`fold` returns at most."""
LONGEST_SORT_KEY = 1024
"""Characters that :func:`search_key` and :func:`sort_key` return at most."""

_NUMBER = re.compile("[0-9]+")
# No character before these is a mark.
_MARK = re.compile("[^\x00-\u02ff]")
# Letters that people search for, and sort, like others, and that Unicode does not take apart.
_LIKE = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe"}
)


def is_text(given: str) -> bool:
    """Return whether text has no control characters, but for tabs and ends of lines, and is UTF-8.

    Databases, other than SQLite, refuse NUL and halves of surrogate pairs.
    """
    return not _UNUSABLE.search(given)


def fold(name: str) -> str:
    """Return one key for names that differ only by case or compatible characters.

    A character can become 18. The end of a key that is too long is a hash of all of it.
    """
    key = _folded(name)
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return key[: LONGEST_KEY - len(digest)] + digest


def search_key(text: str) -> str:
    """Return what a search compares: without case and accents."""
    apart = unicodedata.normalize("NFD", _folded(text))
    if apart.isascii():
        return apart[:LONGEST_SORT_KEY]
    plain = _MARK.sub(_without_accent, apart)
    return unicodedata.normalize("NFC", plain).translate(_LIKE)[:LONGEST_SORT_KEY]


def sort_key(name: str) -> str:
    """Return what to sort by, as people do: ``img2`` before ``img10``, ``Äpfel`` before ``Zebra``.

    Names that differ by accents only are in the order of their characters.
    """
    return f"{_NUMBER.sub(_with_length, search_key(name))}\t{fold(name)}"[:LONGEST_SORT_KEY]


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def _without_accent(found: re.Match[str]) -> str:
    """Return nothing for a mark above, below or through a letter, or a Semitic vowel.

    Others, such as Indian vowels, make another word.
    """
    combining = unicodedata.combining(found[0])
    return "" if combining >= 200 or 10 <= combining <= 35 else found[0]


def _with_length(number: re.Match[str]) -> str:
    """Return a number after its length, so that text sorts by value; a digit comes first."""
    digits = number[0].lstrip("0") or "0"
    return f"0{chr(ord('0') + len(digits))}{digits}"


def one_line(text: str, longest: int = LONGEST_NOTE) -> str:
    """Return the printable characters on one line, cut to so many."""
    words = " ".join(text.split())
    return "".join(one for one in words if one.isprintable())[:longest]


def several_lines(text: str) -> str:
    """Return the printable characters of lines, without blanks at their ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4).split("\n")
    plain = ("".join(one for one in line if one.isprintable()).rstrip() for line in lines)
    return "\n".join(plain).strip()


def counted(number: int, noun: str) -> str:
    """Return a number of things in English words, for commands, logs and the record: ``2 files``.

    :param noun: the singular, whose plural has an s more.
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
