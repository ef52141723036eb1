#!/usr/bin/env python3
"""How large the servers are made: one rule, from processors, memory and expected slow clients.

docs/portal/sizing.md has the rule and where its figures come from. Prints ``SIZE_...=NUMBER`` for
scripts/run and deploy/install, and for Apache's and gunicorn's configuration, which read them.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

MIB = 1024**2
EXPECTED = 1000  # slow clients at once, where nobody says how many to expect
OTHERS = 200  # requests of everybody else beside them; and how many nginx takes from one address
_THREADS = 5  # of each process that computes pages: three for long answers, and two
_PER_SERVER = 64  # threads of one process of Apache
# So that a process has up to 2048 connections, and with a file for each 4096 descriptors.
_ASYNC_FACTOR = 31
_MOST_SPARE = 16  # processes of Apache that wait for work
_MOST_UPLOADS = 2048  # threads of the one Python process that takes them
_PYTHON = 130 * MIB  # of each process that computes pages
# Of the one that takes uploads and forms, when all its threads have been used; with 64 MiB for the
# hash of a password.
_UPLOADS = 320 * MIB
# Of the process that makes thumbnails, beside each of those for pages, and of one photo at a time.
_THUMBNAILS = 64 * MIB
_TLS = ("apache-site", "apache-express", "xsendfile")  # the servers whose Apache encrypts
_PER_CLIENT = {"run": 64 * 1024, "nginx": 128 * 1024, **dict.fromkeys(_TLS, 288 * 1024)}
"""Bytes of all processes together for one slow download, by server: as deploy/install calls it, or
``run`` for scripts/run."""


@dataclass(frozen=True)
class Machine:
    """What there is: processors, and bytes of memory."""

    cores: int
    memory: int

    @property
    def processes(self) -> int:
        """How many processes compute pages: Python uses one processor in each."""
        return max(2, self.cores)

    @classmethod
    def this(cls) -> Machine:
        """Look at this one, and at the limit of the control group that we are in."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            memory = min(memory, int(text))
        return cls(len(os.sched_getaffinity(0)), memory)


def most_clients(machine: Machine, server: str) -> int:
    """Return for how many slow clients three quarters of the memory suffice."""
    python = machine.processes * _PYTHON + _UPLOADS + _THUMBNAILS
    left = machine.memory * 3 // 4 - python
    return max(left // _PER_CLIENT[server] - OTHERS, 0)


def sizes(machine: Machine, server: str, clients: int | None = None) -> dict[str, int]:
    """Apply the rule.

    :param clients: slow clients at once; none: what is usual, or less on a small machine.
    :raises ValueError: if the memory is not enough for them.
    """
    most = most_clients(machine, server)
    if clients is None:
        clients = max(1, min(EXPECTED, most))
    if clients > most:
        raise ValueError(
            f"{machine.memory // MIB} MiB of memory are enough for {most} slow clients at once with"
            f" {server}, not for {clients}. Expect fewer with --clients, or add memory."
        )
    servers = _servers(clients, tls=server in _TLS)
    spare = min(-(-servers // 2), _MOST_SPARE)
    workers, connections = servers * _PER_SERVER, 2 * (clients + OTHERS)
    return {
        "SIZE_CLIENTS": clients,
        "SIZE_PER_ADDRESS": OTHERS,
        "SIZE_PROCESSES": machine.processes,
        "SIZE_THREADS": _THREADS,
        "SIZE_SERVERS": servers,
        "SIZE_THREADS_PER_SERVER": _PER_SERVER,
        "SIZE_WORKERS": workers,
        "SIZE_SPARE_SERVERS": spare,
        "SIZE_SPARE_THREADS": spare * _PER_SERVER,
        "SIZE_ASYNC_FACTOR": _ASYNC_FACTOR,
        "SIZE_H2_WORKERS": 6 * _PER_SERVER,
        # Each body that is slow to come holds one: no fewer than Apache's own.
        "SIZE_UPLOAD_THREADS": min(workers, _MOST_UPLOADS),
        # nginx has one process for each processor, and the kernel shares connections out unevenly;
        # each has one to gunicorn for as long as that answers.
        "SIZE_CONNECTIONS": connections,
        "SIZE_DESCRIPTORS": 2 * connections,
        # Who comes while all threads are busy waits; Linux allows 4096 (net.core.somaxconn).
        "SIZE_BACKLOG": connections,
    }


def _servers(clients: int, *, tls: bool) -> int:
    """Return how many processes Apache may have.

    With TLS each slow download holds a thread. Without, it holds a connection only; but a request
    that is slow to come holds a thread always.
    """
    threads = (clients if tls else min(clients, EXPECTED)) + OTHERS
    connections = _PER_SERVER * (_ASYNC_FACTOR + 1)
    return max(-(-threads // _PER_SERVER), -(-(clients + OTHERS) // connections))


def variables(server: str, clients: str | None) -> dict[str, str]:
    """Return the sizes for this machine as variables of the environment.

    :param clients: what ``--clients`` was; empty: what is usual.
    :raises ValueError: as :func:`sizes`, and if that is not a number.
    """
    if clients and not re.fullmatch("[1-9][0-9]{0,8}", clients):
        raise ValueError(
            f"'{clients}' is not a number of clients. Give --clients one such as 2000."
        )
    found = sizes(Machine.this(), server, int(clients) if clients else None)
    return {name: str(value) for name, value in found.items()}


def main() -> None:
    """Print the sizes for this machine."""
    parser = argparse.ArgumentParser(prog="deploy/sizing.py", description=__doc__.split("\n")[0])
    parser.add_argument("server", choices=_PER_CLIENT)
    parser.add_argument("--clients", metavar="N", help="slow clients at once")
    try:
        found = variables(**vars(parser.parse_args()))
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.writelines(f"{name}={value}\n" for name, value in found.items())


if __name__ == "__main__":
    main()
