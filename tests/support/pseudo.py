"""A language that shows which texts are looked up: each is 40 % longer, and between ⟦ and ⟧."""

from __future__ import annotations

import re
from collections.abc import Mapping
from gettext import NullTranslations
from math import ceil
from types import MappingProxyType

import pytest

from portal.core import language
from portal.core.language import Language, is_of_scripts

from .catalogues import in_code

CODE = "eo"
"""Of a language that the portal will hardly have; it writes 1,5 and 12 345."""
BEGIN, END = "⟦", "⟧"
_LONGER = 0.4
_FILLING = "oooooo "
_KEPT = re.compile(r"%\(\w+\)s|%%|<[^>]+>|&\w+;")
"""Values, and markup: no text of people."""


def translated(text: str) -> str:
    """Return a text in the pseudo-language; values and markup stay as they are."""
    length = len(_KEPT.sub("", text))
    more = ceil(length * _LONGER)
    return f"{BEGIN}{text} {(_FILLING * more)[:more].rstrip()}{END}"


class _Translations(NullTranslations):
    def gettext(self, message: str) -> str:
        return translated(message) if message else ""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return translated(msgid1 if n == 1 else msgid2)


def speak() -> Language:
    """Return the language."""
    of_scripts: dict[str, str | list[str]] = {}
    for message in in_code():
        if is_of_scripts(message):
            forms = [message.id] if isinstance(message.id, str) else list(message.id)
            said = [translated(text) for text in forms]
            of_scripts[forms[0]] = said if forms[1:] else said[0]
    return Language(CODE, _Translations(), of_scripts)


def install(patch: pytest.MonkeyPatch) -> None:
    """Have applications that are created from now on speak the pseudo-language, too."""

    def load() -> Mapping[str, Language]:
        return MappingProxyType({**language.load(), CODE: speak()})

    patch.setattr("portal.app.load_languages", load)
