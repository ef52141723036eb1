"""What Apache verifies of a folder's cookie, and what it says of the folder's files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import indent

from ...delivery import UNKNOWN
from .. import codec, signing
from . import folders

_ASKED = (
    f"%{{REQUEST_METHOD}} %{{req_novary:{signing.TIME_HEADER}}} %{{REQUEST_URI}}"
    " ;%{req_novary:Cookie};"
)
# Without a query there is nothing that a client could say of the file.
_WITHOUT_QUERY = "-z %{QUERY_STRING}"
# Apache removes them, but for those that AllowEncodedSlashes shows only after that.
_NO_DOTS = "!(%{REQUEST_URI} =~ m#/[.][.]?(?:/|$)#)"


def condition(url: str, keys: Iterable[str]) -> str:
    """Return the condition for a request with a cookie that opens the folder of what it asks for.

    :param url: the prefix of the area's signed URLs.
    :param keys: the one in use, and those that it has replaced.
    """
    depths = range(1, folders.DEEPEST + 1)
    forms = " || ".join(_form(url, key, depth) for key in keys for depth in depths)
    return f"({_WITHOUT_QUERY} && {_NO_DOTS} && ({forms}))"


def _form(url: str, key: str, depth: int) -> str:
    # The time and the path come before what a client may write as it likes.
    pattern = (
        f"^(?:GET|HEAD) t=([0-9]{{10}})[0-9]{{6}} ({re.escape(url)}(?:[^/]+/){{{depth}}})"
        rf"(?=[\s\S]*;[ ]*{signing.COOKIE}=({signing.COOKIE_VALUE});)"
        rf"[\s\S]*?;[ ]*{folders.COOKIE}{depth}=([0-9]{{10}})[.]([0-9a-f]{{40}});"
    )
    same = signing.same_expression(key, "folder $4 $3 $2", "$5")
    return f"('{_ASKED}' =~ m#{pattern}# && $4 -gt $1 && {same})"


def type_rules() -> str:
    """Return the section that says by a file's name what a client is told of it."""
    lines = indent("\n".join(_type_lines()), " " * 8)
    return f"""\
    <If "{_WITHOUT_QUERY}">
        # A file of a folder that a cookie opens. What is not listed here is saved.
{lines}
    </If>
"""


def _type_lines() -> Iterator[str]:
    kind, disposition = codec.CONTENT_TYPE.variable, codec.DISPOSITION.variable
    yield f"SetEnvIf Request_URI ^ {kind}={UNKNOWN} {disposition}=attachment"
    for one in folders.kinds():
        names = f"[.](?:{'|'.join(one.extensions)})$"
        policy = f" {codec.POLICY.variable}={codec.escape(one.policy)}" if one.policy else ""
        told = f"{kind}={codec.escape(one.content_type)} {disposition}=inline{policy}"
        yield f'SetEnvIfNoCase Request_URI "{names}" {told}'
