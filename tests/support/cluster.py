"""``scripts/cluster`` as a process of the tests: several hosts, and what they share."""

from __future__ import annotations

import os
import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psycopg

from scripts.commands.cluster.seaweedfs import PORTS

from . import portal_process
from .paths import PROJECT
from .portal_process import STATE, Run
from .stores.store import CLIENT, REGION

SCRIPT = PROJECT / "scripts" / "cluster"


class Cluster(Run):
    """A ``scripts/cluster``: its processes by their names, its database and its bucket."""

    @property
    def folder(self) -> Path:
        """What it keeps while it runs."""
        return STATE / "run" / f"cluster-{self.port}"

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Signal all processes of some of its services."""
        for name in names:
            os.killpg(self.pid(name), number)

    def host(self, number: int) -> tuple[str, int]:
        """Return the address of a host, counted from 1."""
        return f"127.0.0.{10 + number}", self.port

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database, whichever server takes writes."""
        folders = [self.data / name for name in ("postgresql", "standby")]
        hosts = ",".join(str(folder) for folder in folders if folder.exists())
        url = f"postgresql://portal@/portal?host={hosts}&target_session_attrs=read-write"
        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def objects(self) -> set[str]:
        """Return the last parts of the keys of all objects in the bucket."""
        listed = self._client.get_paginator("list_objects_v2").paginate(Bucket="portal")
        return {
            one["Key"].rpartition("/")[2] for page in listed for one in page.get("Contents", ())
        }

    @cached_property
    def _client(self) -> Any:
        keys = tomllib.loads((self.data / "store/keys.toml").read_text())
        return boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port + 5}",
            region_name=REGION,
            aws_access_key_id=keys["key_id"],
            aws_secret_access_key=keys["secret"],
            config=CLIENT,
        )


@contextmanager
def started(*options: str) -> Iterator[Cluster]:
    """Start one with demo accounts, and wait until it says that it is ready."""
    with portal_process.shared_folder() as folder:
        data, port = folder / "data", _free_port()
        with portal_process.started(data, "--demo", *options, script=SCRIPT, port=port) as run:
            yield Cluster(**vars(run))


def _free_port() -> int:
    for port in range(20_000 + os.getpid() % 1500 * 20, 55_000, 20):
        with ExitStack() as stack:
            try:
                for more in (0, *PORTS):
                    stack.enter_context(socket.create_server(("127.0.0.1", port + more)))
            except OSError:
                continue
            return port
    raise RuntimeError("no ports are free")
