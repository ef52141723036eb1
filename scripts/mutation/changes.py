"""Every single change to a module: mutmut's, and checks, steps and texts that are left out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

Lines = tuple[int, int]
Node = Any  # of libcst, which the checks of this project do without


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one module.

    :param path: of the module, from the project's folder.
    :param line: where the change begins.
    :param function: the first and the last line of the function around it; none: it is outside.
    """

    path: str
    line: int
    function: Lines | None
    module: Node
    node: Node
    replacement: Node

    def text(self) -> str:
        """Return the changed module."""
        return str(self.module.deep_replace(self.node, self.replacement).code)

    def lines(self) -> tuple[list[str], list[str]]:
        """Return the lines that it removes and adds, without their indentation."""
        old, new = self.module.code.splitlines(), self.text().splitlines()
        compared = list(difflib.ndiff(old, new))
        removed, added = (
            [line[2:].strip() for line in compared if line.startswith(sign)] for sign in "-+"
        )
        return removed, added

    def diff(self) -> str:
        """Return the lines that it changes, as a diff shows them."""
        removed, added = self.lines()
        return "\n".join([*(f"- {line}" for line in removed), *(f"+ {line}" for line in added)])


def changes_to(project: Path, path: Path) -> Iterator[Change]:
    """Yield every change to a module that a test could notice."""
    # A module that is parsed anew has nodes that are each there once.
    wrapper = MetadataWrapper(cst.parse_module((project / path).read_text()))
    places: Mapping[Node, Any] = wrapper.resolve(PositionProvider)

    def walk(node: Node, above: tuple[Node, ...], function: Lines | None) -> Iterator[Change]:
        if _is_for_tools(node):
            return
        place = places.get(node)
        if place is not None:
            # Whoever calls a cached function first is not the only one who needs it.
            if isinstance(node, cst.FunctionDef) and not _is_cached(node):
                function = (place.start.line, place.end.line)
            for replacement in _replacements(node, above):
                yield Change(
                    str(path), place.start.line, function, wrapper.module, node, replacement
                )
        for child in node.children:
            yield from walk(child, (*above, node), function)

    return walk(wrapper.module, (), None)


def _is_for_tools(node: Node) -> bool:
    """Return whether it is for a type checker, or says how a function is defined."""
    if isinstance(node, cst.FunctionDef):
        return any(
            isinstance(one.decorator, cst.Name) and one.decorator.value == "overload"
            for one in node.decorators
        )
    if isinstance(node, cst.If):
        return isinstance(node.test, cst.Name) and node.test.value == "TYPE_CHECKING"
    if isinstance(node, cst.Subscript | cst.Call):
        name = getattr(node, "value", None) or getattr(node, "func", None)
        return isinstance(name, cst.Name) and name.value in {"Literal", "TypeVar", "ParamSpec"}
    return isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom)


def _is_cached(function: Node) -> bool:
    code = cst.Module([]).code_for_node
    return any("cache" in code(one) for one in function.decorators)


def _replacements(node: Node, above: tuple[Node, ...]) -> Iterator[Node]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind) and not (operator is operator_string and _is_said(node, above)):
            yield from (one for one in operator(node) if not _changes_a_saying(node, one))
    match node:
        case cst.If():  # the check is gone, or always made
            yield from (node.with_changes(test=cst.Name(value)) for value in ("False", "True"))
        case cst.Expr(value=cst.Call()):  # the step is gone
            yield cst.Pass()
        case cst.FormattedStringText() if not _is_said(node, above):
            yield node.with_changes(value=f"XX{node.value}")


_NAMES = "advice|cure|doc|fix|help|kinds|message|metavar|problem|reason"  # of texts for people
_SAYING = set(_NAMES.split("|"))
_WORDS = re.compile(r"\b[a-z'-]+[,;]? [a-z'-]+[,;]? [a-z'-]+\b")
_TEXTS = cst.ConcatenatedString | cst.FormattedString | cst.SimpleString


def _changes_a_saying(node: Node, replacement: Node) -> bool:
    """Return whether it is a call with another text for people."""
    if not (isinstance(node, cst.Call) and isinstance(replacement, cst.Call)):
        return False
    changed = [one for one in node.args if one not in replacement.args]
    return bool(changed) and all(one.keyword and one.keyword.value in _SAYING for one in changed)


def _is_said(node: Node, above: tuple[Node, ...]) -> bool:
    """Return whether a text is for people: no test repeats its words."""
    for one in (*above, node):
        names = [one.keyword] if isinstance(one, cst.Arg) else []
        if isinstance(one, cst.Assign):
            names = [element for target in one.targets for element in _names(target.target)]
        if any(isinstance(name, cst.Name) and name.value in _SAYING for name in names):
            return True
        if isinstance(one, cst.Raise):
            return True
        if isinstance(one, _TEXTS) and _WORDS.search(_text_of(one)):
            return True
    return False


def _text_of(node: Node) -> str:
    """Return all the words of a text that has several parts."""
    if isinstance(node, cst.SimpleString | cst.FormattedStringText):
        return str(node.value).strip("\"'")
    if isinstance(node, cst.FormattedStringExpression):
        return "_"
    return "".join(_text_of(part) for part in node.children if isinstance(part, _PARTS))


_PARTS = _TEXTS | cst.FormattedStringText | cst.FormattedStringExpression


def _names(target: Node) -> list[Node]:
    return [one.value for one in target.elements] if isinstance(target, cst.Tuple) else [target]
