"""The URL of a hand-off: how a download's name, type and policies pass through Apache.

A hand-off drops every header of the application's response, but keeps the query of the local URL.
So the query carries the values, always in the order of :data:`FIELDS`, and the generated Apache
configuration reads them back with the patterns made here. It refuses a query of any other form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes

from ..delivery import Delivery
from ..exceptions import HandoffUnavailable

_KIBIBYTE = 1024
LONGEST = 24 * _KIBIBYTE
"""Bytes of the header that hands a file off: room for the longest path that Linux allows (4,095
bytes, each three when quoted), a name of 255 bytes, a policy and a media type."""
RESPONSE_HEAD = LONGEST + 8 * _KIBIBYTE
"""Bytes that the server has to read of a response's head, cookies and other headers included.
mod_wsgi reads as many of each header, unless ``header-buffer-size`` says otherwise."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value in the query.

    :param key: its name there.
    :param variable: the environment variable that Apache keeps it in.
    :param pattern: what it may look like; also valid inside Apache's ``m#…#``.
    :param required: whether each query has it.
    """

    key: str
    variable: str
    pattern: str
    required: bool = False

    @property
    def capture(self) -> str:
        """The expression that reads it."""
        return f"{self.key}=({self.pattern})"


ESCAPED = "[A-Za-z0-9._~%/-]+"
"""What values are escaped to. '/' is not: Apache's %{unescape:…} refuses %2F."""

ID = Field("id", "DELEGATE_ID", "[A-Za-z0-9_-]{16}", required=True)
CONTENT_TYPE = Field("ct", "DELEGATE_CT", ESCAPED, required=True)
DISPOSITION = Field("cd", "DELEGATE_CD", ESCAPED, required=True)
MAX_AGE = Field("ma", "DELEGATE_MA", "[0-9]{1,10}")
POLICY = Field("csp", "DELEGATE_CSP", ESCAPED)
RATE = Field("rl", "rate-limit", "[0-9]{1,12}")
DIGEST = Field("rd", "DELEGATE_RD", ESCAPED)
DESCRIBED = (CONTENT_TYPE, DISPOSITION, MAX_AGE, POLICY, RATE, DIGEST)
FIELDS = (ID, *DESCRIBED)

_UNSAFE = re.compile(r"[^A-Za-z0-9._~/-]")


def internal_url(delivery: Delivery, query: str = "", most: int = LONGEST) -> str:
    """Return a file's internal URL.

    :param most: bytes of a header that the server reads.
    :raises HandoffUnavailable: if it does not fit in a header.
    """
    relative = delivery.file.relative.encode("utf-8", "surrogateescape")
    url = f"{delivery.area.url}{quoted(relative)}{query and f'?{query}'}"
    check_length(delivery, url, most)
    return url


def check_length(delivery: Delivery, url: str, most: int = LONGEST) -> None:
    """Check that the server reads all of a hand-off's header.

    :param most: bytes of a header that it reads.
    :raises HandoffUnavailable: if it does not.
    """
    if len(url) > most:
        reason = f"the hand-off's header would have {len(url)} bytes, and {most} are the limit."
        cure = "Choose a shorter policy (csp), media type, path or DELEGATE_URL."
        raise HandoffUnavailable(delivery.area.name, reason, cure, "too-long")


def quoted(path: bytes) -> str:
    """Quote each byte outside RFC 3986's unreserved set once, and leave slashes."""
    return quote_from_bytes(path, safe="/")


def encode(delivery: Delivery, token: str) -> str:
    """Return the query.

    :param token: the area's secret, which Apache requires.
    """
    return "&".join([f"k={token}", f"{ID.key}={delivery.id}", *described(delivery)])


def described(delivery: Delivery) -> list[str]:
    """Return what a query says of a file: each field of :data:`DESCRIBED` that has a value."""
    return [f"{field.key}={escape(value)}" for field, value in values(delivery)]


def values(delivery: Delivery) -> Iterator[tuple[Field, str]]:
    """Yield each field of :data:`DESCRIBED` that has a value, and that.

    :raises ValueError: for a value that cannot stand in a header.
    """
    rate = delivery.rate_limit
    found = (
        (CONTENT_TYPE, delivery.content_type),
        (DISPOSITION, delivery.disposition),
        (MAX_AGE, delivery.max_age),
        (POLICY, delivery.csp),
        # Rounded down, so that a limit is never exceeded, to no less than mod_ratelimit's unit.
        (RATE, rate and max(1, rate // _KIBIBYTE)),
        (DIGEST, delivery.digest),
    )
    for field, value in found:
        if value is not None:
            text = str(value)
            # Each value has been checked before; this keeps a line break out of a header.
            if not (text and text.isascii() and text.isprintable()):
                raise ValueError(f"{text!r} cannot stand in a header")
            yield field, text


@lru_cache(maxsize=1024)
def escape(value: str) -> str:
    """Return a value as a query carries it."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", value)


def query_pattern(token: str) -> str:
    """Return the expression that a whole query must match, with a group for each field."""
    groups = (f"&{one.capture}" if one.required else f"(?:&{one.capture})?" for one in FIELDS)
    return f"^k={re.escape(token)}{''.join(groups)}$"


def captures() -> Iterator[tuple[str, str]]:
    """Yield expressions on a query, each with the variables that Apache sets from its groups."""
    # What each query has is found at once. A signed URL has no id.
    required = [field for field in FIELDS if field.required]
    _, *others = (field.capture for field in required)
    names = " ".join(f"{field.variable}=${number}" for number, field in enumerate(required, 1))
    yield in_query(f"(?:{ID.capture}&)?{'&'.join(others)}"), names
    for field in FIELDS:
        if not field.required:
            yield in_query(field.capture), f"{field.variable}=$1"


def in_query(pattern: str) -> str:
    """Return the expression that finds a parameter, but the first one, in a query."""
    return f"%{{QUERY_STRING}} =~ m#&{pattern}(?:&|$)#"
