"""Media types by a file's name: the same on each machine, whatever that knows of types.

``mimetypes`` of the standard library reads files of the system that containers do not have, and
its own table differs between versions of Python.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from posixpath import splitext


def guess(name: str) -> str | None:
    """Return the media type that the extension of a name stands for.

    A compressed file is one, whatever it holds: ``page.html.gz`` is ``application/gzip``.
    """
    return types_by_extension().get(splitext(name)[1][1:].lower())


@cache
def types_by_extension() -> dict[str, str]:
    """Return the table: extensions are in lower case, and without a dot."""
    text = Path(__file__).with_name("mime.types").read_text("utf-8")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {extension: words[0] for words in lines for extension in words[1:]}
