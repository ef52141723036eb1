"""What a view asks for (:class:`Handoff`) and what is sent (:class:`Delivery`)."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
from dataclasses import dataclass

from .disposition import clean_name, content_disposition
from .mediatype import UNKNOWN, content_type, guess, sandbox_for
from .resolve import PrivateFile

_POLICY = re.compile(r"[\x20-\x7e]{1,2000}")
_MAX_AGE_LIMIT = 10**9  # seconds; about 31 years, and what the codec has room for


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a file is to be delivered; ``None`` leaves a choice to the defaults.

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
    """

    area: str | None = None
    as_attachment: bool | None = None
    download_name: str | None = None
    mimetype: str | None = None
    max_age: int | None = None
    csp: str | None = None
    rate_limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be sent.

        :raises ValueError: a number out of range, or a policy that is not one line of ASCII.
        """
        _check_number("max_age", self.max_age, 0, _MAX_AGE_LIMIT, "seconds")
        _check_number("rate_limit", self.rate_limit, 1, 10**15, "bytes a second")
        if self.csp is not None and not _POLICY.fullmatch(self.csp):
            raise ValueError("csp must be 1 to 2000 printable ASCII characters on one line")


_OPTIONS = tuple(field.name for field in dataclasses.fields(Options))


@dataclass(frozen=True, slots=True)
class Handoff(Options):
    """A file to deliver, as a view returns it.

    :param path: relative to the area's root.
    """

    path: str | os.PathLike[str] = dataclasses.field(kw_only=False)

    def with_defaults(self, defaults: Options) -> Handoff:
        """Fill what this hand-off leaves open from ``defaults``."""
        missing = {
            name: value
            for name in _OPTIONS
            if (value := getattr(defaults, name)) is not None and getattr(self, name) is None
        }
        return dataclasses.replace(self, **missing) if missing else self


@dataclass(frozen=True, slots=True)
class Delivery:
    """A resolved file and everything that the client is to be told of it.

    :param id: 16 characters that find the hand-off in the server's log: see
        :mod:`flask_delegate.receipts`. Not a secret.
    :param handoff: what the view returned. A subclass of :class:`Handoff` carries to the receivers
        of ``file_delegated`` what else they need to know.
    :param file: what to send.
    :param content_type: the ``Content-Type`` header.
    :param disposition: the ``Content-Disposition`` header.
    :param max_age: seconds, or none.
    :param csp: the ``Content-Security-Policy`` header, or none.
    :param rate_limit: bytes a second, or none.
    """

    id: str
    handoff: Handoff
    file: PrivateFile
    content_type: str
    disposition: str
    max_age: int | None
    csp: str | None
    rate_limit: int | None

    def headers(self) -> dict[str, str]:
        """Give the response headers that say it. The cache policy (RFC 9111) is never public."""
        fresh = "no-cache" if self.max_age is None else f"max-age={self.max_age}"
        headers = {
            "Content-Type": self.content_type,
            "Content-Disposition": self.disposition,
            "Cache-Control": f"private, {fresh}",
            "X-Content-Type-Options": "nosniff",
        }
        if self.csp:
            headers["Content-Security-Policy"] = self.csp
        return headers


def describe(handoff: Handoff, file: PrivateFile) -> Delivery:
    """Settle name, type and policies.

    :raises ValueError: if the media type given is not one.
    """
    name = clean_name(handoff.download_name or file.name)
    mimetype = handoff.mimetype or guess(name) or guess(file.name) or UNKNOWN
    attachment = bool(handoff.as_attachment) or mimetype.lower() == UNKNOWN
    return Delivery(
        id=secrets.token_urlsafe(12),
        handoff=handoff,
        file=file,
        content_type=content_type(mimetype),
        disposition=content_disposition("attachment" if attachment else "inline", name),
        max_age=handoff.max_age,
        csp=handoff.csp or sandbox_for(mimetype),
        rate_limit=handoff.rate_limit,
    )


def _check_number(name: str, value: object, least: int, most: int, unit: str) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(
            f"{name} must be a whole number of {unit} from {least} to {most}, not {value!r}"
        )
