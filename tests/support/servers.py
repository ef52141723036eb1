"""Every server that the extension knows, with the test application behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from flask_delegate.servers import SERVERS as BACKENDS

from .apaches import (
    daemon,
    debian_site,
    debians_module,
    embedded,
    mounted,
    over_tls,
    pips_module,
    scgi,
    xsendfile,
    xsendfile_proxy,
)
from .caddies import caddy_in_front
from .lighttpds import lighttpd_in_front
from .nginxes import nginx, nginx_by
from .python_servers import (
    BY_FASTCGI,
    BY_UWSGI,
    FLASK,
    GUNICORN,
    SCGI,
    UWSGI,
    WAITRESS,
    python_server,
    streaming,
)
from .running import Running, Start
from .sites import Site


@contextmanager
def caddy(site: Site) -> Iterator[Running]:
    """Serve with Caddy in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "caddy"
    with python_server(site, *GUNICORN) as upstream, caddy_in_front(site, upstream) as port:
        yield Running(port, BACKENDS["caddy"].keeps, header="X-Accel-Redirect")


@contextmanager
def lighttpd(site: Site) -> Iterator[Running]:
    """Serve with lighttpd in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "lighttpd"
    with python_server(site, *GUNICORN) as upstream, lighttpd_in_front(site, upstream) as port:
        yield Running(port, BACKENDS["lighttpd"].keeps, heeds_if_match=False, header="X-Sendfile")


SERVERS: dict[str, Start] = {
    "mod_wsgi-daemon": daemon,
    "mod_wsgi-mounted": mounted,
    "mod_wsgi-tls": over_tls,
    "site-debians-mod_wsgi": partial(debian_site, module=debians_module),
    "site-pips-mod_wsgi": partial(debian_site, module=pips_module),
    "mod_wsgi-embedded": embedded,
    "xsendfile-mod_wsgi": xsendfile,
    "xsendfile-proxy": xsendfile_proxy,
    "scgi": scgi,
    "nginx-gunicorn": nginx,
    "nginx-uwsgi": partial(nginx_by, protocol="uwsgi", command=BY_UWSGI),
    "nginx-fastcgi": partial(nginx_by, protocol="fastcgi", command=BY_FASTCGI),
    "caddy-gunicorn": caddy,
    "lighttpd-gunicorn": lighttpd,
    "nginx-scgi": partial(nginx_by, protocol="scgi", command=SCGI),
    "gunicorn": streaming(*GUNICORN),
    "waitress": streaming(*WAITRESS),
    "flask-run": streaming(*FLASK),
    "uwsgi": streaming(*UWSGI),
}
