"""The portal behind the real Apache: its processes, its commands and its people."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from werkzeug.datastructures import Headers

from tests.support.portal_process import Run, commands_of, wait_for
from tests.support.sites import DAEMON_USER

from .application import used_in
from .person import Answer, Person, Send
from .work import check

NAMES = ("alice", "bob", "admin")


def sender(port: int) -> Send:
    """Return what sends a person's requests to a portal."""

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, Headers(response.getheaders()), response.read())

    return send


def people_of(run: Run) -> list[Person]:
    """Return the people of the demonstration, signed in, with folders and without its files."""
    people = []
    for name in NAMES:
        person = Person(name, run.password(name), sender(run.port))
        person.sign_in()
        person.delete_all()  # the samples, of which nobody has a copy
        for folder in ("Letters", "Pictures"):
            person.create_folder(folder)
        people.append(person)
    return people


def processes(run: Run, kind: str) -> list[int]:
    """Return processes of a kind: ``web``, ``uploads``, ``parent``, ``worker``, ``receipts``."""
    commands = commands_of(run)
    marks = {"web": b"(wsgi:portal)", "uploads": b"(wsgi:portal-uploads)", "receipts": b"receipts"}
    if kind in marks:
        return [pid for pid, words in commands.items() if marks[kind] in words]
    servers = {pid for pid, words in commands.items() if b"/httpd.conf" in words}
    parents = {pid for pid in servers if _parent(pid) not in servers}
    if kind == "parent":
        return list(parents)
    return [pid for pid in servers - parents if b"(wsgi:" not in commands[pid]]


def kill(run: Run, kind: str, rules: random.Random) -> None:
    """Kill one of the processes of a kind with SIGKILL, and wait until another one serves."""
    wait_for(lambda: processes(run, kind))
    killed = rules.choice(processes(run, kind))
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in processes(run, kind))


def wait_until_healthy(run: Run) -> None:
    """Wait until the portal serves pages and uploads again."""

    def is_healthy() -> bool:
        try:
            answers = [
                sender(run.port)(method, path, None, {})
                for method, path in (("GET", "/healthz"), ("OPTIONS", "/uploads/"))
            ]
        except (OSError, http.client.HTTPException):
            return False
        return all(answer.status < 300 for answer in answers)

    wait_for(is_healthy)


def command(run: Run, *words: str | Path, data: Path | None = None) -> subprocess.Popen[str]:
    """Start a command of the portal, as the portal's user."""
    user: Mapping[str, Any] = {"user": DAEMON_USER, "extra_groups": ()} if DAEMON_USER else {}
    if user:
        user = {**user, "group": pwd.getpwnam(str(DAEMON_USER)).pw_gid}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "portal", "portal", *words],
        cwd=run.folder / "app",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PORTAL_DATA": str(data or run.data),
            "PORTAL_SESSION_COOKIE_SECURE": "false",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **user,
    )


def kill_command(process: subprocess.Popen[str], rules: random.Random) -> None:
    """Kill a command at a random moment; it may have ended by then."""
    try:
        process.communicate(timeout=rules.uniform(0.2, 2))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def output_of(process: subprocess.Popen[str]) -> str:
    """Wait for a command, and return what it printed; fail if it did."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (process.args, process.returncode, out, err)
    return out


def check_portal(
    run: Run, people: list[Person], before: float = float("inf"), until: float = float("inf")
) -> None:
    """Check what everybody has, their quotas, and the database against the disk."""
    used = {person.name: check(person, before, until) for person in people}
    assert used_in(run.data) == used
    problems = json.loads(output_of(command(run, "check", "--content", "--json")))
    assert problems == []


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
