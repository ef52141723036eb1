"""What a container with a server and gunicorn does when it ends, with programs that play both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

# Not by a shell: it cannot trap SIGQUIT, which bash ignores for what it runs in the background.
PLAYED = """#!{python}
import os, pathlib, signal, sys, time

folder, name = pathlib.Path({folder!r}), pathlib.Path(sys.argv[0]).name

def note(file, line):
    with (folder / file).open("a") as log:
        log.write(line)

def end(number, _frame):
    note("ended", f"{{name}} {{signal.Signals(number).name}}\\n")
    os._exit(0)

for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT, signal.SIGWINCH):
    signal.signal(number, end)
note("begun", "x")
while os.environ["ENDS"] != name or (folder / "begun").stat().st_size < 2:
    time.sleep(0.02)
"""


SIGNALS = {"apache2": "SIGWINCH", "caddy": "SIGTERM", "lighttpd": "SIGINT", "nginx": "SIGQUIT"}
"""What each ends by once it has sent what it is sending."""
PAIRS = {
    **{name: ("gunicorn", name) for name in ("caddy", "lighttpd", "nginx")},
    "xsendfile": ("gunicorn", "apache2"),
    "scgi": ("python", "apache2"),
}
"""The application's server and the one in front, by the word that start-proxy is given."""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "flask").write_text("#!/bin/sh\n")
    for name in ("gunicorn", "python", *SIGNALS):
        (tmp_path / name).write_text(PLAYED.format(folder=str(tmp_path), python=sys.executable))
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    return tmp_path


@contextmanager
def started(programs: Path, word: str, ends: str = "") -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "ENDS": ends}
    script = [str(PROJECT / "deploy/container/start-proxy"), word]
    with subprocess.Popen(script, env=environment, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ended(programs: Path) -> list[str]:
    return sorted((programs / "ended").read_text().splitlines())


@pytest.mark.parametrize("word", PAIRS)
def test_downloads_are_sent_to_their_end_when_it_is_stopped(programs: Path, word: str) -> None:
    application, server = PAIRS[word]
    begun = programs / "begun"
    with started(programs, word) as process:
        deadline = time.monotonic() + 20
        while not begun.exists() or begun.stat().st_size < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 0
    assert ended(programs) == sorted([f"{application} SIGTERM", f"{server} {SIGNALS[server]}"])


@pytest.mark.parametrize(
    ("ends", "left"), [("nginx", "gunicorn SIGTERM"), ("gunicorn", "nginx SIGQUIT")]
)
def test_it_fails_when_one_of_both_ends(programs: Path, ends: str, left: str) -> None:
    with started(programs, "nginx", ends) as process:
        assert process.wait(20) == 1
    assert left in ended(programs)
