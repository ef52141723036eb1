"""What pages and documents promise to people: their sentences with words that promise something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from .paths import PROJECT

PLACES = (
    *("README.md", "SECURITY.md", "docs/portal/*.md"),
    *("portal/web/templates/**/*.html", "portal/web/**/*.py"),
)
_PROMISING = re.compile(
    r"\b(nobody|no one|never|cannot|can't|won't|only (?:you|administrators)|everywhere|permanently"
    r"|neither|safe|undo|nothing else|does not count|do not count|(?<!at )once(?! an? ))\b",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"</?(?:p|h1|h2|t[dhr]|d[td]|li|caption|label|button|div|form|section|summary|title|a)\b[^>]*>"
)


def sentences() -> Mapping[str, frozenset[str]]:
    """Return the promising sentences of each file that has some."""
    readers = {".md": _of_document, ".html": _of_template, ".py": _of_module}
    found = {}
    for path in sorted({path for place in PLACES for path in PROJECT.glob(place)}):
        said = " ".join(readers[path.suffix](path.read_text())).split("\n")
        promising = {" ".join(one.split()) for text in said for one in _split(text)}
        promising = {one for one in promising if _PROMISING.search(one)}
        if promising:
            found[str(path.relative_to(PROJECT))] = frozenset(promising)
    return found


def _split(text: str) -> Iterator[str]:
    yield from re.split(r"(?<=[.!?:])\s+(?=[A-Z`*\[…])", " ".join(text.split()))


def _of_document(text: str) -> Iterator[str]:
    """Yield paragraphs and cells of tables, each with a line's end."""
    text = re.sub(r"^(```.*?```|    .*?)$", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=[-|#]|[0-9]+\. )", text):
        parts = block.split("|") if block.startswith("|") else [block.lstrip("-# ")]
        yield from (" ".join(part.split()) + "\n" for part in parts)


def _of_template(text: str) -> Iterator[str]:
    """Yield texts between tags of blocks, and texts within expressions."""
    text = re.sub("{#.*?#}", "", text, flags=re.DOTALL)
    code = re.findall("{{.*?}}|{%.*?%}", text, flags=re.DOTALL)
    yield from (f"{one}\n" for part in code for one in re.findall('"([^"]+)"', part))
    text = re.sub("{%.*?%}", " ", text, flags=re.DOTALL)
    text = re.sub("{{.*?}}", "…", text, flags=re.DOTALL)
    for part in _BLOCK.split(text):
        yield " ".join(re.sub("<[^>]*>", "", part).split()) + "\n"


def _of_module(text: str) -> Iterator[str]:
    """Yield texts other than docstrings, with … for what is filled in."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
            skipped.update(map(id, node.values))
            yield "".join(map(str, parts)) + "\n"
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            text = node.value if isinstance(node.value, str) else ""
            yield f"{text}\n" if " " in text else ""
