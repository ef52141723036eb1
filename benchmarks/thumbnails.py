"""How fast thumbnails of photos are made, and in how much memory."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from portal.thumbnails import worker
from portal.thumbnails.process import Process, pillow_folder
from tests.support.pictures import encoded, photo
from tests.support.processes import memory_of

from .results import Table

_DIFFERENT = 5
"""Photos that are made; others are the same again, as nothing is remembered of one."""
MIB = 1024**2


def thumbnails(*, rounds: int, photos: int) -> Iterator[Table]:
    """Measure photos of 12 megapixels, one after the other, as a portal sends them."""
    table = Table(
        "thumbnails",
        f"Photos of 12 megapixels a second, {photos} in a round: sent to the process, made smaller"
        " there, and received.",
        "photos/s",
        baseline="JPEG",
        ours="JPEG",
    )
    # What is rough in them is so coarse that it is seen in thumbnails, too.
    pictures = [
        photo(1000, 750, rough=60 + 10 * number).resize((4000, 3000))
        for number in range(_DIFFERENT)
    ]
    kinds = {
        "JPEG": [encoded(one, quality=88) for one in pictures],
        "JPEG, progressive": [encoded(one, quality=88, progressive=True) for one in pictures],
        "PNG": [encoded(one, "PNG", compress_level=1) for one in pictures[:2]],
    }
    process = Process()
    sizes: list[int] = []
    for _ in range(rounds):
        for kind, contents in kinds.items():
            count = photos if kind == "JPEG" else max(photos // 10, 2)
            start = time.perf_counter()
            for number in range(count):
                content = contents[number % len(contents)]
                made = process.make(partial(_opened, content), len(content))
                assert made
                sizes.append(len(made))
            table.add(kind, count / (time.perf_counter() - start))
    assert process.pid
    waiting = memory_of({process.pid})
    process.stop()
    for kind, contents in kinds.items():
        peak = _peak(contents[0])
        table.notes.append(f"{kind}: {len(contents[0]) / 1e6:.1f} MB, {peak / MIB:.0f} MiB at most")
    table.notes.append(f"the process has {waiting / MIB:.0f} MiB between two photos")
    mean = sum(sizes) / len(sizes)
    met = "met" if 60 * mean <= 350_000 else "NOT MET"
    table.notes.append(f"{met}: 60 thumbnails are {60 * mean / 1000:.0f} kB, the target ≤ 350 kB")
    yield table


def _opened(content: bytes) -> nullcontext[io.BytesIO]:
    return nullcontext(io.BytesIO(content))


def _peak(content: bytes) -> int:
    """Return the most bytes of memory that the process, or what it forks, takes for a photo."""
    measure = str(Path(__file__).with_name("picture_memory.py"))
    command = [sys.executable, "-S", measure, sys.executable, "-I", "-S", "-B", worker.__file__]
    run = subprocess.run([*command, str(pillow_folder())], input=content, capture_output=True)
    made, peak = run.stdout.split()
    assert made == b"1"
    return int(peak)
