"""AWS Signature Version 4, for Amazon S3 and what speaks like it: in the query, or in headers.

Source: Amazon S3's API reference, "Authenticating Requests". S3 quotes each byte of a path once,
where other services of Amazon quote it twice.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

LONGEST = 7 * 24 * 3600
"""Seconds that a signature may be valid, says S3."""
SIGNATURE = "X-Amz-Signature"

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_UNRESERVED = "-_.~"  # RFC 3986; quote() never quotes letters and digits


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """What requests to a store are signed with.

    :param key_id: names the key; the store and its logs know it.
    :param secret: the key itself.
    :param session_token: what temporary keys come with.
    """

    key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def quoted(text: str, safe: str = "") -> str:
    """Quote each byte outside RFC 3986's unreserved set, once.

    :param safe: further characters to leave.
    """
    return quote(text, safe=_UNRESERVED + safe)


def presigned_query(
    method: str,
    host: str,
    path: str,
    *,
    keys: StoreKeys,
    region: str,
    expires: int,
    now: float | None = None,
    extra: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the query that lets whoever has it make one kind of request.

    :param method: such as ``GET``.
    :param host: the request's ``Host`` header.
    :param path: the request's path, quoted by :func:`quoted` with slashes left.
    :param expires: seconds that it is valid, counted when a request begins.
    :param now: seconds since the epoch; none: the clock's.
    :param extra: further parameters, which are signed, too. A store ignores those whose names begin
        with ``x-``.
    :returns: the parameters in the order of their names, and the signature as the last one. Values
        are quoted completely; a store accepts ``/`` in place of ``%2F``.
    :raises ValueError: if ``expires`` is out of range.
    """
    if not 1 <= expires <= LONGEST:
        raise ValueError(f"expires must be between 1 and {LONGEST} seconds, not {expires}")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    values = [
        *extra,
        ("X-Amz-Algorithm", _ALGORITHM),
        ("X-Amz-Credential", f"{keys.key_id}/{scope}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    if keys.session_token is not None:
        values.append(("X-Amz-Security-Token", keys.session_token))
    query = "&".join(f"{name}={value}" for name, value in sorted(map(_quoted_pair, values)))
    request = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\n{_UNSIGNED}"
    return f"{query}&{SIGNATURE}={_signature(request, stamp, scope, keys, region)}"


def signed_headers(
    method: str, host: str, path: str, *, keys: StoreKeys, region: str, now: float | None = None
) -> dict[str, str]:
    """Return the headers that let whoever has them make one kind of request, for some minutes.

    A store accepts them for as long as it accepts a clock that differs: 15 minutes.

    :param method: such as ``GET``.
    :param host: the request's ``Host`` header.
    :param path: as for :func:`presigned_query`; there is no query.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    headers = {"X-Amz-Content-Sha256": _UNSIGNED, "X-Amz-Date": stamp}
    if keys.session_token is not None:
        headers["X-Amz-Security-Token"] = keys.session_token
    signed = sorted((name.lower(), value) for name, value in {"Host": host, **headers}.items())
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{_UNSIGNED}"
    signature = _signature(request, stamp, scope, keys, region)
    headers["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.key_id}/{scope}, SignedHeaders={names},"
        f" Signature={signature}"
    )
    return headers


def _signature(request: str, stamp: str, scope: str, keys: StoreKeys, region: str) -> str:
    digest = sha256(request.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    key = _signing_key(keys.secret, stamp[:8], region)
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _quoted_pair(pair: tuple[str, str]) -> tuple[str, str]:
    return quoted(pair[0]), quoted(pair[1])


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
