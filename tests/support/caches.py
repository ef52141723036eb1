"""Shared caches in front of a server, which keep for everybody whatever they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from flask_delegate.testing.apache import free_port

from .nginxes import nginx_in_front
from .processes import process
from .sites import DAEMON_USER, Site
from .tools import tool

APACHE_CACHE = """
CacheEnable disk /
CacheRoot "{base}"
CacheDefaultExpire 600
CacheIgnoreNoLastMod On
CacheIgnoreCacheControl On
"""
_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk")
_APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{base}/pid"
ErrorLog "{base}/error.log"
DocumentRoot "{base}"
{user}
{modules}
<IfModule !unixd_module>
    LoadModule unixd_module /usr/lib/apache2/modules/mod_unixd.so
</IfModule>
ProxyPass "/" "http://127.0.0.1:{upstream}/"
"""
_VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{upstream}"; }}
# Varnish's own rules pass whatever has a cookie or Authorization: rely on the answer instead.
sub vcl_recv {{ return (hash); }}
"""
_NGINX = """
proxy_cache_path cache keys_zone=shared:1m;
proxy_cache shared;
proxy_cache_valid any 10m;
"""


@contextmanager
def apache(site: Site, upstream: int) -> Iterator[int]:
    """Run Apache with mod_cache in front of another port; yield its own."""
    port = free_port()
    base = site.folder / f"cache-{port}"
    base.mkdir()
    base.chmod(0o777)
    load = (f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES)
    user = f"User {DAEMON_USER}\nGroup {DAEMON_USER}" if DAEMON_USER else ""
    text = _APACHE.format(
        base=base, port=port, upstream=upstream, user=user, modules="\n".join(load)
    )
    (base / "httpd.conf").write_text(text + APACHE_CACHE.format(base=base))
    command = [tool("apache2"), "-d", str(base), "-f", str(base / "httpd.conf"), "-DFOREGROUND"]
    with process(command, port, base, base / "output"):
        yield port


@contextmanager
def varnish(site: Site, upstream: int) -> Iterator[int]:
    """Run Varnish in front of another port; yield its own."""
    port = free_port()
    base = site.folder / f"varnish-{port}"
    base.mkdir()
    base.chmod(0o755)
    (base / "default.vcl").write_text(_VARNISH.format(upstream=upstream))
    command = [tool("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-f", str(base / "default.vcl")]
    command += ["-n", str(base / "work"), "-s", "malloc,10m", "-T", "none"]
    with process(command, port, base, base / "output"):
        yield port


@contextmanager
def nginx(site: Site, upstream: int) -> Iterator[int]:
    """Run nginx in front of another port; yield its own."""
    with nginx_in_front(site, upstream, 'set $flask_delegate "";', http=_NGINX) as port:
        yield port


CACHES: dict[str, Callable[[Site, int], AbstractContextManager[int]]] = {
    "apache": apache,
    "nginx": nginx,
    "varnish": varnish,
}
