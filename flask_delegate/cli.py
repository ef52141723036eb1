"""``flask delegate …``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup

from .config import STREAM
from .exceptions import ConfigurationError
from .server.apache import area_rules, handshake_rule, module_rules

delegate = AppGroup("delegate", help="Set up the web server that sends private files.")

_HEAD = """\
# Apache configuration for the private files of {name}, made by 'flask delegate apache-config'.
# It holds a secret token: keep it readable by root only. Write it again when the settings change.
"""


@delegate.command("apache-config")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, readable by its owner only, instead of printing.",
)
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
@click.option(
    "--sendfile/--no-sendfile",
    default=True,
    show_default=True,
    help="Have the kernel send files. Turn it off on a network file system.",
)
def apache_config(
    output: Path | None, *, site: bool, process_group: str | None, sendfile: bool
) -> None:
    """Print the Apache configuration for the application's private areas."""
    try:
        text = _render(load_modules=not site, process_group=process_group, sendfile=sendfile)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_private(output, text)


def _render(*, load_modules: bool, process_group: str | None, sendfile: bool) -> str:
    from .extension import state_of

    state = state_of(current_app)
    settings = state.settings
    if settings.backend == STREAM:
        raise ConfigurationError(
            "DELEGATE_BACKEND", "is 'stream', which hands nothing off.", "Set it to 'auto'."
        )
    parts = [_HEAD.format(name=current_app.import_name), module_rules(load=load_modules)]
    for area in settings.areas.values():
        mark = state.marks[area.name]
        parts.append(handshake_rule(area, mark.fingerprint))
        parts.append(
            area_rules(
                area,
                mark.token,
                settings.headers,
                process_group=process_group,
                sendfile=sendfile,
            )
        )
    return "\n".join(parts)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    try:
        # mkstemp makes it 0600 from the start.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
