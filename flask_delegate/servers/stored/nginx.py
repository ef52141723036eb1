"""nginx: the internal location is a proxy of the store, with a white list of request headers.

Sources: nginx's documentation of ngx_http_proxy_module and of the variable ``$upstream_http_name``.
A name of a host in a ``proxy_pass`` with variables is looked up among those that are written out
elsewhere, before nginx needs a name server for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ...areas import Area
from ...stores.objects import StoredObject
from ...stores.store import CONNECT, IDLE, Store
from ..base import COPY, RETRY_AFTER, Choices
from ..handshake import Keys
from . import direct, query

TARGET = f"{COPY}Target"
"""The header that has path and signed query for the store. A client never sees it."""
WHOLE = f"{COPY}Whole"
"""Is there where a part must not be sent, although the client asks for one."""

LOGGED = "flask_delegate if=$flask_delegate_logged"
"""The format of a receipt, and its condition: nobody but a hand-off writes one."""
NOTED = "set $flask_delegate_logged 1;"
"""What meets the condition."""

_SAME = f"{COPY}If-Match"
_OF_THE_FILE = ("Cache-Control", "Content-Disposition")
_SIGNED = ("Authorization", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token")
_CONDITIONS = ("If-Modified-Since", "If-None-Match", "If-Unmodified-Since")
# What a site may have set for all its proxies.
_RESETS = (
    'proxy_set_body "";',
    "proxy_method $request_method;",
    "proxy_pass_header X-Flask-Delegate-None;",
    "proxy_redirect off;",
    "proxy_cookie_domain off;",
    "proxy_cookie_path off;",
    "proxy_buffering on;",
    "proxy_limit_rate 0;",
)
_NOT_HEEDED = (
    *("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering"),
    *("X-Accel-Charset", "Expires", "Cache-Control", "Set-Cookie", "Vary"),
)
_PAGES = {
    404: "The file is not there any more.",
    412: "The file has changed.",
    416: "The file has no such part.",
    503: "The file cannot be sent at the moment. Try again later.",
}


def hand_off(response: Response, file: StoredObject, environ: WSGIEnvironment) -> None:
    """Add to a hand-off what nginx asks the store for."""
    method = "HEAD" if environ["REQUEST_METHOD"] == "HEAD" else "GET"
    # Not in the query, which nginx writes into its error log.
    response.headers[TARGET], signed = file.store.headers(method, file.relative)
    for name, value in signed.items():
        response.headers[f"{COPY}{name}"] = value
    # nginx would send these with an error page, too.
    for name in _OF_THE_FILE:
        response.headers[f"{COPY}{name}"] = response.headers.pop(name)
    if query.must_be_whole(file, environ):
        response.headers[WHOLE] = "1"
    for etag in query.must_be_same(file, environ):
        response.headers[_SAME] = etag


def rules(area: Area, store: Store, keys: Keys, choices: Choices, added: Sequence[str]) -> str:
    """Return the ``location`` blocks for one area.

    :param added: what adds the area's own headers.
    """
    page = f"@delegate_{area.name}_{{}}".format
    lines = [
        f"location ^~ {area.url} {{",
        "    # For X-Accel-Redirect only, and only for that of this application.",
        "    internal;",
        f'    if ($arg_k != "{keys.token}") {{',
        "        return 403;",
        "    }",
        *([f"    {NOTED}"] if choices.receipts else []),
        "    # From here on no variable that a file could print holds the token.",
        '    set $args "id=$arg_id";',
        "    # They are the application's until the store is asked.",
        f"    set $delegate_target ${variable(TARGET)};",
        f"    set $delegate_policy ${variable(f'{COPY}Cache-Control')};",
        f"    set $delegate_disposition ${variable(f'{COPY}Content-Disposition')};",
        *(f"    set ${_kept(name)} ${variable(COPY + name)};" for name in _SIGNED),
        "    set $delegate_match $http_if_match;",
        f"    if (${variable(_SAME)}) {{",
        f"        set $delegate_match ${variable(_SAME)};",
        "    }",
        f"    set $delegate_csp ${variable(f'{COPY}Content-Security-Policy')};",
        f"    set $delegate_digest ${variable(f'{COPY}Repr-Digest')};",
        "    set $delegate_range $http_range;",
        f"    if (${variable(WHOLE)}) {{",
        '        set $delegate_range "";',
        "    }",
        *_indented(_proxy(store, choices)),
        *(f"    proxy_hide_header {name};" for name in area.headers),
        "    proxy_intercept_errors on;",
        "    # The store's own pages would name bucket and key.",
        f"    error_page {' '.join(map(str, _failures()))} =503 {page(503)};",
        *(f"    error_page {status} {page(status)};" for status in _PAGES),
        "    add_header Cache-Control $delegate_policy;",
        "    add_header Content-Disposition $delegate_disposition;",
        "    add_header Content-Security-Policy $delegate_csp;",
        "    add_header Repr-Digest $delegate_digest;",
        "    add_header X-Content-Type-Options nosniff;",
        "    add_header Vary Cookie;",
        *_indented(added),
        "    gzip off;",
        *_indented(_of_the_application(line) for line in choices.resets),
        *([f'    access_log "{choices.receipts}" {LOGGED};'] if choices.receipts else []),
        "}",
        *(line for status in _PAGES for line in _page(page(status), status, choices)),
        *([] if choices.resolver else _known_address(area, store)),
    ]
    return "\n".join(lines) + "\n"


def variable(header: str) -> str:
    """Return the variable in which nginx has a header of the application's response."""
    return f"upstream_http_{header.lower().replace('-', '_')}"


def _failures() -> Iterator[int]:
    """Yield the statuses of a store that are no answer to a client."""
    for status in range(300, 600):
        if status not in {304, 499, *_PAGES}:  # nginx has 499 for itself
            yield status


def _kept(header: str) -> str:
    """Return the variable in which the rules keep a header of the request to the store."""
    return f"delegate_{header.lower().replace('-', '_')}"


def _proxy(store: Store, choices: Choices) -> Iterator[str]:
    if choices.resolver:
        yield f"resolver {choices.resolver};"
        yield f"resolver_timeout {CONNECT}s;"
    yield f"proxy_pass {store.endpoint}$delegate_target;"
    yield "proxy_http_version 1.1;"
    yield "proxy_pass_request_headers off;"
    yield "proxy_pass_request_body off;"
    yield f'proxy_set_header Host "{store.host}";'
    yield 'proxy_set_header Connection "";'
    yield 'proxy_set_header Content-Length "";'
    yield 'proxy_set_header Transfer-Encoding "";'
    yield "proxy_set_header Range $delegate_range;"
    yield "proxy_set_header If-Match $delegate_match;"
    for name in _SIGNED:
        yield f"proxy_set_header {name} ${_kept(name)};"
    for name in _CONDITIONS:
        yield f"proxy_set_header {name} $http_{name.lower().replace('-', '_')};"
    if store.is_encrypted:
        yield "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
        yield "proxy_ssl_verify on;"
        yield "proxy_ssl_verify_depth 5;"
        yield f'proxy_ssl_trusted_certificate "{store.ca_file}";'
        yield "proxy_ssl_server_name on;"
        yield f'proxy_ssl_name "{store.address[0]}";'
    yield f"proxy_connect_timeout {CONNECT}s;"
    yield f"proxy_read_timeout {IDLE}s;"
    yield from _RESETS
    yield "proxy_max_temp_file_size 0;"
    yield "proxy_cache off;"
    yield "proxy_store off;"
    yield "proxy_force_ranges off;"
    yield f"proxy_ignore_headers {' '.join(_NOT_HEEDED)};"
    # Of all these names nginx makes a table.
    yield "proxy_headers_hash_max_size 4096;"
    yield "proxy_headers_hash_bucket_size 128;"
    for name in direct.NOT_KEPT:
        yield f"proxy_hide_header {name};"


def _page(name: str, status: int, choices: Choices) -> Iterator[str]:
    yield f"location {name} {{"
    yield "    default_type text/plain;"
    yield "    add_header Cache-Control no-store always;"
    if status == 503:
        yield f"    add_header Retry-After {RETRY_AFTER} always;"
    if status == 416:
        yield "    add_header Content-Range $upstream_http_content_range always;"
    if choices.receipts:
        yield f'    access_log "{choices.receipts}" {LOGGED};'
    yield f'    return {status} "{_PAGES[status]}\\n";'
    yield "}"


def _known_address(area: Area, store: Store) -> Iterator[str]:
    yield f"location = {area.url}.address {{"
    yield "    # No request gets here. It tells nginx the store's address as it starts."
    yield "    internal;"
    yield f"    proxy_pass {store.endpoint};"
    yield "}"


def _of_the_application(line: str) -> str:
    """Take values from where the rules keep them: by then the store's answer has their names."""
    for name, kept in (("cache_control", "policy"), ("content_disposition", "disposition")):
        line = line.replace(f"$upstream_http_{name}", f"$delegate_{kept}")
    return line


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}"
