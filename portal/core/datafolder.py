"""The data folder: who may read it, the secret key, and its lock."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

_ANOTHER = "Delete it, and the portal creates another one; everybody has to sign in again."
_RECORDS = ("portal.db", "activity.spool")
"""What says who has which files, and does what with them."""
KEY_LENGTH = 32
"""Bytes that a secret key has at least."""


class DataFolderError(click.ClickException):
    """The data folder cannot be used safely. A command prints the message alone."""


def prepare(folder: Path) -> Path:
    """Create the folder for its owner alone, or check it; raise DataFolderError if it is unsafe."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderError(
            f"The data folder {folder} cannot be created: {error.strerror}."
        ) from error
    for name in ("", "files", "incoming", "throttle.db", "secret_key", *_RECORDS):
        if (folder / name).exists():
            _check_kind(folder / name, is_folder=name in {"", "files", "incoming"})
            if name != "secret_key":  # which has a check of its own
                _check_access(folder / name, secret=name in _RECORDS)
    files = folder / "files"
    if files.exists() and files.stat().st_mode & stat.S_IRGRP:
        _check_group(files, folder / "incoming")
    return folder


def secret_key(folder: Path) -> bytes:
    """Return the key that signs sessions; create it at the first start.

    :raises DataFolderError: if others may read the key, or it is too short.
    """
    path = folder / "secret_key"
    if not path.exists():
        with locked(folder):
            if not path.exists():  # no other process was first
                write_private(path, secrets.token_hex(KEY_LENGTH).encode())
    return _read_key(path, _ANOTHER)


def shared_key(path: Path) -> bytes:
    """Return the key in a file that several hosts have.

    :raises DataFolderError: if it cannot be read, or as for :func:`secret_key`.
    """
    cure = f"Create one for all hosts: (umask 077; openssl rand -hex {KEY_LENGTH} > FILE)."
    try:
        return _read_key(path, cure).strip()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror}. {cure}") from error


def _read_key(path: Path, cure: str) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        key = file.read()
    if mode & 0o077:
        raise DataFolderError(
            f"{path} is open to other users (mode {mode:04o}), who may know the key. {cure}"
        )
    if len(key) < KEY_LENGTH:
        raise DataFolderError(
            f"{path} holds {len(key)} bytes, and a key needs at least {KEY_LENGTH}. {cure}"
        )
    return key


@contextmanager
def locked(folder: Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Lock the folder against other processes and threads that lock it, too.

    :param operation: as for ``fcntl.flock``.
    :raises BlockingIOError: if it is locked and the operation includes ``fcntl.LOCK_NB``.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def create_private(path: Path) -> BinaryIO:
    """Open a new file that only its owner can read; raise :exc:`FileExistsError` for an old one."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read: in one step, and through to the disk."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with create_private(draft) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _check_kind(path: Path, *, is_folder: bool) -> None:
    if path.is_dir() != is_folder or not (is_folder or path.is_file()):
        kind = "a folder" if is_folder else "a regular file"
        raise DataFolderError(f"{path} has to be {kind}. Move away what is there.")


def _check_access(path: Path, *, secret: bool) -> None:
    """Raise if another user owns the path or may write to it or, if it is secret, read it.

    Or if the portal may not write to it itself.
    """
    found, user, quoted = path.stat(), os.geteuid(), shlex.quote(str(path))
    if found.st_uid != user:
        raise DataFolderError(
            f"{path} belongs to user id {found.st_uid}, but the portal runs as user id {user}."
            f" Run it as the owner, or make that user the owner: chown -R {user} {quoted}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DataFolderError(
            f"Other users may write to {path} (mode {mode:04o})."
            f" Take that permission away: chmod go-w {quoted}"
        )
    if not os.access(path, os.W_OK, effective_ids=True):
        raise DataFolderError(
            f"The portal may not write to {path} (mode {mode:04o}). Add that permission, unless the"
            f" disk is read-only: chmod u+w {quoted}"
        )
    if secret and mode & 0o077:
        raise DataFolderError(
            f"Other users may read {path} (mode {mode:04o}), and it holds what people sign in with."
            f" Take that permission away: chmod go= {quoted}"
        )


def _check_group(files: Path, incoming: Path) -> None:
    """Raise if the group that may read the files could not read new ones.

    A web server that is another user reads by its group. A new file gets its group from the folder
    that it arrives in, if that has the set-group-ID bit, and otherwise from the process.
    """
    wanted, group = files.stat().st_gid, os.getegid()
    if incoming.exists() and incoming.stat().st_mode & stat.S_ISGID:
        group = incoming.stat().st_gid
    if group != wanted:
        quoted = shlex.quote(str(incoming))
        raise DataFolderError(
            f"Group id {wanted} may read {files}, but new files in {incoming} would get group id"
            f" {group}, so a web server in the first group could not send them. Run as root:"
            f" mkdir -p {quoted} && chown {os.geteuid()}:{wanted} {quoted} && chmod 2700 {quoted}"
        )
