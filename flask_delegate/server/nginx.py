"""The nginx configuration that goes with an application's settings.

Sources: nginx's documentation of ``internal``, ``alias``, ``add_header``, ``disable_symlinks`` and
of the variable ``$upstream_http_name``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..areas import Area


def area_rules(
    area: Area,
    token: str,
    headers: Mapping[str, str],
    *,
    sendfile: bool = True,
    receipts: str | None = None,
) -> str:
    """Write the ``location`` block for one area.

    :param token: what a hand-off's query must carry.
    :param headers: constant headers for every file.
    :param sendfile: let the kernel send the file; network file systems may need it off.
    :param receipts: a log for :mod:`flask_delegate.receipts`; its format stands in ``http``.
    """
    lines = [
        f"location ^~ {area.url} {{",
        "    # For X-Accel-Redirect only, and only for that of this application.",
        "    internal;",
        f'    if ($arg_k != "{token}") {{',
        "        return 403;",
        "    }",
        f'    alias "{area.root}/";',
        f'    disable_symlinks on from="{area.root}/";',
        "    autoindex off;",
        "    gzip off;",
        "    types { }",
        "    default_type application/octet-stream;",
        f"    sendfile {'on' if sendfile else 'off'};",
        "    etag on;",
        "    # nginx keeps the application's name, type and cache policy, and drops the rest.",
        "    add_header Content-Security-Policy $upstream_http_content_security_policy;",
        "    add_header X-Content-Type-Options nosniff;",
        "    add_header Vary Cookie;",
        *(f"    {line}" for line in _constant(headers)),
        *([f'    access_log "{receipts}" flask_delegate;'] if receipts else []),
        "}",
    ]
    return "\n".join(lines) + "\n"


def handshake_rule(fingerprints: Iterable[str]) -> str:
    """Write the variable that the proxied request has to show."""
    return f'set $flask_delegate "{" ".join(fingerprints)}";\n'


def _constant(headers: Mapping[str, str]) -> Iterable[str]:
    for name, value in headers.items():
        if name.lower() != "x-content-type-options":
            yield f"add_header {name} {_quoted(value)};"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
