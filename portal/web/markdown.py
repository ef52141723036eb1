"""Markdown as HTML that can be in a page of the portal's, whoever wrote it.

HTML in it is shown as text. A picture is its description, for it could tell another host who reads,
and when. A link leads to a web page or a mail address, or it is only its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Semaphore
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from portal.core.language import gettext

_LINK = re.compile("(https?://|mailto:)", re.IGNORECASE)
_LOWEST = 6
_MOST = 64 * 1024
"""Characters. The worst that was found takes 1.4 s of a processor for as many."""
_DEEPEST = 20
"""Levels of quotes and lists within one another, each list of two: the parser leaves out what is
deeper."""
_ONE = Semaphore()
"""For whoever reads: a text that is costly on purpose takes one thread's time, and not all."""
_PATIENCE = 0.5
"""Seconds. Whoever waits holds a thread that others want for their pages."""


def as_html(text: str) -> Markup | None:
    """Return Markdown as HTML: CommonMark, with tables and what is struck through.

    :returns: none for what is too long or nested too deeply, or while others take too much time:
        people see it as it is written.
    """
    if len(text) > _MOST or not _ONE.acquire(timeout=_PATIENCE):
        return None
    try:
        return _rendered(text)
    finally:
        _ONE.release()


def _rendered(text: str) -> Markup | None:
    env: EnvType = {}
    tokens = _PARSER.parse(text, env)
    if any(token.level >= _DEEPEST - 2 for token in tokens):
        return None
    html = _PARSER.renderer.render(tokens, _PARSER.options, env)
    return Markup(html)  # noqa: S704  (the parser escapes what it did not write)


def _lower_headings(state: StateCore) -> None:
    """Begin a level below the page's own heading."""
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 1, _LOWEST)}"


def _align_by_class(state: StateCore) -> None:
    """Have a class say how a table's cell is aligned: pages have no styles of their own."""
    for token in state.tokens:
        if style := token.attrs.pop("style", None):
            token.attrSet("class", str(style).replace("text-align:", "to-"))


def _unlink(state: StateCore) -> None:
    """Leave only the text of links that do not lead to the web."""
    for token in state.tokens:
        opened: list[Token] = []
        for child in token.children or []:
            if child.type == "link_open":
                opened.append(child)
                child.hidden = not _LINK.match(str(child.attrGet("href") or ""))
            elif child.type == "link_close":
                child.hidden = opened.pop().hidden


def _open_link(
    self: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    if tokens[index].hidden:
        return ""
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    renderer: Any = self
    return str(renderer.renderToken(tokens, index, options, env))


def _describe_picture(
    self: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    renderer: Any = self
    described = renderer.renderInlineAsText(tokens[index].children or [], options, env)
    unnamed = gettext("Picture")
    return f'<span class="left-out">{escape(described or unnamed)}</span>'


def _parser() -> MarkdownIt:
    options = {"html": False, "maxNesting": _DEEPEST}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.core.ruler.push("align_by_class", _align_by_class)
    parser.core.ruler.push("unlink", _unlink)
    parser.add_render_rule("link_open", _open_link)
    parser.add_render_rule("image", _describe_picture)
    return parser


_PARSER = _parser()
