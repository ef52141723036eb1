"""Setting an application up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.paths import PROJECT

PROGRAM = """
import sys
from flask import Flask
before = set(sys.modules)
from flask_delegate import Delegate
app = Flask("loaded", static_folder=None)
app.config.update(SECRET_KEY="a secret for the tests only", DELEGATE_ROOT=sys.argv[1])
Delegate(app)
print(*set(sys.modules) - before)
"""
HEAVY = {"concurrent.futures", "glob", "http.client", "pwd", "ssl", "subprocess", "zipfile"}


def test_set_up_loads_nothing_of_the_doctor_but_its_route(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        check=True,
        cwd=PROJECT,
        text=True,
    )
    loaded = set(done.stdout.split())
    doctors = {name for name in loaded if name.startswith("flask_delegate.doctor")}
    assert doctors == {"flask_delegate.doctor", "flask_delegate.doctor.route"}
    assert not HEAVY & loaded
