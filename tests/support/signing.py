"""The servers that verify signed URLs and folders, with an application that signs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from flask_delegate.areas import Area
from flask_delegate.delivery import describe
from flask_delegate.handoff import Handoff
from flask_delegate.resolve import resolve
from flask_delegate.servers import server_of, signing
from flask_delegate.servers.signed import folders
from flask_delegate.testing.apache import free_port

from .application import APPLICATION
from .clients import Reply, get
from .nginxes import PASSED_ON, nginx_in_front
from .python_servers import GUNICORN, python_server
from .sites import Site, express, new_site

SETTINGS = {"DELEGATE_SIGNED_URL": "/signed/"}
APPLICATION_THAT_SIGNS = (
    APPLICATION
    + """
from flask_delegate import signed_cookie, signed_url
requests = 0


@app.before_request
def count():
    global requests
    requests += 1


@app.get("/count")
def counted():
    return str(requests)


@app.get("/sign/<path:path>")
def sign(path):
    options = {
        key: int(value) if key in (*NUMBERS, "expires_in") else value
        for key, value in request.args.items()
    }
    return signed_url(path, **{"expires_in": 60} | options)


@app.get("/open/<path:folder>")
def open_folder(folder):
    return signed_cookie(folder, expires_in=int(request.args.get("expires_in", "60")))
"""
)


@contextmanager
def new_site_that_signs(backend: str) -> Iterator[Site]:
    """Make a site whose server, one of ``VERIFYING``, verifies what was signed."""
    settings = SETTINGS | ({"DELEGATE_BACKEND": "nginx"} if backend == "nginx" else {})
    with new_site(**settings) as made:
        yield made


@dataclass(frozen=True)
class Signing:
    """A server that is asked for what was signed.

    :param http2: its port for HTTP/2 without TLS.
    :param python: the port of the server that runs Python, which may be the same.
    """

    port: int
    http2: int
    python: int

    def sign(self, path: str, **options: object) -> str:
        """Return a signed URL."""
        return self._ask(f"/sign/{quote(path)}?{urlencode(options)}").body.decode()

    def open(self, folder: str, *, cookies: str = "", **options: object) -> tuple[str, str]:
        """Return a folder's URL, and the cookies that open it.

        :param cookies: what the browser has.
        """
        reply = self._ask(f"/open/{quote(folder)}?{urlencode(options)}", Cookie=cookies)
        new = (one.partition(";")[0] for one in reply.headers.get_all("Set-Cookie") or ())
        return reply.body.decode(), "; ".join(filter(None, [cookies, *new]))

    def count(self) -> int:
        """Return how many requests have reached the application, this one included."""
        return int(self._ask("/count").body)

    def _ask(self, target: str, **headers: str) -> Reply:
        reply = get(self.port, target, headers=headers)
        assert reply.status == 200, reply.body
        return reply


@contextmanager
def apache(
    site: Site, application: str = APPLICATION_THAT_SIGNS, *, after: str = "", **settings: Any
) -> Iterator[Signing]:
    """Serve with Apache.

    :param after: what stands behind the generated rules.
    :param settings: those that its configuration is written for; the site's otherwise.
    """
    # One process, so that it counts all requests.
    options = ("--http2", "--processes", "1")
    include = site.apache_config(**settings) + after
    with express(site, application, *options, include=include) as running:
        yield Signing(running.port, running.port, running.port)


@contextmanager
def nginx(
    site: Site,
    application: str = APPLICATION_THAT_SIGNS,
    *,
    before: str = "",
    http: str = "",
    **settings: Any,
) -> Iterator[Signing]:
    """Serve with nginx, of which gunicorn runs the application.

    :param before: what stands in the server before the generated rules.
    :param http: what stands around the server.
    """
    site.settings["DELEGATE_BACKEND"] = "nginx"
    http2 = free_port()
    rules = PASSED_ON + f"listen 127.0.0.1:{http2} http2;"
    rules += " location / {{ proxy_pass http://127.0.0.1:{upstream}; }}"
    with (
        python_server(site, *GUNICORN, application=application) as upstream,
        nginx_in_front(
            site,
            upstream,
            before + site.nginx_config(**settings),
            http=http,
            locations=rules,
        ) as port,
    ):
        yield Signing(port, http2, upstream)


VERIFYING: dict[str, Callable[..., AbstractContextManager[Signing]]] = {
    "apache": apache,
    "nginx": nginx,
}


def forge(site: Site, path: str, *, end: int = 60, key: str = "", browser: str = "") -> str:
    """Sign a URL as the application does, with another key or time."""
    area, mac = _signer(site, key)
    delivery = describe(Handoff(path), area, resolve(area.root, path))
    return signing.sign(delivery, mac, int(time.time()) + end, browser)


def forge_cookie(site: Site, folder: str, *, end: int = 60, key: str = "", browser: str) -> str:
    """Sign a folder as the application does, with another key or time."""
    area, mac = _signer(site, key)
    path = folders.unquoted(f"{area.signed_url}", folder)
    content = folders.value(path, mac, int(time.time()) + end, browser)
    return f"{folders.COOKIE}{folders.depth_of(folder)}={content}"


def _signer(site: Site, key: str) -> tuple[Area, signing.Mac]:
    state = site.configure().extensions["delegate"]
    area = state.settings.area(None)
    key = key or state.keys[area.name][0].signing_key
    return area, partial(server_of(area).mac, key)
