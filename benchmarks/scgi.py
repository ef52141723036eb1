"""The server that speaks SCGI: beside gunicorn behind the same Apache, and with hostile frames."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.apaches import debian_apache
from tests.support.python_servers import GUNICORN, SCGI_SOCKET, python_server
from tests.support.running import HOST
from tests.support.scgi_frames import try_hostile_frames
from tests.support.sites import Site, new_site

from . import applications
from .load import bytes_per_second, requests_per_second
from .results import Table
from .servers import LARGE, SMALL, fill

MIB = 1024**2
_PAIR = ("--workers", "2", "--threads", "5")
_SITE = """
<VirtualHost 127.0.0.1:{port}>
    ServerName {host}
    Include {base}/delegate.conf
    ProxyPreserveHost On
    ProxyPass / {upstream}
</VirtualHost>
"""


def scgi(*, rounds: int, seconds: float, large: int) -> Iterator[Table]:
    """Measure pages, small and large files, each round one server after the other.

    :param large: bytes of the large file.
    """
    ways = ("gunicorn", "gunicorn, UNIX socket", "SCGI")
    tables = {
        "empty": _table("SCGI: a page", "Requests a second for an empty page, on 8 connections."),
        "handoff/" + SMALL: _table(
            "SCGI: a small file",
            "Requests a second for a file of 1 kB, on 8 connections: handed off to Apache, by"
            " X-Sendfile from gunicorn, and by Location from our server.",
        ),
        "handoff/" + LARGE: _table(
            "SCGI: a large file", f"MB a second of a file of {large // MIB} MiB.", "MB/s"
        ),
    }
    with ExitStack() as stack:
        urls = {name: stack.enter_context(_served(name, large)) for name in ways}
        for _ in range(rounds):
            for path, table in tables.items():
                for name, url in urls.items():
                    asked = f"{url}{path}"
                    if path.endswith(LARGE):
                        table.add(name, bytes_per_second(asked, seconds) / 1e6)
                    else:
                        table.add(name, requests_per_second(asked, seconds))
    yield from tables.values()


def hostile_frames(*, count: int, seed: int) -> Iterator[Table]:
    """Send frames of which most are wrong, each of which has to be refused or understood.

    :param count: how many.
    :raises AssertionError: with the frame, if it is taken for something else.
    """
    table = Table(
        "hostile SCGI frames",
        f"Frames a second, of {count:,} that are proper or wrong in some way (seed {seed}). What"
        " became of each was compared with another reading of the specification.",
        "frames/s",
        baseline="all",
        ours="all",
    )
    logger = logging.getLogger("flask_delegate.scgi")
    logger.setLevel(logging.CRITICAL + 1)
    began = time.monotonic()
    outcomes = try_hostile_frames(count, seed)
    table.add("all", count / (time.monotonic() - began))
    table.notes += [f"{outcomes[what]:,} were {what}" for what in sorted(outcomes)]
    yield table


def _table(name: str, meaning: str, unit: str = "requests/s") -> Table:
    return Table(name, meaning, unit, baseline="gunicorn", ours="SCGI", targets={"gunicorn": 0.9})


@contextmanager
def _served(name: str, large: int) -> Iterator[str]:
    with new_site() as site, ExitStack() as stack:
        fill(site, large)
        upstream, modules = stack.enter_context(_upstream(name, site))

        def text(base: Path, port: int) -> str:
            return _SITE.format(port=port, host=HOST, base=base, upstream=upstream)

        port = stack.enter_context(debian_apache(site, *modules, text=text))
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _upstream(name: str, site: Site) -> Iterator[tuple[str, tuple[str, ...]]]:
    site.settings["DELEGATE_BACKEND"] = "scgi" if name == "SCGI" else "xsendfile"
    command: tuple[str, ...] = (*GUNICORN, *_PAIR)
    if name == "SCGI":
        command = (*SCGI_SOCKET, "--processes", "2", "--threads", "5")
    elif "UNIX" in name:
        command = tuple(word.replace("127.0.0.1:{port}", "unix:{port}") for word in command)
        command = (*command, "--umask", "0")
    with python_server(site, *command, application=applications.OURS) as port:
        socket = f"unix:{site.app}/{port}|"
        if name == "SCGI":
            yield f"{socket}scgi://localhost/", ("headers", "proxy_scgi", "ratelimit")
        else:
            upstream = (
                f"{socket}http://localhost/" if "UNIX" in name else f"http://127.0.0.1:{port}/"
            )
            yield upstream, ("headers", "proxy_http", "xsendfile")
