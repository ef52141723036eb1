"""Download names, and the header that carries them (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_LONGEST = 255  # bytes of UTF-8; the limit of the file systems in use
_DEFAULT = "download"
# What could leave the folder, or make a name look like another one: separators, controls, line
# separators, surrogates, and the marks and isolates that turn the direction of writing.
_SEPARATORS = re.compile(r"[/\\]")
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# RFC 6266, appendix D: quotes, backslashes and percent signs are read differently by browsers.
# Letters that are equivalent to a separator become one when they are put into ASCII.
_NOT_IN_FALLBACK = re.compile(r'["\\%;/]')
# Names that need none of what is done below: most of them.
_PLAIN = re.compile(r"(?=.{1,255}$)[A-Za-z0-9_](?:[A-Za-z0-9 ._()+,=@-]*[A-Za-z0-9_()+,=@-])?")
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1


def clean_name(name: str) -> str:
    """Make a name that is safe to save under: one component, visible, at most 255 bytes.

    Never empty, and never a hidden file.
    """
    if _PLAIN.fullmatch(name):
        return name
    name = _INVISIBLE.sub("", _SEPARATORS.sub("_", name)).strip(" ")
    if name.startswith("."):
        name = f"_{name[1:]}" if name.strip(".") else ""
    return _shorten(name.rstrip(". ")) or _DEFAULT


def _shorten(name: str) -> str:
    """Cut the stem, not the extension, at a whole character."""
    if len(name.encode()) <= _LONGEST:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > _LONGEST // 4:
        stem, extension = name, ""
    room = _LONGEST - len((dot + extension).encode() if extension else b"")
    return stem.encode()[:room].decode(errors="ignore") + (dot + extension if extension else "")


def content_disposition(kind: str, name: str) -> str:
    """Write the ``Content-Disposition`` header.

    :param kind: ``inline`` or ``attachment``.
    :param name: a name from :func:`clean_name`.
    """
    fallback = name if _PLAIN.fullmatch(name) else _ascii_fallback(name)
    header = f'{kind}; filename="{fallback}"'
    if fallback == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"


def _ascii_fallback(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    stem = _to_ascii(stem).strip(" .") or _DEFAULT
    extension = _to_ascii(extension)
    return f"{stem}.{extension}" if extension else stem


def _to_ascii(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    ascii_only = decomposed.encode("ascii", "ignore").decode()
    return _NOT_IN_FALLBACK.sub("_", ascii_only)
