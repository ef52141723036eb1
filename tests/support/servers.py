"""Every server that the extension knows, with the test application behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask_delegate.receipts import NGINX_FORMAT
from flask_delegate.servers import SERVERS as BACKENDS
from flask_delegate.servers.base import Keeps
from flask_delegate.servers.nginx import PASSING_ON
from flask_delegate.testing.apache import free_port

from .caddies import caddy_in_front
from .clients import Reply, get
from .lighttpds import lighttpd_in_front
from .processes import process
from .sites import DAEMON_USER, Site, express
from .tools import tool

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
    :param host: what it wants to be called.
    :param mount: where the application is mounted.
    :param heeds_if_match: whether it answers with 412 where no tag matches.
    :param header: the one by which its backend hands off, for some.
    :param appends: whether it adds its fingerprints to those that a client sends.
    """

    port: int
    keeps: Keeps
    host: str = "127.0.0.1"
    mount: str = ""
    tls: bool = False
    heeds_if_match: bool = True
    header: str | None = None
    appends: bool = False

    def get(self, target: str, **request: Any) -> Reply:
        """Ask for a URL of the application; the rest is :func:`.client.get`'s."""
        return self.get_directly(self.mount + target, **request)

    def get_directly(
        self, target: str, *, headers: dict[str, str] | None = None, **request: Any
    ) -> Reply:
        """Ask for a URL of the server."""
        fields = {"Host": self.host, **(headers or {})}
        return get(self.port, target, headers=fields, tls=self.tls, **request)


HOST = "delegate.test"
Start = Callable[[Site], AbstractContextManager[Running]]


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


@contextmanager
def daemon(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's daemon mode."""
    options = ("--compress-responses",)
    with express(site, site.application, *options, include=site.apache_config()) as server:
        yield Running(server.port, BACKENDS["mod_wsgi"].keeps)


@contextmanager
def mounted(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's daemon mode, the application being one part of the site."""
    options = ("--mount-point", "/part")
    with express(site, site.application, *options, include=site.apache_config()) as server:
        yield Running(server.port, BACKENDS["mod_wsgi"].keeps, mount="/part")


@contextmanager
def over_tls(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's daemon mode, TLS and HTTP/2."""
    make_certificate(site.folder)
    port = free_port()
    certificate = str(site.folder / "server")
    names = ("--https-port", str(port), "--server-name", HOST, "--ssl-certificate", certificate)
    options = (*names, "--http2")
    with express(site, site.application, *options, include=site.apache_config()):
        yield Running(port, BACKENDS["mod_wsgi"].keeps, host=HOST, tls=True)


def make_certificate(folder: Path, name: str = HOST) -> None:
    """Create ``server.key`` and a self-signed ``server.crt``."""
    names = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    options += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([tool("openssl"), "req", *options, *names], check=True, capture_output=True)


@contextmanager
def embedded(site: Site) -> Iterator[Running]:
    """Serve with mod_wsgi's embedded mode."""
    options = ("--embedded-mode",)
    with express(site, site.application, *options, include=site.apache_config()) as server:
        yield Running(server.port, BACKENDS["stream"].keeps)


SITE = """
WSGIDaemonProcess first {user} {daemon} python-home={home} python-path={app} {locale}
WSGIDaemonProcess second {user} {daemon} python-home={home} python-path={app} {locale}
<VirtualHost 127.0.0.1:{port}>
    ServerName {host}
    Include {base}/delegate.conf
    WSGIScriptAlias /second {base}/served.wsgi process-group=second application-group=%{{GLOBAL}}
    WSGIScriptAlias / {base}/served.wsgi process-group=first application-group=%{{GLOBAL}}
    <Directory {base}>
        Require all granted
    </Directory>
</VirtualHost>
"""


@contextmanager
def debian_site(
    site: Site,
    *,
    module: Callable[[], str],
    daemon: str = "threads=5",
    locale: str = "locale=C.UTF-8",
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """Serve with a system-wide Apache in Debian's layout; the site is switched on by a2ensite.

    :param module: gives the directives that load mod_wsgi.
    :param daemon: options of WSGIDaemonProcess.
    :param locale: another one; Apache itself runs with ``LANG=C``.
    :param options: of ``flask delegate apache-config``.
    """

    def text(base: Path, port: int) -> str:
        (base / "etc/mods-available/wsgi.load").write_text(module())
        (base / "etc/mods-available/wsgi.conf").write_text(f"WSGISocketPrefix {base}/run/wsgi\n")
        (base / "served.wsgi").write_text(site.source(site.application))
        user = f"user={DAEMON_USER}" if DAEMON_USER else ""
        values = {"user": user, "home": sys.prefix, "app": site.app, "base": base, "host": HOST}
        return SITE.format(**values, daemon=daemon, locale=locale, port=port)

    modules = ("headers", "ratelimit", "rewrite", "wsgi")
    with debian_apache(site, *modules, text=text, options=options) as port:
        yield Running(port, BACKENDS["mod_wsgi"].keeps, host=HOST)


SCGI_SITE = """
<VirtualHost 127.0.0.1:{port}>
    ServerName {host}
    Include {base}/delegate.conf
    ProxyPass {mount}/ {upstream} retry=0
</VirtualHost>
"""


@contextmanager
def scgi(
    site: Site,
    *options: str,
    receipts: str = "",
    more: str = "",
    mount: str = "",
    application: str = "",
) -> Iterator[Running]:
    """Serve with a system-wide Apache in Debian's layout, and our server that speaks SCGI.

    :param options: of the server.
    :param receipts: the path of a log.
    :param more: directives of the virtual host.
    :param application: the source of another application than the site's.
    """
    site.settings["DELEGATE_BACKEND"] = "scgi"
    with python_server(site, *SCGI_SOCKET, *options, application=application) as upstream:
        url = f"unix:{site.app}/{upstream}|scgi://localhost/"

        def text(base: Path, port: int) -> str:
            made = SCGI_SITE.format(port=port, host=HOST, base=base, mount=mount, upstream=url)
            return made.replace("</VirtualHost>", f"{more}</VirtualHost>")

        modules = ("headers", "proxy_scgi", "proxy_http", "ratelimit", "rewrite")
        given = ("--receipts", receipts) if receipts else ()
        with debian_apache(site, *modules, text=text, options=given) as port:
            yield Running(port, BACKENDS["scgi"].keeps, host=HOST, mount=mount)


@contextmanager
def debian_apache(
    site: Site, *modules: str, text: Callable[[Path, int], str], options: Sequence[str] = ()
) -> Iterator[int]:
    """Run a system-wide Apache in Debian's layout, with a site; yield its port.

    :param modules: for a2enmod.
    :param text: gives the site's text, for the folder of a copy of the configuration and the port.
    :param options: of ``flask delegate apache-config``.
    """
    port = free_port()
    base = site.folder / f"apache-{port}"
    base.mkdir(mode=0o755)
    (base / "run").mkdir(mode=0o755)
    shutil.copytree("/etc/apache2", base / "etc", symlinks=True)
    environment = debian_environment(base)
    (base / "etc/ports.conf").write_text(f"Listen 127.0.0.1:{port}\nServerName {HOST}\n")
    (base / "delegate.conf").write_text(site.apache_config("--site", *options))
    (base / "etc/sites-available/hello.conf").write_text(text(base, port))
    for command in (
        [tool("a2dissite"), "--quiet", "000-default"],
        [tool("a2enmod"), "--quiet", *modules],
        [tool("a2ensite"), "--quiet", "hello"],
    ):
        subprocess.run(command, check=True, capture_output=True, env=environment)
    command = [tool("apache2"), "-d", str(base / "etc"), "-DFOREGROUND"]
    with process(command, port, base, base / "output", environment):
        yield port


def debian_environment(base: Path) -> dict[str, str]:
    """Return what /etc/apache2/envvars would set, for a copy of the configuration."""
    return {
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "APACHE_CONFDIR": str(base / "etc"),
        "APACHE_RUN_USER": DAEMON_USER or "nobody",
        "APACHE_RUN_GROUP": DAEMON_USER or "nogroup",
        "APACHE_PID_FILE": str(base / "run/pid"),
        **{f"APACHE_{kind}_DIR": str(base / "run") for kind in ("RUN", "LOCK", "LOG")},
        "LANG": "C",
    }


def debians_module() -> str:
    """Load what libapache2-mod-wsgi-py3 installs."""
    return "LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so\n"


def pips_module() -> str:
    """Load what pip has built, as mod_wsgi-express tells it."""
    express_command = Path(sys.executable).parent / "mod_wsgi-express"
    told = subprocess.run([express_command, "module-config"], check=True, capture_output=True)
    return told.stdout.decode()


@contextmanager
def xsendfile(site: Site) -> Iterator[Running]:
    """Serve with mod_xsendfile under mod_wsgi's daemon mode."""
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    options = ("--compress-responses",)
    with express(site, site.application, *options, include=site.apache_config()) as server:
        yield Running(server.port, BACKENDS["xsendfile"].keeps, header="X-Sendfile", appends=True)


@contextmanager
def xsendfile_proxy(site: Site) -> Iterator[Running]:
    """Serve with mod_xsendfile in an Apache that is a proxy to gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "xsendfile"
    with ExitStack() as stack:
        upstream = stack.enter_context(python_server(site, *GUNICORN))
        include = site.apache_config() + PROXY.format(upstream=upstream)
        server = stack.enter_context(express(site, site.application, include=include))
        yield Running(server.port, BACKENDS["xsendfile"].keeps, header="X-Sendfile", appends=True)


@contextmanager
def nginx(site: Site) -> Iterator[Running]:
    """Serve with nginx in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        yield Running(port, BACKENDS["nginx"].keeps, header="X-Accel-Redirect")


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


NJS = 'load_module "/usr/lib/nginx/modules/ngx_http_js_module.so";'
_PASSED_ON_BY = """
    location / {{
        {protocol}_pass 127.0.0.1:{upstream};
        include /etc/nginx/{protocol}_params;
        {lines}
    }}
"""
_PATH = ("fastcgi_param PATH_INFO $document_uri;", 'fastcgi_param SCRIPT_NAME "";')


def passed_on_by(protocol: str, *, shown: bool = True) -> str:
    """Return the location of an application that is asked by another protocol than HTTP.

    :param shown: whether the request shows what rules nginx has.
    """
    lines = [*PASSING_ON[protocol][0 if shown else 1 :], *(_PATH if protocol == "fastcgi" else ())]
    rest = "\n        ".join(lines)
    return _PASSED_ON_BY.replace("{protocol}", protocol).replace("{lines}", rest)


@contextmanager
def nginx_by(
    site: Site, *, protocol: str, command: Sequence[str], more: str = ""
) -> Iterator[Running]:
    """Serve with nginx in front of a server that speaks another protocol than HTTP.

    :param more: more locations, ``{upstream}`` being replaced.
    """
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with (
        python_server(site, *command) as upstream,
        nginx_in_front(site, upstream, locations=passed_on_by(protocol) + more) as port,
    ):
        yield Running(port, BACKENDS["nginx"].keeps, header="X-Accel-Redirect")


_NGINX = """
daemon off;
pid {base}/pid;
error_log {base}/error.log;
{main}
events {{ {events} }}
http {{
    {http}
    {temporary}
    server {{
        listen 127.0.0.1:{port} {listen};
        include {base}/delegate.conf;
        {locations}
    }}
}}
"""
PASSED_ON = """
        proxy_set_header Host $http_host;
        proxy_set_header X-Flask-Delegate $flask_delegate;
        proxy_buffer_size 32k;
        proxy_buffers 8 32k;
"""
_LOGGED = """
    access_log access.log;
    log_format flask_delegate '%s';
    gzip on; gzip_types *; gzip_min_length 1;
"""


@contextmanager
def nginx_in_front(
    site: Site,
    upstream: int,
    include: str | None = None,
    *,
    main: str = "worker_processes 1;",
    events: str = "",
    http: str = _LOGGED % NGINX_FORMAT,
    listen: str = "",
    locations: str = PASSED_ON + "location / {{ proxy_pass http://127.0.0.1:{upstream}; }}",
) -> Iterator[int]:
    """Run nginx in front of another server.

    :param upstream: that server's port.
    :param include: rules for the server; none: those that the extension generates.
    :param main: directives outside of every block; njs is loaded where the rules need it.
    :param listen: options of the directive ``listen``.
    :param locations: what to do with requests, ``{upstream}`` being replaced.
    """
    port = free_port()
    base = site.folder / f"nginx-{port}"
    base.mkdir(mode=0o755)
    rules = site.nginx_config() if include is None else include
    if "js_import" in rules:
        main = f"{NJS} {main}"
    (base / "delegate.conf").write_text(rules)
    temporary = "".join(
        f"{kind}_temp_path {base}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main += f" user {DAEMON_USER};" if DAEMON_USER else ""
    values = {"base": base, "main": main, "events": events, "http": http, "temporary": temporary}
    values |= {"port": port, "listen": listen, "locations": locations.format(upstream=upstream)}
    (base / "nginx.conf").write_text(_NGINX.format(**values))
    command = [tool("nginx"), "-e", f"{base}/start.log", "-p", base, "-c", f"{base}/nginx.conf"]
    with process([str(word) for word in command], port, base, base / "output"):
        yield port


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
