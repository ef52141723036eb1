"""Apache as people run it: by mod_wsgi, mod_proxy and mod_xsendfile, or with Debian's layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flask_delegate.servers import SERVERS as BACKENDS
from flask_delegate.testing.apache import free_port

from .processes import process
from .python_servers import GUNICORN, SCGI_SOCKET, python_server
from .running import HOST, Running
from .sites import DAEMON_USER, Site, express
from .tools import tool

PROXY = """
LoadModule proxy_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_proxy.so"
LoadModule proxy_http_module "${{MOD_WSGI_MODULES_DIRECTORY}}/mod_proxy_http.so"
ProxyPass "/" "http://127.0.0.1:{upstream}/"
"""


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
