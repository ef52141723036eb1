"""What commands share: their group, its checks, sizes as arguments, JSON and progress."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import DBAPIError

from flask_delegate.cli import drop_output
from portal.core import database, sizes
from portal.core.text import is_text
from portal.storage.ballast import current_ballast
from portal.storage.base import StoreAwayError
from portal.storage.incoming import StorageFullError


class _Commands(AppGroup):
    """Commands that say in a sentence what is wrong with the database or the disk."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for given in args:
            if len(given) > _LONGEST_ARGUMENT or not is_text(given):
                raise click.ClickException(
                    f"An argument is longer than {_LONGEST_ARGUMENT} characters, has control"
                    " characters, or is not UTF-8. Nothing was changed. Check the terminal's"
                    " character set."
                )
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # where the help is printed to
            raise _told(error) from error

    def invoke(self, ctx: click.Context) -> object:
        _open_closed_streams()
        try:
            return super().invoke(ctx)
        except DBAPIError as error:
            with ctx.ensure_object(ScriptInfo).load_app().app_context():
                if sentence := database.explain(error):
                    raise click.ClickException(sentence) from error
            raise
        except StorageFullError as error:
            raise click.ClickException(f"The disk is full: {error}. Free some space.") from error
        except StoreAwayError as error:
            raise click.ClickException(f"The store of the files: {error}. Try again.") from error
        except OSError as error:
            raise _told(error) from error


def _open_closed_streams() -> None:
    """Refuse to run without standard output, which Python would ignore; read nothing as nothing."""
    if sys.stderr is None:
        sys.stderr = io.StringIO()
    if sys.stdout is None:
        raise click.ClickException(
            "Standard output is closed, and the answer would be lost. Nothing was changed. Send it"
            " to a file, or to /dev/null."
        )
    if sys.stdin is None:
        sys.stdin = io.StringIO()


def _told(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error  # by whoever reads what is printed, such as head
    if error.filename is None:
        drop_output()
    return click.ClickException(reason_of(error))


def reason_of(error: OSError) -> str:
    """Return what is wrong with which file, without the error's number."""
    said = f"{error.strerror or error}."
    return said if error.filename is None else f"{error.filename}: {said}"


_LONGEST_ARGUMENT = 4096
"""Characters: what a path can have."""

portal = _Commands("portal", help="Prepare the portal and manage its accounts.")
takes_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_UNITS = {"K": sizes.KIB, "M": sizes.MIB, "G": sizes.GIB, "T": sizes.TIB}
_SIZE = re.compile(r"([0-9.,]+) ?(?:([KMGT])(?:I?B)?|B)?", re.ASCII)


@contextmanager
def needs_schema() -> Iterator[None]:
    """Refuse to run a command while the database is not up to date, or with unusable input.

    On a full disk, it has a part of what the ballast takes up.
    """
    if problem := database.schema_problem():
        raise click.ClickException(problem)
    try:
        with current_ballast().room():
            yield
    except UnicodeError as error:
        raise click.ClickException(
            "The input is not UTF-8. Nothing was changed. Check the terminal's character set."
        ) from error


def parse_size(text: str) -> int:
    """Return the bytes of ``500``, ``1.5M``, ``10G`` or ``10 GiB``: units are powers of 1024."""
    found = _SIZE.fullmatch(text.strip().upper())
    with suppress(ValueError):
        if found and (found[2] or found[1].isdigit()):  # there is no half a byte
            return sizes.read(found[1], _UNITS.get(found[2], 1))
    raise click.BadParameter(
        f"{text!r} is not a size. Write it like 500M, 1.5G or 2T: at most"
        f" {sizes.LARGEST // sizes.TIB}T, and at least a byte if it is not 0."
    )


def show(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a value as JSON, or the lines that describe it to people."""
    for line in [json.dumps(value, indent=2)] if as_json else lines:
        click.echo(line)


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of about that length on standard error, if that is a terminal."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield bar.update
