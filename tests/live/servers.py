"""Every server that the extension knows, with the test application behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flask_delegate.backends import Keeps, accel, location, sendfile, stream
from flask_delegate.receipts import NGINX_FORMAT

from .apache import DAEMON_USER, SECRET, Site, express, free_port
from .application import APPLICATION

PROXY = """
LoadModule proxy_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_proxy.so"
LoadModule proxy_http_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_proxy_http.so"
ProxyPass "/" "http://127.0.0.1:{upstream}/"
"""


@dataclass(frozen=True)
class Running:
    """A server to ask.

    :param port: on 127.0.0.1.
    :param keeps: what its backend says of itself.
    """

    port: int
    keeps: Keeps


Start = Callable[[Site], AbstractContextManager[Running]]


@contextmanager
def process(command: list[str], port: int, folder: Path, output: Path) -> Iterator[None]:
    """Run a server until the end of the block; it has to accept connections within a minute."""
    with output.open("wb") as log:
        started = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        _wait(started, port, output)
        yield
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def _wait(started: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{started.args!r} did not start:\n{output.read_text(errors='replace')}")


@contextmanager
def python_server(site: Site, *command: str) -> Iterator[int]:
    """Run a WSGI server in Python; ``{port}`` in the command is replaced."""
    source = f"SITE_ROOT = {str(site.root)!r}\nSITE_SETTINGS = {site.settings!r}\n"
    (site.app / "served.py").write_text(source + f"SECRET = {SECRET!r}\n" + APPLICATION)
    port = free_port()
    words = [word.format(port=port) for word in command]
    log = site.folder / f"{words[0]}-{port}.log"
    with process([sys.executable, "-m", *words], port, site.app, log):
        yield port


GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "served:app")
WAITRESS = ("waitress", "--listen", "127.0.0.1:{port}", "served:app")
FLASK = ("flask", "--app", "served:app", "run", "--port", "{port}")


def streaming(*command: str) -> Start:
    """Serve with Python alone."""

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        with python_server(site, *command) as port:
            yield Running(port, stream.KEEPS)

    return start


@contextmanager
def daemon(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's daemon mode."""
    options = ("--compress-responses",)
    with express(site, APPLICATION, *options, include=site.apache_config()) as server:
        yield Running(server.port, location.KEEPS)


@contextmanager
def embedded(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's embedded mode."""
    options = ("--embedded-mode",)
    with express(site, APPLICATION, *options, include=site.apache_config()) as server:
        # Apache answers requests for several ranges itself, from the whole file that it is given.
        yield Running(server.port, replace(stream.KEEPS, several_ranges=True))


@contextmanager
def xsendfile(site: Site) -> Iterator[Running]:
    """Serve with mod_xsendfile under mod_wsgi's daemon mode."""
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    options = ("--compress-responses",)
    with express(site, APPLICATION, *options, include=site.apache_config()) as server:
        yield Running(server.port, sendfile.KEEPS)


@contextmanager
def xsendfile_proxy(site: Site) -> Iterator[Running]:
    """Serve with mod_xsendfile in an Apache that is a proxy to gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with ExitStack() as stack:
        upstream = stack.enter_context(python_server(site, *GUNICORN))
        include = site.apache_config() + PROXY.format(upstream=upstream)
        server = stack.enter_context(express(site, APPLICATION, include=include))
        yield Running(server.port, sendfile.KEEPS)


@contextmanager
def nginx(site: Site) -> Iterator[Running]:
    """Serve with nginx in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        yield Running(port, accel.KEEPS)


@contextmanager
def nginx_in_front(site: Site, upstream: int, include: str | None = None) -> Iterator[int]:
    """Run nginx with the generated configuration, or another."""
    port = free_port()
    base = site.folder / f"nginx-{port}"
    base.mkdir(mode=0o755)
    (base / "delegate.conf").write_text(site.nginx_config() if include is None else include)
    temporary = "".join(
        f"{kind}_temp_path {base}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (base / "nginx.conf").write_text(
        f"""daemon off; pid {base}/pid; error_log {base}/error.log; worker_processes 1;
{f"user {DAEMON_USER};" if DAEMON_USER else ""}
events {{ }}
http {{
    access_log {base}/access.log;
    log_format flask_delegate '{NGINX_FORMAT}';
    {temporary}
    gzip on; gzip_types *; gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        include {base}/delegate.conf;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Host $http_host;
            proxy_set_header X-Flask-Delegate $flask_delegate;
        }}
    }}
}}
"""
    )
    command = ["nginx", "-e", f"{base}/start.log", "-c", f"{base}/nginx.conf"]
    with process(command, port, base, base / "output"):
        yield port


SERVERS: dict[str, Start] = {
    "mod_wsgi-daemon": daemon,
    "mod_wsgi-embedded": embedded,
    "xsendfile-mod_wsgi": xsendfile,
    "xsendfile-proxy": xsendfile_proxy,
    "nginx-gunicorn": nginx,
    "gunicorn": streaming(*GUNICORN),
    "waitress": streaming(*WAITRESS),
    "flask-run": streaming(*FLASK),
}
