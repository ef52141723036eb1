"""Servers in Python: alone, or behind another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask_delegate.servers import SERVERS as BACKENDS
from flask_delegate.testing.apache import free_port

from .processes import process
from .running import Running, Start
from .sites import Site


@contextmanager
def python_server(site: Site, *command: str, application: str = "") -> Iterator[int]:
    """Run a WSGI server in Python.

    :param command: a module, or uwsgi, which is a program, and its options, in which ``{port}`` and
        ``{module}`` are replaced.
    :param application: the source of a module that defines ``app``; none: the site's.
    """
    port = free_port()
    module = f"served_{port}"
    (site.app / f"{module}.py").write_text(site.source(application or site.application))
    words = [word.format(port=port, module=module) for word in command]
    log = site.folder / f"{words[0]}-{port}.log"
    is_program = words[0] == "uwsgi"
    start = (
        [str(Path(sys.prefix, "bin", words[0]))] if is_program else [sys.executable, "-m", words[0]]
    )
    place = site.app / str(port) if f"unix:{port}" in words else port
    with process([*start, *words[1:]], place, site.app, log):
        yield port


GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "{module}:app")


WAITRESS = ("waitress", "--listen", "127.0.0.1:{port}", "{module}:app")


UWSGI = (
    *("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "{module}:app", "--need-app"),
    *("--home", sys.prefix, "--die-on-term", "--threads", "2"),
)


SCGI = ("flask_delegate.scgi", "--processes", "1", "--bind", "127.0.0.1:{port}", "{module}:app")


SCGI_SOCKET = (*SCGI[:4], "unix:{port}", "--mode", "666", "{module}:app")


BY_UWSGI = ("uwsgi", "--socket", *UWSGI[2:], "--buffer-size", "32768", "--post-buffering", "8192")


BY_FASTCGI = ("uwsgi", "--fastcgi-socket", *UWSGI[2:], "--buffer-size", "32768")


FLASK = ("flask", "--app", "{module}:app", "run", "--port", "{port}")


def streaming(*command: str) -> Start:
    """Serve with Python alone."""

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        with python_server(site, *command) as port:
            yield Running(port, BACKENDS["stream"].keeps)

    return start
