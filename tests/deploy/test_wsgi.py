from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import PROJECT

# A heap of a thread begins at a multiple of 64 MiB; it has small pieces, which Python asks for.
_USE_HEAPS = """
import ctypes, re, threading
import deploy.wsgi
malloc = ctypes.CDLL(None).malloc
malloc.restype, begin, end = ctypes.c_void_p, threading.Barrier(16), threading.Barrier(16)
def use():
    begin.wait()
    for _ in range(1000):
        malloc(1000)
    end.wait()
threads = [threading.Thread(target=use) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
maps = open("/proc/self/maps").read()
starts = re.findall(r"^([0-9a-f]+)-\\S+ rw-p \\S+ 00:00 0 *$", maps, re.MULTILINE)
print(sum(int(start, 16) % 2**26 == 0 for start in starts))
"""


def test_threads_share_two_heaps(tmp_path: Path) -> None:
    environment = os.environ | {"PORTAL_DATA": str(tmp_path.resolve() / "data")}
    done = subprocess.run(
        [sys.executable, "-c", _USE_HEAPS],
        cwd=PROJECT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) == 1  # beside the first one, which is elsewhere
