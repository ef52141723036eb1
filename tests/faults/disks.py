"""A file system of its own for a portal, whose image can be cloned under it: a power cut.

The image lies on an XFS, which clones a file at one moment, without its content being copied. So a
clone has what ext4 had sent to its disk at that moment, and lacks what was in memory only, as after
a power cut. It does not lack what a disk would have had in a cache of its own: ext4 has sent that.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_XFS_SIZE, _EXT4_SIZE = "1500M", "400M"


class Disk:
    """An ext4 with the portal's data, mounted in a folder.

    :param options: of mount(8): with ``data=writeback``, a file may grow before its bytes come.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder / "disk"
        self._host, self._options = folder / "host", options
        self._image, self._clones = self._host / "image", 0

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Create and mount it for the length of the block."""
        image = self._host.with_name("host.image")
        _run("truncate", "--size", _XFS_SIZE, image)
        _run("mkfs.xfs", "-q", "-m", "reflink=1", image)
        with _mounted(image, self._host):
            _run("truncate", "--size", _EXT4_SIZE, self._image)
            _run("mkfs.ext4", "-q", self._image)
            with _mounted(self._image, self.folder, self._options):
                yield
        image.unlink()

    def commit_every(self, seconds: int) -> None:
        """Set after how many seconds ext4 writes down what nobody asked it to."""
        _run("mount", "-o", f"remount,commit={seconds}", self.folder)

    def cut_power(self) -> Path:
        """Return a clone of the disk as it is now."""
        self._clones += 1
        clone = self._host / f"clone{self._clones}"
        _run("cp", "--reflink=always", self._image, clone)
        return clone

    @contextmanager
    def after_cut(self, clone: Path) -> Iterator[Path]:
        """Mount a clone, which has ext4 recover by its journal, and delete it at the end."""
        folder = self.folder.with_name(clone.name)
        with _mounted(clone, folder):
            yield folder
        clone.unlink()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have each write wait for the length of the block."""
        _run("fsfreeze", "--freeze", self.folder)
        try:
            yield
        finally:
            _run("fsfreeze", "--unfreeze", self.folder)


@contextmanager
def small_tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """Mount a disk in memory, such as one of ``size=8m`` or ``nr_inodes=50``."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", options, "portal-test", folder)
    try:
        yield folder
    finally:
        _run("umount", "--lazy", folder)


@contextmanager
def _mounted(image: Path, folder: Path, options: str = "defaults") -> Iterator[None]:
    folder.mkdir()
    with ExitStack() as stack:
        _run("mount", "-o", f"loop,{options}", image, folder)
        stack.callback(_unmount, folder)
        yield


def _unmount(folder: Path) -> None:
    """Unmount it, once the kernel has let go of a loop device of an image that lies there."""
    deadline = time.monotonic() + 10
    while subprocess.run(["umount", folder], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            _run("umount", folder)
        time.sleep(0.1)


def _run(*words: str | Path) -> None:
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, (words, done.stderr)
