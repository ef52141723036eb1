"""Names of accounts: two that look alike cannot both be taken."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

from confusable_homoglyphs import confusables  # type: ignore[import-untyped]

from portal.core.text import BLANKS, IGNORABLES, fold

_DIRECTION_MARK = "\u200e"


def skeleton(name: str) -> str:
    """Return one key for all names that look alike, such as with a Cyrillic for a Latin letter.

    This is the skeleton of Unicode Technical Standard 39, section 4, for comparing only. It also
    leaves out what is easily overlooked: marks at letters of another script.
    """
    plain = "".join(_without_foreign_marks(unicodedata.normalize("NFKC", name.strip())))
    return fold("".join(_prototypes().get(character, character) for character in plain))


@cache
def _prototypes() -> dict[str, str]:
    """Return the prototype of each character that Unicode's ``confusables.txt`` lists.

    The package lists each pair in both directions; the prototype has the more look-alikes.
    """
    alike: dict[str, set[str]] = {}
    for character, found in confusables.confusables_data.items():
        # Around right-to-left characters, the data has the file's direction marks.
        others = {one["c"].strip(_DIRECTION_MARK) for one in found}
        alike.setdefault(character.strip(_DIRECTION_MARK), set()).update(others)
    return {
        character: max(
            {character, *others}, key=lambda one: (len(alike.get(one, ())), -ord(one[0]))
        )
        for character, others in alike.items()
    }


def _without_foreign_marks(name: str) -> Iterator[str]:
    """Leave out marks at letters of another script, such as a line below.

    At letters of their own script they stay, such as the vowel signs of Indian scripts.
    """
    script = ""
    for character in name:
        if IGNORABLES.match(character) or character in BLANKS:
            continue
        its_own = unicodedata.name(character, "").partition(" ")[0]
        if unicodedata.category(character)[0] != "M":
            script = its_own
        elif its_own != script:
            continue
        yield character
