"""Servers that the doctor is called to, and how it is called."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from .application import APPLICATION
from .extension import SECRET
from .sites import Site, express


@dataclass
class Patient:
    """What the doctor is called to.

    :param options: for the doctor.
    """

    url: str
    options: list[str] = field(default_factory=list)


Plant = Callable[[Site], AbstractContextManager[Patient]]


def write_application(site: Site, source: str = APPLICATION) -> None:
    (site.app / "examined.py").write_text(site.source(source))


def doctor(site: Site, patient: Patient) -> tuple[int, dict[str, Any]]:
    """Run the command as an operator would."""
    if not (site.app / "examined.py").exists():
        write_application(site)
    command = [sys.executable, "-m", "flask", "--app", "examined:app", "delegate", "doctor"]
    result = subprocess.run(
        [*command, patient.url, "--json", *patient.options],
        cwd=site.app,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=200,
        check=False,
    )
    output = result.stdout.decode()
    assert result.returncode in (0, 1), result.stderr.decode()
    assert not result.stderr, result.stderr.decode()
    assert SECRET not in output
    assert site.token() not in output
    assert not re.search("/[.]well-known/flask-delegate/[\\w.-]", output), "a token is printed"
    return result.returncode, json.loads(output)


@contextmanager
def apache(
    site: Site, include: str, *options: str, port: int | None = None, application: str = APPLICATION
) -> Iterator[Patient]:
    """Serve with mod_wsgi-express, and show its configuration to the doctor."""
    with express(site, application, *options, include=include, port=port) as server:
        folder = server.folder
        named = ["--apache-config", str(folder / "server" / "httpd.conf")]
        named += ["--config", str(folder / "include.conf")]
        yield Patient(f"http://127.0.0.1:{server.port}/", named)
