"""Commands that make backups and bring them back."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app

from portal.core import database, settings
from portal.maintenance import backup, restore
from portal.maintenance.backup import BackupError
from portal.storage.content import disk_storage
from portal.web.filters import human_size

from .group import needs_schema, portal
from .progress import progress


@portal.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@needs_schema
def make_backup(target: Path, as_json: bool) -> None:
    """Write the database, all files and the secret key to TARGET, one new file.

    The portal may run meanwhile. Ends with status 1 if a file is damaged; the backup is made all
    the same, with that file as it is.
    """
    data = settings.data_folder(current_app)
    with _errors_in_words(), _ends_at_signals():
        size, needed = backup.room_needed(data / backup.DATABASE)
        free = backup.check_target(target, data, needed)
        click.echo(
            f"Needs about {human_size(needed)} in {target.absolute().parent},"
            f" {human_size(free)} are free.",
            err=True,
        )
        with progress("Backing up", size) as advance:
            report = backup.make(target, data, disk_storage(), database.revision() or "", advance)
    if as_json:
        click.echo(json.dumps({"path": str(target.absolute()), **vars(report)}, indent=2))
    else:
        click.echo(f"{report.files} files, {human_size(report.size)}: {target}")
    for line in report.damaged:
        click.echo(f"Damaged: {line}", err=True)
    if report.damaged:
        sys.exit(1)


@portal.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
def restore_backup(source: Path) -> None:
    """Bring the backup SOURCE back, into a data folder that is new or empty.

    Nothing is changed if anything is wrong with the backup. Everybody has to sign in again, and
    invitations and links for new passwords no longer work.
    """
    data = settings.data_folder(current_app)
    with _errors_in_words(), _ends_at_signals():
        if not source.is_file():
            raise BackupError(f"There is no file {source}.")
        schema = restore.schema_of(source)
        if not database.knows(schema):
            raise BackupError(
                f"{source} was made by a newer version of the portal (schema {schema})."
                " Restore it with that version."
            )
        with progress("Restoring", source.stat().st_size) as advance:
            count = restore.restore(source, data, disk_storage(), advance)
    database.db.engine.dispose()
    database.upgrade()
    click.echo(f"{count} files restored into {data}.")


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except (BackupError, OSError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _ends_at_signals() -> Iterator[None]:
    """Have signals end the block as an exception does, so that drafts are removed.

    What is ignored already, as nohup has it for a terminal that closes, stays so.
    """
    before = {
        number: found
        for number in (signal.SIGTERM, signal.SIGHUP)
        if (found := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)
