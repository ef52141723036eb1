"""nginx in front of a server in Python, by each protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flask_delegate.receipts import NGINX_FORMAT
from flask_delegate.servers import SERVERS as BACKENDS
from flask_delegate.servers.nginx import PASSING_ON
from flask_delegate.testing.apache import free_port

from .processes import process
from .python_servers import GUNICORN, python_server
from .running import Running
from .sites import DAEMON_USER, Site
from .tools import tool


@contextmanager
def nginx(site: Site) -> Iterator[Running]:
    """Serve with nginx in front of gunicorn."""
    site.settings["DELEGATE_BACKEND"] = "nginx"
    with python_server(site, *GUNICORN) as upstream, nginx_in_front(site, upstream) as port:
        yield Running(port, BACKENDS["nginx"].keeps, header="X-Accel-Redirect")


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
    client_max_body_size 8m;
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
