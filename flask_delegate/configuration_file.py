"""Generated files of the web server's: each written whole or not at all, and over nothing else."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Mapping
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


def write(texts: Mapping[Path, str]) -> None:
    """Write files that their owner alone can read, in this order, if each of them may be written.

    One that is replaced keeps owner, group and mode: a server that reads it as a user of its own
    would not start with another one's.

    :raises click.ClickException: if there is something else, or one cannot be written.
    """
    replaced = {path: _checked(path) for path in texts}
    for path, text in texts.items():
        _write(path, text, replaced[path])


def _write(path: Path, text: str, replaced: os.stat_result | None) -> None:
    try:
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
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise click.ClickException(f"{path} exists and is not a regular file.")
        is_ours = not found.st_size or is_generated(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    if not is_ours:
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
