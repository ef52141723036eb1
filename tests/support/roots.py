"""The files of another release of Debian than this machine's, for a container to boot."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import Marker

from scripts.lib.environment import locked

from .tools import tool

WHEELS = Path(sys.prefix) / "wheels"
OFFERED = Path("/usr/local/src/packages")
"""Where a container has the packages of an empty root."""
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
    :param packages: the folder that apt has in it instead of a mirror.
    """

    files: Path = Path("/")
    wheels: Path = WHEELS
    has_npm: bool = True
    packages: Path | None = None


@contextmanager
def root_of(
    release: str, python: str, *, packages: Sequence[str] = (), wheels: Sequence[str] = ()
) -> Iterator[Root]:
    """Create a root from this machine's mirror, for as long as the block runs.

    :param release: such as ``trixie``.
    :param python: the release's version of Python, such as ``3.13``.
    :param packages: more of the release's packages.
    :param wheels: more requirements than the portal's, in their newest versions.
    """
    mmdebstrap = tool("mmdebstrap")
    with TemporaryDirectory(prefix="flask-delegate-root-", dir="/var/tmp") as folder:
        root = Root(Path(folder, "root"), Path(folder, "wheels"), has_npm=False)
        words = [
            "--quiet",
            "--variant=apt",
            f"--include={','.join((*PACKAGES, *packages))}",
            release,
            str(root.files),
        ]
        _run(mmdebstrap, *words, mirror())
        root.files.chmod(0o755)
        _fetch_wheels(root.wheels, python)
        if wheels:
            _download(root.wheels, python, *wheels)
        yield root


@contextmanager
def empty_root_of(release: str, python: str, *, first: str, more: Sequence[str]) -> Iterator[Root]:
    """Create a root with apt and systemd alone, and a folder with packages that apt finds in it.

    :param first: a package that is to be had with all that it recommends.
    :param more: other packages that are to be had, with what they need.
    """
    mmdebstrap, index = tool("mmdebstrap"), tool("apt-ftparchive")
    with TemporaryDirectory(prefix="flask-delegate-root-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # apt reads the packages as a user of its own
        packages = Path(folder, "packages")
        packages.mkdir()
        root = Root(Path(folder, "root"), Path(folder, "wheels"), has_npm=False, packages=packages)
        fetch = 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet --quiet --yes --download-only'
        fetch += f" --option Dir::Cache::archives={packages} install"
        hooks = [f"{fetch} --install-recommends {first}", f"{fetch} {' '.join(more)}"]
        words = ["--quiet", "--variant=minbase", "--include=systemd-sysv"]
        words += [f"--customize-hook={hook}" for hook in hooks]
        _run(mmdebstrap, *words, release, str(root.files), mirror())
        listed = subprocess.run([index, "packages", "."], cwd=packages, capture_output=True)
        (packages / "Packages").write_bytes(listed.stdout)
        for path in packages.iterdir():
            path.chmod(0o755 if path.is_dir() else 0o644)
        source = f"deb [trusted=yes] file:{OFFERED} ./\n"
        (root.files / "etc/apt/sources.list").write_text(source)
        root.files.chmod(0o755)
        _fetch_wheels(root.wheels, python)
        yield root


def _fetch_wheels(target: Path, python: str) -> None:
    """Fetch the portal's requirements for a version of Python."""
    requirements = target.with_name("requirements.txt")
    requirements.write_text("".join(_requirements(python)))
    words = [f"--find-links={WHEELS}", "--no-deps", "--require-hashes"]
    _download(target, python, *words, f"--requirement={requirements}")


def _download(target: Path, python: str, *words: str) -> None:
    options = [f"--python-version={python}", "--only-binary=:all:", f"--dest={target}", "--quiet"]
    _run(sys.executable, "-m", "pip", "download", *options, *words)


def _requirements(python: str) -> Iterator[str]:
    """Yield what is locked for a version of Python: pip looks at markers with its own in mind."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pattern = re.compile(r"^(\S+)(?: ; (.*?))?( \\\n(?: .*\n)+)", re.MULTILINE)
    for name, marker, hashes in pattern.findall("".join(locked("gunicorn").values())):
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
