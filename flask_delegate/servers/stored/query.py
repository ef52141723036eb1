"""The URL of a hand-off by Apache to a store: the store's own signed query, with a description.

Apache passes it on unchanged, or the store's signature would not fit. What Apache needs to know
stands in parameters that are signed, too, and that a store ignores because their names begin with
``x-``. No secret does: a store keeps logs. A proof takes the place of the area's token: a hash of
the hand-off's id with the token as its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from wsgiref.types import WSGIEnvironment

from ...delivery import Delivery
from ...stores.objects import StoredObject
from ...stores.sigv4 import SIGNATURE
from .. import codec, signing

_VALUE = "[A-Za-z0-9._~%/-]*"
_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_PROOF = codec.Field("k", "", "[0-9a-f]{40}", required=True)
WHOLE = codec.Field("nr", "DELEGATE_NR", "1")
"""Is there where a part must not be sent, although the client asks for one."""
SAME = codec.Field("im", "DELEGATE_IM", codec.ESCAPED)
"""The ETag that the object must have, or a part of it would be joined to another one's."""
# A signed query is in the order of its names.
_FIELDS = sorted(
    (replace(one, key=f"x-{one.key}") for one in (*codec.FIELDS, _PROOF, WHOLE, SAME)),
    key=lambda field: field.key,
)


def url(
    delivery: Delivery, file: StoredObject, token: str, environ: WSGIEnvironment, most: int
) -> str:
    """Return the internal URL.

    :param token: the area's.
    :param most: bytes of a header that the server reads.
    :raises HandoffUnavailable: if it does not fit in a header.
    """
    described = [(f"x-{field.key}", value) for field, value in codec.values(delivery)]
    described += [("x-id", delivery.id), ("x-k", signing.proof(token, delivery.id))]
    described += [(f"x-{WHOLE.key}", "1")] if must_be_whole(file, environ) else []
    described += [(f"x-{SAME.key}", etag) for etag in must_be_same(file, environ)]
    path, query = file.store.target("GET", file.relative, *described)
    # Apache's %{unescape:…} refuses %2F.
    query = query.replace("%2F", "/")
    made = f"{delivery.area.url}{path.removeprefix(file.store.path)}?{query}"
    codec.check_length(delivery, made, most)
    return made


def must_be_whole(file: StoredObject, environ: WSGIEnvironment) -> bool:
    """Return whether a part must not be sent.

    Stores do not look at ``If-Range``; and what some send of several parts has a type of its own.
    """
    is_other = "HTTP_IF_RANGE" in environ and not any(must_be_same(file, environ))
    return is_other or "," in environ.get("HTTP_RANGE", "")


def must_be_same(file: StoredObject, environ: WSGIEnvironment) -> Iterator[str]:
    """Yield the ETag that the object must have for a part of it to be sent, if it must.

    It is the one that ``If-Range`` names, unless the view knows that the object has another one.
    The store refuses the part with 412 where it has another one after all.
    """
    wanted = environ.get("HTTP_IF_RANGE", "")
    if "HTTP_RANGE" in environ and _STRONG.fullmatch(wanted) and file.etag in (None, wanted):
        yield wanted


def condition(token: str) -> str:
    """Return Apache's condition for a query of this form, with the proof."""
    fields = "".join(_form(field) for field in _FIELDS)
    pattern = f"^X-Amz-[A-Za-z-]+={_VALUE}(?:&X-Amz-[A-Za-z-]+={_VALUE})*{fields}&{SIGNATURE}="
    # The two groups are those of the id and the proof.
    proof = signing.proof_expression(token, "$1")
    return f"%{{QUERY_STRING}} =~ m#{pattern}[0-9a-f]{{64}}$# && $2 == {proof}"


def _form(field: codec.Field) -> str:
    if field.key in ("x-id", "x-k"):
        return f"&{field.capture}"
    text = f"&{field.key}={field.pattern}"
    return text if field.required else f"(?:{text})?"


def captures() -> Iterator[tuple[str, str]]:
    """Yield expressions on a query, each with the variables that Apache sets from its groups."""
    for field in _FIELDS:
        if field.variable:
            yield codec.in_query(field.capture), f"{field.variable}=$1"
