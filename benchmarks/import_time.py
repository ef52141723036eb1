"""What importing the extension and setting it up costs, beside Flask: fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from .results import Table

_FLASK = """\
from flask import Flask
app = Flask("timed", static_folder=None)
"""
_OURS = """\
from flask_delegate import Delegate
app.config.update(SECRET_KEY="a secret for the benchmark", DELEGATE_ROOT={root!r})
Delegate(app)
"""


def import_time(*, starts: int) -> Iterator[Table]:
    """Measure how long an interpreter runs that does nothing else, in turn."""
    table = Table(
        "import time",
        "Milliseconds from an interpreter's start to its end: with an application of Flask, and"
        " with one that is set up with the extension.",
        "ms",
        baseline="Flask",
        ours="Flask and the extension",
        less_is_better=True,
    )
    with tempfile.TemporaryDirectory() as root:
        programs = {"Flask": _FLASK, "Flask and the extension": _FLASK + _OURS.format(root=root)}
        for program in programs.values():
            _time(program)
        for _ in range(starts):
            for name, program in programs.items():
                table.add(name, _time(program))
    flask, ours = (median(table.rows[name]) for name in programs)
    said = "met" if ours <= 1.3 * flask else "NOT MET"
    table.notes.append(f"{said}: {ours / flask:.2f} × of Flask's own, the target ≤ 1.30 ×")
    yield table


def _time(program: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (perf_counter() - start) * 1000
