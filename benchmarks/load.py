"""Load from wrk, and from clients that read slowly."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def requests_per_second(
    url: str, seconds: float, *, connections: int = 8, headers: Mapping[str, str] | None = None
) -> float:
    """Ask for a URL over and over.

    :raises RuntimeError: if an answer was not 2xx, or none came.
    """
    return _figure(_wrk(url, seconds, connections, headers), r"Requests/sec:\s+([\d.]+)()")


def bytes_per_second(
    url: str, seconds: float, *, connections: int = 2, headers: Mapping[str, str] | None = None
) -> float:
    """Download a file over and over.

    :raises RuntimeError: if an answer was not 2xx, or none came.
    """
    return _figure(_wrk(url, seconds, connections, headers), r"Transfer/sec:\s+([\d.]+)([KMG]?)B")


def _wrk(url: str, seconds: float, connections: int, headers: Mapping[str, str] | None) -> str:
    words = [word for item in (headers or {}).items() for word in ("-H", ": ".join(item))]
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
    done = subprocess.run(
        [*command, "--timeout", "30s", *words, url], capture_output=True, text=True
    )
    if done.returncode or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"wrk {url}: {done.stdout}{done.stderr}")
    return done.stdout


def _figure(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    if not found or not float(found[1]):
        raise RuntimeError(f"wrk measured nothing:\n{text}")
    return float(found[1]) * _UNITS[found[2]]
