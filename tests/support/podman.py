"""Podman with images, containers and a network of its own, and Debian as the image to build on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .roots import mirror
from .setups import Run
from .tools import tool

BASE = "debian:12-slim"
"""What the Containerfiles begin with: nothing asks a registry for it."""

# For a machine without podman's network, with old cgroups, or without the right to raise limits.
_CONTAINERS = """
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
volumes = ["{wheels}:/wheels:ro"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
_PIP = "[global]\nno-index = true\nfind-links = /wheels\n"


@contextmanager
def podman(wheels: Path) -> Iterator[Run]:
    """Yield what runs commands with such a podman, until the end of the block.

    Containers have a loopback interface alone. What is built has this machine's network, for apt.

    :param wheels: what pip installs from, at ``/wheels``.
    """
    for name in ("podman", "runc"):
        tool(name)
    with ExitStack() as stack:
        temporary = TemporaryDirectory(prefix="flask-delegate-podman-", dir="/var/tmp")
        folder = Path(stack.enter_context(temporary))
        # In memory: an image is written in many small pieces, and forgotten as a whole.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "none", folder], check=True)
        stack.callback(subprocess.check_call, ["umount", "--recursive", folder])
        (folder / "containers.conf").write_text(_CONTAINERS.format(wheels=wheels))
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))
        environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "DISABLE_HC_SYSTEMD": "true",  # its timers: health is asked for by hand
        }
        network = stack.enter_context(_network())

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            own = [] if "podman build" in command[-1] else ["nsenter", f"--net={network}"]
            return subprocess.run(
                [*own, *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

        _import_base(folder, environment)
        stack.callback(run, "podman", "rm", "--all", "--force", "--time=0")
        yield run


@contextmanager
def _network() -> Iterator[str]:
    """Yield the path of a network namespace."""
    hold = "ip link set lo up && echo up && exec sleep infinity"
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "sh", "-c", hold]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"up\n"
        try:
            yield f"/proc/{holder.pid}/ns/net"
        finally:
            holder.kill()


def _import_base(folder: Path, environment: dict[str, str]) -> None:
    (folder / "pip.conf").write_text(_PIP)
    put = f"upload {folder}/pip.conf /etc/pip.conf"
    # As in Debian's own image: without documentation, and nothing waits for the disk.
    options = ["force-unsafe-io", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*"]
    words = ["--quiet", "--variant=apt", *(f"--dpkgopt={one}" for one in options)]
    command = [tool("mmdebstrap"), *words, f"--customize-hook={put}", "bookworm", "-", mirror()]
    load = ["podman", "import", "--quiet", "-", BASE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        subprocess.run(load, stdin=made.stdout, env=environment, check=True, capture_output=True)
    assert made.returncode == 0
