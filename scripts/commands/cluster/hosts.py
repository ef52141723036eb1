"""Hosts of the portal, each with a data folder and an address of its own; and nginx before them."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ...lib import machine
from ...lib.environment import Environment
from ...lib.jobs import Jobs, as_user
from ...lib.messages import fail
from .files import give, write_private
from .services import Service, Services

_TEMPLATE = Path(__file__).with_name("nginx.conf")
_FORMAT = "from flask_delegate.receipts import NGINX_FORMAT as found; print(found)"
_PROCESSES = ("--workers=2", "--threads=8", "--graceful-timeout=10", "--no-control-socket")


def address_of(number: int) -> str:
    """Return the address of a host, counted from 1."""
    return f"127.0.0.{10 + number}"


class Places(NamedTuple):
    """Where things are: the code, what is for this start, what is kept, and the port."""

    app: Path
    run: Path
    data: Path
    port: int


class Hosts:
    """The hosts, and what is in front of them.

    :param shared: settings that all hosts have, by their names in the environment.
    """

    def __init__(
        self,
        jobs: Jobs,
        services: Services,
        environment: Environment,
        places: Places,
        shared: Mapping[str, str],
    ) -> None:
        self._jobs, self._services, self._bin = jobs, services, environment.bin
        self._app, self._run, self._data, self._port = places
        key = self._data / "secret_key"
        if not key.exists():
            write_private(key, secrets.token_hex(32))
        self._shared = {
            **shared,
            "PORTAL_SECRET_KEY_FILE": str(key),
            "PORTAL_DELEGATE_BACKEND": "nginx",
            "PORTAL_PROXIES": "1",
            "PORTAL_SESSION_COOKIE_SECURE": "false",  # plain HTTP, on the loopback interface
            "PYTHONPATH": str(self._app),
        }

    def start(self, count: int, *, demo: bool) -> None:
        """Bring the database up to date, and start all of them."""
        if self._flask("portal", "upgrade") or (demo and self._flask("portal", "demo")):
            raise SystemExit(1)
        for number in range(1, count + 1):
            self._start(number)
        self._start_nginx([address_of(number) for number in range(1, count + 1)])
        for number in range(1, count + 1):
            self._read_receipts(number)

    def _variables(self, number: int) -> dict[str, str]:
        return {**self._shared, "PORTAL_DATA": str(give(self._data / f"host{number}"))}

    def _start(self, number: int) -> None:
        bind = f"--bind={address_of(number)}:{self._port}"
        words = ("-m", "gunicorn", bind, *_PROCESSES, f"--chdir={self._app}/deploy")
        command = (self._bin / "python", *words, "wsgi:application")
        host = Service(f"host{number}", command, self._variables(number))
        self._services.run(host)
        self._services.wait_until(lambda: self._is_healthy(address_of(number)), host, 60)

    def _start_nginx(self, hosts: Sequence[str]) -> None:
        (self._run / "guard.conf").touch(0o600)  # it holds a token
        guard = ("delegate", "nginx-config", "--receipts", self._run / "downloads.log")
        with (self._run / "guard.conf").open("wb") as file:
            if self._flask(*guard, stdout=file):
                fail("cannot write nginx's rules.")
        if user := machine.daemon():
            os.chown(self._run / "guard.conf", user.pw_uid, user.pw_gid)
        python = (self._bin / "python", "-c", _FORMAT)
        found = subprocess.run(python, cwd=self._app, stdout=subprocess.PIPE, text=True, check=True)
        server = "server {}:{} max_fails=1 fail_timeout=2s;"
        upstream = "\n".join(server.format(one, self._port) for one in hosts)
        text = _TEMPLATE.read_text()
        values = {"RUN": self._run, "PORT": self._port, "HOSTS": upstream}
        for name, value in {**values, "RECEIPTS": found.stdout.strip()}.items():
            text = text.replace(f"@{name}@", str(value))
        path = write_private(self._run / "nginx.conf", text)
        command = ("nginx", "-e", self._run / "nginx-error.log", "-c", path)
        nginx = Service("nginx", command)
        self._services.run(nginx)
        self._services.wait_until(lambda: self._is_healthy("127.0.0.1"), nginx, 60)

    def _read_receipts(self, number: int) -> None:
        """Have a host read the log for what it has recorded itself; each by a name of its own."""
        log = self._run / f"downloads{number}.log"
        log.symlink_to("downloads.log")
        command = (self._bin / "flask", "--app", "portal", "portal", "receipts", "--follow", log)
        self._services.run(Service(f"receipts{number}", command, self._variables(number)))

    def _is_healthy(self, address: str) -> bool:
        connection = http.client.HTTPConnection(address, self._port, timeout=10)
        with suppress(OSError, http.client.HTTPException, ValueError):
            connection.request("GET", "/healthz", headers={"X-Forwarded-For": address})
            response = connection.getresponse()
            return response.status == 200 or json.load(response).get("failing") == ["space"]
        return False

    def _flask(self, *words: object, **options: Any) -> int:
        command = (self._bin / "flask", "--app", "portal", *words)
        variables = {**os.environ, **self._variables(1)}
        options |= {"cwd": self._app, "env": variables, **as_user(machine.daemon())}
        return self._jobs.run(*command, **options)
