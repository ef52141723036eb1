"""``flask delegate …``."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from . import receipts
from .doctor.command import doctor
from .exceptions import ConfigurationError
from .server import Marked, apache_document, nginx_document

delegate = AppGroup("delegate", help="Set up the web server that sends private files.")
delegate.add_command(doctor)

_HEAD = """\
# {server} configuration for the private files of {name}, made by 'flask delegate {command}'.
# It holds a secret token: keep it readable by root only. Write it again when the settings change.

"""

_output = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, readable by its owner only, instead of printing.",
)
_sendfile = click.option(
    "--sendfile/--no-sendfile",
    default=True,
    show_default=True,
    help="Have the kernel send files. Turn it off on a network file system.",
)


_receipts = click.option(
    "--receipts",
    metavar="FILE",
    callback=lambda _context, _parameter, value: _checked_log(value),
    help="Have the server write how each download ended to FILE.",
)


def _checked_log(path: str | None) -> str | None:
    if path is not None and not re.fullmatch(r"/[\w./@+ -]+", path):
        raise click.BadParameter("give an absolute path of letters, digits and . _ - + @ / only.")
    return path


@delegate.command("apache-config")
@_output
@click.option(
    "--site",
    is_flag=True,
    help="For an Apache configuration or <VirtualHost> of your own, which loads its"
    " modules itself. The default is for mod_wsgi-express --include-file.",
)
@click.option(
    "--process-group",
    metavar="NAME",
    help="Let only this daemon process group hand off. The default is any of the server.",
)
@_sendfile
@_receipts
def apache_config(output: Path | None, *, site: bool, **options: Any) -> None:
    """Print the Apache configuration for the application's private areas."""
    _deliver(
        output, "Apache", lambda *made: apache_document(*made, load_modules=not site, **options)
    )


@delegate.command("nginx-config")
@_output
@_sendfile
@_receipts
def nginx_config(output: Path | None, **options: Any) -> None:
    """Print what to include in nginx's server block for the application's private areas."""
    _deliver(output, "nginx", lambda *made: nginx_document(*made, **options))


@delegate.command("receipts")
@click.argument("log", type=click.Path(path_type=Path), metavar="LOGFILE")
@click.option("--follow", is_flag=True, help="Go on as the log grows, through its rotations.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each receipt.")
def show_receipts(log: Path, *, follow: bool, as_json: bool) -> None:
    """Tell from a log that --receipts made how downloads ended."""
    try:
        for receipt in receipts.follow(log) if follow else receipts.read(log):
            click.echo(_as_json(receipt) if as_json else _as_line(receipt))
    except OSError as error:
        raise click.ClickException(f"cannot read {log}: {error.strerror}") from error


def _as_line(receipt: receipts.Receipt) -> str:
    part = "" if receipt.part is None else " of bytes {}-{}/{}".format(*receipt.part)
    return (
        f"{receipt.time:%Y-%m-%d %H:%M:%S}Z {receipt.id} {receipt.status} {receipt.outcome},"
        f" {receipt.sent} bytes sent{part}"
    )


def _as_json(receipt: receipts.Receipt) -> str:
    return json.dumps({**dataclasses.asdict(receipt), "time": receipt.time.isoformat()})


def _deliver(output: Path | None, server: str, write: Callable[[Marked, Any], str]) -> None:
    from .extension import state_of

    state = state_of(current_app)
    areas = [
        (area, (state.mark(area), *state.old_marks.get(area.name, ())))
        for area in state.settings.areas.values()
    ]
    try:
        text = write(areas, state.settings.headers)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    command = click.get_current_context().info_name
    text = _HEAD.format(server=server, name=current_app.import_name, command=command) + text
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_private(output, text)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise click.ClickException(f"{path} is there, and is not a regular file.")
    try:
        # mkstemp makes it 0600 from the start.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
