"""What a page says, what of that comes from no catalogue, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from .pseudo import BEGIN, END

SAID = {"title", "aria-label", "aria-description", "aria-roledescription", "placeholder", "alt"}
SAID |= {"label", "data-open", "data-download", "data-title"}
"""Attributes that people read or hear."""
_DATA = re.compile(
    r"zq[\w./\\\"-]*|\b(?:alice|bob|root)\b|[\d.,\s]+\s(?:KiB|MiB|GiB|TiB)\b|https?://\S+"
    r"|\b(?:text|image|audio|video|application)/[\w.+-]+|\b[0-9a-f]{64}\b"
    r"|\bSHA-256\b|\bUTC\b|\bF2\b|\b[A-Z]\b"
)
"""Names in the tests, sizes, addresses, types, digests, zones and keys."""
_EMPTY = {"br", "hr", "img", "input", "link", "meta", "wbr", "source"}
_NO_TEXT = {"script", "style", "textarea", "code"}
"""Elements with what programs read, what somebody has typed, or secrets."""


def unknown_text(said: str) -> str:
    """Return what is not between brackets, without data; empty if that has no letters."""
    outside, depth = [], 0
    for char in said:
        depth += char == BEGIN
        outside.append(" " if depth else char)
        depth -= char == END
    left = " ".join(_DATA.sub(" ", "".join(outside)).split())
    return left if any(char.isalpha() for char in left) else ""


@dataclass
class Form:
    """A form of a page.

    :param fields: each with its name, its type and its value.
    :param others: what other buttons send it to.
    """

    action: str
    method: str
    fields: list[tuple[str, str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page, read.

    :param text: its HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._form: Form | None = None
        self._select = ""
        self._said: list[str] = []
        self._attributes: list[str] = []
        self._silent = 0
        self.feed(text)
        self.close()

    def unknown(self) -> Iterator[str]:
        """Return the texts and attributes that are in no catalogue."""
        depth = 0
        # Brackets may begin before an element, and end behind it.
        for text in self._said:
            if found := unknown_text(BEGIN * depth + text):
                yield found
            depth += text.count(BEGIN) - text.count(END)
        if depth:
            yield f"{depth} texts that do not end"
        for text in self._attributes:
            if found := unknown_text(text.partition("=")[2]):
                yield f"{text.partition('=')[0]}={found}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        # What is in a language of its own, such as the name of one, is not translated.
        is_own = tag != "html" and "lang" in given
        if tag not in _EMPTY and (self._silent or tag in _NO_TEXT or is_own):
            self._silent += 1
        says = {name: value for name, value in given.items() if name in SAID}
        if tag in {"button", "input"} and given.get("type") in {"submit", "button", "reset"}:
            says["value"] = given.get("value", "")
        if not is_own:
            self._attributes += [f"{name}={value}" for name, value in says.items()]
        self._note(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag not in _EMPTY:
            self._silent -= 1
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._said.append(data)

    def _note(self, tag: str, given: dict[str, str]) -> None:
        name, kind, value = given.get("name", ""), given.get("type", "text"), given.get("value", "")
        form = self._by_id.get(given.get("form", "")) or self._form
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
            self._by_id[given.get("id", "-")] = self._form
        elif form is None:
            return
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            form.fields.append((self._select, "option", value))
        elif tag == "textarea":
            form.fields.append((name, "textarea", "zq-erik"))
        elif "formaction" in given:
            form.others.append(given["formaction"])
        elif tag in {"input", "button"} and name:
            is_on = kind not in {"checkbox", "radio"} or "checked" in given
            value = value or ("zq" if "required" in given else "")
            kind = "submit" if tag == "button" else kind
            form.fields.append((name, kind if is_on else f"{kind}, off", value))
