"""Markdown as HTML that can be in a page of the portal's, whoever wrote it.

HTML in it is shown as text. A picture is its description, for it could tell another host who reads,
and when. A link leads to a web page or a mail address, or it stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def as_html(text: str) -> Markup:
    """Return Markdown as HTML: CommonMark, with tables and what is struck through."""
    return Markup(_PARSER.render(text))  # noqa: S704  (the parser escapes what it did not write)


def _lower_headings(state: StateCore) -> None:
    """Begin a level below the page's own heading."""
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 1, _LOWEST)}"


def _open_link(
    self: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
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
    return f'<span class="left-out">{escape(described or gettext("Picture"))}</span>'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(_LINK.match(url))  # type: ignore[method-assign]
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.add_render_rule("link_open", _open_link)
    parser.add_render_rule("image", _describe_picture)
    return parser


_PARSER = _parser()
