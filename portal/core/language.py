"""The language of whoever reads: the English texts of the code are looked up in catalogues.

The catalogues lie in ``portal/languages``, and ``scripts/translate`` keeps them up to date. They
are read once, as they are: nothing has to be compiled before the portal starts.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import LazyProxy
from flask import current_app, g, has_request_context
from flask.globals import app_ctx

DEFAULT = "en"
"""The language of the code itself, of logs and of commands."""
CODES: tuple[str, ...] = (DEFAULT, "de")
"""Languages that pages are written in (RFC 5646)."""

FOLDER = Path(__file__).parents[1] / "languages"
_EXTENSION = "portal.languages"
_SPOKEN = "portal_language"
"""What ``g`` calls the language of a request, once somebody has asked for it."""
_OF_SCRIPTS = ".js"
_PLURAL = "(n != 1)"
"""Which form English has for a number."""


class Language:
    """A language, with how it writes numbers and dates.

    :param code: as in ``<html lang>``.
    :param translations: of the texts in the code.
    :param of_scripts: what scripts say: the texts of one form, or of several, by the English
        singular.
    :param plural: which form is for ``n`` things, as catalogues say it.
    """

    def __init__(
        self,
        code: str,
        translations: NullTranslations,
        of_scripts: Mapping[str, Any],
        plural: str = _PLURAL,
    ) -> None:
        self.code = code
        self.translations = translations
        self.of_scripts = of_scripts
        self.plural = plural
        self._locale = Locale.parse(code, sep="-")

    @cached_property
    def name(self) -> str:
        """The language's name in itself, such as ``Deutsch``."""
        return str(self._locale.get_language_name(self.code.partition("-")[0])).capitalize()

    @cached_property
    def decimal_point(self) -> str:
        """What stands before the tenths of a number."""
        return str(self._locale.number_symbols["latn"]["decimal"])

    @cached_property
    def _group(self) -> str:
        return str(self._locale.number_symbols["latn"]["group"])

    @cached_property
    def months(self) -> Mapping[int, str]:
        """The short names of the months, from 1."""
        return cast("Mapping[int, str]", self._locale.months["format"]["abbreviated"])

    def number(self, number: int) -> str:
        """Return a whole number, in groups of three digits."""
        return f"{number:,}".replace(",", self._group) if number >= 10_000 else str(number)


def load() -> Mapping[str, Language]:
    """Read the catalogues of all languages."""
    languages = {DEFAULT: Language(DEFAULT, NullTranslations(), {})}
    for code in CODES[1:]:
        languages[code] = _read(code)
    return MappingProxyType(languages)


@lru_cache
def _read(code: str) -> Language:
    with (FOLDER / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    plural = catalogue.plural_expr
    return Language(code, GNUTranslations(compiled), _of_scripts(catalogue), plural)


def _of_scripts(catalogue: Catalog) -> Mapping[str, Any]:
    return {
        (message.id if isinstance(message.id, str) else message.id[0]): message.string
        for message in catalogue
        if is_of_scripts(message) and is_translated(message)
    }


def is_translated(message: Message) -> bool:
    """Return whether a text has a translation, in each of its forms."""
    string = message.string or ""
    return all([string] if isinstance(string, str) else string)


def is_of_scripts(message: Message) -> bool:
    """Return whether a text stands in a script, so that browsers need it."""
    return any(place.endswith(_OF_SCRIPTS) for place, _ in message.locations)


def as_script(language: Language) -> bytes:
    """Return what scripts say in a language, as a script that a page names before all others."""
    texts = json.dumps(dict(language.of_scripts), ensure_ascii=False, separators=(",", ":"))
    # JavaScript writes such an expression as C does.
    speaks = f"speak({texts}, (n) => {language.plural});"
    return f'import {{ speak }} from "../text.js";\n{speaks}\n'.encode()


def register(
    extensions: dict[str, Any],
    languages: Mapping[str, Language],
    choose: Callable[[Mapping[str, Language]], str],
) -> None:
    """Let an application speak languages.

    :param extensions: those of the application.
    :param choose: returns the code of the one of them that this request is answered in.
    """
    extensions[_EXTENSION] = (languages, choose)


def languages() -> Mapping[str, Language]:
    """Return the languages of this application, by their codes."""
    return cast("Mapping[str, Language]", current_app.extensions[_EXTENSION][0])


def current() -> Language:
    """Return the language of whoever reads what is being written."""
    # Pages ask hundreds of times, and each use of a proxy costs more than all the rest.
    try:
        context = app_ctx._get_current_object()  # type: ignore[attr-defined]
    except RuntimeError:
        return _english()
    spoken: Language | None = context.g.get(_SPOKEN)
    if spoken is None:
        spoken = _chosen(context.app.extensions)
        if has_request_context():
            context.g.setdefault(_SPOKEN, spoken)
    return spoken


def choose_again() -> None:
    """Find out anew which language this request is answered in, as somebody else may read it."""
    g.pop(_SPOKEN, None)


def _chosen(extensions: Mapping[str, Any]) -> Language:
    if _EXTENSION not in extensions:
        return _english()
    known, choose = extensions[_EXTENSION]
    return cast("Language", known[choose(known)])


@lru_cache
def _english() -> Language:
    return Language(DEFAULT, NullTranslations(), {})


def gettext(text: str, **values: object) -> str:
    """Return a text in the current language.

    :param text: in English, with ``%(name)s`` for each value.
    """
    said = current().translations.gettext(text)
    return said % values if values else said


def ngettext(singular: str, plural: str, num: int, **values: object) -> str:
    """Return the text for a number of things in the current language.

    :param num: also the value ``%(num)s`` of the text, as the language writes it.
    """
    language = current()
    said = language.translations.ngettext(singular, plural, num)
    return said % {"num": language.number(num), **values}


def lazy_gettext(text: str, **values: object) -> str:
    """Return a text that is looked up each time when it is written: for labels and tables."""
    return cast("str", LazyProxy(gettext, text, enable_cache=False, **values))
