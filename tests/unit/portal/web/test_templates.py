"""Nothing has a text of its own, in whatever case it is said: all come from the catalogues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

import portal
from tests.support.texts import Page

WEB = Path(portal.__file__).parent / "web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
SCRIPTS = sorted((WEB / "static").glob("*.js"))
ROOMS = ("web", "tus", "accounts", "identity", "files", "sharing", "activity", "storage")
"""Folders of what speaks to people; the others speak to whoever runs the portal."""
MODULES = sorted(path for room in ROOMS for path in (WEB.parent / room).rglob("*.py"))
ENGLISH = {
    *("Not a valid integer value.", "Not a valid choice."),
    "This form takes no files.",
    "Upload-Metadata has a character that is not ASCII, or not visible.",
    "Upload-Metadata can have at most x characters.",
    "Upload-Metadata has a key twice.",
    "Upload-Metadata has a key that is not ASCII.",
    "Upload-Metadata is not UTF-8 in base64.",
    "Upload-Checksum must be by one of x.",
    "Upload-Checksum is not in base64.",
    "By a link, nothing is replaced. Send it without 'replace'.",
    "The request's Host header is not the name of a host.",
    "The x is longer than x bytes. Send less in it.",
    "The header x is longer than x bytes. Send less in it.",
    "The piece does not begin where the upload ends. Ask for its offset first.",
    "Send each by itself.\n",
    "A group has files, each with its metadata.",
    "Two files of a group have the same metadata.",
    "The files of a group go to one folder.",
    "The files of a group go to a folder of an account.",
    "Uploads in pieces need the header Tus-Resumable: x.",
    "Uploads in pieces need the header Content-Type: x.",
}
"""What programs are told of requests that no page sends, and a library says."""
NO_TEXT = {'"move back"', "'error '"}
"""In templates: categories and classes."""
LOOKED_UP = {"_", "gettext", "ngettext"}
WORDS = re.compile(r"^[A-Z][a-z]|[a-z][,.]? [A-Za-z]|^ ?[a-z]+ $")
"""What looks like a text of people, and not like a name of something."""
COMMENTS = re.compile(r"^\s*/?\*.*$|(?<!:)//.*$", re.MULTILINE)
STRINGS = re.compile(r'"[^"\n]*"|`[^`]*`')
CALLS = re.compile(r'\bn?gettext\(\s*"[^"]*"(?:,\s*"[^"]*")?')
SAID = re.compile(r"^[A-Z][a-z]+( |$)|[a-z] [a-z]+ [a-z]")
OTHER = re.compile(
    r"[;=[#>]|^(Enter|Escape|Delete|Home|End|Tab|Shift|Files|Location|Arrow)$"
    r"|^refused with |^no link "
)
"""In scripts: selectors, names of keys and headers, and errors that nobody sees."""


def parts(source: str) -> Iterator[tuple[str, str]]:
    """Return what a template says by itself: its markup, and strings that it does not look up."""
    tokens = [
        (kind, value)
        for _, kind, value in Environment(autoescape=True).lex(source)
        if kind != "whitespace" and "comment" not in kind
    ]
    is_translated, depth, looked_up = False, 0, 0
    for (_, before), (kind, value), (_, after) in zip(
        [("", ""), *tokens], tokens, [*tokens[1:], ("", "")], strict=False
    ):
        if kind == "name" and before.startswith("{%"):
            is_translated = value == "trans" or (is_translated and value != "endtrans")
        if kind == "data" and not is_translated:
            yield "markup", value
        if kind == "operator":
            depth += (value in "([{") - (value in ")]}")
            if value == "(" and before in LOOKED_UP and not looked_up:
                looked_up = depth
            elif value in ")]}" and depth < looked_up:
                looked_up = 0
        is_key = after == ":" or {before, after} & {"==", "!="}
        if kind == "string" and not looked_up and not is_key and WORDS.search(value[1:-1]):
            yield "string", value


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_template_says_nothing_by_itself(path: Path) -> None:
    found = list(parts(path.read_text(encoding="utf-8")))
    strings = [text for kind, text in found if kind == "string" and text not in NO_TEXT]
    markup = "".join(text for kind, text in found if kind == "markup")
    assert [*Page(markup).unknown(), *strings] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_says_nothing_by_itself(path: Path) -> None:
    source = COMMENTS.sub("", path.read_text(encoding="utf-8"))
    strings = [one[1:-1] for one in STRINGS.findall(CALLS.sub("", source))]
    said = [re.sub(r"\$\{[^}]*\}", "", text) for text in strings]
    assert [text for text in said if SAID.search(text) and not OTHER.search(text)] == []


SENTENCE = re.compile(r"^[A-Z][ a-z'-][^_]* [^_]*[.?!…]$")
SILENT = {"debug", "info", "warning", "error", "exception", "RuntimeError", "ResourceClosedError"}
"""Calls with what only logs and programmers read."""
SPEAKING = LOOKED_UP | {"lazy_gettext"}


def sentences(node: ast.AST) -> Iterator[str]:
    """Return the sentences in code that are not looked up."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in SPEAKING | SILENT:
            return
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "x" for one in node.values]
        if SENTENCE.search(text := "".join(map(str, parts))):
            yield text
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if SENTENCE.search(node.value):
            yield node.value
        return
    for inner in ast.iter_child_nodes(node):
        yield from sentences(inner)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_module_says_nothing_to_people_by_itself(path: Path) -> None:
    found = sentences(ast.parse(path.read_text(encoding="utf-8")))
    assert [text for text in found if text not in ENGLISH] == []
