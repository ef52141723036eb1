"""The beginning of a stored text, read so that it can be in a page."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from portal.core.models import StoredFile
from portal.storage.base import ContentLostError, StoreAwayError
from portal.storage.content import current_storage

MOST = 128 * 1024
"""Bytes of a text that are shown: Markdown of this length takes a second at most."""

# What HTML cannot have, and ends of lines of other systems.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_LINE_END = re.compile("\r\n?")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class ShownText(NamedTuple):
    """A text, or its beginning.

    :param is_whole: whether that is all of it.
    """

    text: str
    is_whole: bool


def read(file: StoredFile) -> ShownText:
    """Read the beginning of a file as text.

    :raises ContentLostError: if its content is not there.
    :raises StoreAwayError: if it cannot be read now.
    """
    content = b""
    try:
        with current_storage().open(file.storage_key) as opened:
            while len(content) < MOST and (piece := opened.read(MOST - len(content))):
                content += piece
    except FileNotFoundError as error:
        raise ContentLostError(file.public_id) from error
    except OSError as error:
        raise StoreAwayError(str(error)) from error
    if len(content) != min(MOST, file.size):
        raise ContentLostError(file.public_id)
    return ShownText(decode(content), is_whole=file.size <= MOST)


def decode(content: bytes) -> str:
    """Return bytes as text: UTF-8 or what their mark says; else as old systems in the West wrote.

    The last character may be cut. Control characters are replaced.
    """
    text = _UNUSABLE.sub("\ufffd", _decoded(content))
    return _LINE_END.sub("\n", text)


def _decoded(content: bytes) -> str:
    for mark, coding in _MARKS:
        if content.startswith(mark):
            return codecs.getincrementaldecoder(coding)("replace").decode(content[len(mark) :])
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return content.decode("windows-1252", "replace")
