"""Media types: guessing one, and telling which of them a browser could run."""

from __future__ import annotations

import mimetypes
import re
from functools import lru_cache

UNKNOWN = "application/octet-stream"

_NAME = r"[A-Za-z0-9!#$&^_.+-]+"  # RFC 6838, 4.2, with the characters that a parameter needs
_TYPE = re.compile(rf'{_NAME}/{_NAME}(?:; ?{_NAME}=(?:{_NAME}|"[A-Za-z0-9 ._:/+-]*"))*')

# mimetypes tells a compressed file's inner type and its coding apart. What is delivered is the
# compressed file, so its type is that of the coding.
_CODINGS = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}

_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

# Types that browsers show without running anything in the site's name. (A browser's PDF viewer
# keeps a document's scripts away from the site by itself, and does not work inside a sandbox.)
_PASSIVE = frozenset(
    {
        "application/pdf",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        UNKNOWN,
    }
)
_PASSIVE_FAMILIES = ("audio/", "video/")


def guess(name: str) -> str | None:
    """Guess a media type from a file's name."""
    mimetype, coding = mimetypes.guess_type(name.replace(":", "_"), strict=False)
    return _CODINGS.get(coding, UNKNOWN) if coding else mimetype


@lru_cache(maxsize=256)
def content_type(mimetype: str) -> str:
    """Write the ``Content-Type`` header; text without a charset is said to be UTF-8.

    :raises ValueError: if ``mimetype`` is not ``type/subtype`` with parameters.
    """
    if not _TYPE.fullmatch(mimetype):
        raise ValueError(f"mimetype {mimetype!r} is not of the form type/subtype; name=value")
    if mimetype.lower().startswith("text/") and "charset=" not in mimetype.lower():
        return f"{mimetype}; charset=utf-8"
    return mimetype


@lru_cache(maxsize=256)
def sandbox_for(mimetype: str) -> str | None:
    """Give the Content-Security-Policy for types that a browser could run, none for the others.

    The list is of the harmless ones, so that a type nobody thought of is sandboxed.
    """
    essence = mimetype.partition(";")[0].strip().lower()
    if essence in _PASSIVE or essence.startswith(_PASSIVE_FAMILIES):
        return None
    return _SANDBOX
