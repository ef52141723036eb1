"""Commands that create and restore backups."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app

from portal.activity import record
from portal.core import database, settings
from portal.core.text import counted
from portal.maintenance import archives, backup, check_database, daily, restore
from portal.storage.content import current_storage
from portal.web.filters import human_size

from .group import needs_schema, portal, progress, reason_of, show, takes_json


@portal.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Create a backup in the folder TARGET that shares content with the last one there, and"
    " delete all but so many. None is deleted while a file is damaged.",
)
@takes_json
@needs_schema()
def create_backup(target: Path, keep: int | None, as_json: bool) -> None:
    """Write the database, all files and the secret key to TARGET, a new file.

    With --keep, TARGET is a folder with a folder for each backup.

    The portal may keep running. Exits with status 1 if a file is damaged, or the database so
    that no restore takes it; the backup is still complete, with that as it is.
    """
    _refuse_server(
        "To back up, run pg_dump --format=custom first, and then copy the folder files of the data"
        " folder and the secret key: what the dump names is there, as long as nothing is deleted"
        " meanwhile."
    )
    data = settings.data_folder(current_app)
    try:
        record.bring_in(wait=True)
    except database.AWAY as error:
        click.echo(
            f"The last activity is not in this backup, as it waits for the database: {error.orig}.",
            err=True,
        )
    folder, storage, earlier = target, current_storage(), None
    if keep:
        target, earlier = daily.name_in(folder), daily.latest_in(folder)
    with _ends_cleanly():
        if keep:
            disk = backup.on_disk(storage)
            size, needed = daily.space_needed(data / archives.DATABASE, disk, earlier)
        else:
            size, needed = backup.space_needed(data / archives.DATABASE)
        free = backup.check_target(target, data, needed)
        click.echo(
            f"The backup needs about {human_size(needed)} in {target.absolute().parent};"
            f" {human_size(free)} are free.",
            err=True,
        )
        with progress("Backing up", size) as advance:
            schema = database.revision() or ""
            report = backup.create(
                *(target, data, storage, schema, advance), as_folder=bool(keep), earlier=earlier
            )
    if refusal := check_database.refusal(data / archives.DATABASE):
        report.damaged.append(f"the database, and no restore takes it: {refusal}")
    line = f"{counted(report.files, 'file')}, {human_size(report.size)}: {target}"
    show({"path": str(target.absolute()), **vars(report)}, [line], as_json=as_json)
    for damage in report.damaged:
        click.echo(f"Damaged: {damage}", err=True)
    if report.damaged:
        sys.exit(1)
    if keep:
        with _ends_cleanly():
            daily.remove_old(folder, keep)


@portal.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
def restore_backup(source: Path) -> None:
    """Restore the backup SOURCE into a data folder that is new or empty.

    Changes nothing if anything is wrong with the backup. Exits with status 1 as well if files were
    damaged when it was made; all others are restored then. Everybody has to sign in again, and
    invitations and links for new passwords no longer work.
    """
    _refuse_server(
        "To restore, create an empty database, run pg_restore --no-owner --dbname=NAME, and copy"
        " the files back."
    )
    data = settings.data_folder(current_app)
    with _ends_cleanly(), progress("Restoring", archives.size_of(source)) as advance:
        restored = restore.restore(source, data, current_storage(), advance)
    database.db.engine.dispose()
    click.echo(f"{counted(restored.files, 'file')} restored into {data}.")
    if restored.missing or restored.damaged:
        click.echo(
            f"Missing already when the backup was made: {counted(restored.missing, 'file')};"
            f" damaged: {counted(restored.damaged, 'file')}."
            " To list them: flask --app portal portal check --content",
            err=True,
        )
        sys.exit(1)


def _refuse_server(cure: str) -> None:
    if not database.is_sqlite():
        raise click.ClickException(
            "The database is on the server that PORTAL_DATABASE names, and this command knows that"
            f" of the data folder only. {cure}"
        )


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """Print an error of the disk as one line, and let signals end the block as an exception does.

    Drafts are then removed. A signal that is ignored, as nohup ignores the end of a terminal, still
    is.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, found in before.items():
        if found is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    except OSError as error:
        raise click.ClickException(reason_of(error)) from error
    finally:
        for number, found in before.items():
            signal.signal(number, found)
