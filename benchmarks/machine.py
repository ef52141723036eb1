"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path


def describe() -> dict[str, str]:
    """Describe the machine and the software."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": f"{os.cpu_count()} × {model[0] if model else platform.machine()}",
        "memory": f"{memory / 1024**3:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Apache": _version(["apache2", "-v"]),
        "nginx": _version(["nginx", "-v"]),
    }


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0].partition(":")[2].strip()


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


def aborted_for_memory() -> int:
    """Count the connections that the kernel has ended as it has no more memory for TCP.

    How much that may be is ``net.ipv4.tcp_mem``, about a tenth of the machine's by default.
    """
    names, values = [
        line.split()
        for line in Path("/proc/net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    ]
    return int(values[names.index("TCPAbortOnMemory")])


def daemons_on(port: int) -> list[int]:
    """List those of a server's processes that are mod_wsgi's and run Python."""
    return [pid for pid in server_on(port) if "(wsgi:" in _command(pid)]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
