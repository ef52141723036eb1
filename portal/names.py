"""Names: what a client sends is made safe to store, show and save under, and compared."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from posixpath import splitext

from confusable_homoglyphs import confusables  # type: ignore[import-untyped]

LONGEST = 255
"""In bytes of UTF-8: what common file systems take."""

LONGEST_NOTE = 255
"""In characters."""

_UNNAMED = "unnamed"
_UNKNOWN_TYPE = "application/octet-stream"
# Marks that turn the reading direction, so that 'exe.txt' can look like 'txt.exe'.
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Nothing to see by themselves: fillers, a blank pattern, and what Unicode says may be ignored.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_IGNORABLE = range(0xE0000, 0xE1000)
_IGNORABLES = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_LONGEST_EXTENSION = 64


def clean(name: str) -> str:
    """Make a client's name for a file safe.

    The last component stays, in NFC, without control characters and direction marks.
    """
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join(character for character in last if not _is_control(character))
    plain = re.sub(f"[{_DIRECTION_MARKS}]", "", visible)
    short = _shorten(unicodedata.normalize("NFC", plain).strip())
    seen = "".join(character for character in short if _can_be_seen(character))
    return _UNNAMED if seen in {"", ".", ".."} else short


def numbered(name: str) -> Iterator[str]:
    """Give ``a.txt``, ``a (2).txt``, ``a (3).txt`` and so on."""
    yield name
    for number in count(2):
        yield _shorten(name, f" ({number})")


def first_free(name: str, is_taken: Callable[[str], bool]) -> str:
    """Give a name, or the first with a number that is free.

    Not each number is tried: where there are thousands, that would take its time. A gap among the
    numbers may be left out.
    """
    if not is_taken(name):
        return name

    def with_number(number: int) -> str:
        return _shorten(name, f" ({number})")

    taken, free = 1, 2
    while is_taken(with_number(free)):
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        if is_taken(with_number(middle)):
            taken = middle
        else:
            free = middle
    return with_number(free)


def fold(name: str) -> str:
    """Map names that differ only by case or compatible characters to one key."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def one_line(text: str) -> str:
    """Make a note of what somebody typed: one line of what can be seen, and not too long."""
    words = " ".join(text.split())
    return "".join(one for one in words if one.isprintable())[:LONGEST_NOTE]


def skeleton(name: str) -> str:
    """Map names that look alike, such as with a Cyrillic letter for a Latin one, to one key.

    As in Unicode's technical standard 39, section 4: for comparing only, not for showing. What can
    be overlooked is left out, too: lines and points at another script's letters.
    """
    plain = "".join(_without_foreign_marks(unicodedata.normalize("NFKC", name.strip())))
    return fold("".join(_prototypes().get(character, character) for character in plain))


def has_invisible(name: str) -> bool:
    """Tell whether there is something in a name that nobody sees."""
    return bool(_IGNORABLES.search(name)) or not _BLANKS.isdisjoint(name)


def can_be_seen(name: str) -> bool:
    """Tell whether there is more in a name than blanks and what is set at other characters."""
    return any(_can_be_seen(character) for character in name)


def guess_mimetype(name: str) -> str:
    """Tell the media type by the name; what is compressed is just bytes."""
    # Only the extension: the function takes a whole name for a URL, where 'data:' is special.
    mimetype, encoding = mimetypes.guess_type(f"file{splitext(name)[1]}")
    return mimetype if mimetype and not encoding else _UNKNOWN_TYPE


@cache
def _prototypes() -> dict[str, str]:
    """Give the characters that others are confused with, by the characters that are confused.

    The data names each pair twice. Of a pair, the one with more look-alikes is the prototype.
    """
    data = confusables.confusables_data
    alike = {character: {one["c"] for one in found} for character, found in data.items()}
    return {
        character: max(
            {character, *others}, key=lambda one: (len(alike.get(one, ())), -ord(one[0]))
        )
        for character, others in alike.items()
    }


def _without_foreign_marks(name: str) -> Iterator[str]:
    """Leave out what is set at a letter of another script, such as a line below it.

    The vowel signs of Indian scripts are such characters, too: at letters of theirs, they stay.
    """
    script = ""
    for character in name:
        if _IGNORABLES.match(character) or character in _BLANKS:
            continue
        its_own = unicodedata.name(character, "").partition(" ")[0]
        if unicodedata.category(character)[0] != "M":
            script = its_own
        elif its_own != script:
            continue
        yield character


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _can_be_seen(character: str) -> bool:
    """Tell whether somebody could see, and click, a name of this character alone."""
    if character in _BLANKS or ord(character) in _IGNORABLE:
        return False
    category = unicodedata.category(character)
    return category[0] not in {"M", "Z"} and category not in {"Cc", "Cf", "Co", "Cs"}


def _shorten(name: str, suffix: str = "") -> str:
    """Cut a name before its extension, and put a suffix there."""
    stem, extension = splitext(name)
    if len(extension.encode()) > _LONGEST_EXTENSION:
        stem, extension = name, ""
    room = LONGEST - len((suffix + extension).encode())
    cut = stem.encode()[:room].decode(errors="ignore")
    return f"{cut.strip()}{suffix}{extension}"
