"""The services of an installation: which run, in the place of which, and whether they are well."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deploy import backups, health, member, site
from deploy.member import UNITS
from deploy.servers import ALL_UNITS, BACKUP, RECEIPTS, SERVERS
from scripts.lib.messages import fail, say

_STARTED_WITH = Path("/run/portal-apache.conf")  # the sizes that Apache has read


@dataclass
class Services(member.Member):
    """A member whose services change places with those of what was there before.

    :param kept: how many daily backups are kept; 0: none are made.
    """

    kept: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.before = site.installed().get("SERVER", "")
        self.former = SERVERS[self.before].front if self.before in SERVERS else ""

    def switch_server(self) -> None:
        """Start the new server."""
        units, started = [*self.server.units, "portal-cleanup.timer"], ["portal-cleanup.service"]
        units += [RECEIPTS] if self.server.has_receipts else []
        units += [BACKUP] if self.kept else []
        started += [backups.SERVICE] if self.kept else []
        self._leave_former([*units, *started])
        deploy = self.app / "deploy"
        found = [deploy / "systemd" / name for name in [*started, *units]]
        self.install_files("--mode=0644", *found, UNITS)
        self.install_files("--mode=0644", deploy / "logrotate", "/etc/logrotate.d/portal")
        hardening = "portal-.service.d/hardening.conf"
        self.install_files("-D", "--mode=0644", deploy / "systemd" / hardening, UNITS / hardening)
        self.write_networks([*started, *units])
        front = self.server.front
        enabled = dict.fromkeys([*units, front])
        self._systemctl("daemon-reload", failure="systemd cannot read the portal's units.")
        failure = f"cannot enable {' '.join(enabled)}."
        self._systemctl("enable", *enabled, failure=failure)
        for unit in units:
            # Requests wait at the socket while gunicorn starts again.
            self._start("restart" if unit.endswith(".service") else "start", unit)
        if front == "apache2":
            # Apache reads some of its sizes when it starts, and not when it reloads.
            sizes = site.APACHE_SIZES
            same = _STARTED_WITH.exists() and filecmp.cmp(sizes, _STARTED_WITH, shallow=False)
            self._start("reload-or-restart" if same else "restart", front)
            shutil.copyfile(sizes, _STARTED_WITH)
        elif front == "nginx":
            self._start("reload-or-restart", front)

    def _systemctl(self, *words: str, failure: str) -> None:
        self.jobs.quietly("systemctl", *words, failure=failure)

    def _start(self, verb: str, unit: str) -> None:
        if self.jobs.run("systemctl", verb, unit):
            self._fail_with_log(f"{unit} did not start.")

    def _leave_former(self, units: Sequence[str]) -> None:
        """Stop what the portal was served by before, and is not any more."""
        for unit in ALL_UNITS.difference(units):
            if (UNITS / unit).exists():
                self._systemctl("disable", "--now", unit, failure=f"cannot stop {unit}.")
                (UNITS / unit).unlink()
        if (former := self.former) not in {"apache2", "nginx"} - {self.server.front}:
            return
        folder = Path("/etc", former)
        for path in [*folder.glob("sites-*/portal.conf"), *folder.glob("conf-*/portal.conf")]:
            path.unlink()
        if former == "nginx":
            site.NGINX_SIZES.unlink(missing_ok=True)
        self._systemctl("disable", "--now", former, failure=f"cannot stop {former}.")
        say(f"stopped and disabled {former}, which only the portal used.")

    def wait_until_healthy(self) -> None:
        """Wait until the portal answers by its name that all is well, or what will stay wrong."""
        (url, *options), found = self._address(), health.Health(0)

        def is_settled() -> bool:
            nonlocal found
            found = health.ask(url, *options)
            return found.is_settled

        if not self.jobs.wait_until(is_settled, 60):
            self._fail_with_log(f"{url} did not get well in a minute: {found.problem}")
        if found.problem:
            fail(
                f"the portal is installed and runs, but {found.problem} Then run deploy/install"
                " again."
            )

    def _address(self) -> tuple[str, str, str]:
        """Return where the portal says how it is, with options of curl that find it here."""
        return f"https://{self.host}/healthz", "--resolve", f"{self.host}:443:127.0.0.1"

    def _fail_with_log(self, message: str) -> NoReturn:
        log = ["journalctl", "--no-pager", "--lines=20", f"--unit={self.server.front}"]
        subprocess.run([*log, "--unit=portal-*"], stdout=sys.stderr, check=False)
        fail(message)
