"""From a root and a relative path to a file that is safe to deliver: the only door to disk.

Nothing here knows Flask or HTTP.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from typing import BinaryIO

from .exceptions import FileMissing, FileUnreadable, NotAFile, PathRefused

GENERATED = "flask-delegate-generated"
"""The folder of an area with its generated files, which nothing but their hand-off leads to."""
UTF_8_CURE = (
    "Start Python with a UTF-8 locale: mod_wsgi-express --locale C.UTF-8, WSGIDaemonProcess …"
    " locale=C.UTF-8, or LANG=C.UTF-8 in the environment of another server."
)


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A regular file below an area's root that the application can read.

    An instance proves that the checks were made; only :func:`resolve` makes them.
    """

    root: str  # the area's folder
    relative: str  # the real path below it, without symbolic links
    name: str  # the last component of the path that was asked for
    size: int  # in bytes
    mtime_ns: int  # time of last modification, in nanoseconds since the epoch
    identity: tuple[int, int]  # device and inode

    @property
    def path(self) -> str:
        """The absolute path."""
        return f"{self.root}/{self.relative}"

    def open(self) -> BinaryIO:
        """Open the very file that was resolved.

        :raises FileMissing: if it was replaced or deleted.
        :raises FileUnreadable: if it may no longer be read.
        """
        # O_NONBLOCK: a FIFO put in the file's place must not hold the thread.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags)
        except PermissionError as error:
            raise FileUnreadable(self.relative, self.root, "permission denied.") from error
        except OSError as error:
            raise FileMissing(self.relative, self.root, f"{error.strerror}.") from error
        found = os.fstat(descriptor)
        # An inode's number is reused, so the kind is checked as well.
        if (found.st_dev, found.st_ino) != self.identity or not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise FileMissing(self.relative, self.root, "replaced while it was being opened.")
        return os.fdopen(descriptor, "rb")


def resolve(
    root: str, requested: str | os.PathLike[str], *, generated: bool = False
) -> PrivateFile:
    """Return a private file.

    Costs one ``lstat`` for each component and one ``access``; only a symbolic link costs more.

    :param root: the area's folder: absolute, without symbolic links.
    :param requested: relative to the root.
    :param generated: whether it may lie in the folder of generated files.
    :raises PathRefused: absolute, ``..``, NUL, a name that the file system's encoding has no bytes
        for, a symbolic link that leaves the root, or what somebody else had generated.
    :raises FileMissing: no such file, or a dangling or circular link.
    :raises NotAFile: a directory or special file.
    :raises FileUnreadable: no right to read it, or to enter a folder on the way.
    """
    name = os.fspath(requested)
    if not isinstance(name, str):
        raise TypeError(f"a path must be str or os.PathLike[str], not {type(name).__name__}")
    parts = _components(name, root)
    relative, info = _walk(root, parts, name)
    if not generated:
        _check_own(relative, name, root)
    _check_regular(info, name, root)
    if not os.access(f"{root}/{relative}", os.R_OK):
        raise FileUnreadable(name, root, f"user id {os.geteuid()} may not read it.")
    identity = (info.st_dev, info.st_ino)
    return PrivateFile(root, relative, parts[-1], info.st_size, info.st_mtime_ns, identity)


def resolve_folder(root: str, requested: str | os.PathLike[str]) -> str:
    """Return the real path of a folder below the root, without symbolic links.

    :param root: the area's folder: absolute, without symbolic links.
    :param requested: relative to the root, with a slash at the end or without.
    :raises PathRefused: as :func:`resolve` does, and for the root itself.
    :raises FileMissing: no such folder.
    :raises FileUnreadable: no right to enter it, or a folder on the way.
    """
    name = os.fspath(requested)
    if not isinstance(name, str):
        raise TypeError(f"a path must be str or os.PathLike[str], not {type(name).__name__}")
    if not [part for part in name.split("/") if part not in ("", ".")]:
        raise PathRefused(name, root, "the whole area; name a folder in it.")
    relative, info = _walk(root, _components(name.rstrip("/"), root), name)
    _check_own(relative, name, root)
    if not stat.S_ISDIR(info.st_mode):
        raise FileMissing(name, root, "it is not a folder.")
    if not os.access(f"{root}/{relative}", os.X_OK):
        raise FileUnreadable(name, root, f"user id {os.geteuid()} may not enter it.")
    return relative


def _components(name: str, root: str) -> list[str]:
    if name.startswith("/"):
        raise PathRefused(name, root, "an absolute path; give it relative to the area's root.")
    if "\0" in name:
        raise PathRefused(name, root, "it contains a NUL.")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        reason = (
            f"the file system's encoding, {sys.getfilesystemencoding()}, cannot write it."
            f" {UTF_8_CURE}"
        )
        raise PathRefused(name, root, reason) from error
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PathRefused(name, root, "it contains '..'.")
    if not parts or name.endswith("/"):
        raise NotAFile(name, root, "the name of a directory.")
    return parts


def _walk(root: str, parts: list[str], name: str) -> tuple[str, os.stat_result]:
    """Check each component in turn; a link ends the walk and is resolved as a whole."""
    path = root
    try:
        for part in parts:
            path = f"{path}/{part}"
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                return _follow(root, parts, name)
    except PermissionError as error:
        reason = f"user id {os.geteuid()} may not enter the folder of {path}."
        raise FileUnreadable(name, root, reason) from error
    except OSError as error:
        raise FileMissing(name, root, f"{error.strerror}.") from error
    return path[len(root) + 1 :], info


def _follow(root: str, parts: list[str], name: str) -> tuple[str, os.stat_result]:
    real = os.path.realpath("/".join([root, *parts]), strict=True)
    if os.path.commonpath([root, real]) != root or real == root:
        raise PathRefused(name, root, f"a symbolic link that leaves the root, to {real}.")
    return real[len(root) + 1 :], os.lstat(real)


def _check_own(relative: str, name: str, root: str) -> None:
    if GENERATED in relative.split("/"):
        raise PathRefused(name, root, "a generated file, which send_generated alone hands off.")


def _check_regular(info: os.stat_result, name: str, root: str) -> None:
    mode = info.st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISLNK(mode):
        raise FileMissing(name, root, "replaced by a symbolic link while it was being resolved.")
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    kind = next((kind for test, kind in kinds if test(mode)), "a device")
    raise NotAFile(name, root, f"{kind}, not a regular file.")
