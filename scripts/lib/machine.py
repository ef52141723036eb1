"""The machine: the folder of the scripts' state, the user of the portal, and Debian's packages."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from deploy import sizing

from .jobs import Jobs, as_user
from .messages import fail, refuse, say

CLONE = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("FLASK_DELEGATE_PYTHON") or "/usr/bin/python3"
IS_ROOT = os.geteuid() == 0
SYSTEM = os.environ.pop("FLASK_DELEGATE_SUPPORTED", "")
"""Such as ``debian 12``; empty where the system is none of these:"""
SUPPORTED = "Debian 12 and 13, and Ubuntu 24.04 and 26.04"
CERTIFICATES = "ca-certificates:/etc/ssl/certs/ca-certificates.crt"
# apache2-bin is Apache without the service that the package apache2 would start.
MOD_WSGI = (
    *("apache2-bin:apache2|httpd", "apache2-dev:apxs|apxs2", "gcc:gcc|cc", "libc6-dev:gcc|cc"),
    "python3-dev",
)
"""What pip builds mod_wsgi with, as :func:`install_packages` takes it."""
BODY_MARGIN = 64 * 1024**2
"""What a server in front takes more than the portal, so that the portal answers itself."""
_STATE = os.environ.pop("FLASK_DELEGATE_STATE", "")
_OF_PYTHON = {
    "python3-venv": "import ensurepip, venv",
    "python3-dev": "import os, sysconfig; os.stat(sysconfig.get_path('include') + '/Python.h')",
}
"""What our Python does where it has what these packages bring."""
_POLICY = Path("/usr/sbin/policy-rc.d")
_MARK = "# made by Flask-Delegate, for as long as it installs packages\n"


@cache
def daemon() -> pwd.struct_passwd | None:
    """Return the user that Apache gives up root's rights for; none where this is not root."""
    try:
        return pwd.getpwnam("www-data") if IS_ROOT else None
    except KeyError:
        refuse("there is no user www-data. Create it, or run this as an ordinary user.")


@cache
def state() -> Path:
    """Return the folder that the scripts keep their state in, and create it."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    path = Path(_STATE) if _STATE else Path("/var/lib" if IS_ROOT else home, "flask-delegate")
    # Neither the scripts that pip installs nor mod_wsgi-express's apachectl quote their paths.
    if not re.fullmatch(r"/[A-Za-z0-9._/@+-]+", str(path)):
        refuse(
            f"cannot keep state in '{path}'. Set XDG_STATE_HOME to an absolute path of letters,"
            " digits and . _ / @ + -"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"cannot write to {path}: {error.strerror}.")
    return path


def tracked_files() -> list[Path]:
    """Return the files of the clone that git knows, relative to it."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CLONE, stdout=subprocess.PIPE, text=True, check=True
    )
    return [Path(name) for name in listed.stdout.splitlines() if (CLONE / name).is_file()]


def copy_code(target: Path, *names: str | Path) -> None:
    """Copy parts of the clone, so that they are ours and everybody may read them."""
    mode = ("--exclude=__pycache__", "--mode=u=rwX,go=rX")
    pack = ["tar", "--create", f"--directory={CLONE}", *mode, *names]
    unpack = ["tar", "--extract", f"--directory={target}", "--no-same-owner"]
    try:
        packed = subprocess.run(pack, stdout=subprocess.PIPE, check=True)
        subprocess.run(unpack, input=packed.stdout, check=True)
    except subprocess.CalledProcessError:
        fail("cannot copy the portal's code.")


def choose_sizes(server: str, clients: str | None) -> dict[str, str]:
    """Return the variables SIZE_... for a server; clients: as the option --clients has it."""
    try:
        return sizing.variables(server, clients)
    except ValueError as error:
        refuse(str(error))


def check_python(user: pwd.struct_passwd | None) -> None:
    """Refuse a Python that the portal's user cannot run."""
    if user and not _runs("", **as_user(user)):
        refuse(
            f"the user {user.pw_name}, which the portal runs as, cannot run {PYTHON}. Choose"
            " another with FLASK_DELEGATE_PYTHON, such as /usr/bin/python3."
        )


def install_packages(jobs: Jobs, *wanted: str) -> None:
    """Install Debian's packages for what a virtual environment needs, and for what is wanted.

    :param wanted: a command that has its package's name; or PACKAGE:COMMAND or PACKAGE:FILE, with |
        between those of which one is enough; or ``python3-dev``.
    """
    if missing := list(_missing(wanted)):
        _check_installable(missing)
        say(f"installing {' '.join(missing)} ...")
        with jobs.locked(state() / "installing.lock"):
            _install(jobs, missing)
        if still := list(_missing(wanted)):
            refuse(f"still missing: {' '.join(still)}. Install what that stands for.")


def _check_installable(missing: Sequence[str]) -> None:
    """Refuse what cannot be installed, before anything is."""
    names = " ".join(missing)
    if not SYSTEM:
        refuse(
            f"missing: {names} (Debian's names). They are installed by themselves on"
            f" {SUPPORTED} only. Here, install what they stand for."
        )
    if "chromium" in missing and SYSTEM.startswith("ubuntu"):
        refuse(
            "missing: chromium, which Ubuntu has as a snap only. Put a Chromium on the PATH under"
            " the name chromium; or run the tests that need no server: scripts/test unit"
        )
    for name in {"python3-venv", "python3-dev"}.intersection(missing) if not _is_debians() else ():
        refuse(
            f"{PYTHON} lacks its {'headers' if 'dev' in name else 'module ensurepip'}, and no"
            " package of this system has that for it. Install it, or choose another with"
            " FLASK_DELEGATE_PYTHON, such as /usr/bin/python3."
        )
    if not IS_ROOT and not shutil.which("sudo"):
        refuse(
            f"missing: {names}. Without sudo, have root run:"
            f" apt-get install --no-install-recommends {names}"
        )


def _install(jobs: Jobs, missing: Sequence[str]) -> None:
    names, sudo = " ".join(missing), [] if IS_ROOT else ["sudo"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    apt.append("--option=DPkg::Lock::Timeout=300")
    install = [*apt, "install", "--yes", "--no-install-recommends", *missing]

    def finish(*command: str, **options: Any) -> int:
        # sudo may ask for a password, so it is not in a session of its own.
        options |= {"stdin": subprocess.DEVNULL, "start_new_session": not sudo}
        return subprocess.run(command, check=False, **options).returncode

    # What is fetched can be left half done, what is installed cannot: a signal has to wait then.
    fetch = partial(jobs.quietly, run=finish if sudo else jobs.run)
    fetch(*apt, "update", failure="apt-get update failed.")
    fetch(*install, "--download-only", failure=f"apt-get could not fetch {names}.")
    with _without_services(sudo):
        jobs.quietly(*install, run=finish, failure=f"apt-get could not install {names}.")


@contextmanager
def _without_services(sudo: list[str]) -> Iterator[None]:
    """Let Debian's packages start nothing: a server for the tests must not listen to the world."""
    # One with the mark is left from a command that was killed.
    ours = not _POLICY.exists() or _MARK in _POLICY.read_text(errors="replace")
    if ours:
        script = f"#!/bin/sh\n{_MARK}exit 101\n".encode()
        write = [*sudo, "install", "-m", "0755", "/dev/stdin", str(_POLICY)]
        subprocess.run(write, input=script, check=True)
    try:
        yield
    finally:
        if ours:
            subprocess.run([*sudo, "rm", "-f", str(_POLICY)], check=True)


def _missing(wanted: Iterable[str]) -> Iterator[str]:
    for package, _, files in (one.partition(":") for one in ("python3-venv", *wanted)):
        if package in _OF_PYTHON:
            found = _runs(_OF_PYTHON[package])
        else:
            found = any(shutil.which(file, os.F_OK) for file in (files or package).split("|"))
        if not found:
            yield package


def _runs(source: str, **options: Any) -> bool:
    """Return whether our Python runs this without a failure."""
    try:
        done = subprocess.run([PYTHON, "-c", source], capture_output=True, check=False, **options)
    except OSError:
        return False
    return done.returncode == 0


def _is_debians() -> bool:
    """Return whether our Python is the one that Debian's packages python3-... are for."""
    return Path(sys.executable).resolve() == Path("/usr/bin/python3").resolve()
