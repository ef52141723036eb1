"""Apache with mod_wsgi: the hand-off leads to a location that is a proxy of the store.

Sources: Apache 2.4's manual on mod_proxy (``ProxyPass`` with ``nocanon``, in a ``<Location>``;
``ProxyErrorOverride``) and mod_ssl (``SSLProxy…`` in a ``<Proxy>`` section).

mod_wsgi performs a hand-off as a ``GET``, for which a request that is signed as ``HEAD`` does not
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
    *("Accept-Encoding", "Authorization", "Cookie", "Expect", "Forwarded", "From", "If-Range"),
    *("Origin", "Proxy-Authorization", "Referer", "Transfer-Encoding", "Upgrade", "Via"),
    *("X-Flask-Delegate", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
    *("X-Amz-Acl", "X-Amz-Algorithm", "X-Amz-Checksum-Mode", "X-Amz-Content-Sha256"),
    *("X-Amz-Copy-Source", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expected-Bucket-Owner"),
    *("X-Amz-Expires", "X-Amz-Request-Payer", "X-Amz-Security-Token", "X-Amz-Signature"),
    *("X-Amz-SignedHeaders", "X-Amz-Target", "X-Amz-User-Agent"),
    *("X-Amz-Server-Side-Encryption-Customer-Algorithm",),
    *("X-Amz-Server-Side-Encryption-Customer-Key", "Flask-Delegate-File", "Flask-Delegate-Size"),
    "X-Amz-Server-Side-Encryption-Customer-Key-MD5",
)

_LOCATION = """\
<IfModule cache_module>
    CacheDisable "{url}"
</IfModule>
{tls}<Location "{place}">
    # "nocanon" passes path and query on as they are signed. Each download holds a thread: above
    # "max" for each process, the next one is answered with 503.
    ProxyPass "{store}" nocanon max={most} acquire=1000 retry=0 ttl=10 {times}
    <If "{condition}">
        # A hand-off by a daemon process of this server, with a proof that it has the token.
        Require all granted
        <IfModule access_compat_module>
            Satisfy All
        </IfModule>
        ProxyAddHeaders Off
{host}
{unset}
        RequestHeader unset Range env={whole}
        # Whatever goes wrong, the store's own page would name bucket and key.
        ProxyErrorOverride On
{pages}
        SetEnv no-gzip 1
        SetEnv no-brotli 1
        <IfModule rewrite_module>
            RewriteEngine Off
        </IfModule>
        SetOutputFilter RATE_LIMIT
        <IfModule filter_module>
            FilterChain !
        </IfModule>
{metadata}
    </If>
    <Else>
        Require all denied
        <IfModule access_compat_module>
            Satisfy All
        </IfModule>
    </Else>
</Location>
"""
_TLS = """\
<Proxy "{store}/*">
    SSLProxyEngine On
    SSLProxyVerify require
    SSLProxyCACertificateFile "{ca_file}"
    SSLProxyCheckPeerName On
    SSLProxyCheckPeerExpire On
</Proxy>
"""
_MISSING = "The file is not there any more."
_FAILED = "The file cannot be sent at the moment. Try again later."


def respond(
    file: StoredObject, delivery: Delivery, keys: Keys, environ: WSGIEnvironment
) -> Response:
    """Return the hand-off, or the answer to a ``HEAD``.

    :raises HandoffUnavailable: if it does not fit in a header.
    :raises StoreUnavailable: if the store has to be asked, and does not answer.
    """
    if environ["REQUEST_METHOD"] == "HEAD":
        return direct.respond(file, delivery, environ)
    whole = query.must_be_whole(file, environ)
    return apache.handed_off(delivery, query.url(delivery, file, keys.token, whole=whole))


def place(area: Area) -> str:
    """Return the path of an area's ``<Location>``.

    It has no slash at the end: Apache would swallow those at the beginning of a key with it.
    """
    return area.url.rstrip("/")


def modules(store: Store) -> tuple[str, ...]:
    """Return the modules that the rules for a store need, without ``mod_``."""
    return (*MODULES, "ssl") if store.is_encrypted else MODULES


def rules(area: Area, store: Store, keys: Keys, origin: str, choices: Choices) -> str:
    """Return the rules for one area.

    :param origin: the condition for a hand-off by this server's daemon processes.
    """
    metadata = [
        "# Nothing of the store's answer but bytes, ranges and validators.",
        *(f"Header unset {name}" for name in direct.NOT_KEPT),
        *apache.metadata(area.headers, query.captures()),
        f'Header always set Retry-After {RETRY_AFTER} "expr=%{{REQUEST_STATUS}} -ge 500"',
        'Header always set Cache-Control "no-store" "expr=%{REQUEST_STATUS} -ge 400"',
        *([apache.LOGGED_METHOD] if choices.receipts else ()),
    ]
    return _LOCATION.format(
        url=area.url,
        place=place(area),
        store=store.url.rstrip("/"),
        host=_block(_host(store)),
        tls=_TLS.format(store=store.url.rstrip("/"), ca_file=store.ca_file)
        if store.is_encrypted
        else "",
        most=choices.store_connections,
        times=f"connectiontimeout={CONNECT} timeout={IDLE}",
        condition=f"{origin} && {query.condition(keys.token)}",
        whole=query.WHOLE.variable,
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
    for status in (400, 401, 403, 405, 408, 429, 500, 501, 502, 503, 504):
        yield f'ErrorDocument {status} "{_FAILED}"'
    for status in (412, 416):
        yield f"ErrorDocument {status} default"


def _block(lines: Iterator[str] | Sequence[str]) -> str:
    return indent("\n".join(lines), " " * 8)
