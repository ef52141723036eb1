"""The servers that are compared, each with two processes of five threads, and set up well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.sizing import EXPECTED, Machine, sizes
from flask_delegate.servers import SERVERS
from flask_delegate.testing.apache import free_port
from tests.support.apaches import make_certificate, scgi
from tests.support.caddies import caddy_in_front
from tests.support.clients import get
from tests.support.lighttpds import lighttpd_in_front
from tests.support.nginxes import nginx_in_front, passed_on_by
from tests.support.paths import PROJECT
from tests.support.python_servers import BY_FASTCGI, BY_UWSGI, GUNICORN, SCGI, python_server
from tests.support.running import HOST
from tests.support.sites import Site, express, new_site

from . import applications

SMALL, LARGE = "small.txt", "large.txt"
FOLDER = "folder"
_EXPRESS = (
    *("--processes", "2", "--threads", "5", "--process-group", "bench"),
    *("--max-clients", "64", "--enable-sendfile", "--log-level", "error"),
)
_STATIC = """
Alias "/static/" "{root}/"
<Location "/static/">
    Require all granted
</Location>
"""
_GUNICORN = (*GUNICORN, "--workers", "2", "--threads", "5")
_FRONTS: dict[str, Callable[[Site, int], AbstractContextManager[int]]] = {
    "nginx": nginx_in_front,
    "caddy": caddy_in_front,
    "lighttpd": lighttpd_in_front,
}
# Without a master, one process would outlive the other when it is stopped.
_UWSGIS = ("--master", "--processes", "2", "--threads", "5", "--disable-logging")
_PROTOCOLS = {
    "nginx, uWSGI": ("uwsgi", (*BY_UWSGI, *_UWSGIS)),
    "nginx, uWSGI by FastCGI": ("fastcgi", (*BY_FASTCGI, *_UWSGIS)),
    "nginx, SCGI": ("scgi", (*SCGI[:2], "2", "--threads", "5", *SCGI[3:])),
}
_NGINX_STATIC = """
location /static/ {{
    alias {root}/;
}}
"""
_MANUALS_GUARD = """
Alias "/private/" "{root}/"
<Directory "{root}/">
    Require all granted
    EnableSendfile On
</Directory>
"""


@dataclass(frozen=True)
class Alternative:
    """A way to send a file.

    :param url: with ``{name}`` for the file's name.
    """

    name: str
    url: str

    def of(self, name: str) -> str:
        """Return a file's URL."""
        return self.url.format(name=name)


@contextmanager
def alternatives(size: int) -> Iterator[dict[str, Alternative]]:
    """Start all of them.

    :param size: bytes of the large file.
    """
    with ExitStack() as stack:
        sites = [stack.enter_context(new_site()) for _ in range(5)]
        for site in sites:
            fill(site, size)
        started = [
            *apaches(stack.enter_context(ours(sites[0]))),
            _django(stack, sites[1]),
            _xsendfile(stack, sites[2]),
            *_gunicorns(stack, sites[3]),
            *_protocols(stack, sites[3]),
            _scgi(stack, sites[4]),
        ]
        yield {one.name: one for one in started}


def fill(site: Site, size: int) -> None:
    """Put the two files into a site's folder."""
    site.write(SMALL, b"x" * 1023 + b"\n")
    site.write(f"{FOLDER}/{SMALL}", b"x" * 1023 + b"\n")
    large = site.write(LARGE, b"")
    with large.open("wb") as file:
        file.truncate(size)


@contextmanager
def ours(site: Site, *options: str) -> Iterator[int]:
    """Run Apache with mod_wsgi and our application, and return its port."""
    site.settings["DELEGATE_SIGNED_URL"] = "/signed/"
    include = site.apache_config("--process-group", "bench", **site.settings)
    include += _STATIC.format(root=_copy(site))
    include += _sized("run", EXPECTED)
    with express(site, applications.OURS, *_EXPRESS, *options, include=include) as server:
        yield server.port


@contextmanager
def nginx_signs(site: Site) -> Iterator[int]:
    """Run nginx, which verifies what our application behind it has signed."""
    site.settings |= {"DELEGATE_BACKEND": "nginx", "DELEGATE_SIGNED_URL": "/signed/"}
    rules = site.nginx_config() + _NGINX_STATIC.format(root=_copy(site))
    with (
        python_server(site, *_GUNICORN, application=applications.OURS) as upstream,
        nginx_in_front(site, upstream, rules, http="access_log off;") as port,
    ):
        yield port


@contextmanager
def ours_at(site: Site, clients: int, *, tls: bool = False) -> Iterator[int]:
    """Run Apache with mod_wsgi, as large as the portal's would be for so many slow clients."""
    include = site.apache_config() + _sized("apache-express" if tls else "run", clients)
    options = [*_EXPRESS, "--server-name", HOST]
    if tls:
        make_certificate(site.folder)
        port = free_port()
        options += ["--https-port", str(port), "--http2"]
        options += ["--ssl-certificate", str(site.folder / "server")]
    with express(site, applications.OURS, *options, include=include) as server:
        yield port if tls else server.port


@contextmanager
def ours_behind_nginx(
    site: Site, clients: int, *, application: str = applications.OURS
) -> Iterator[int]:
    """Run gunicorn and nginx with TLS, as large as for the portal."""
    make_certificate(site.folder)
    site.settings["DELEGATE_BACKEND"] = "nginx"
    found = sizes(Machine.this(), "nginx", clients)
    certificate = f"ssl_certificate {site.folder}/server.crt;"
    certificate += f" ssl_certificate_key {site.folder}/server.key;"
    main = f"worker_processes auto; worker_rlimit_nofile {found['SIZE_DESCRIPTORS']};"
    with (
        python_server(site, *_GUNICORN, application=application) as upstream,
        nginx_in_front(
            site,
            upstream,
            main=main,
            events=f"worker_connections {found['SIZE_CONNECTIONS']};",
            http=f"access_log off; {certificate}",
            listen="ssl http2",
        ) as port,
    ):
        yield port


def _sized(server: str, clients: int) -> str:
    """Return what the portal's Apache is configured with as a whole, for so many slow clients."""
    found = sizes(Machine.this(), server, clients)
    defined = "".join(f"Define {name} {value}\n" for name, value in found.items())
    return defined + (PROJECT / "deploy" / "apache" / "server.conf").read_text()


def _copy(site: Site) -> Path:
    """Make the same files public elsewhere: the guard is on the folder."""
    public = site.folder / "public"
    public.mkdir(exist_ok=True)
    for name in (SMALL, LARGE):
        (public / name).hardlink_to(site.root / name)
    return public


def apaches(port: int) -> Iterator[Alternative]:
    """List what our application's Apache offers."""
    base = f"http://127.0.0.1:{port}"
    yield Alternative("Apache, static", f"{base}/static/{{name}}")
    yield Alternative("handed off", f"{base}/handoff/{{name}}")
    signed = {name: get(port, f"/sign/{name}").body.decode() for name in (SMALL, LARGE)}
    yield _Signed("signed URL", base, signed)
    yield Alternative("wsgi.file_wrapper", f"{base}/wrapper/{{name}}")
    yield Alternative("generator", f"{base}/generator/{{name}}")
    yield Alternative("an empty Flask view", f"{base}/empty")


@dataclass(frozen=True)
class _Signed(Alternative):
    paths: dict[str, str]

    def of(self, name: str) -> str:
        return self.url + self.paths[name]


def in_a_folder(port: int) -> tuple[str, str]:
    """Return the URL of the small file in a signed folder, and the cookies that open it."""
    opened = get(port, f"/open/{FOLDER}")
    cookies = [value.partition(";")[0] for value in opened.headers.get_all("Set-Cookie", [])]
    return f"http://127.0.0.1:{port}{opened.body.decode()}{SMALL}", "; ".join(cookies)


def _django(stack: ExitStack, site: Site) -> Alternative:
    include = _MANUALS_GUARD.format(root=site.root)
    server = stack.enter_context(express(site, applications.DJANGO, *_EXPRESS, include=include))
    return Alternative("django-sendfile2", f"http://127.0.0.1:{server.port}/file/{{name}}")


def _xsendfile(stack: ExitStack, site: Site) -> Alternative:
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    include = site.apache_config(**site.settings)
    server = stack.enter_context(express(site, applications.OURS, *_EXPRESS, include=include))
    return Alternative("mod_xsendfile", f"http://127.0.0.1:{server.port}/handoff/{{name}}")


def _gunicorns(stack: ExitStack, site: Site) -> Iterator[Alternative]:
    port = stack.enter_context(python_server(site, *_GUNICORN, application=applications.SEND_FILE))
    yield Alternative("gunicorn, send_file", f"http://127.0.0.1:{port}/file/{{name}}")
    for backend, in_front in _FRONTS.items():
        site.settings["DELEGATE_BACKEND"] = backend
        started = python_server(site, *_GUNICORN, application=applications.OURS)
        front = stack.enter_context(in_front(site, stack.enter_context(started)))
        name = f"{SERVERS[backend].product}, gunicorn"
        yield Alternative(name, f"http://127.0.0.1:{front}/handoff/{{name}}")


def _protocols(stack: ExitStack, site: Site) -> Iterator[Alternative]:
    site.settings["DELEGATE_BACKEND"] = "nginx"
    for name, (protocol, command) in _PROTOCOLS.items():
        started = python_server(site, *command, application=applications.OURS)
        upstream = stack.enter_context(started)
        front = nginx_in_front(site, upstream, locations=passed_on_by(protocol))
        port = stack.enter_context(front)
        yield Alternative(name, f"http://127.0.0.1:{port}/handoff/{{name}}")


def _scgi(stack: ExitStack, site: Site) -> Alternative:
    options = ("--processes", "2", "--threads", "5")
    server = stack.enter_context(scgi(site, *options, application=applications.OURS))
    return Alternative("mod_proxy_scgi", f"http://127.0.0.1:{server.port}/handoff/{{name}}")
