"""Flask 3.2, which is in preparation, calls the extension, and is called, as it will be."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import PROJECT

TESTS = ("test_errors.py", "test_decorator.py", "guards/test_promises.py")


def test_methods_that_take_the_context_first_change_nothing() -> None:
    paths = [str(PROJECT / "tests/unit/flask_delegate" / name) for name in TESTS]
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.support.next_flask"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
