"""Debian's lighttpd in front of the test application."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from flask_delegate.testing.apache import free_port

from .processes import process
from .sites import DAEMON_USER, Site
from .tools import tool

_CONFIGURATION = """
server.modules = ( "mod_setenv", "mod_proxy", "mod_deflate", "mod_accesslog", "mod_expire" )
server.document-root = "{base}/empty"
server.upload-dirs = ( "{base}" )
server.errorlog = "{base}/error.log"
server.bind = "127.0.0.1"
server.port = {port}
{user}
deflate.mimetypes = ( "" )
deflate.allowed-encodings = ( "gzip", "deflate" )
{before}
var.flask_delegate = ( "host" => "127.0.0.1", "port" => {upstream} )
include "{base}/delegate.conf"
{after}
"""


@contextmanager
def lighttpd_in_front(
    site: Site, upstream: int, include: str | None = None, *, before: str = "", after: str = ""
) -> Iterator[int]:
    """Run lighttpd in front of another server; it compresses all that it may.

    :param upstream: that server's port.
    :param include: what is included; none: what the extension generates.
    :param before: what stands before that.
    :param after: what stands behind it.
    """
    port = free_port()
    base = site.folder / f"lighttpd-{port}"
    base.mkdir(mode=0o755)
    (base / "empty").mkdir()
    (base / "error.log").touch()
    text = site.config("lighttpd") if include is None else include
    (base / "delegate.conf").write_text(text)
    values = {"base": base, "port": port, "upstream": upstream, "before": before, "after": after}
    user = f'server.username = "{DAEMON_USER}"' if DAEMON_USER else ""
    (base / "lighttpd.conf").write_text(_CONFIGURATION.format(user=user, **values))
    if DAEMON_USER:
        for path in (base, *base.iterdir()):
            shutil.chown(path, DAEMON_USER)
    command = [str(tool("lighttpd")), "-D", "-f", str(base / "lighttpd.conf")]
    with process(command, port, base, base / "output"):
        yield port
