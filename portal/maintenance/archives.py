"""What a backup is written to and read from: a tar, or a folder that shares content with others.

Both have the same members: ``portal.db``, ``secret_key``, ``files/…`` in the order of their keys,
and last ``manifest.jsonl``: a line about the backup, and one for each member with its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, Protocol, cast

from portal.core.datafolder import create_private

DATABASE, SECRET_KEY, MANIFEST = "portal.db", "secret_key", "manifest.jsonl"
PIECE = 1024**2
"""Bytes copied at once."""

Advance = Callable[[int], None]
"""Called with the number of bytes copied since the last call."""
Uploaded = tuple[int, str]
"""A size, and a hash."""


class Member(NamedTuple):
    """A member of a backup.

    :param is_file: whether it is a regular file, whole, and no link.
    :param open: opens it for reading; only until the next member is looked at.
    """

    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def members(source: Path) -> Iterator[Iterator[Member]]:
    """Yield the members of a backup, in their order.

    :raises OSError: if it cannot be read.
    :raises tarfile.TarError: if it is neither a folder nor a tar.
    """
    if source.is_dir():
        yield _in_folder(source)
    else:
        with tarfile.open(source, "r:") as archive:
            yield _in_tar(archive)


def _in_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    while member := archive.next():
        archive.members.clear()  # type: ignore[attr-defined]  # there may be millions
        is_file = member.type == tarfile.REGTYPE and member.sparse is None
        opener = cast("Callable[[], IO[bytes]]", partial(archive.extractfile, member))
        yield Member(member.name, member.size, is_file, opener)


def _in_folder(folder: Path) -> Iterator[Member]:
    """Yield what is in a folder, whatever it is: the first two, all others, and the manifest."""
    places = {DATABASE: 0, SECRET_KEY: 1, MANIFEST: 3}
    for path in sorted(folder.iterdir(), key=lambda path: (places.get(path.name, 2), path.name)):
        yield from _below(path, path.name)


def _below(path: Path, name: str) -> Iterator[Member]:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        for each in sorted(path.iterdir()):
            yield from _below(each, f"{name}/{each.name}")
    else:
        yield Member(name, found.st_size, stat.S_ISREG(found.st_mode), partial(_open, path))


def _open(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def size_of(source: Path) -> int:
    """Return about how many bytes a backup has; 0 for what cannot be read."""
    with suppress(OSError):
        if not source.is_dir():
            return source.stat().st_size
        with members(source) as found:
            return sum(member.size for member in found)
    return 0


class Writer(Protocol):
    """What a backup is written to."""

    size: int

    def note(self, **values: object) -> None:
        """Write a line of the manifest."""

    def add(self, name: str, file: BinaryIO, uploaded: Uploaded | None = None) -> Uploaded:
        """Add a member and its line, and return the file's size and hash."""

    def add_earlier(self, name: str, uploaded: Uploaded) -> bool:
        """Add a member from an earlier backup, if that has what was uploaded; return whether."""

    def close(self) -> None:
        """Write the end, through to the disk."""


class _Manifest:
    def __init__(self, manifest: BinaryIO, advance: Advance) -> None:
        self._manifest = manifest
        self._advance = advance
        self.size = 0

    def note(self, **values: object) -> None:
        """See :class:`Writer`."""
        self._manifest.write(json.dumps(values).encode() + b"\n")


class Tar(_Manifest):
    """A tar in progress, and the lines of its manifest."""

    def __init__(self, file: BinaryIO, manifest: BinaryIO, advance: Advance) -> None:
        super().__init__(manifest, advance)
        self._file = file
        self._time = int(time.time())
        self._tar = tarfile.TarFile(
            fileobj=self._file, mode="w", format=tarfile.GNU_FORMAT, copybufsize=PIECE
        )

    def add(self, name: str, file: BinaryIO, uploaded: Uploaded | None = None) -> Uploaded:  # noqa: ARG002
        """See :class:`Writer`."""
        member = tarfile.TarInfo(name)
        member.size = os.fstat(file.fileno()).st_size
        member.mode, member.mtime = 0o600, self._time
        source = _Source(file, self._advance)
        self._tar.addfile(member, source)  # type: ignore[arg-type]  # it only reads
        self._tar.members.clear()  # type: ignore[attr-defined]  # there may be millions
        sha256 = source.sha256.hexdigest()
        self.note(name=name, size=member.size, sha256=sha256)
        return member.size, sha256

    def add_earlier(self, name: str, uploaded: Uploaded) -> bool:  # noqa: ARG002
        """See :class:`Writer`: there is none."""
        return False

    def close(self) -> None:
        """See :class:`Writer`."""
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.size = os.fstat(self._file.fileno()).st_size


class Folder(_Manifest):
    """A folder in progress. Content that an earlier one has, too, is on the disk once.

    What is stored never changes, so a name stands for one content. The copy is compared with the
    hash of the upload before another backup shares it.
    """

    def __init__(
        self, path: Path, earlier: Path | None, manifest: BinaryIO, advance: Advance
    ) -> None:
        super().__init__(manifest, advance)
        path.mkdir(0o700)
        (path / "files").mkdir(0o700)
        self._path = path
        self._earlier = earlier

    def add(self, name: str, file: BinaryIO, uploaded: Uploaded | None = None) -> Uploaded:
        """See :class:`Writer`. A damaged file does not replace a good copy of it."""
        size = os.fstat(file.fileno()).st_size
        if uploaded and self.add_earlier(name, uploaded):
            return size, _Source(file, self._advance).drain(size)
        with create_private(self._target(name)) as copy:
            sha256 = _Source(file, self._advance).drain(size, copy)
        self.note(name=name, size=size, sha256=sha256)
        self.size += size
        return size, sha256

    def add_earlier(self, name: str, uploaded: Uploaded) -> bool:
        """See :class:`Writer`."""
        if self._earlier is None:
            return False
        try:
            with _open(self._earlier / name) as copy:
                size = os.fstat(copy.fileno()).st_size
                if size != uploaded[0] or _Source(copy, _ignore).drain(size) != uploaded[1]:
                    return False
            os.link(self._earlier / name, self._target(name))
        except OSError:  # such as: no copy, or one with too many names
            return False
        self.note(name=name, size=uploaded[0], sha256=uploaded[1])
        return True

    def _target(self, name: str) -> Path:
        target = self._path / name
        target.parent.mkdir(0o700, exist_ok=True)
        return target

    def close(self) -> None:
        """See :class:`Writer`."""
        os.sync()  # once, which is faster than once for each file


def _ignore(_size: int) -> None:
    pass


class _Source:
    """A file that is read and hashed; zeros stand for what a failing disk cannot read."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file
        self._advance = advance
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return as many bytes as wanted."""
        content = b""
        while missing := size - len(content):
            try:
                piece = os.pread(self._file.fileno(), missing, self._position + len(content))
            except OSError:
                piece = b""
            content += piece or bytes(missing)
        self.sha256.update(content)
        self._position += size
        self._advance(size)
        return content

    def drain(self, size: int, target: BinaryIO | None = None) -> str:
        """Read so many bytes, write them if there is a target, and return their hash."""
        while left := size - self._position:
            piece = self.read(min(left, PIECE))
            if target:
                target.write(piece)
        return self.sha256.hexdigest()
