"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
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
