"""What the hosts of a cluster share, as the file of ``deploy/install --cluster`` has it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
import tomllib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
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
_TEXT = re.compile(r"[^\x00-\x1f\x7f'\\\ud800-\udfff]+")
# libpq ends the user at the first @, also behind ?, and reads on behind #; Python does neither, and
# would overlook a password there, or take another host.
_URL = re.compile(r"postgres(?:ql)?://(?![^/]*[@?][^/]*@)[!\"$-~]+")
_SECRET = re.compile(r"(?i)(?:password|secret|passfile)=")
_SERVER = re.compile(r"[\w.:%-]+")
# As flask_delegate/stores/store.py has it, which cannot be imported before Flask is installed.
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_KEY = re.compile(r"[\x21-\x7e]+")
_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_KEYS = {"key_id", "secret", "session_token"}
_NEEDED_KEYS = {"key_id", "secret"}
_SHORTEST_KEY = 32
_LONGEST_FILE = 1024**2
# libpq would end the line of pgpass there, or take it as a part of the password.
_NO_PASSWORD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_EVERYBODY = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "2000::/3", "::ffff:0.0.0.0/96")))


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
        return {
            "database": _servers(self.url),
            "store": [_server_of_store(self.store["endpoint"])],
        }


def read(path: Path) -> Cluster:
    """Read the file, and the files that it names.

    :raises ClusterError: if anything in it is missing, unknown, of another kind or open to others.
    """
    if path.is_relative_to(SECRETS):
        raise ClusterError(f"{path} is in a folder that is written anew each time. Move it away.")
    if not _TEXT.fullmatch(str(path)):
        raise ClusterError(f"{str(path)!r} cannot be remembered. Choose a path without ' and \\.")
    found = _parsed(path)
    tables = {"": found, "database": found.get("database"), "store": found.get("store")}
    for name, table in tables.items():
        _check_table(name, table, path)
    database, store = found["database"], found["store"]
    _check_url(database["url"], path)
    _check_endpoint(store["endpoint"], path)
    return Cluster(
        file=path,
        url=database["url"],
        store={name: store[name] for name in _OF_THE_PORTAL if name in store},
        secrets=_secrets(found, path),
        networks={
            name: _networks(table.get("networks", []), f"networks of [{name}]", path)
            for name, table in (("database", database), ("store", store))
        },
        balancers=_balancers(found.get("balancers", []), path),
        resolver=_resolver(store.get("resolver", ""), path),
        connections=store.get("connections", 0),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_owned(path, mask=0o022))
    except tomllib.TOMLDecodeError as error:
        raise ClusterError(f"{path} is not TOML: {error}.") from None
    except (ValueError, RecursionError):
        raise ClusterError(
            f"{path} has a number of too many digits, or too many brackets in each other."
            " docs/portal/cluster.md has an example."
        ) from None


def _check_table(name: str, table: object, path: Path) -> None:
    where = f"[{name}] of {path}" if name else str(path)
    if not isinstance(table, dict):
        needed = " and ".join(sorted(_NEEDED[name]))
        raise ClusterError(f"{path} has no table [{name}]. Write one, with {needed}.")
    for key in table:
        if key not in _TABLES[name]:
            known = ", ".join(sorted(_TABLES[name]))
            raise ClusterError(
                f"{where} has the key {key!r}, which means nothing. It takes {known}."
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
    servers = _servers(url) if _URL.fullmatch(url) else []
    if not servers:
        raise ClusterError(
            f"url in [database] of {path} must be an address such as"
            " postgresql://portal@db.example.org:5432/portal?sslmode=verify-full"
        )
    user, query = urlsplit(url).netloc.rpartition("@")[0], urlsplit(url).query
    # libpq decodes both, so %77 in password= is a w.
    if ":" in unquote(user) or _SECRET.search(unquote(query)):
        raise ClusterError(
            f"url in [database] of {path} has a password or names its file, and others could"
            " read it. Take that out, write the password alone into a file, and name the file in"
            " password_file."
        )
    if not all(_SERVER.fullmatch(host) for host, _ in servers):
        raise ClusterError(
            f"url in [database] of {path} names no host. All hosts of the cluster connect to it:"
            " use the name or the IP address of the server."
        )


def _servers(url: str) -> list[Address]:
    """Return the servers that libpq would try, in their order; none if it could not tell."""
    try:
        parts = urlsplit(url)
        given = parse_qs(parts.query, keep_blank_values=True)
        query = {name: values[-1] for name, values in given.items()}
        pairs = [_host_and_port(one) for one in parts.netloc.rpartition("@")[2].split(",")]
        hosts = [host for host, _ in pairs]
        ports = [port for _, port in pairs]
        for name in ("host", "hostaddr"):
            hosts = query[name].split(",") if name in query else hosts
        ports = query["port"].split(",") if "port" in query else ports
        ports = ports * len(hosts) if len(ports) == 1 else ports
        numbers = [_port(port, "postgresql") for port in ports]
        return list(zip(hosts, numbers, strict=True))
    except ValueError:
        return []


def _check_endpoint(endpoint: str, path: Path) -> None:
    try:
        _server_of_store(endpoint)
    except ValueError:
        # Without repeating it: it may hold a password.
        raise ClusterError(
            f"endpoint in [store] of {path} is not the address of a store. Write scheme, host and,"
            " if needed, port, as in https://s3.example.com or http://10.0.0.5:8333."
        ) from None


def _server_of_store(endpoint: str) -> Address:
    scheme, _, rest = endpoint.rstrip("/").partition("://")
    if scheme.lower() not in ("http", "https") or not _HOST.fullmatch(rest):
        raise ValueError
    host, port = _host_and_port(rest.lower())
    if rest.startswith("["):
        ipaddress.IPv6Address(host)
    return host, _port(port, scheme.lower())


def _port(text: str, scheme: str) -> int:
    if (
        not re.fullmatch(r"[0-9]{0,5}", text)
        or not 0 < (port := int(text or _PORTS[scheme])) < 2**16
    ):
        raise ValueError
    return port


def _host_and_port(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]*))?", text)
    if found is None:
        raise ValueError(text)
    return unquote(found[1] or found[2] or ""), found[3] or ""


def _networks(given: list[str], name: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(_without_zone(one))) for one in given)
    except ValueError as error:
        raise ClusterError(
            f"{name} in {path} must be IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/24:"
            f" {error}."
        ) from None


def _without_zone(address: str) -> str:
    """Return it, if it has no zone id: that may hold anything, and go into a configuration."""
    if "%" in address:
        raise ValueError(f"{address!r} has a zone id")
    return address


def _balancers(given: list[str], path: Path) -> tuple[str, ...]:
    networks = _networks(given, "balancers", path)
    for everybody in _EVERYBODY:
        found: Any = [ipaddress.ip_network(one) for one in networks]
        same: Any = [one for one in found if one.version == everybody.version]
        # Collapsed, because two halves are everybody, too.
        if any(everybody.subnet_of(one) for one in ipaddress.collapse_addresses(same)):
            raise ClusterError(
                f"balancers in {path} include every address ({everybody}), so anybody could claim"
                " to be somebody else. Name the balancers alone, such as 10.0.0.5."
            )
    return networks


def _resolver(address: str, path: Path) -> str:
    try:
        return address and _in_brackets(str(ipaddress.ip_address(_without_zone(address))))
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
    _check_keys(secrets["store-keys.toml"], keys)
    if "password_file" in found["database"]:
        source = folder / found["database"]["password_file"]
        password = _owned(source, mask).rstrip("\n")
        if not password or _NO_PASSWORD.search(password):
            raise ClusterError(
                f"{source} must hold one line, with the database's password alone, without control"
                " characters."
            )
        escaped = re.sub(r"([\\:])", r"\\\1", password)
        secrets["pgpass"] = f"*:*:*:*:{escaped}\n"
    return secrets


def _check_keys(text: str, path: Path) -> None:
    """Check what the portal would refuse when it starts."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError):
        # Without saying why: what is no TOML may be a key.
        found = {}
    if not (
        _NEEDED_KEYS <= set(found) <= _KEYS
        and all(isinstance(one, str) and _KEY.fullmatch(one) for one in found.values())
    ):
        raise ClusterError(
            f"{path} does not hold the store's keys. Write TOML with key_id and secret, and nothing"
            " else but session_token, each a text without spaces."
        )


def _owned(path: Path, mask: int) -> str:
    """Return the text of a file of root's, in folders in which nobody else replaces it.

    :param mask: the permissions that nobody else may have.
    """
    try:
        with FileIO(path, opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ClusterError(f"{path} has to be a file.")
            content = file.read(_LONGEST_FILE + 1)
        _check_folders(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise ClusterError(f"{path} cannot be read: {why}.") from None
    if status.st_uid != os.geteuid():
        raise ClusterError(f"{path} belongs to another user than root. Run: chown root: {path}")
    if stat.S_IMODE(status.st_mode) & mask:
        letters = "go=" if mask & 0o044 else "go-w"
        raise ClusterError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}). Run:"
            f" chmod {letters} {path}"
        )
    return _text(content, path)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, without waiting for a writer if it is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _text(content: bytes, path: Path) -> str:
    if len(content) > _LONGEST_FILE:
        raise ClusterError(f"{path} is longer than {_LONGEST_FILE} bytes. Name another file.")
    if content.startswith(BOM_UTF8):
        raise ClusterError(f"{path} begins with a byte order mark. Save it without one.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ClusterError(f"{path} is not a text in UTF-8.") from None


def _check_folders(path: Path) -> None:
    """Check that nobody else can put another file in the place of this one.

    In a folder with the sticky bit, such as /tmp, others replace only what is theirs.
    """
    for folder in dict.fromkeys((*path.absolute().parents, *path.resolve().parents)):
        status = folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid not in (0, os.geteuid()):
            raise ClusterError(
                f"{path} can be replaced by the user to whom {folder} belongs. Move it to a folder"
                " of root's, such as /root/cluster."
            )
        if mode & 0o022 and not mode & stat.S_ISVTX:
            raise ClusterError(
                f"{path} can be replaced by other users, who may write to {folder} (mode"
                f" {mode:04o}). Run: chmod go-w {folder}"
            )


def quoted(values: Mapping[str, str]) -> Iterator[str]:
    """Yield lines for ``/etc/portal/environment``, which each of its readers takes alike."""
    for name, value in values.items():
        yield f"{name}='{value}'"
