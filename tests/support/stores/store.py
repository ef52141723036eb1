"""A running object store: where it is, how to sign for it, and how to stop it for a while."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REGION = "us-east-1"
_PATIENCE = 60  # seconds until a store must answer
CLIENT = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=5,
    read_timeout=30,
    retries={"total_max_attempts": 1},
    # Not every store knows the checksums that boto3 otherwise adds to each upload.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    # None would mean those of the environment, which are not for the loopback interface.
    proxies={},
)


@dataclass(frozen=True)
class RunningStore:
    """An object store to ask.

    :param endpoint: ``http://127.0.0.1:PORT``.
    :param bucket: a bucket that exists.
    :param pid: the process that leads the store's process group.
    :param log: what the store's processes have written.
    :param tls_port: where it speaks TLS, if it does.
    """

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    pid: int
    log: Path
    tls_port: int = 0
    region: str = REGION

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return int(self.endpoint.rpartition(":")[2])

    @cached_property
    def client(self) -> Any:
        """A client of boto3, which does not try again."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=CLIENT,
        )

    def put(self, key: str, content: bytes, content_type: str = "application/octet-stream") -> str:
        """Store an object; return its ETag, with its quotes."""
        stored = self.client.put_object(
            Bucket=self.bucket, Key=key, Body=content, ContentType=content_type
        )
        return str(stored["ETag"])

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def freeze(self) -> None:
        """Stop all processes of the store; its port goes on to accept connections."""
        os.killpg(self.pid, signal.SIGSTOP)
        # A thread on another processor answers for a moment longer.
        _wait_for(self.pid, "TZX")

    def thaw(self) -> None:
        """Let the processes of a frozen store continue."""
        os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill all processes of the store; its port refuses connections from then on."""
        os.killpg(self.pid, signal.SIGKILL)
        _wait_for(self.pid, "ZX")


@contextmanager
def running(
    command: list[str],
    folder: Path,
    *,
    port: int,
    bucket: str,
    keys: tuple[str, str],
    environment: dict[str, str],
    address: str = "127.0.0.1",
) -> Iterator[RunningStore]:
    """Run a store until the end of the block.

    :param port: where it answers S3's requests.
    :param bucket: created as soon as the store answers to signed requests.
    :param keys: the access key and the secret key.
    :raises RuntimeError: with the store's output, if it does not answer within a minute.
    """
    output = folder / "output"
    with output.open("wb") as log:
        started = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    endpoint = f"http://{address}:{port}"
    store = RunningStore(endpoint, bucket, *keys, pid=started.pid, log=output)
    try:
        _wait(started, store)
        yield store
    finally:
        store.client.close()
        _end(started)


def _end(started: subprocess.Popen[bytes]) -> None:
    """Kill the process group, and wait until no process of it writes to the folder any more."""
    with suppress(ProcessLookupError):
        # A frozen process ignores all other signals, and nobody needs what the store holds.
        os.killpg(started.pid, signal.SIGKILL)
    # Who has to reap the leader's children does so in his own time.
    _wait_for(started.pid, "ZX")
    started.wait()


def _wait_for(group: int, states: str) -> None:
    """Wait until all threads of a process group are in one of these states."""
    while not _states(group) <= set(states):
        time.sleep(0.01)


def _states(group: int) -> set[str]:
    """Return the states in which the threads of a process group are."""
    states = set()
    for folder in Path("/proc").glob("[0-9]*"):
        if _state(folder)[2] == str(group):
            with suppress(OSError):  # it has ended meanwhile
                states |= {_state(thread)[0] for thread in folder.glob("task/*")}
    return states


def _state(folder: Path) -> list[str]:
    """Return a process's or a thread's state, parent and group."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return ["X", "", ""]  # it has ended meanwhile


def _wait(started: subprocess.Popen[bytes], store: RunningStore) -> None:
    """Wait until the store has the bucket."""
    deadline = time.monotonic() + _PATIENCE
    failure: Exception | None = None
    while time.monotonic() < deadline and started.poll() is None:
        try:
            store.client.create_bucket(Bucket=store.bucket)
        except (BotoCoreError, ClientError) as error:
            failure = error
            time.sleep(0.05)
        else:
            return
    output = store.log.read_text(errors="replace")
    raise RuntimeError(f"{started.args!r} did not start:\n{output}") from failure


def free_ports(count: int, *, also: int = 0) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on, each of them another one.

    :param also: each port plus this one is free, too.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if not also or _hold(held, port + also):
                ports.append(port)
    return ports


def _hold(held: ExitStack, port: int) -> bool:
    try:
        held.enter_context(socket.socket()).bind(("127.0.0.1", port))
    except (OSError, OverflowError):
        return False
    return True


def environment_of(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without the settings of the person who runs the tests."""
    return {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8", **more}
