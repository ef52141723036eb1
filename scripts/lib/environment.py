"""What is fetched: Python packages in virtual environments, and npm's packages for browsers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .jobs import Jobs
from .machine import CLONE, PYTHON, state
from .messages import say

LOCK = CLONE / "requirements.lock"
BROWSER = CLONE / "portal" / "web" / "browser"
VENDOR = Path("portal", "web", "static", "vendor")
_EXTRAS = {
    "mod-wsgi": {"mod-wsgi", "setuptools"},
    "gunicorn": {"gunicorn"},
    "postgresql": {"psycopg", "psycopg-binary"},
    "store": {
        *("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"),
    },
}
"""What the lock file has for one server or one service only; setuptools builds mod_wsgi."""


def locked(*extras: str) -> dict[str, str]:
    """Return the lock file's requirements of the portal and these extras, by their names."""
    entries = re.findall(r"^[^\s#].*(?:\n .*)*\n", LOCK.read_text(), re.MULTILINE)
    unwanted = {name for one, names in _EXTRAS.items() if one not in extras for name in names}
    found: dict[str, str] = {}
    for entry in entries:
        name = entry.partition("=")[0]
        if name not in unwanted:
            found[name] = found.get(name, "") + entry  # one for each version of Python
    return found


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group, with those of the groups that it includes."""
    groups = tomllib.loads((CLONE / "pyproject.toml").read_text())["dependency-groups"]
    found: list[str] = []
    for one in groups[name]:
        found += [one] if isinstance(one, str) else group(one["include-group"])
    return found


def _folder_for(kind: str, *texts: str) -> Path:
    """Return the folder of what these texts decide."""
    return state() / kind / hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _fill_once(jobs: Jobs, path: Path, what: str, fill: Callable[[Jobs], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with jobs.locked(path.with_suffix(".lock")):
        if not (path / "complete").exists():
            say(f"installing {what} packages ...")
            shutil.rmtree(path, ignore_errors=True)
            fill(jobs)
            (path / "complete").touch()


class Environment:
    """A virtual environment with what production installs, and groups for developers.

    :param extras: what the portal is to run with: ``mod-wsgi``, ``gunicorn``, ``postgresql``,
        ``store``.
    :param groups: dependency groups of the project, which the lock file does not hold.
    """

    def __init__(self, extras: Sequence[str] = (), groups: Iterable[str] = ()) -> None:
        self._locked = locked(*extras)
        self._groups = [one for name in groups for one in group(name)]
        python = (str(Path(PYTHON).resolve()), sys.version)
        self.path = _folder_for("venv", *self._locked.values(), *self._groups, *python)
        self.bin = self.path / "bin"

    def variables(self) -> dict[str, str]:
        """Return the variables for a program that finds its commands first."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def is_complete(self) -> bool:
        """Whether it can be used."""
        return (self.path / "complete").exists()

    def make(self, jobs: Jobs) -> None:
        """Create it, unless that was done, or another command does it meanwhile."""
        _fill_once(jobs, self.path, "Python", self._fill)

    def _fill(self, jobs: Jobs) -> None:
        failure = f"cannot create a virtual environment in {self.path}."
        jobs.quietly(PYTHON, "-m", "venv", self.path, failure=failure)
        all_of_it = dict(self._locked)
        server = all_of_it.pop("mod-wsgi", "")
        self._pip(jobs, "packages", all_of_it.values(), "install", "--require-hashes")
        if server:
            # Whose build needs what the lock file holds, and nothing newer.
            build = ("--require-hashes", "--no-deps", "--no-build-isolation")
            self._pip(jobs, "server", [server], "install", "--use-pep517", *build)
            if self._groups:  # the tests of deploy/ install from there, without a network
                wheels = ("--dest", str(self.path / "wheels"))
                self._pip(jobs, "all", self._locked.values(), "download", *build, *wheels)
        if self._groups:
            self._pip(jobs, "groups", [f"{one}\n" for one in self._groups], "install")

    def _pip(self, jobs: Jobs, name: str, requirements: Iterable[str], *words: str) -> None:
        file = self.path / f"{name}.txt"
        file.write_text("".join(requirements))
        # A mod_wsgi in pip's cache may have been built for another interpreter of the same version.
        pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir", *words)
        failure = f"pip could not {words[0]} the packages."
        jobs.quietly(self.bin / "python", *pip, "--requirement", file, failure=failure)


class BrowserFiles:
    """The packages of npm that pages use, as the lock file names them.

    :param tests: whether those that only tests need are wanted, too.

    What is fetched stays in ``cache``, from which the tests of deploy/ install.
    """

    def __init__(self, *, tests: bool = False) -> None:
        self._options = [] if tests else ["--omit=dev"]
        sources = [path.read_text() for path in sorted(BROWSER.glob("package*.json"))]
        self.path = _folder_for("browser", *sources, *self._options)
        self.modules, self.cache = self.path / "node_modules", self.path / "cache"

    def make(self, jobs: Jobs) -> None:
        """Fetch them, unless that was done."""
        _fill_once(jobs, self.path, "browser", self._fill)

    def _fill(self, jobs: Jobs) -> None:
        self.path.mkdir()
        for source in (".npmrc", "package.json", "package-lock.json"):
            shutil.copyfile(BROWSER / source, self.path / source)
        npm = ["npm", "ci", "--prefix", self.path, "--ignore-scripts", "--no-update-notifier"]
        variables = {"npm_config_cache": str(self.cache), **os.environ}
        failure = "npm could not fetch the browser packages."
        jobs.quietly(*npm, *self._options, failure=failure, env=variables)

    def put(self, clone: Path) -> None:
        """Put what the portal's pages use where the portal in this folder has it."""
        folder = clone / VENDOR
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.modules / "tus-js-client/dist/tus.min.js", folder / "tus.min.js")
