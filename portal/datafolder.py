"""The data folder: what is in it, who may read it, and the secret key."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

KEY_LENGTH = 32
"""The least number of bytes that a secret key has."""


class DataFolderError(click.ClickException):
    """The data folder cannot be used safely; the message says why.

    A command that ends with it prints the message alone.
    """


def prepare(folder: Path) -> Path:
    """Make the folder, for its owner alone, where it is not there yet.

    :raises DataFolderError: if it cannot be made, or others could change what is in it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderError(
            f"The data folder {folder} cannot be made: {error.strerror}."
        ) from error
    for path in (folder, folder / "files", folder / "incoming", folder / "portal.db"):
        if path.exists():
            _check_own(path)
    return folder


def secret_key(folder: Path) -> bytes:
    """Read the key that signs sessions; make it at the first start.

    :raises DataFolderError: if others may read the key, or it is too short.
    """
    path = folder / "secret_key"
    if not path.exists():
        _make_key(path)
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        key = file.read()
    if mode & 0o077:
        raise DataFolderError(
            f"{path} is open to other users (mode {mode:04o}), so the key may be known to them."
            " Delete it, and the portal makes another one; everybody has to sign in again."
        )
    if len(key) < KEY_LENGTH:
        raise DataFolderError(
            f"{path} holds {len(key)} bytes, and a key needs at least {KEY_LENGTH}."
            " Delete it, and the portal makes another one; everybody has to sign in again."
        )
    return key


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes, and threads, out of what needs the folder locked, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, down to the disk.

    :raises FileExistsError: if it is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check_own(path: Path) -> None:
    """Refuse what others could put their own files in, or change."""
    found, user, quoted = path.stat(), os.geteuid(), shlex.quote(str(path))
    if found.st_uid != user:
        raise DataFolderError(
            f"{path} belongs to user id {found.st_uid}, but the portal runs as user id {user}."
            f" Run it as the owner, or make that user the owner: chown -R {user} {quoted}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DataFolderError(
            f"Other users may write to {path} (mode {stat.S_IMODE(found.st_mode):04o})."
            f" Take that right away: chmod go-w {quoted}"
        )


def _make_key(path: Path) -> None:
    """Make the key appear whole: of two processes that start at once, one wins, both read it."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    write_private(draft, secrets.token_hex(KEY_LENGTH).encode())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # The other process was first.
    finally:
        draft.unlink()
