"""The query of a hand-off URL: how a download's name, type and policies pass through Apache.

A hand-off drops every header of the application's response, but keeps the query of the local URL.
So the query carries the values, always in the order of :data:`FIELDS`, and the generated Apache
configuration reads them back with the pattern made here. A query of any other form is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ..handoff import Delivery

KIBIBYTE = 1024


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


# '/' stays as it is: Apache's %{unescape:…} refuses %2F.
_ESCAPED = "[A-Za-z0-9._~%/-]+"

ID = Field("id", "DELEGATE_ID", "[A-Za-z0-9_-]{16}", required=True)
CONTENT_TYPE = Field("ct", "DELEGATE_CT", _ESCAPED, required=True)
DISPOSITION = Field("cd", "DELEGATE_CD", _ESCAPED, required=True)
MAX_AGE = Field("ma", "DELEGATE_MA", "[0-9]{1,10}")
POLICY = Field("csp", "DELEGATE_CSP", _ESCAPED)
RATE = Field("rl", "rate-limit", "[0-9]{1,12}")
DESCRIBED = (CONTENT_TYPE, DISPOSITION, MAX_AGE, POLICY, RATE)
FIELDS = (ID, *DESCRIBED)

_UNSAFE = re.compile(r"[^A-Za-z0-9._~/-]")


def encode(delivery: Delivery, token: str) -> str:
    """Write the query.

    :param token: the area's secret mark, which Apache requires.
    """
    return "&".join([f"k={token}", f"{ID.key}={delivery.id}", *described(delivery)])


def described(delivery: Delivery) -> list[str]:
    """Write what a query says of a file: a field each of :data:`DESCRIBED`."""
    rate = delivery.rate_limit
    values = (
        (CONTENT_TYPE, delivery.content_type),
        (DISPOSITION, delivery.disposition),
        (MAX_AGE, delivery.max_age),
        (POLICY, delivery.csp),
        # Rounded down, so that a limit is never exceeded, to no less than mod_ratelimit's unit.
        (RATE, rate and max(1, rate // KIBIBYTE)),
    )
    return [f"{field.key}={_escape(str(value))}" for field, value in values if value is not None]


@lru_cache(maxsize=1024)
def _escape(value: str) -> str:
    # Whoever made the value has checked it; this is what keeps a line break out of a header.
    if not (value and value.isascii() and value.isprintable()):
        raise ValueError(f"{value!r} cannot stand in a header")
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", value)


def query_pattern(token: str) -> str:
    """Give the regular expression that a whole query must match, a group for each field."""
    return f"^k={re.escape(token)}" + "".join(_group(field) for field in FIELDS) + "$"


def optional(field: Field) -> str:
    """Give the expression for a field that may be there, without a group."""
    return f"(?:&{field.key}={field.pattern})?"


def _group(field: Field) -> str:
    group = f"&{field.key}=({field.pattern})"
    return group if field.required else f"(?:{group})?"
