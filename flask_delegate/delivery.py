"""What is sent: a private file and everything that the client is told of it.

Sandboxes, download names and the header that carries them (RFC 6266, RFC 8187).
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from .areas import Area
from .handoff import Handoff
from .media_types import guess
from .resolve import PrivateFile, resolve
from .stores.objects import StoredObject, locate

UNKNOWN = "application/octet-stream"

_NAME = r"[A-Za-z0-9!#$&^_.+-]+"  # RFC 6838, 4.2, with the characters that a parameter needs
_TYPE = re.compile(rf'{_NAME}/{_NAME}(?:; ?{_NAME}=(?:{_NAME}|"[A-Za-z0-9 ._:/+-]*"))*')

_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

# Types that browsers show without running anything in the site's name. (A browser's PDF viewer
# isolates a document's scripts from the site, and does not work inside a sandbox.)
_PASSIVE = re.compile(
    "application/(octet-stream|pdf)|image/(avif|bmp|gif|jpeg|png|webp)|text/plain|(audio|video)/.*"
)

_LONGEST = 255  # bytes of UTF-8; the limit of the file systems in use
_DEFAULT = "download"
# What could leave the folder, or make one name look like another: separators, controls, line
# separators, surrogates, and the characters that change the direction of writing.
_SEPARATORS = re.compile(r"[/\\]")
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# RFC 6266, appendix D: quotes, backslashes and percent signs are read differently by browsers.
# Letters that are equivalent to a separator become one in ASCII.
_NOT_IN_FALLBACK = re.compile(r'["\\%;/]')
# Names that need no change: most of them.
_PLAIN = re.compile(r"(?=.{1,255}$)[A-Za-z0-9_](?:[A-Za-z0-9 ._()+,=@-]*[A-Za-z0-9_()+,=@-])?")
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1


@dataclass(frozen=True, slots=True)
class Delivery:
    """A resolved file, or an object in a store, and everything that the client is told of it.

    Its ``id`` finds the hand-off in the server's log: see :mod:`flask_delegate.receipts`. A
    subclass of :class:`Handoff` carries to the receivers of ``file_delegated`` what else they need.
    """

    id: str  # 16 characters; not a secret
    handoff: Handoff  # what the view returned
    area: Area  # where the file lies
    file: PrivateFile | StoredObject  # what to send
    content_type: str  # the header Content-Type
    disposition: str  # the header Content-Disposition
    max_age: int | None  # seconds
    csp: str | None  # the header Content-Security-Policy
    rate_limit: int | None  # bytes a second
    digest: str | None = None  # the header Repr-Digest

    def headers(self) -> dict[str, str]:
        """Return the response headers that say it. The cache policy (RFC 9111) is never public."""
        fresh = "no-cache" if self.max_age is None else f"max-age={self.max_age}"
        headers = {
            **self.area.headers,
            "Content-Type": self.content_type,
            "Content-Disposition": self.disposition,
            "Cache-Control": f"private, {fresh}",
            "X-Content-Type-Options": "nosniff",
        }
        if self.csp:
            headers["Content-Security-Policy"] = self.csp
        if self.digest:
            headers["Repr-Digest"] = self.digest
        return headers


def find(handoff: Handoff, area: Area, *, generated: bool = False) -> PrivateFile | StoredObject:
    """Return what a view asks for, safe to deliver. No store is asked whether it is there.

    :param generated: whether it may lie in the folder of generated files.
    :raises FileRefused: if it is not a readable regular file below the root, or cannot be a key.
    """
    if area.store is None:
        return resolve(area.root, handoff.path, generated=generated)
    return locate(area.store, handoff.path, handoff.size, handoff.etag)


def describe(
    handoff: Handoff, area: Area, file: PrivateFile | StoredObject, tag: str = ""
) -> Delivery:
    """Settle name, type and policies.

    :param tag: what the hand-off's id begins with; half of it at most.
    :raises ValueError: if the media type given is not one.
    """
    name = clean_name(handoff.download_name or file.name)
    mimetype = handoff.mimetype or guess(name) or guess(file.name) or UNKNOWN
    attachment = bool(handoff.as_attachment) or mimetype.lower() == UNKNOWN
    return Delivery(
        id=tag + secrets.token_urlsafe(12)[len(tag) :],
        handoff=handoff,
        area=area,
        file=file,
        content_type=content_type(mimetype),
        disposition=content_disposition("attachment" if attachment else "inline", name),
        max_age=handoff.max_age,
        csp=handoff.csp or sandbox_for(mimetype),
        rate_limit=handoff.rate_limit,
        digest=handoff.sha256 and repr_digest(handoff.sha256),
    )


def repr_digest(sha256: str) -> str:
    """Return the ``Repr-Digest`` header (RFC 9530) of a hash in hexadecimal digits."""
    return f"sha-256=:{b2a_base64(bytes.fromhex(sha256), newline=False).decode()}:"


@lru_cache(maxsize=256)
def content_type(mimetype: str) -> str:
    """Return the ``Content-Type`` header; text without a charset is UTF-8.

    :raises ValueError: if ``mimetype`` is not ``type/subtype`` with parameters.
    """
    if not _TYPE.fullmatch(mimetype):
        raise ValueError(f"mimetype {mimetype!r} is not of the form type/subtype; name=value")
    if mimetype.lower().startswith("text/") and "charset=" not in mimetype.lower():
        return f"{mimetype}; charset=utf-8"
    return mimetype


@lru_cache(maxsize=256)
def sandbox_for(mimetype: str) -> str | None:
    """Return the Content-Security-Policy for types that a browser could run, none for others.

    The list holds the harmless ones, so that a type nobody thought of is sandboxed.
    """
    essence = mimetype.partition(";")[0].strip().lower()
    return None if _PASSIVE.fullmatch(essence) else _SANDBOX


def clean_name(name: str) -> str:
    """Return a name that is safe to save under: one component, visible, at most 255 bytes.

    It is never empty, and never a hidden file.
    """
    if _PLAIN.fullmatch(name):
        return name
    name = _INVISIBLE.sub("", _SEPARATORS.sub("_", name)).strip(" ")
    if name.startswith("."):
        name = f"_{name[1:]}" if name.strip(".") else ""
    return _shorten(name.rstrip(". ")) or _DEFAULT


def _shorten(name: str) -> str:
    """Cut the stem of a long name, not the extension, at a whole character."""
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension).encode()
    if not dot or len(ending) > _LONGEST // 4 + 1:
        stem, ending = name, b""
    return stem.encode()[: _LONGEST - len(ending)].decode(errors="ignore") + ending.decode()


def content_disposition(kind: str, name: str) -> str:
    """Return the ``Content-Disposition`` header.

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
    stem = _to_ascii(stem if dot else name).strip(" .") or _DEFAULT
    extension = _to_ascii(extension if dot else "")
    return f"{stem}.{extension}" if extension else stem


def _to_ascii(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_IN_FALLBACK.sub("_", ascii_only)
