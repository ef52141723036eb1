"""What it costs that nothing is lost in a power cut: waits for the disk, and uploads a second.

Run as ``python -m tests.faults.syncs FOLDER`` with faults.c preloaded; prints JSON.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from portal.identity import passwords
from tests.support.portal import cheap_hasher

from .application import open_portal
from .failing import operations, prepare
from .person import Person

_LIBRARY = ctypes.CDLL(None)
_SYNCS = 4
_ROUNDS, _SECONDS = 3, 2.0


def main(data: Path) -> None:
    """Count and measure."""
    logging.disable()
    passwords.hasher = cheap_hasher()
    data.mkdir(mode=0o700)
    with open_portal(data) as app:
        alice, files = prepare(app)
        counts = {}
        for name, do in operations(app, alice, files).items():
            if name in {"sign in", "create folder", "cleanup", "check --repair"}:
                continue
            _LIBRARY.faults_arm(os.fsencode(data), _SYNCS, 0, 0, 0)
            do()
            counts[name] = _LIBRARY.faults_disarm()
        speeds = {
            name: [_per_second(alice, do, skips=skips) for skips in (0, 1)]
            for name, do in {"form": _upload, "in two pieces": _upload_in_pieces}.items()
        }
    print(json.dumps({"syncs": counts, "a second, with and without": speeds}))  # noqa: T201


def _upload(person: Person) -> None:
    person.upload(10_001)


def _upload_in_pieces(person: Person) -> None:
    file = person.begin(10_001)
    person.continue_upload(file, 5_001)
    person.continue_upload(file, 5_001)


def _per_second(person: Person, do: Callable[[Person], None], *, skips: int) -> float:
    """Return the best of some rounds."""
    _LIBRARY.faults_skip_syncs(skips)
    best = 0.0
    for _ in range(_ROUNDS):
        began, count = time.monotonic(), 0
        while time.monotonic() - began < _SECONDS:
            do(person)
            count += 1
        best = max(best, count / (time.monotonic() - began))
    _LIBRARY.faults_skip_syncs(0)
    return round(best, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "data")
