"""What a view asks for."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import KW_ONLY, dataclass
from typing import TypedDict

_POLICY = re.compile(r"[\x20-\x7e]{1,2000}")
_ETAG = re.compile(r'("?)[\x21\x23-\x7e]{1,200}\1')  # RFC 9110, 8.8.3; a strong one
_SHA256 = re.compile("[0-9A-Fa-f]{64}")
_MAX_AGE_LIMIT = 10**9  # seconds; about 31 years, and what the codec has room for


class Options(TypedDict, total=False):
    """The options of :class:`Handoff`, as keyword arguments of other functions."""

    area: str | None
    as_attachment: bool | None
    download_name: str | None
    mimetype: str | None
    max_age: int | None
    csp: str | None
    rate_limit: int | None
    size: int | None
    etag: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Handoff:
    """A file to deliver, as a view returns it. ``None`` leaves a choice to the defaults.

    :param path: relative to the area's root; in an area that lies in a store, an object's key.
    :param area: the area's name; none: the default area.
    :param as_attachment: have the browser save the file rather than show it.
    :param download_name: the name to save it under; none: the file's own.
    :param mimetype: the media type; none: guessed from the name. Unknown types are sent as
        ``application/octet-stream``, as an attachment.
    :param max_age: seconds that the browser may keep the file without asking again
        (``private, max-age=N``); none: ``private, no-cache``. It is never public.
    :param csp: a Content-Security-Policy for the file; none: a sandbox for every type that a
        browser could run.
    :param rate_limit: bytes a second; none: no limit. On Apache each limited download holds a
        thread for its whole length, and the rate is a whole number of KiB, at least one. The
        backends ``stream`` and ``xsendfile`` do not limit.
    :param size: an object's size in bytes, where the view knows it; not needed for a file.
    :param etag: an object's ETag, as the store gave it, where the view knows it; not needed for a
        file. With both, ``HEAD`` does not wait for the store.
    :param sha256: the SHA-256 of the file's or object's bytes, in 64 hexadecimal digits, where the
        view knows it. It is sent as ``Repr-Digest`` (RFC 9530). Nothing checks it.
    :raises ValueError: for a number out of range, a policy or an ETag that is not one line of
        ASCII, or a hash that is none.
    """

    path: str | os.PathLike[str]
    _: KW_ONLY
    area: str | None = None
    as_attachment: bool | None = None
    download_name: str | None = None
    mimetype: str | None = None
    max_age: int | None = None
    csp: str | None = None
    rate_limit: int | None = None
    size: int | None = None
    etag: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        _check_number("max_age", self.max_age, 0, _MAX_AGE_LIMIT, "seconds")
        _check_number("rate_limit", self.rate_limit, 1, 10**15, "bytes a second")
        _check_number("size", self.size, 0, 10**18, "bytes")
        if self.etag is not None and not _ETAG.fullmatch(self.etag):
            raise ValueError("etag must be 1 to 200 printable ASCII characters, without blanks")
        digest = self.sha256
        if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
            raise ValueError("sha256 must be 64 hexadecimal digits")
        if self.csp is not None and not _POLICY.fullmatch(self.csp):
            raise ValueError("csp must be 1 to 2000 printable ASCII characters on one line")

    def with_defaults(self, defaults: Options) -> Handoff:
        """Return this hand-off, with what it leaves open taken from ``defaults``."""
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing) if missing else self  # type: ignore[arg-type]


def _check_number(name: str, value: object, least: int, most: int, unit: str) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        span = f"{unit} from {least} to {most}"
        raise ValueError(f"{name} must be a whole number of {span}, not {value!r}")
