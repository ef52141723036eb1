"""The processes of a cluster: each is started again where it ends by itself."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...lib import machine
from ...lib.jobs import Jobs, as_user
from ...lib.messages import fail, say

_PAUSE = 1.0
"""Seconds until what ended is started again, as systemd would."""
_SHORT = 5.0
"""Seconds; what ended so soon does not work."""
_LONGEST_END = 4
"""Seconds for a process to end in order; SeaweedFS waits for its clients, and for longer."""
_MOST = 10
"""How often in a row something may end so soon."""


@dataclass
class Service:
    """A process.

    :param ends_by: the signal that has it end in order.
    :param dies_by: the one that it gets if the script is killed.
    :param instead: what to do when it has ended by itself, instead of starting it again.
    """

    name: str
    command: Sequence[object]
    environment: Mapping[str, str] = field(default_factory=dict)
    ends_by: signal.Signals = signal.SIGTERM
    dies_by: signal.Signals = signal.SIGTERM
    instead: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    short: int = 0


class Services:
    """All of them, in the order of their start.

    :param folder: for ``NAME.log``, what each has printed, and ``NAME.pid``, its process.
    """

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self._jobs, self._folder = jobs, folder
        self._all: list[Service] = []

    def run(self, service: Service) -> None:
        """Start one, and have it started again whenever it ends."""
        self._all.append(service)
        self._start(service)

    def wait_until(self, condition: Callable[[], bool], service: Service, seconds: float) -> None:
        """Wait until a service works; fail with its log where it does not."""

        def settled() -> bool:
            return service.process is None or service.process.poll() is not None or condition()

        if not self._jobs.wait_until(settled, seconds) or not condition():
            self._fail(service, "did not start")

    def keep(self) -> None:
        """Start again what ends, until a signal."""
        while True:
            self._jobs.wait_until(self._has_one_ended, 3600)
            for service in self._all:
                if service.process and service.process.poll() is not None:
                    self._replace(service)

    def stop(self) -> None:
        """End all of them, the last one first, as they end in order."""
        for service in reversed(self._all):
            if (process := service.process) and process.poll() is None:
                process.send_signal(service.ends_by)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LONGEST_END)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _start(self, service: Service) -> None:
        variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **service.environment}
        with (self._folder / f"{service.name}.log").open("ab") as log:
            service.process = self._jobs.start(
                *service.command,
                env=variables,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                dies_by=service.dies_by,
                **as_user(machine.daemon()),
            )
        service.started = time.monotonic()
        (self._folder / f"{service.name}.pid").write_text(f"{service.process.pid}\n")

    def _has_one_ended(self) -> bool:
        return any(one.process and one.process.poll() is not None for one in self._all)

    def _replace(self, service: Service) -> None:
        lived = time.monotonic() - service.started
        service.short = service.short + 1 if lived < _SHORT else 0
        if service.short == _MOST:
            self._fail(service, "ends again and again")
        if service.instead:
            say(f"{service.name} has ended")
            service.process = None
            service.instead()
            return
        say(f"{service.name} has ended, and is started again")
        self._jobs.wait_until(lambda: False, _PAUSE)
        self._start(service)

    def _fail(self, service: Service, what: str) -> None:
        atexit.unregister(shutil.rmtree)  # so the logs are kept
        log = self._folder / f"{service.name}.log"
        say(f"the end of {log}:")
        say("\n".join(log.read_text(errors="replace").splitlines()[-20:]))
        fail(f"{service.name} {what}.")
