"""The data folder: what is in it, who may read it, and the secret key."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

KEY_LENGTH = 32
"""The least number of bytes that a secret key has."""


class DataFolderError(Exception):
    """The data folder cannot be used safely; the message says why."""


def prepare(folder: Path) -> Path:
    """Make the folder, for its owner alone, where it is not there yet.

    :raises DataFolderError: if it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderError(
            f"The data folder {folder} cannot be made: {error.strerror}."
        ) from error
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


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, down to the disk.

    :raises FileExistsError: if it is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
