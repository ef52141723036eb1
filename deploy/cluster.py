"""What the hosts of a cluster share, as the file of ``deploy/install --cluster`` has it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

SECRETS = Path("/etc/portal/cluster")
"""Where the portal's user reads copies of the secrets, which root's files hold."""

Address = tuple[str, int]
"""A host's name or IP address, and a port."""

_TABLES = {
    "": {"secret_key_file", "balancers", "database", "store"},
    "database": {"url", "password_file", "networks"},
    "store": {
        *("endpoint", "bucket", "prefix", "region", "ca_file", "host"),
        *("keys_file", "networks", "resolver", "connections"),
    },
}
_NEEDED = {
    "": {"secret_key_file", "database", "store"},
    "database": {"url"},
    "store": {"endpoint", "bucket", "keys_file"},
}
_LISTS = {"balancers", "networks"}
_OF_THE_PORTAL = ("endpoint", "bucket", "prefix", "region", "ca_file", "host")
"""What ``PORTAL_STORE`` takes from the table ``store``."""
# systemd, bash and Python read these between ' and ' in /etc/portal/environment, and alike.
_TEXT = re.compile(r"[^\x00-\x1f\x7f'\\]+")
_URL = re.compile(r"postgres(?:ql)?://[!-~]+")
_SECRET = re.compile(r"(?i)(?:password|secret|passfile)=")
_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_SHORTEST_KEY = 32


class ClusterError(Exception):
    """The file cannot be used; the message says why, and what to change."""


@dataclass(frozen=True)
class Cluster:
    """What the file says, checked.

    :param url: of the database, without a password.
    :param store: what the portal's setting ``STORE`` holds.
    :param secrets: contents, by the names that they have in :data:`SECRETS`.
    :param networks: by table, those that were named in place of the addresses.
    :param balancers: addresses and networks of what stands in front of the hosts.
    :param resolver: the name server that nginx asks for the store; empty: the system's, once.
    :param connections: objects that each process of Apache sends at once; 0: as it is usual.
    """

    file: Path
    url: str
    store: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    networks: Mapping[str, tuple[str, ...]]
    balancers: tuple[str, ...]
    resolver: str
    connections: int

    @property
    def variables(self) -> dict[str, str]:
        """Return what the portal's environment has of it; no secret is among it."""
        url = self.url
        if "pgpass" in self.secrets:
            url += f"{'&' if '?' in url else '?'}passfile={SECRETS / 'pgpass'}"
        return {
            "CLUSTER": str(self.file),
            "PORTAL_DATABASE": url,
            "PORTAL_STORE": json.dumps(dict(self.store), ensure_ascii=False),
            "PORTAL_STORE_KEYS_FILE": str(SECRETS / "store-keys.toml"),
            "PORTAL_SECRET_KEY_FILE": str(SECRETS / "secret_key"),
        }

    @property
    def services(self) -> dict[str, list[Address]]:
        """Where the database's servers and the store are, by table."""
        parts = urlsplit(self.store["endpoint"])
        store = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
        return {"database": _servers(self.url), "store": [store]}


def read(path: Path) -> Cluster:
    """Read the file, and the files that it names.

    :raises ClusterError: if anything in it is missing, unknown, of another kind or open to others.
    """
    if path.is_relative_to(SECRETS):
        raise ClusterError(f"{path} is in a folder that is written anew each time. Move it away.")
    if not _TEXT.fullmatch(str(path)):
        raise ClusterError(f"{str(path)!r} cannot be remembered. Choose a path without ' and \\.")
    try:
        found = tomllib.loads(_owned(path, mask=0o022))
    except tomllib.TOMLDecodeError as error:
        raise ClusterError(f"{path} is not TOML: {error}.") from None
    tables = {"": found, "database": found.get("database"), "store": found.get("store")}
    for name, table in tables.items():
        _check_table(name, table, path)
    database, store = found["database"], found["store"]
    _check_url(database["url"], path)
    return Cluster(
        file=path,
        url=database["url"],
        store={name: store[name] for name in _OF_THE_PORTAL if name in store},
        secrets=_secrets(found, path),
        networks={
            name: _networks(table.get("networks", []), f"networks of [{name}]", path)
            for name, table in (("database", database), ("store", store))
        },
        balancers=_networks(found.get("balancers", []), "balancers", path),
        resolver=_resolver(store.get("resolver", ""), path),
        connections=store.get("connections", 0),
    )


def _check_table(name: str, table: object, path: Path) -> None:
    where = f"[{name}] of {path}" if name else str(path)
    if not isinstance(table, dict):
        needed = " and ".join(sorted(_NEEDED[name]))
        raise ClusterError(f"{path} has no table [{name}]. Write one, with {needed}.")
    for key in table:
        if key not in _TABLES[name]:
            known = ", ".join(sorted(_TABLES[name]))
            raise ClusterError(
                f"{where} has the key '{key}', which means nothing. It takes {known}."
            )
    for key in sorted(_NEEDED[name]):
        if key not in table:
            raise ClusterError(f"{where} lacks {key}. docs/portal/cluster.md has an example.")
    for key, value in table.items():
        if key not in _TABLES:
            _check_value(key, value, where)


def _check_value(key: str, value: object, where: str) -> None:
    if key == "connections":
        if type(value) is not int or not 1 <= value <= 10_000:
            raise ClusterError(f"{key} in {where} must be a whole number from 1 to 10000.")
    elif key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ClusterError(f'{key} in {where} must be a list, such as ["10.0.0.5"].')
    elif not isinstance(value, str) or not (_TEXT.fullmatch(value) or value == ""):
        raise ClusterError(f"{key} in {where} must be a text without ' and \\, on one line.")


def _check_url(url: str, path: Path) -> None:
    if not _URL.fullmatch(url):
        raise ClusterError(
            f"url in [database] of {path} must be an address such as"
            " postgresql://portal@db.example.org/portal?sslmode=verify-full"
        )
    user = urlsplit(url).netloc.rpartition("@")[0]
    if ":" in user or _SECRET.search(urlsplit(url).query):
        raise ClusterError(
            f"url in [database] of {path} has a password or names its file, and others could"
            " read it. Take that out, write the password alone into a file, and name the file in"
            " password_file."
        )
    if not (servers := _servers(url)) or any(not host or "/" in host for host, _ in servers):
        raise ClusterError(
            f"url in [database] of {path} names no host. All hosts of the cluster connect to it:"
            " use the name or the IP address of the server."
        )


def _servers(url: str) -> list[Address]:
    """Return the servers that libpq would try, in their order."""
    try:
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        pairs = [_host_and_port(one) for one in parts.netloc.rpartition("@")[2].split(",")]
        hosts = [host for host, _ in pairs]
        ports = [port for _, port in pairs]
        for name in ("host", "hostaddr"):
            hosts = query[name].split(",") if name in query else hosts
        ports = query["port"].split(",") if "port" in query else ports
        ports = ports * len(hosts) if len(ports) == 1 else ports
        numbers = [int(port or _PORTS["postgresql"]) for port in ports]
        return list(zip(hosts, numbers, strict=True))
    except ValueError:
        return []


def _host_and_port(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]*))?", text)
    if found is None:
        raise ValueError(text)
    return unquote(found[1] or found[2] or ""), found[3] or ""


def _networks(given: list[str], name: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(one)) for one in given)
    except ValueError as error:
        raise ClusterError(
            f"{name} in {path} must be IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/24:"
            f" {error}."
        ) from None


def _resolver(address: str, path: Path) -> str:
    try:
        return address and _in_brackets(str(ipaddress.ip_address(address)))
    except ValueError:
        raise ClusterError(
            f"resolver in [store] of {path} must be the IP address of a name server, such as"
            " 10.0.0.53."
        ) from None


def _in_brackets(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _secrets(found: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Read the files with secrets, and return what the portal reads in their place."""
    folder, mask = path.parent, 0o077
    key = folder / found["secret_key_file"]
    keys = folder / found["store"]["keys_file"]
    secrets = {"secret_key": _owned(key, mask), "store-keys.toml": _owned(keys, mask)}
    if len(secrets["secret_key"].strip()) < _SHORTEST_KEY:
        raise ClusterError(
            f"{key} holds fewer than {_SHORTEST_KEY} characters. Create a key, and copy it to each"
            f" host: (umask 077; openssl rand -hex 32 > {key})"
        )
    if "password_file" in found["database"]:
        source = folder / found["database"]["password_file"]
        password = _owned(source, mask).rstrip("\n")
        if not password or "\n" in password:
            raise ClusterError(f"{source} must hold one line, with the database's password alone.")
        escaped = re.sub(r"([\\:])", r"\\\1", password)
        secrets["pgpass"] = f"*:*:*:*:{escaped}\n"
    return secrets


def _owned(path: Path, mask: int) -> str:
    """Return the text of a file of root's.

    :param mask: the permissions that nobody else may have.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ClusterError(f"{path} has to be a file.")
            text = file.read(1024**2).decode()
    except OSError as error:
        raise ClusterError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ClusterError(f"{path} is not a text in UTF-8.") from None
    if status.st_uid != os.geteuid():
        raise ClusterError(f"{path} belongs to another user than root. Run: chown root: {path}")
    if stat.S_IMODE(status.st_mode) & mask:
        letters = "go=" if mask & 0o044 else "go-w"
        raise ClusterError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}). Run:"
            f" chmod {letters} {path}"
        )
    return text


def quoted(values: Mapping[str, str]) -> Iterator[str]:
    """Yield lines for ``/etc/portal/environment``, which each of its readers takes alike."""
    for name, value in values.items():
        yield f"{name}='{value}'"
