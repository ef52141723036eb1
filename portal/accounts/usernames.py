"""Names of accounts: which two look alike, and so cannot both be taken."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

from confusable_homoglyphs import confusables  # type: ignore[import-untyped]

from portal.core.text import BLANKS, IGNORABLES, fold


def skeleton(name: str) -> str:
    """Map names that look alike, such as with a Cyrillic letter for a Latin one, to one key.

    As in Unicode's technical standard 39, section 4: for comparing only, not for showing. What can
    be overlooked is left out, too: lines and points at another script's letters.
    """
    plain = "".join(_without_foreign_marks(unicodedata.normalize("NFKC", name.strip())))
    return fold("".join(_prototypes().get(character, character) for character in plain))


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
        if IGNORABLES.match(character) or character in BLANKS:
            continue
        its_own = unicodedata.name(character, "").partition(" ")[0]
        if unicodedata.category(character)[0] != "M":
            script = its_own
        elif its_own != script:
            continue
        yield character
