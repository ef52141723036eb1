"""A machine to install the portal on: a system's files and systemd in a container.

It has no network beside its own loopback. What is changed in it stays in memory, and is forgotten
with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .paths import PROJECT
from .roots import OFFERED, Root
from .tools import tool

NPM_CACHE = Path(os.environ.get("NPM_CACHE", "/not given by scripts/test"))
HOST = "files.example.org"

# Where the container has them: /tmp and /home are its own.
CLONE = Path("/usr/local/src/portal")
_WHEELS = Path("/usr/local/src/wheels")
_NPM = Path("/usr/local/src/npm")
_PACKAGES = Path("/usr/local/src/node_modules")
_NPM_CACHE = Path("/var/cache/npm")  # which npm writes to

# In namespaces of its own for mounts and processes, which end with it: a system's files below a
# layer in memory. With an id of its own it is not a first boot, which would switch everything on;
# and none of that system's services start in it. In a control group of its own, its systemd has no
# other one's processes.
_BOOT = """
lower=$1 folder=$2 host=$3
shift 3
for groups in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    if [ -w "$groups/cgroup.procs" ]; then
        mkdir "$groups/${folder##*/}"
        echo 0 >"$groups/${folder##*/}/cgroup.procs"
    fi
done
mount -t tmpfs -o size=2g none "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
options=lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work
mount -t overlay -o "$options" none "$folder/root"
cd "$folder/root"
rm -rf etc/systemd/system/*.wants
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
printf '127.0.0.1 localhost %s other.example.org\\n::1 localhost\\n' "$host" >etc/hosts
exec systemd-nspawn --quiet --directory="$folder/root" "$@"
"""
_NPM_STAND_IN = f"""#!/bin/sh
# npm ci --prefix FOLDER ... : what npm has installed on the machine of the tests.
exec cp --recursive {_PACKAGES} "$3"
"""
# SIGRTMIN+4 has systemd power off; a container that does not is killed.
_POWER_OFF = signal.SIGRTMIN + 4


@dataclass(frozen=True)
class Container:
    """A booted container.

    :param leader: the process id of its systemd, seen from here.
    """

    leader: int

    def run(self, *command: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root unless told otherwise."""
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--pid", "--net", "--ipc"]
        group = {"nobody": "nogroup"}.get(user or "", user)
        become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups"] if user else []
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(_WHEELS),
            "npm_config_cache": str(_NPM_CACHE),
            "npm_config_offline": "true",
        }
        return subprocess.run(
            [*enter, "--uts", "--", *become, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=environment,
        )

    def must(self, *command: str, user: str | None = None) -> str:
        """Run a command that has to succeed, and give what it prints."""
        done = self.run(*command, user=user)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def install(
        self, server: str, host: str = HOST, *options: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run(str(CLONE / "deploy" / "install"), server, host, *options)


@contextmanager
def booted(
    system: Root = Root(),  # noqa: B008 -- it cannot change
    *,
    filters: bool = False,
    clone: Path = CLONE,
) -> Iterator[Container]:
    """Boot a container, until the end of the block.

    :param filters: whether its systemd can filter what services send, as on a machine of its own.
    :param clone: where it has the project.
    """
    tool("systemd-nspawn")
    for made in (system.wheels, NPM_CACHE):
        assert made.is_dir(), f"there is no {made}, which scripts/test makes"
    for path in ("/etc/portal", "/opt/portal", "/srv/portal"):
        assert not Path(path).exists(), f"a portal is installed on this machine: {path}"
    with tempfile.TemporaryDirectory(prefix="flask-delegate-container-") as folder:
        log, root = Path(folder, "console"), Path(folder, Path(folder).name)
        root.mkdir()
        started = _start(system, root, log, filters=filters, clone=clone)
        leader: int | None = None
        try:
            leader = _wait_for_leader(started, log)
            container = Container(leader)
            _wait_until_booted(container, log)
            container.must("cp", "--recursive", str(_NPM), str(_NPM_CACHE))
            if not system.has_npm:
                write = 'printf %s "$1" >/usr/local/bin/npm && chmod +x /usr/local/bin/npm'
                container.must("sh", "-c", write, "sh", _NPM_STAND_IN)
            yield container
        finally:
            _end(started, leader)
            _remove_groups(root.name)


def _start(
    system: Root, root: Path, log: Path, *, filters: bool, clone: Path
) -> subprocess.Popen[bytes]:
    options = ["--private-network", "--register=no", "--keep-unit", "--link-journal=no"]
    options += [f"--bind-ro={PROJECT}:{clone}", f"--bind-ro={system.wheels}:{_WHEELS}"]
    options += [f"--bind-ro={NPM_CACHE}:{_NPM}"]
    if system.packages:
        options.append(f"--bind-ro={system.packages}:{OFFERED}")
    if filters:
        options += ["--system-call-filter=bpf", "--capability=CAP_BPF"]
    options += [f"--bind-ro={NPM_CACHE.parent}/node_modules:{_PACKAGES}"]
    # With pytest it ends, and the container with it.
    command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork"]
    command += ["--kill-child", "--mount-proc", "sh", "-ec", _BOOT]
    with log.open("wb") as console:
        return subprocess.Popen(
            [
                *command,
                "sh",
                str(system.files),
                str(root),
                HOST,
                *options,
                "--console=pipe",
                "--boot",
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} if filters else None,
        )


def _wait_for_leader(started: subprocess.Popen[bytes], log: Path) -> int:
    """Find the systemd in the container: the child of nspawn, which is that of unshare."""
    for _ in _tries(30):
        assert started.poll() is None, log.read_text(errors="replace")
        for nspawn in _children(started.pid):
            for child in _children(nspawn):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return child
    raise AssertionError(log.read_text(errors="replace"))


def _children(pid: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []  # it has ended


def _wait_until_booted(container: Container, log: Path) -> None:
    for _ in _tries(60):
        state = container.run("systemctl", "is-system-running").stdout.strip()
        if state in {"running", "degraded"}:
            return
    raise AssertionError(log.read_text(errors="replace"))


def _tries(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)


def _end(started: subprocess.Popen[bytes], leader: int | None) -> None:
    if leader is not None and started.poll() is None:
        os.kill(leader, _POWER_OFF)
        with suppress(subprocess.TimeoutExpired):
            started.wait(30)
    started.kill()  # whatever is left goes with it
    started.wait()


def _remove_groups(name: str) -> None:
    for groups in ("", "unified", "systemd"):
        for folder, *_ in os.walk(Path("/sys/fs/cgroup", groups, name), topdown=False):
            with suppress(OSError):  # a process may be ending; an empty group harms nobody
                Path(folder).rmdir()
