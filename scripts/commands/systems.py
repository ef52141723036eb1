"""scripts/test systems: the two commands' heart in a minimal root of each supported system."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from ..lib.jobs import Jobs
from ..lib.machine import IS_ROOT, copy_code, install_packages, tracked_files
from ..lib.messages import fail, refuse, say

SYSTEMS = {"debian-12": "bookworm", "debian-13": "trixie"}
SYSTEMS |= {"ubuntu-24.04": "noble", "ubuntu-26.04": "resolute"}
UBUNTU_KEY = "F6ECB3762474EDA9D21B7022871920D1991BC93C"
"""Ubuntu Archive Automatic Signing Key (2018): no package of Debian 12 has it."""
_RUN = """scripts/run --demo >/tmp/output & run=$!
until grep -s ^ready: /tmp/output; do kill -0 $run || exit 1; sleep 0.2; done
kill $run && wait $run"""
_COMMANDS = {"scripts/run": _RUN, "scripts/test unit": "scripts/test unit -q"}


def main(words: Sequence[str]) -> None:
    """Try the systems that are named, or all; one that fails is enough to fail."""
    for word in words:
        if word not in SYSTEMS:
            refuse(f"unknown system '{word}'. Choose from {', '.join(SYSTEMS)}.")
    check_rights()
    with Jobs() as jobs:
        install_tools(jobs)
    failed = []
    for system in words or SYSTEMS:
        # The jobs end before the folder does.
        temporary = tempfile.TemporaryDirectory(prefix=f"{system}-", dir="/var/tmp")
        with temporary as folder, Jobs() as jobs:
            failed += [] if _try(jobs, system, Path(folder)) else [system]
    if failed:
        fail(f"failed: {', '.join(failed)}")


def check_rights() -> None:
    """Refuse whoever cannot create a root."""
    if not IS_ROOT:
        refuse("only root can create the roots of other systems.")


def install_tools(jobs: Jobs) -> None:
    """Install what :func:`make_root` and :func:`inside` need."""
    install_packages(jobs, "debootstrap", "gpg", "systemd-container:/usr/bin/systemd-nspawn")


def make_root(jobs: Jobs, system: str, folder: Path) -> Path:
    """Create a minimal root of a system in the folder, and return its path."""
    mirror, root, suite = _mirror(), folder / "root", SYSTEMS[system]
    keys, components = Path("/usr/share/keyrings/debian-archive-keyring.gpg"), "main"
    if system.startswith("ubuntu"):
        mirror, components = re.sub(r"debian(/?)$", r"ubuntu\1", mirror), "main,universe"
        keys = _ubuntu_keys(mirror, folder)
    words = ["--variant=minbase", f"--keyring={keys}", f"--components={components}", suite, root]
    script = Path("/usr/share/debootstrap/scripts", suite)
    if not script.exists():
        script = script.with_name("gutsy")  # which those of Ubuntu are links to
    failure = f"debootstrap could not create a root of {system}."
    jobs.quietly("debootstrap", *words, mirror, script, failure=failure)
    (root / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
    return root


def _try(jobs: Jobs, system: str, folder: Path) -> bool:
    root = make_root(jobs, system, folder)
    clone = root / "srv" / "clone"
    clone.mkdir()
    copy_code(clone, *tracked_files())
    done = True
    for name, command in _COMMANDS.items():
        before = time.monotonic()
        status = jobs.run(*inside(root, "/srv/clone"), "sh", "-c", command, stdout=sys.stderr)
        say(f"{system}: {name}: status {status}, {time.monotonic() - before:.0f} s")
        done = done and status == 0
    return done


def inside(root: Path, folder: str) -> list[str]:
    """Return the command that runs another one in a root's folder, with this machine's network."""
    options = ["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--resolv-conf=copy-host"]
    options += ["--console=pipe", "--timezone=off"]
    for path in ("pip.conf", "hosts", "apt/apt.conf.d", "/usr/local/share/ca-certificates"):
        shared = Path("/etc", path)
        options += [f"--bind-ro={shared}"] if shared.exists() else []
    for name, value in os.environ.items():
        if name.startswith(("PIP_", "npm_config_", "SSL_", "NODE_")) or name.endswith("_proxy"):
            options.append(f"--setenv={name}={value}")
    return ["systemd-nspawn", *options, f"--directory={root}", f"--chdir={folder}"]


def _mirror() -> str:
    """Return where this machine's own packages come from."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0]


def _ubuntu_keys(mirror: str, folder: Path) -> Path:
    """Fetch Ubuntu's keys from the archive, and keep the one whose fingerprint is known."""
    package, fetched, keys = folder / "keyring.deb", folder / "deb", folder / "ubuntu.gpg"
    packages = gzip.decompress(_fetch(mirror, "dists/noble/main/binary-amd64/Packages.gz"))
    found = re.search(rb"^Filename: (.*/ubuntu-keyring_.*)$", packages, re.MULTILINE)
    if found is None:
        fail("Ubuntu's archive has no package ubuntu-keyring.")
    package.write_bytes(_fetch(mirror, found[1].decode()))
    subprocess.run(["dpkg-deb", "--extract", package, fetched], check=True)
    # Whatever else the package has, this key alone is exported.
    ring = fetched / "usr/share/keyrings/ubuntu-archive-keyring.gpg"
    options = f"--quiet --batch --no-autostart --homedir={folder} --output={keys}".split()
    select = ["--no-default-keyring", f"--keyring={ring}", "--export", UBUNTU_KEY]
    subprocess.run(["gpg", *options, *select], check=True)
    if not keys.exists():
        fail(f"Ubuntu's archive does not hold the key {UBUNTU_KEY}.")
    return keys


def _fetch(mirror: str, path: str) -> bytes:
    with urllib.request.urlopen(f"{mirror.rstrip('/')}/{path}") as answer:  # noqa: S310
        return bytes(answer.read())
