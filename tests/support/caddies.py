"""Caddy, as PyPI has it, in front of the test application."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask_delegate.testing.apache import free_port

from .processes import process
from .sites import DAEMON_USER, Site

_CADDYFILE = """{{
    admin {admin}
    auto_https off
    persist_config off
    storage file_system {base}/storage
}}
http://:{port} {{
    bind 127.0.0.1
    {around}
    reverse_proxy 127.0.0.1:{upstream} {{
        import delegate.caddy
    }}
}}
"""
ENCODED = "encode {\n        minimum_length 1\n        match header Content-Type *\n    }"
"""What compresses all that it may."""


def program() -> str:
    """Return where Caddy is."""
    return str(Path(sys.prefix, "bin", "caddy"))


@contextmanager
def caddy_in_front(
    site: Site,
    upstream: int,
    include: str | None = None,
    *,
    around: str = ENCODED,
    admin: str = "off",
) -> Iterator[int]:
    """Run Caddy in front of another server.

    :param upstream: that server's port.
    :param include: what is imported into ``reverse_proxy``; none: what the extension generates.
    :param around: directives beside that.
    :param admin: where it can be administrated.
    """
    port = free_port()
    base = site.folder / f"caddy-{port}"
    base.mkdir(mode=0o755)
    (base / "delegate.caddy").write_text(site.config("caddy") if include is None else include)
    values = {"base": base, "port": port, "around": around, "upstream": upstream}
    values["admin"] = admin
    (base / "Caddyfile").write_text(_CADDYFILE.format(**values))
    command = [program(), "run", "--config", "Caddyfile"]
    if DAEMON_USER:
        for path in (base, *base.iterdir()):
            shutil.chown(path, DAEMON_USER)
        user = ["--reuid", DAEMON_USER, "--regid", DAEMON_USER, "--clear-groups"]
        command = ["setpriv", *user, *command]
    environment = {"HOME": str(base), "PATH": "/usr/bin:/bin"}
    with process(command, port, base, base / "output", environment):
        yield port
