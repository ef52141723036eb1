"""Apache: the hand-off leads to a location that is a proxy of the store.

Sources: Apache 2.4's manual on mod_proxy (``ProxyPass`` with ``nocanon``, in a ``<Location>``;
``ProxyErrorOverride``) and mod_ssl (``SSLProxy…`` in a ``<Proxy>`` section).

Apache performs a hand-off as a ``GET``, for which a request that is signed as ``HEAD`` does not
pass: ``HEAD`` is answered by the application.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ...areas import Area
from ...delivery import Delivery
from ...stores.objects import StoredObject
from ...stores.store import CONNECT, IDLE, Store
from .. import apache
from ..base import RETRY_AFTER, Choices
from ..handshake import Keys
from . import direct, query

MODULES = ("proxy", "proxy_http")

# What a client sent to this site, and a store has no use for. A header of Amazon's that is not
# signed makes a store refuse the request.
_NOT_PASSED = (
    *("Accept-Encoding", "Authorization", "Content-MD5", "Cookie", "Cookie2", "Expect"),
    *("Forwarded", "From", "If-Range", "Max-Forwards", "Origin", "Proxy-Authorization", "Referer"),
    *("Transfer-Encoding", "Upgrade", "Via", "Flask-Delegate-File", "Flask-Delegate-Size"),
    *("Cf-Access-Jwt-Assertion", "DPoP", "True-Client-IP", "X-Access-Token", "X-Api-Key"),
    *("X-Auth-Token", "X-CSRF-Token", "X-CSRFToken", "X-Flask-Delegate", "X-Forwarded-For"),
    *("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto"),
    *("X-Forwarded-Scheme", "X-Forwarded-Server", "X-HTTP-Method-Override", "X-Newest"),
    *("X-Real-IP", "X-Remote-User", "X-Storage-Token", "X-XSRF-Token"),
    *("X-Amz-Acl", "X-Amz-Algorithm", "X-Amz-Cf-Id", "X-Amz-Checksum-Algorithm"),
    *("X-Amz-Checksum-Mode", "X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Credential"),
    *("X-Amz-Date", "X-Amz-Decoded-Content-Length", "X-Amz-Expected-Bucket-Owner"),
    *("X-Amz-Expires", "X-Amz-Mfa", "X-Amz-Object-Attributes", "X-Amz-Request-Payer"),
    *("X-Amz-Sdk-Checksum-Algorithm", "X-Amz-Security-Token", "X-Amz-Signature"),
    *("X-Amz-SignedHeaders", "X-Amz-Storage-Class", "X-Amz-Tagging", "X-Amz-Target"),
    *("X-Amz-Trailer", "X-Amz-User-Agent", "X-Amz-Version-Id", "X-Amzn-Oidc-Accesstoken"),
    *("X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity"),
    *("X-Amz-Server-Side-Encryption-Customer-Algorithm",),
    *("X-Amz-Server-Side-Encryption-Customer-Key",),
    "X-Amz-Server-Side-Encryption-Customer-Key-MD5",
)

_LOCATION = (
    """\
<IfModule cache_module>
    CacheDisable "{url}"
</IfModule>
{tls}<Location "{place}">
    # "nocanon" passes path and query on as they are signed. Each download holds a thread: above
    # "max" for each process, the next one is answered with 503.
    ProxyPass "{store}" nocanon max={most} acquire=50 retry=0 ttl=3 {times}
    <If "{condition}">
        # A hand-off by {by}, with a proof that it has the token.
"""
    + apache.GRANTED
    + """\
        ProxyAddHeaders Off
{host}
{unset}
        RequestHeader unset Range env={whole}
        RequestHeader set If-Match "expr=%{{unescape:%{{reqenv:{same}}}}}" env={same}
        # Whatever goes wrong, the store's own page would name bucket and key.
        ProxyErrorOverride On
{pages}
"""
    + apache.UNTOUCHED
    + """\
{metadata}
    </If>
    <Else>
"""
    + apache.DENIED
    + """\
    </Else>
</Location>
"""
)
_TLS = """\
<Proxy "{store}/*">
    SSLProxyEngine On
    SSLProxyVerify require
    SSLProxyCACertificateFile "{ca_file}"
    SSLProxyCheckPeerName On
    SSLProxyCheckPeerExpire On
</Proxy>
"""
# All that Apache knows, or a page of the site's would get the signed query.
_STATUSES = (
    *(400, 401, 402, 403, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 417, 421, 422, 423),
    *(424, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511),
)
_MISSING = "The file is not there any more."
_FAILED = "The file cannot be sent at the moment. Try again later."


def respond(
    file: StoredObject, delivery: Delivery, keys: Keys, environ: WSGIEnvironment, most: int
) -> Response:
    """Return the hand-off, or the answer to a ``HEAD``.

    :param most: bytes of a header that the server reads.
    :raises HandoffUnavailable: if it does not fit in a header.
    :raises StoreUnavailable: if the store has to be asked, and does not answer.
    """
    if environ["REQUEST_METHOD"] == "HEAD":
        return direct.respond(file, delivery, environ)
    return apache.handed_off(delivery, query.url(delivery, file, keys.token, environ, most))


def place(area: Area) -> str:
    """Return the path of an area's ``<Location>``.

    It has no slash at the end: Apache would swallow those at the beginning of a key with it.
    """
    return area.url.rstrip("/")


def modules(store: Store) -> tuple[str, ...]:
    """Return the modules that the rules for a store need, without ``mod_``."""
    return (*MODULES, "ssl") if store.is_encrypted else MODULES


def rules(area: Area, store: Store, keys: Keys, origin: tuple[str, str], choices: Choices) -> str:
    """Return the rules for one area.

    :param origin: who hands off, in words, and the condition for that.
    """
    by, is_theirs = origin
    metadata = [
        "# Nothing of the store's answer but bytes, ranges and validators.",
        *(f"Header unset {name}" for name in direct.NOT_KEPT),
        *apache.metadata(area.headers, query.captures()),
        f'Header always set Retry-After {RETRY_AFTER} "expr=%{{REQUEST_STATUS}} -ge 500"',
        'Header always set Cache-Control "no-store" "expr=%{REQUEST_STATUS} -ge 400"',
        *([apache.LOGGED_METHOD] if choices.receipts else ()),
    ]
    return _LOCATION.format(
        by=by,
        url=area.url,
        place=place(area),
        store=store.url.rstrip("/"),
        host=_block(_host(store)),
        tls=_TLS.format(store=store.url.rstrip("/"), ca_file=store.ca_file)
        if store.is_encrypted
        else "",
        most=choices.store_connections,
        times=f"connectiontimeout={CONNECT} timeout={IDLE}",
        condition=f"{is_theirs} && {query.condition(keys.token)}",
        whole=query.WHOLE.variable,
        same=query.SAME.variable,
        unset=_block(f"RequestHeader unset {name}" for name in _NOT_PASSED),
        pages=_block(_pages()),
        metadata=_block(metadata),
    )


def why_unable(store: Store) -> str:
    """Return why Apache cannot ask a store, or nothing."""
    if store.is_encrypted and store.has_other_host:
        return (
            "with TLS, Apache compares the certificate with the name that a client sent, where"
            " 'host' is not the endpoint's."
        )
    return ""


def _host(store: Store) -> Iterator[str]:
    if store.has_other_host:
        yield "ProxyPreserveHost On"
        yield f'RequestHeader set Host "{store.host}"'
    else:
        yield "ProxyPreserveHost Off"


def _pages() -> Iterator[str]:
    yield f'ErrorDocument 404 "{_MISSING}"'
    for status in _STATUSES:
        yield f'ErrorDocument {status} "{_FAILED}"'
    for status in (412, 416):
        yield f"ErrorDocument {status} default"


def _block(lines: Iterator[str] | Sequence[str]) -> str:
    return indent("\n".join(lines), " " * 8)
