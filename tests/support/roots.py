"""The files of another release of Debian than this machine's, for a container to boot."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import Marker

from scripts.lib.environment import locked

from .tools import tool

WHEELS = Path(sys.prefix) / "wheels"
PACKAGES = (
    *("apache2", "ca-certificates", "curl", "libapache2-mod-wsgi-py3", "logrotate", "openssl"),
    *("passwd", "python3-venv", "systemd-sysv"),
)
"""Debian's packages that ``deploy/install apache-site`` needs, but for npm."""


@dataclass(frozen=True)
class Root:
    """A system's files.

    :param wheels: the portal's requirements, for the Python in it.
    :param has_npm: npm takes longer to install than all else, and is the same in each release.
    """

    files: Path = Path("/")
    wheels: Path = WHEELS
    has_npm: bool = True


@contextmanager
def root_of(release: str, python: str) -> Iterator[Root]:
    """Create a root from this machine's mirror, for as long as the block runs.

    :param release: such as ``trixie``.
    :param python: the release's version of Python, such as ``3.13``.
    """
    mmdebstrap = tool("mmdebstrap")
    with TemporaryDirectory(prefix="flask-delegate-root-", dir="/var/tmp") as folder:
        root = Root(Path(folder, "root"), Path(folder, "wheels"), has_npm=False)
        words = [
            "--quiet",
            "--variant=apt",
            f"--include={','.join(PACKAGES)}",
            release,
            str(root.files),
        ]
        _run(mmdebstrap, *words, mirror())
        root.files.chmod(0o755)
        words = [f"--python-version={python}", "--only-binary=:all:", f"--find-links={WHEELS}"]
        words += ["--quiet", "--no-deps", "--require-hashes", "--dest", str(root.wheels)]
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(_requirements(python)))
        _run(sys.executable, "-m", "pip", "download", *words, f"--requirement={requirements}")
        yield root


def _requirements(python: str) -> Iterator[str]:
    """Yield what is locked for a version of Python: pip looks at markers with its own in mind."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pattern = re.compile(r"^(\S+)(?: ; (.*?))?( \\\n(?: .*\n)+)", re.MULTILINE)
    for name, marker, hashes in pattern.findall("".join(locked().values())):
        if not marker or Marker(marker).evaluate(environment):
            yield name + hashes


def mirror() -> str:
    """Return the URL that this machine's own release comes from."""
    targets = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)")
    found = {line.split()[0] for line in targets.splitlines() if _is_main(line)}
    assert len(found) == 1, f"not one mirror of Debian in apt's sources, but {found or 'none'}"
    return found.pop()


def _is_main(target: str) -> bool:
    _, codename, *origin = target.split()
    return origin == ["Debian"] and codename.isalpha()  # unlike bookworm-security


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout
