"""``scripts/run`` as a process of the tests: its start, its processes and its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask_delegate.testing.apache import end as end_process
from flask_delegate.testing.apache import free_port

from .paths import PROJECT
from .visitors import Visitor

RUN = PROJECT / "scripts" / "run"
STATE = (
    Path("/var/lib/flask-delegate")
    if os.geteuid() == 0
    else Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "flask-delegate"
)


@dataclass
class Run:
    """A ``scripts/run`` and where it listens."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]
    output: Path
    messages: Path

    @property
    def folder(self) -> Path:
        """What it keeps while it runs."""
        return STATE / "run" / str(self.port)

    def password(self, name: str) -> str:
        found = re.search(rf"^demo account: {name} (\S+)$", self.output.read_text(), re.MULTILINE)
        assert found, self.output.read_text()
        return found[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def started(data: Path, *options: str, script: Path = RUN, port: int = 0) -> Iterator[Run]:
    """Start ``scripts/run`` and wait until it says that it is ready."""
    with launched(data, *options, script=script, port=port) as run:
        wait_until_ready(run)
        yield run


@contextmanager
def launched(data: Path, *options: str, script: Path = RUN, port: int = 0) -> Iterator[Run]:
    """Start ``scripts/run``."""
    port = port or free_port()
    command = [str(script), "--port", str(port), "--data", str(data), *options]
    with tempfile.TemporaryDirectory() as folder:
        output, messages = Path(folder, "output"), Path(folder, "messages")
        with output.open("wb") as out, messages.open("wb") as err:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd="/",
                env={**os.environ, "RUN_OF_A_TEST": str(port)},
                start_new_session=True,
            )
        run = Run(port, data, process, output, messages)
        try:
            yield run
        finally:
            end(run)


def wait_until_ready(run: Run) -> None:
    deadline = time.monotonic() + 800
    while f"ready: http://127.0.0.1:{run.port}/\n" not in run.output.read_text():
        assert run.process.poll() is None, run.messages.read_text(errors="replace")
        assert time.monotonic() < deadline, run.messages.read_text(errors="replace")
        time.sleep(0.05)


def end(run: Run) -> None:
    if run.process.poll() is None:
        end_process(run.process, 30)
    for pid in processes_of(run):
        os.kill(pid, signal.SIGKILL)
    # A script that was killed leaves these.
    shutil.rmtree(run.folder, ignore_errors=True)
    if run.data.exists():
        info = run.data.stat()
        (STATE / "run" / f"data-{info.st_dev}-{info.st_ino}").unlink(missing_ok=True)


def processes_of(run: Run) -> list[int]:
    """List the processes that are the run's by their environment."""
    return list(commands_of(run))


def commands_of(run: Run) -> dict[int, bytes]:
    """Return the command line of each of the run's processes."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"RUN_OF_A_TEST=%d\0" % run.port in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended, or is another user's
    return found


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Create a folder that the portal's user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="flask-delegate-")).resolve()
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def signed_in(run: Run, name: str) -> Visitor:
    visitor = Visitor(run.port)
    visitor.sign_in(name, run.password(name))
    return visitor


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_gone(run: Run) -> None:
    wait_for(lambda: not processes_of(run))


def uploads_daemons(run: Run) -> list[int]:
    return [pid for pid, words in commands_of(run).items() if b"(wsgi:portal-uploads)" in words]
