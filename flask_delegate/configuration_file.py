"""A generated file of the web server's: written whole or not at all, and over nothing else."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path

import click

HEAD = """\
# {product} configuration for the private files of {name}, made by 'flask delegate {command}'.
# {warning}Write it again when the settings change.

"""
WARNING = "It holds a secret token: keep it readable by root only. "
"""What it says of one that holds a token."""
_HEAD = re.compile(rb"(?:#|//) [^\n]*[Mm]ade by 'flask delegate [a-z-]+'")
_LONGEST = 4096  # bytes of a first line
_NOT_OTHERS = 0o770


def is_generated(path: Path) -> bool:
    """Return whether a file begins as all that is generated does.

    :raises OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return bool(_HEAD.match(file.read(_LONGEST)))


def write(path: Path, text: str) -> None:
    """Write a file that its owner alone can read; one that it replaces keeps owner, group and mode.

    A server that reads the file as a user of its own would not start with another one's.

    :raises click.ClickException: if there is something else, or it cannot be written.
    """
    try:
        replaced = _checked(path)
        # mkstemp makes it 0600 from the start.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                if replaced:
                    _give(file.fileno(), replaced)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


def _checked(path: Path) -> os.stat_result | None:
    """Return what is to be replaced, if anything."""
    if not os.path.lexists(path):
        return None
    if path.is_symlink() or not path.is_file():
        raise click.ClickException(f"{path} exists and is not a regular file.")
    found = path.stat()
    if found.st_size and not is_generated(path):
        raise click.ClickException(
            f"{path} exists, and was not made by 'flask delegate'. Nothing was written. Choose"
            " another name, or delete it first."
        )
    return found


def _give(descriptor: int, replaced: os.stat_result) -> None:
    """Give a new file to whom the one before belonged, but for all others on the machine."""
    try:
        os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
    except PermissionError:
        return  # only root gives files away; the mode would let in another group
    os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode) & _NOT_OTHERS)
