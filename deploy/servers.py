"""The servers that deploy/install can make serve the portal, and what each of them needs."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.lib.machine import MOD_WSGI

_MODULES = "/usr/lib/apache2/modules"
_SITE = "apache2:/usr/sbin/a2ensite"


@dataclass(frozen=True)
class Server:
    """What one of the servers needs.

    :param front: the service that listens on the ports 80 and 443.
    :param wanted: Debian's packages, as ``install_packages`` takes them.
    :param python: what the lock file has for it.
    :param units: systemd's units, beside those that each server has.
    :param modules: Apache's modules, beside those that each site has.
    :param guard: the command that makes its rules, and whether that names the log of receipts.
    :param has_stores: whether it fetches files from an object store.
    """

    front: str
    wanted: tuple[str, ...]
    guard: tuple[str, ...]
    python: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    has_receipts: bool = True
    has_stores: bool = True


GUNICORN = tuple(
    f"portal-{name}.{kind}" for kind in ("socket", "service") for name in ("gunicorn", "uploads")
)
RECEIPTS = "portal-receipts.service"
"""The unit that reads how downloads end."""
SERVERS = {
    "apache-site": Server(
        "apache2",
        (_SITE, f"libapache2-mod-wsgi-py3:{_MODULES}/mod_wsgi.so"),
        ("apache-config", "--site", "--process-group", "portal"),
        modules=("wsgi", "ratelimit"),
    ),
    "apache-express": Server(
        "portal-express",
        (*MOD_WSGI, f"apache2-bin:{_MODULES}/mod_ssl.so"),
        ("apache-config", "--process-group", "portal"),
        python=("mod-wsgi",),
        units=("portal-express.service",),
    ),
    "nginx": Server(
        "nginx",
        ("nginx",),
        ("nginx-config",),
        python=("gunicorn",),
        units=GUNICORN,
    ),
    "xsendfile": Server(
        "apache2",
        (_SITE, f"libapache2-mod-xsendfile:{_MODULES}/mod_xsendfile.so"),
        ("apache-config", "--site"),
        python=("gunicorn",),
        units=GUNICORN,
        modules=("xsendfile", "proxy", "proxy_http", "rewrite"),
        has_receipts=False,
        has_stores=False,
    ),
}
BACKUP = "portal-backup.timer"
"""The unit that starts the daily backup."""
ALL_UNITS = {unit for server in SERVERS.values() for unit in server.units}
ALL_UNITS |= {RECEIPTS, BACKUP, "portal-backup.service"}
