"""Internal URLs, for the servers that are given one."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from .base import Sending

_LONGEST = 16_000  # bytes; mod_wsgi reads at most 32 KiB of response headers


def internal_url(sending: Sending) -> str:
    """Give a file's internal URL, each byte outside RFC 3986's unreserved set quoted once."""
    relative = sending.delivery.file.relative.encode("utf-8", "surrogateescape")
    return sending.area.url + quoted(relative)


def quoted(path: bytes) -> str:
    """Quote each byte outside RFC 3986's unreserved set once, and leave slashes."""
    return quote_from_bytes(path, safe="/")


def check_length(url: str) -> None:
    """Make sure that an internal URL fits in a header.

    :raises ValueError: with its length.
    """
    if len(url) > _LONGEST:
        raise ValueError(f"the hand-off needs {len(url)} bytes, and {_LONGEST} are the limit")
