"""A server's processes: how they start and end, and the memory that they have."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flask_delegate.testing.apache import end


@contextmanager
def process(
    command: list[str],
    place: int | Path,
    folder: Path,
    output: Path,
    environment: dict[str, str] | None = None,
) -> Iterator[None]:
    """Run a server until the end of the block; it has to accept connections within a minute.

    :param place: its port, or its UNIX socket.
    """
    with output.open("wb") as log:
        started = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    try:
        _wait(started, place, output)
        yield
    finally:
        end(started)


def _wait(started: subprocess.Popen[bytes], place: int | Path, output: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started.poll() is None:
        try:
            _connect(place)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{started.args!r} did not start:\n{output.read_text(errors='replace')}")


def _connect(place: int | Path) -> None:
    if isinstance(place, int):
        socket.create_connection(("127.0.0.1", place), timeout=10).close()
    else:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))


def memory_of(processes: Iterable[int]) -> int:
    """Add up what processes have in memory, in bytes; what they share is counted once."""
    total = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        (line,) = [line for line in text.splitlines() if line.startswith("Pss:")]
        total += int(line.split()[1]) * 1024
    return total


def server_on(port: int) -> list[int]:
    """List the processes of the server that listens on a port: all of its session."""
    shown = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    leader = os.getsid(int(shown.stdout.partition("pid=")[2].partition(",")[0]))
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == leader:
                found.append(int(folder.name))
        except ProcessLookupError:
            continue
    return found


def daemons_on(port: int) -> list[int]:
    """List those of a server's processes that are mod_wsgi's and run Python."""
    return [pid for pid in server_on(port) if "(wsgi:" in _command(pid)]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")


def children_of(process: int) -> list[int]:
    """List the processes that a process has started and that run."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]
