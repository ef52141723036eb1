"""The tests, run on changed copies of the project."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from enum import Enum
from pathlib import Path

import coverage

from .changes import Change

_DOCUMENTATION = "tests/unit/test_documentation.py"
_EXAMPLES = "tests/unit/test_examples.py"
_PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
_PATIENCE = 60
"""Seconds for the tests of one change, besides those for each; a loop without an end is noticed,
too."""
_WHOLE = 3600
"""Seconds for all tests."""


class Outcome(Enum):
    """What happened to a change."""

    TESTS = "noticed by tests"
    TYPES = "by mypy"
    TIME = "by the time it took"
    UNNOTICED = "unnoticed"


class Trials:
    """Copies of the project, in which changes are tried.

    :param project: the folder that is copied.
    :param package: that is changed, and whose tests are run.
    :param folder: where the copies are made.
    :param count: how many changes are tried at once.
    :raises RuntimeError: if the tests do not pass without a change.
    """

    def __init__(self, project: Path, package: str, folder: Path, count: int) -> None:
        self._tests = (f"tests/unit/{package}", _DOCUMENTATION, _EXAMPLES)
        self._types = ("-m", "mypy", "-p", package)
        self._free: queue.Queue[Path] = queue.Queue()
        copies = [folder / str(number) for number in range(count)]
        for copy in copies:
            _copy(project, copy)
            self._free.put(copy)
        self._reached = _lines_reached(copies[0], package, self._tests)
        for copy in copies[1:]:
            # What is compiled and checked now need not be for each change.
            _must(copy, *_PYTEST, *self._tests)
        for copy in copies:
            _must(copy, *self._types)

    def run(self, changes: Sequence[Change]) -> Iterator[tuple[Change, Outcome]]:
        """Try each change, and yield what happened as it happens."""
        pool = ThreadPoolExecutor(self._free.qsize())
        waiting = {pool.submit(self._try, change): change for change in changes}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # whoever interrupts it waits for those at work

    def _try(self, change: Change) -> Outcome:
        copy = self._free.get()
        module = copy / change.path
        original, times = module.read_bytes(), module.stat()
        try:
            module.write_text(change.text())
            tests = self.tests_for(change)
            # What a thousand tests pass takes its time, and would seem to be noticed by that.
            patience = _PATIENCE + len(tests) // 2
            status = _run(copy, *_PYTEST, *tests, patience=patience)[0]
            if status is None:
                return Outcome.TIME
            if status:
                return Outcome.TESTS
            checked = _run(copy, *self._types)[0]
            return Outcome.TYPES if checked else Outcome.UNNOTICED
        finally:
            module.write_bytes(original)
            # What was compiled of it is right again.
            os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
            self._free.put(copy)

    def tests_for(self, change: Change) -> list[str]:
        """Return the tests that reach the function; outside of one, all of them."""
        lines = self._reached.get(change.path, {})
        if change.function is None:
            return [*self._tests] if lines else []
        first, last = change.function
        return sorted(
            {name for line in range(first, last + 1) for name in lines.get(line, ())} - {""}
        )


def _copy(project: Path, copy: Path) -> None:
    """Copy what git knows, and what is new."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=project, stdout=subprocess.PIPE, text=True, check=True)
    for name in names.stdout.splitlines():
        if (project / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, copy / name)


def _lines_reached(
    copy: Path, package: str, tests: Sequence[str]
) -> dict[str, dict[int, list[str]]]:
    """Run the tests and return, by module and line, those that reach it."""
    (copy / ".coveragerc").write_text(f"[run]\nsource = {package}\ndata_file = reached\n")
    _must(copy, "-m", "coverage", "run", *_PYTEST, "-p", "scripts.mutation.contexts", *tests)
    data = coverage.CoverageData(str(copy / "reached"))
    data.read()
    return {
        str(Path(name).relative_to(copy.resolve())): data.contexts_by_lineno(name)
        for name in data.measured_files()
    }


def _must(copy: Path, *words: str) -> None:
    status, said = _run(copy, *words, patience=_WHOLE)
    if status != 0:
        raise RuntimeError(f"{' '.join(words)} failed without a change:\n{said}")


def _run(copy: Path, *words: str, patience: int = _PATIENCE) -> tuple[int | None, str]:
    """Run Python in a copy; return its status, none if it took too long, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=copy,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "" if patience == _WHOLE else "1"},
    )
    try:
        said, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, said
