"""A server's processes, and the memory that they have."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path


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
