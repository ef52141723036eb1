"""Time-based codes, as an authenticator app computes them: RFC 6238."""

from __future__ import annotations

import base64
import hmac

STEP = 30


def step_of(moment: float) -> int:
    return int(moment) // STEP


def code_at(secret: str, step: int) -> str:
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"
