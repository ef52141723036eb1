"""An application below a path: hand-offs, signed URLs and the doctor agree on every server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.support import doctor
from tests.support.apaches import PROXY, debian_site, pips_module, scgi
from tests.support.application import APPLICATION
from tests.support.caddies import caddy_in_front
from tests.support.clients import get
from tests.support.lighttpds import lighttpd_in_front
from tests.support.nginxes import PASSED_ON, nginx_in_front, passed_on_by
from tests.support.paths import PROJECT
from tests.support.python_servers import BY_FASTCGI, BY_UWSGI, GUNICORN, SCGI, python_server
from tests.support.sites import Site, express
from tests.support.spellings import MARK

NAME = "a report.txt"
LINKING = (
    APPLICATION
    + """
from flask import url_for
from flask_delegate import signed_url


@app.get("/link")
def link():
    return url_for("file", path=request.args["path"])


@app.get("/sign")
def sign():
    return signed_url(request.args["path"], expires_in=60)
"""
)
PROXY_FIX = """
from werkzeug.middleware.proxy_fix import ProxyFix

app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
"""
DISPATCHED = """
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.exceptions import NotFound

application = DispatcherMiddleware(NotFound(), {"/app": app})
"""
NO_RULES = 'set $flask_delegate ""; gzip off;'
REMOVED = """
proxy_set_header X-Forwarded-Prefix /app;
location /app/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}
"""
OUTER_REMOVED = """
proxy_set_header X-Forwarded-Prefix /outer/app;
location /outer/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}
"""
REMOVED_SILENTLY = "location /app/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}"
KEPT = "location /app/ {{ proxy_pass http://127.0.0.1:{upstream}; }}"
KEPT_AND_SIGNED = KEPT + "location /signed/ {{ proxy_pass http://127.0.0.1:{upstream}; }}"
HANDLED = """
handle_path /app/* {{
    reverse_proxy 127.0.0.1:{upstream} {{
        import delegate.caddy
        header_up X-Forwarded-Prefix /app
    }}
}}
"""
MAPPED = """
server.stat-cache-engine = "disable"
$HTTP["url"] =~ "^/app/" {
    proxy.header = ( "map-urlpath" => ( "/app/" => "/" ) )
    setenv.add-request-header = ( "X-Forwarded-Prefix" => "/app" )
"""
KEPT_BY_UWSGI = passed_on_by("uwsgi").replace("location / ", "location /app/ ")
UWSGI_MOUNTED = (
    *(*BY_UWSGI[:3], "--mount", "/app={module}:app", "--manage-script-name"),
    *BY_UWSGI[BY_UWSGI.index("--need-app") :],
)
KEPT_BY_SCGI = (
    passed_on_by("scgi")
    .replace("location / ", "location /app/ ")
    .replace("scgi_pass", "scgi_param SCRIPT_NAME /app; scgi_pass")
)
SPLIT = (
    passed_on_by("fastcgi")
    .replace("location / {{", "location /app/ {{ fastcgi_split_path_info ^(/app)(/.*)$;")
    .replace("PATH_INFO $document_uri", "PATH_INFO $fastcgi_path_info")
    .replace('SCRIPT_NAME ""', "SCRIPT_NAME /app")
)
BELOW_APACHE = PROXY.replace('"/"', '"/app/"') + 'RequestHeader set X-Forwarded-Prefix "/app"\n'


@dataclass(frozen=True)
class Below:
    """A server that is running.

    :param port: where clients ask.
    :param path: of the application.
    """

    port: int
    path: str = "/app"


Start = Callable[[Site], AbstractContextManager[Below]]


@contextmanager
def apache(
    site: Site,
    *options: str,
    source: str = LINKING,
    path: str = "/app",
    alter: tuple[str, str] = ("", ""),
) -> Iterator[Below]:
    """Serve with mod_wsgi-express.

    :param alter: what to replace in the configuration, and by what.
    """
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    include = site.apache_config().replace(*alter)
    with express(site, source, *options, include=include) as running:
        yield Below(running.port, path)


@contextmanager
def system_apache(site: Site) -> Iterator[Below]:
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    site.application = LINKING
    with debian_site(site, module=pips_module) as running:
        yield Below(running.port, "/second")


@contextmanager
def behind_nginx(
    site: Site, locations: str, *options: str, backend: str = "nginx", source: str = LINKING
) -> Iterator[Below]:
    """Serve with gunicorn behind nginx."""
    site.settings["DELEGATE_BACKEND"] = backend
    if backend == "nginx":
        site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    include = site.nginx_config() if backend == "nginx" else NO_RULES
    with (
        python_server(site, *GUNICORN, *options, application=source) as upstream,
        nginx_in_front(site, upstream, include, locations=PASSED_ON + locations) as port,
    ):
        yield Below(port)


@contextmanager
def asked_by_nginx(site: Site, locations: str, command: Sequence[str]) -> Iterator[Below]:
    """Serve with nginx, which asks a server by another protocol than HTTP."""
    site.settings |= {"DELEGATE_BACKEND": "nginx", "DELEGATE_SIGNED_URL": "/signed/"}
    with (
        python_server(site, *command, application=LINKING) as upstream,
        nginx_in_front(site, upstream, locations=locations) as port,
    ):
        yield Below(port)


@contextmanager
def apache_behind_nginx(
    site: Site,
    locations: str,
    *options: str,
    source: str = LINKING,
    path: str = "/app",
    alter: tuple[str, str] = ("", ""),
) -> Iterator[Below]:
    with (
        apache(site, *options, source=source, alter=alter) as upstream,
        nginx_in_front(site, upstream.port, NO_RULES, locations=PASSED_ON + locations) as port,
    ):
        yield Below(port, path)


@contextmanager
def behind_caddy(site: Site) -> Iterator[Below]:
    site.settings["DELEGATE_BACKEND"] = "caddy"
    with (
        python_server(site, *GUNICORN, application=LINKING + PROXY_FIX) as upstream,
        caddy_in_front(site, upstream, around=HANDLED.format(upstream=upstream)) as port,
    ):
        yield Below(port)


@contextmanager
def behind_lighttpd(site: Site) -> Iterator[Below]:
    site.settings["DELEGATE_BACKEND"] = "lighttpd"
    with (
        python_server(site, *GUNICORN, application=LINKING + PROXY_FIX) as upstream,
        lighttpd_in_front(site, upstream, before=MAPPED, after="}") as port,
    ):
        yield Below(port)


@contextmanager
def xsendfile(site: Site) -> Iterator[Below]:
    """Serve with gunicorn behind an Apache that is a proxy."""
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with python_server(site, *GUNICORN, application=LINKING + PROXY_FIX) as upstream:
        include = site.apache_config() + BELOW_APACHE.format(upstream=upstream)
        with express(site, LINKING, include=include) as running:
            yield Below(running.port)


@contextmanager
def scgi_below(site: Site) -> Iterator[Below]:
    """Serve with stock Apache in front of our server that speaks SCGI."""
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    with scgi(site, mount="/app", application=LINKING) as running:
        yield Below(running.port)


MOUNTED = ("--mount-point", "/app")
# What clients see in front of signed URLs, if there are any, and the server.
ROWS: dict[str, tuple[str | None, Start]] = {
    "mod_wsgi-express": ("/signed/", partial(apache, path="")),
    "mod_wsgi-express, `--mount-point /app`": ("/signed/", lambda site: apache(site, *MOUNTED)),
    "Apache, `WSGIScriptAlias /app`": ("/signed/", system_apache),
    "Apache, mod_wsgi, `DispatcherMiddleware`": (
        "/signed/",
        partial(apache, source=LINKING + DISPATCHED),
    ),
    "nginx, path removed → Apache, mod_wsgi": (
        "/app/signed/",
        partial(apache_behind_nginx, locations=REMOVED, source=LINKING + PROXY_FIX),
    ),
    "nginx, path kept → Apache, `WSGIScriptAlias /app`": (
        "/signed/",
        lambda site: apache_behind_nginx(site, KEPT_AND_SIGNED, *MOUNTED),
    ),
    "nginx, `/outer/` removed → Apache, `WSGIScriptAlias /app`": (
        "/outer/signed/",
        lambda site: apache_behind_nginx(
            site, OUTER_REMOVED, *MOUNTED, source=LINKING + PROXY_FIX, path="/outer/app"
        ),
    ),
    "nginx, path removed → gunicorn": (
        "/signed/",
        partial(behind_nginx, locations=REMOVED, source=LINKING + PROXY_FIX),
    ),
    "nginx, path kept → gunicorn, `SCRIPT_NAME=/app`": (
        "/signed/",
        lambda site: behind_nginx(site, KEPT, "--env", "SCRIPT_NAME=/app"),
    ),
    "nginx, `uwsgi_pass` → uWSGI, `mount = /app=hello:app`": (
        "/signed/",
        partial(asked_by_nginx, locations=KEPT_BY_UWSGI, command=UWSGI_MOUNTED),
    ),
    "nginx, `fastcgi_pass` → uWSGI": (
        "/signed/",
        partial(asked_by_nginx, locations=SPLIT, command=BY_FASTCGI),
    ),
    "Caddy, `handle_path /app/*` → gunicorn": (None, behind_caddy),
    "lighttpd, `map-urlpath` → gunicorn": (None, behind_lighttpd),
    "Apache, `ProxyPass /app/`, X-Sendfile → gunicorn": (None, xsendfile),
    "Apache, `ProxyPass /app/` → SCGI": ("/signed/", scgi_below),
    "nginx, path kept → SCGI, `scgi_param SCRIPT_NAME /app`": (
        "/signed/",
        partial(asked_by_nginx, locations=KEPT_BY_SCGI, command=SCGI),
    ),
    "nginx, path removed → gunicorn, `stream`": (
        None,
        partial(behind_nginx, locations=REMOVED, source=LINKING + PROXY_FIX, backend="stream"),
    ),
}


def examine(site: Site, below: Below) -> dict[str, dict[str, Any]]:
    return doctor.findings(site.configure(), f"http://127.0.0.1:{below.port}{below.path}/")


@pytest.mark.parametrize("row", ROWS)
def test_hand_off_signed_url_and_doctor_agree(site: Site, row: str) -> None:
    prefix, start = ROWS[row]
    site.write(NAME, MARK)
    with start(site) as below:
        link = get(below.port, f"{below.path}/link?path=a%20report.txt").body.decode()
        assert link == f"{below.path}/file/a%20report.txt"
        reply = get(below.port, link)
        assert (reply.status, reply.body) == (200, MARK)
        assert reply["Content-Disposition"] == 'inline; filename="a report.txt"'
        if prefix:
            url = get(below.port, f"{below.path}/sign?path=a%20report.txt").body.decode()
            assert url.startswith(f"{prefix}a%20report.txt?")
            assert get(below.port, url).body == MARK
            assert get(below.port, url[:-1]).status == 403
        found = examine(site, below)
    wrong = [one for one in found.values() if one["level"] in ("failure", "warning")]
    assert wrong == []
    assert {"prefix", "guard", "handoff", "attack-plain"} <= set(found)
    assert found["signed-url"]["level"] == ("ok" if prefix else "skipped")


def test_the_documentation_has_these_rows() -> None:
    page = (PROJECT / "docs/extension/prefixes.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (?:`(\S+)`|none) \|", page, re.MULTILINE)
    assert dict(rows) == {row: prefix or "" for row, (prefix, _) in ROWS.items()}


SAID = "X-Forwarded-Prefix"
OPENED = ("Require all denied", "Require all granted")
FOR_EVER = ("$3 -gt $1", "true")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (
            partial(apache_behind_nginx, locations=REMOVED_SILENTLY),
            {"prefix": SAID, "signed-url": SAID},
        ),
        (
            lambda site: apache_behind_nginx(site, KEPT, *MOUNTED),
            {"signed-url": "pass this URL on"},
        ),
        (partial(behind_nginx, locations=REMOVED_SILENTLY), {"prefix": SAID}),
        (
            partial(
                apache_behind_nginx, locations=REMOVED, source=LINKING + PROXY_FIX, alter=OPENED
            ),
            {"attack-plain": "remove other"},
        ),
        (
            partial(
                apache_behind_nginx, locations=REMOVED, source=LINKING + PROXY_FIX, alter=FOR_EVER
            ),
            {"signed-url-forged": "Write the server's configuration"},
        ),
    ],
    ids=["not said", "not passed on", "not said to gunicorn", "no guard", "no expiry"],
)
def test_what_is_wrong_below_a_path_is_found(
    site: Site, start: Start, expected: dict[str, str]
) -> None:
    with start(site) as below:
        found = examine(site, below)
    for check, cure in expected.items():
        assert found[check]["level"] in ("failure", "warning"), found[check]
        assert cure in found[check]["fix"]
    if "signed-url" in expected:
        assert "Write the server's configuration" not in found["signed-url"]["fix"]
