"""An application with an area in a store, and the servers that send what lies there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from flask_delegate.servers import SERVERS as BACKENDS

from .nginxes import nginx_in_front
from .python_servers import GUNICORN, python_server
from .running import Running
from .sites import Site, express
from .store_settings import KEYS, stored
from .stores import Misbehaving, RunningStore

APPLICATION = '''
from flask import Flask, Response, request

from flask_delegate import Delegate, Handoff, delegated

app = Flask("served", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)
application = app
NUMBERS = ("max_age", "rate_limit", "size")


@app.get("/")
def home():
    return "home"


@app.route("/file/<path:path>")
@delegated(lambda path: True)
def file(path):
    return path


@app.route("/object/<digits>", methods=["GET", "POST"])
@delegated(lambda digits: request.cookies.get("who") != "bob", area="media")
def object_(digits):
    """Deliver an object, whose key stands in hexadecimal digits."""
    options = {
        key: int(value) if key in NUMBERS else value for key, value in request.args.items()
    }
    return Handoff(bytes.fromhex(digits).decode(), **options)
'''


def settings_for(running: RunningStore | Misbehaving, **area: Any) -> dict[str, Any]:
    """Return the settings of an area in a running store."""
    keys = (running.access_key, running.secret_key) if isinstance(running, RunningStore) else KEYS
    return stored(running.endpoint, keys, **area)


def url_of(key: str, **options: Any) -> str:
    """Return the URL of an object."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"/object/{key.encode().hex()}?{query}"


class Serve(Protocol):
    """Starts a server for a site."""

    def __call__(
        self, site: Site, *options: str, application: str = APPLICATION
    ) -> AbstractContextManager[Running]:
        """Start it.

        :param options: of the command that writes the server's configuration.
        """


@contextmanager
def apache(site: Site, *options: str, application: str = APPLICATION) -> Iterator[Running]:
    """Serve with mod_wsgi's daemon mode."""
    with express(site, application, "--http2", include=site.apache_config(*options)) as server:
        yield Running(server.port, BACKENDS["mod_wsgi"].keeps)


@contextmanager
def nginx(site: Site, *options: str, application: str = APPLICATION) -> Iterator[Running]:
    """Serve with nginx in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    include = site.nginx_config(*options)
    with (
        python_server(site, *GUNICORN, "--threads", "4", application=application) as upstream,
        nginx_in_front(site, upstream, include) as port,
    ):
        yield Running(port, BACKENDS["nginx"].keeps)


@contextmanager
def streaming(site: Site, *options: str, application: str = APPLICATION) -> Iterator[Running]:
    """Serve with Python alone."""
    del options
    with python_server(site, *GUNICORN, "--threads", "4", application=application) as port:
        yield Running(port, BACKENDS["stream"].keeps)


SERVE: dict[str, Serve] = {"apache": apache, "nginx": nginx, "stream": streaming}
