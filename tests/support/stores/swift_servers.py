"""A program that runs the four servers of OpenStack Swift in one process group.

Run by file name, in an environment with Swift: ``swift_servers.py FOLDER KIND=PORT...``, the kinds
being ``proxy`` and those that have a ring; FOLDER holds a configuration of each. Swift's own
commands leave the process group in which they are started, and each of them loads all of its
modules again.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from swift.common import wsgi
from swift.common.ring import RingBuilder
from swift.common.utils import logs

RINGS = ("account", "container", "object")
ADDRESS = {"bind_ip": "127.0.0.1"}


class Console(logging.StreamHandler[Any]):
    """A handler in the place of syslog's, since what the tests do is nothing for a system's log."""

    def __init__(self, **_address: object) -> None:
        super().__init__(sys.__stderr__)


def build_ring(folder: Path, kind: str, port: int) -> None:
    """Write a ring of one device."""
    builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    address = {"ip": "127.0.0.1", "port": port}
    replication = {f"replication_{name}": value for name, value in address.items()}
    place = {"region": 1, "zone": 1, "device": "disk", "weight": 1, "meta": ""}
    builder.add_dev({"id": 0, **address, **replication, **place})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def serve(folder: Path, kind: str, listening: Any) -> None:
    """Run a server for ever."""
    path = str(folder / f"{kind}.conf")
    conf, logger, global_conf, _strategy = wsgi.check_config(path, f"{kind}-server")
    wsgi.run_server(conf, logger, listening, global_conf=global_conf)


def main() -> None:
    logs.ThreadSafeSysLogHandler = Console
    folder = Path(sys.argv[1])
    ports = dict(word.split("=") for word in sys.argv[2:])
    # The proxy's requests wait for a server that listens and is not ready; others it counts as
    # errors.
    listening = {kind: wsgi.get_socket({**ADDRESS, "bind_port": ports[kind]}) for kind in ports}
    for kind in RINGS:
        build_ring(folder, kind, int(ports[kind]))
    for kind in RINGS:
        if not os.fork():
            _close_all_but(kind, listening)
            serve(folder, kind, listening[kind])
            return
    _close_all_but("proxy", listening)
    serve(folder, "proxy", listening["proxy"])


def _close_all_but(kept: str, listening: dict[str, Any]) -> None:
    for kind, socket in listening.items():
        if kind != kept:
            socket.close()


if __name__ == "__main__":
    main()
