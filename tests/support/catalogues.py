"""The texts of the code, and the catalogues that have them in other languages.

``python -m tests.support.catalogues`` brings the catalogues up to date, for ``scripts/translate``.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from portal.core.language import CODES, DEFAULT, FOLDER, is_translated

ROOT = Path(__file__).parents[2]
_WIDTH = 100
_UNWANTED = ("POT-", "PO-", "Last-", "Language-Team", "Project-", "Report-")
_METHODS = [
    ("web/static/vendor/**", "ignore"),
    ("**.py", "python"),
    ("web/templates/**.html", "jinja2"),
    ("web/static/**.js", "javascript"),
]
_OPTIONS = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
_KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "lazy_gettext")),
    **dict.fromkeys(("ngettext", "lazy_ngettext"), (1, 2)),
}


@cache
def in_code() -> Catalog:
    """Return all texts that the code wants to have in the reader's language."""
    found = Catalog()
    for name, _, text, comments, _ in extract_from_dir(
        ROOT / "portal",
        _METHODS,
        _OPTIONS,
        _KEYWORDS,
        comment_tags=("For translators:",),
        strip_comment_tags=True,
    ):
        found.add(text, locations=[(f"portal/{name}", 0)], auto_comments=comments)
    return found


def path(code: str) -> Path:
    """Return where the catalogue of a language lies."""
    return FOLDER / f"{code}.po"


def read(code: str) -> Catalog:
    """Read the catalogue of a language."""
    with path(code).open("rb") as file:
        return read_po(file, locale=code)


def updated(code: str) -> bytes:
    """Return the catalogue of a language, in which new texts have no translation."""
    known = {message.id: message for message in read(code)} if path(code).exists() else {}
    catalogue = Catalog(locale=code, fuzzy=False, charset="utf-8")
    for message in in_code():
        if message.id:
            old = known.get(message.id)
            places = sorted(set(message.locations))
            comments = message.auto_comments
            text = old.string if old else None
            catalogue.add(message.id, text, places, auto_comments=comments)
    written = io.BytesIO()
    write_po(
        written, catalogue, width=_WIDTH, omit_header=False, sort_by_file=True, include_lineno=False
    )
    # The header says when it was written, which is not worth a change.
    lines = written.getvalue().decode().splitlines(keepends=True)
    unwanted = tuple(f'"{word}' for word in _UNWANTED)
    begin = next(index for index, line in enumerate(lines) if line.startswith("msgid"))
    kept = [line for line in lines[begin:] if not line.startswith(unwanted)]
    return "".join(kept).encode()


def missing(code: str) -> list[str]:
    """Return the texts that have no translation, or not for each of their forms."""
    return [str(one.id) for one in read(code) if one.id and not is_translated(one)]


def main() -> None:
    """Update all catalogues, and say what has to be translated."""
    for code in CODES:
        if code != DEFAULT:
            path(code).write_bytes(updated(code))
            lines = [f"{path(code).relative_to(ROOT)}: {len(missing(code))} to translate"]
            lines += [f"  {text}" for text in missing(code)]
            sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
