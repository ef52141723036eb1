"""Signatures are those of Amazon's own library."""

from __future__ import annotations

import calendar
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from flask_delegate.stores.sigv4 import (
    LONGEST,
    StoreKeys,
    presigned_query,
    quoted,
    signed_headers,
)

# Everything that UTF-8 can write. botocore takes a query apart at its line breaks.
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)
EXTRA = st.dictionaries(NAMES.map("x-{}".format), ANYTHING, max_size=5)
KEYS = st.builds(
    StoreKeys, NAMES, st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]))
)
TEMPORARY = st.builds(StoreKeys, NAMES, NAMES, ANYTHING)


def theirs(
    method: str,
    host: str,
    path: str,
    keys: StoreKeys,
    region: str,
    expires: int,
    extra: dict[str, str],
) -> str:
    request = AWSRequest(method, f"http://{host}{path}", params=extra)
    credentials = Credentials(keys.key_id, keys.secret, keys.session_token)
    S3SigV4QueryAuth(credentials, "s3", region, expires).add_auth(request)
    return str(urlsplit(request.url).query)


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    host=st.sampled_from(["10.0.0.5:8333", "s3.example.com", "[::1]:9000"]),
    key=ANYTHING,
    keys=KEYS | TEMPORARY,
    region=st.sampled_from(["us-east-1", "eu-central-1", "garage"]),
    expires=st.integers(1, LONGEST),
    extra=EXTRA,
)
@example(
    method="GET",
    host="10.0.0.5:8333",
    key="a//b/%2F +~*'()!;:@&=$,/?#[]\\ä😀\n\x01",
    keys=StoreKeys("id", "secret"),
    region="us-east-1",
    expires=60,
    extra={"x-ct": "text/plain; charset=utf-8", "x-cd": 'inline; filename="a b+~.txt"', "x-B": ""},
)
def test_a_signature_is_that_of_botocore(
    method: str,
    host: str,
    key: str,
    keys: StoreKeys,
    region: str,
    expires: int,
    extra: dict[str, str],
) -> None:
    path = f"/bucket/{quoted(key, safe='/')}"
    # It leaves out dot segments, which locate() refuses.
    if any(part in (".", "..") for part in key.split("/")):
        return
    expected = dict(
        parse_qsl(theirs(method, host, path, keys, region, expires, extra), keep_blank_values=True)
    )
    now = calendar.timegm(time.strptime(expected["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    query = presigned_query(
        method,
        host,
        path,
        keys=keys,
        region=region,
        expires=expires,
        now=now,
        extra=extra.items(),
    )
    assert dict(parse_qsl(query, keep_blank_values=True)) == expected


@given(
    method=st.sampled_from(["GET", "HEAD"]),
    key=ANYTHING,
    keys=KEYS | st.builds(StoreKeys, NAMES, NAMES, NAMES),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
)
def test_signed_headers_are_those_of_botocore(
    method: str, key: str, keys: StoreKeys, region: str
) -> None:
    path = f"/bucket/{quoted(key, safe='/')}"
    if any(part in (".", "..") for part in key.split("/")):
        return
    request = AWSRequest(method, f"https://10.0.0.5:8333{path}")
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    credentials = Credentials(keys.key_id, keys.secret, keys.session_token)
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items()}
    now = calendar.timegm(time.strptime(expected["x-amz-date"], "%Y%m%dT%H%M%SZ"))
    made = signed_headers(method, "10.0.0.5:8333", path, keys=keys, region=region, now=now)
    assert {name.lower(): value for name, value in made.items()} == expected


def test_the_parameters_are_in_the_order_of_their_names_and_quoted_completely() -> None:
    query = presigned_query(
        "GET",
        "store",
        "/b/k",
        keys=StoreKeys("id", "secret"),
        region="r",
        expires=60,
        now=0,
        extra=[("x-z", "a/b ~"), ("x-a", "1")],
    )
    pairs = query.split("&")
    assert pairs[:-1] == sorted(pairs[:-1])
    assert pairs[-1].startswith("X-Amz-Signature=")
    assert "x-z=a%2Fb%20~" in pairs
    assert "X-Amz-Credential=id%2F19700101%2Fr%2Fs3%2Faws4_request" in pairs
    assert "X-Amz-Date=19700101T000000Z" in pairs


def test_each_part_changes_the_signature() -> None:
    usual = {"method": "GET", "host": "store", "path": "/b/k", "region": "r", "expires": 60}
    usual |= {"now": 0, "keys": StoreKeys("id", "secret"), "extra": [("x-a", "1")]}
    changes = {"method": "HEAD", "host": "stor", "path": "/b/l", "region": "s", "expires": 61}
    changes |= {"now": 1, "keys": StoreKeys("id", "secreT"), "extra": [("x-a", "2")]}

    def signature(**changed: object) -> str:
        given = {**usual, **changed}
        where = [given.pop(name) for name in ("method", "host", "path")]
        return presigned_query(*where, **given)[-64:]  # type: ignore[arg-type]

    signatures = {signature(), *(signature(**{name: value}) for name, value in changes.items())}
    assert len(signatures) == 1 + len(changes)


@pytest.mark.parametrize("expires", [0, -1, LONGEST + 1])
def test_a_time_that_stores_refuse_is_refused(expires: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and {LONGEST} seconds, not {expires}"):
        presigned_query("GET", "h", "/", keys=StoreKeys("i", "s"), region="r", expires=expires)


def test_secrets_are_in_no_representation() -> None:
    assert repr(StoreKeys("id", "s3cret", "t0ken")) == "StoreKeys(key_id='id')"
