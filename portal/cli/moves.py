"""Commands that move the content of files into a bucket, and back."""

from __future__ import annotations

import sys
from typing import NamedTuple, cast

import click
from flask import current_app

from flask_delegate.stores.store import Store
from portal.core import database, settings, stores
from portal.core.text import counted
from portal.maintenance import check_files, move
from portal.maintenance.move import Report
from portal.storage.content import current_storage
from portal.storage.incoming import StorageFullError
from portal.storage.moving import Moving
from portal.web.filters import human_size

from .group import needs_schema, portal, progress, show, takes_json

_WAIT = "Seconds for which a file stays where it was, for downloads that have begun there."


@portal.command("move-to-store")
@click.option("--wait", type=click.IntRange(0), default=60, show_default=True, help=_WAIT)
@takes_json
@needs_schema()
def move_to_store(wait: int, as_json: bool) -> None:
    """Move the content of all files from the data folder into the store.

    The portal keeps running, with PORTAL_STORE_MOVING set to to-store. Run it again to go on after
    it was ended. Exits with status 1 if a file cannot be moved, or something is left.
    """
    storage, store = _moving(stores.TO_STORE)
    folder = str(storage.disk.files)
    _move(storage, store, wait, _Told(folder, "PORTAL_STORE_MOVING", as_json))


@portal.command("move-from-store")
@click.option("--wait", type=click.IntRange(0), default=3600, show_default=True, help=_WAIT)
@click.option("--only-host", is_flag=True, help="Confirm that no other host uses the database.")
@takes_json
@needs_schema()
def move_from_store(wait: int, only_host: bool, as_json: bool) -> None:
    """Move the content of all files from the store back into the data folder.

    The portal keeps running, with PORTAL_STORE_MOVING set to from-store. Run it again to go on
    after it was ended. Exits with status 1 if a file cannot be moved, or something is left.
    """
    storage, store = _moving(stores.FROM_STORE)
    if not (only_host or database.is_sqlite()):
        raise click.ClickException(
            "Other hosts may use the same PORTAL_DATABASE, and would lack what comes into this"
            " data folder. Nothing was changed. Stop the portal on them, and run this with"
            " --only-host."
        )
    names = "PORTAL_STORE, PORTAL_STORE_KEYS_FILE and PORTAL_STORE_MOVING"
    _move(storage, store, wait, _Told(store.url, names, as_json))


def _moving(way: str) -> tuple[Moving, Store]:
    storage = current_storage()
    if current_app.config["STORE_MOVING"] != way:
        raise click.ClickException(
            f"PORTAL_STORE_MOVING is not {way}, so the portal would not find what is moved."
            f" Nothing was changed. Set it, beside PORTAL_STORE and PORTAL_STORE_KEYS_FILE, write"
            " the web server's configuration again, and restart the portal."
        )
    store = stores.configured(current_app.config)
    return cast("Moving", storage), cast("Store", store)


class _Told(NamedTuple):
    """How a report is told.

    :param place: where files are moved from.
    :param names: the settings to take out after that.
    """

    place: str
    names: str
    as_json: bool


def _move(storage: Moving, store: Store, wait: int, told: _Told) -> None:
    """Move the files and say what was done; exit with status 1 if that is not all."""
    data, report = settings.data_folder(current_app), Report()
    try:
        with progress("Moving", check_files.total_size()) as advance:
            move.move(storage, store, data, wait, advance, report)
    except BaseException as error:  # also if it is interrupted
        if report != Report():
            _tell(report, told)
        if not isinstance(error, StorageFullError):
            raise
        raise click.ClickException(
            f"The disk is full: {str(error) or 'there is no room'}. Nothing is lost: what was not"
            " moved is where it was, and people have all files. Free some space, and run this"
            " again."
        ) from error
    _tell(report, told)
    if report.left or report.problems:
        sys.exit(1)


def _tell(report: Report, told: _Told) -> None:
    show(vars(report), _lines(report, told), as_json=told.as_json)
    for problem in report.problems:
        click.echo(f"Not moved: {problem}", err=True)
    for unclaimed in report.unclaimed:
        click.echo(unclaimed, err=True)
    if report.left:
        click.echo(
            f"{counted(report.left, 'file')} left in {told.place}: run this again. What no file"
            " claims is moved aside when it is an hour old. To list what is damaged: flask --app"
            " portal portal check --content",
            err=True,
        )


def _lines(report: Report, told: _Told) -> list[str]:
    lines = [f"{counted(report.moved, 'file')}, {human_size(report.size)} moved."]
    if report.left == 0:
        lines.append(
            f"Nothing is left in {told.place}. Take out {told.names}, and restart the portal."
        )
    return lines
