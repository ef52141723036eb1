"""What a machine needs before the portal is installed on it, in words.

Nothing is changed before that. docs/portal/install.md has the list. What an
installed portal has already is not asked for again.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

from deploy.make_folders import DATA
from deploy.site import PREFIX
from deploy.sizing import MIB, Machine

LEAST = 1024 * MIB
"""Bytes of memory, and of each disk that something is written to."""
# The kernel and the firmware keep some of it.
_LEAST_SEEN = 900 * MIB
# Their services are looked at where they are known: one makes room, the other is named with a cure.
_KNOWN = ("apache2.service", "nginx.service", "portal-express.service")
_LISTENING = "0A"  # proc_net_tcp(5)


def problems(host: str, *, is_new: bool, obtains: bool) -> Iterator[str]:
    """Yield what is missing, a sentence each with the cure.

    :param is_new: whether no portal is installed.
    :param obtains: whether an authority is to ask for the host by its name.
    """
    if is_new:
        yield from _lack_of_memory()
        yield from _lack_of_space()
    for port in (80, 443):
        if owner := listener(port):
            yield (
                f"{owner} listens on port {port}, and the portal needs the ports 80 and 443. Stop"
                " and disable it."
            )
    if obtains and not addresses(host):
        yield (
            f"{host} has no address in DNS, so no authority would give a certificate for it. Create"
            " its A or AAAA record, with the address that this machine has for the world."
        )


def advice(host: str) -> str:
    """Return what looks wrong with the name of the host, but need not be; empty if nothing does."""
    found = addresses(host)
    if not found:
        return f"{host} has no address in DNS. Until it has, nobody finds the portal."
    if any(_is_ours(one) for one in found):
        return ""
    return (
        f"{host} is {' and '.join(found)} in DNS, which is no address of this machine. That is"
        " right if a router passes the ports 80 and 443 on to it."
    )


def addresses(host: str) -> list[str]:
    """Return the addresses of a name, none twice."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((address, 0))
    except OSError:
        return False
    return True


def _lack_of_memory() -> Iterator[str]:
    memory = Machine.this().memory
    if memory < _LEAST_SEEN:
        yield f"this machine has {memory // MIB} MiB of memory. The portal needs 1 GiB."


def _lack_of_space() -> Iterator[str]:
    """Yield a sentence for each disk that is too small, by the first of its folders."""
    seen = set()
    for folder in (PREFIX, Path("/var"), DATA):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free, device = shutil.disk_usage(there).free, there.stat().st_dev
        if free < LEAST and device not in seen:
            yield (
                f"the disk of {folder} has {free // MIB} MiB free. The installation needs 1 GiB"
                " there. Free some space."
            )
        seen.add(device)


def listener(port: int) -> str:
    """Return the name of a program that listens on a port and makes no room; empty: none does."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            words = line.split()
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):  # it has ended
            unit, name = _unit(process), (process / "comm").read_text().strip()
            if unit != "init.scope" and unit not in _KNOWN and _holds(process, inodes):
                return f"{name} (process {process.name}{unit and f', {unit}'})"
    return ""


def _holds(process: Path, inodes: Set[str]) -> bool:
    """Return whether a process has one of these open."""
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):  # it was closed
            if str(descriptor.readlink()) in inodes:
                return True
    return False


def _unit(process: Path) -> str:
    """Return the unit of systemd's that a process belongs to."""
    found = re.search(
        r"/([^/\n]+\.(?:service|scope))$", (process / "cgroup").read_text(), re.MULTILINE
    )
    return found[1] if found else ""
