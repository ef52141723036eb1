"""What the services of a host of a cluster may reach: its database and its store."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.cluster import Address, Cluster, ClusterError

UNITS = tuple(f"portal-{name}.service" for name in ("cleanup", "gunicorn", "receipts", "uploads"))
"""Those that get this network; portal-express has that of its clients already."""
_PATIENCE = 5
_RESOLVERS = Path("/etc/resolv.conf")
_FILTERED = 77
# A datagram that may not leave is an error at once.
_SEND = f"""
import socket, sys
try:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))
except PermissionError:
    sys.exit({_FILTERED})
"""
_TRIAL = (
    *("systemd-run", "--quiet", "--wait", "--collect", "--property=IPAddressDeny=any"),
    *("/usr/bin/python3", "-I", "-c", _SEND),
)


def allowed(cluster: Cluster) -> tuple[str, ...]:
    """Return the networks that the services need, after each service has answered.

    :raises ClusterError: if a name has no address, or nothing answers there.
    """
    networks: list[str] = []
    for table, servers in cluster.services.items():
        found = {server: _addresses(server, table, cluster.file) for server in servers}
        _check_answers(found, table, cluster.file)
        named = cluster.networks[table]
        _check_named(named, found, table, cluster.file)
        networks += named or [one for some in found.values() for one in some]
        if any(not _is_address(host) for host, _ in servers):
            networks += _name_servers()
    return _collapsed(networks)


def check_firewall() -> None:
    """Check that systemd keeps services from reaching other addresses; else it would only warn.

    :raises ClusterError: if it does not, such as in a container without the right to do so.
    """
    done = subprocess.run(_TRIAL, capture_output=True, check=False)
    if done.returncode != _FILTERED:
        raise ClusterError(
            "systemd cannot restrict the network of services here (IPAddressDeny=), which --cluster"
            " opens to the database and the store alone. It needs the unified hierarchy of control"
            " groups (cgroup v2) and the right to load BPF programs: a container may have neither."
        )


def _addresses(server: Address, table: str, path: Path) -> list[str]:
    host, port = server
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"[{table}] of {path} names the host '{host}', which has no address: {why}. Correct the"
            " name, or the machine's name server."
        ) from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _check_answers(found: Mapping[Address, list[str]], table: str, path: Path) -> None:
    """Check that one of the servers accepts connections: of a database, others may stand by."""
    failures = []
    for (host, port), addresses in found.items():
        for address in addresses:
            try:
                socket.create_connection((address, port), _PATIENCE).close()
            except OSError as error:
                why = error.strerror or str(error)
                failures.append(f"{host} port {port} ({address}): {why}")
            else:
                return
    raise ClusterError(
        f"the {table} of {path} does not answer: {'; '.join(failures)}. Start it, correct the"
        " address, or have the firewall between let this host through."
    )


def _check_named(
    named: tuple[str, ...], found: Mapping[Address, list[str]], table: str, path: Path
) -> None:
    networks = [ipaddress.ip_network(one) for one in named]
    for (host, _), addresses in found.items():
        for address in addresses:
            if networks and not any(ipaddress.ip_address(address) in one for one in networks):
                raise ClusterError(
                    f"networks in [{table}] of {path} lack {address}, which is {host}. Add it, or"
                    " leave networks out to allow the addresses that the name has now."
                )


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _name_servers() -> list[str]:
    """Return those that the system asks; without any, it asks itself."""
    lines = _RESOLVERS.read_text().splitlines() if _RESOLVERS.exists() else []
    words = [line.split() for line in lines]
    found = [one[1] for one in words if one[:1] == ["nameserver"] and len(one) > 1]
    return [one.partition("%")[0] for one in found] or ["127.0.0.1"]


def _collapsed(networks: Iterable[str]) -> tuple[str, ...]:
    """Return networks without those that others contain."""
    found = [ipaddress.ip_network(one) for one in networks]
    kept: list[str] = []
    for version in (4, 6):
        of_version: Any = [one for one in found if one.version == version]
        kept += map(str, ipaddress.collapse_addresses(of_version))
    return tuple(kept)
