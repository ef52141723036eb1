"""Commands that prepare the data folder and keep it in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
from flask import current_app

from flask_delegate import receipts as logs
from portal.accounts.accounts import AccountError
from portal.activity import receipts
from portal.activity.record import bring_in
from portal.core import database, datafolder, settings
from portal.demo import create
from portal.maintenance import check_database, check_files, cleanup, snapshot
from portal.maintenance.archives import DATABASE
from portal.maintenance.check_files import Problem
from portal.storage.ballast import current_ballast
from portal.storage.content import current_storage

from .group import needs_schema, portal, progress, show, takes_json

_PATIENCE = 5
"""Seconds until the next try to write a database that is locked or full."""
_MOST = 500
"""Lines of a log in one transaction."""


@portal.command()
def upgrade() -> None:
    """Create the database or bring it up to date, and print what was done.

    Prints and changes nothing if the database is up to date, so it can always be run.
    """
    if database.revision() is None and next(current_storage().all_keys(), None):
        data = settings.data_folder(current_app)
        lost = (
            f"{data / DATABASE} is missing or empty. Nothing was changed. Put the database back,"
            " or restore a backup into a new folder (PORTAL_DATA)."
            if database.is_sqlite()
            else "the database that PORTAL_DATABASE names is empty. Nothing was changed. Name the"
            " right one, or restore it (pg_restore)."
        )
        raise click.ClickException(f"{data / 'files'} holds what people uploaded, and {lost}")
    before, after = database.upgrade()
    current_ballast().prepare()
    if before is None:
        click.echo(f"Created the database, schema {after}.")
    elif before != after:
        click.echo(f"Upgraded the database from schema {before} to {after}.")


@portal.command()
@click.option("--repair", is_flag=True, help="Repair what can be repaired without losing anything.")
@click.option("--content", is_flag=True, help="Read all files, and compare them with their hashes.")
@takes_json
@needs_schema()
def check(repair: bool, content: bool, as_json: bool) -> None:
    """Compare the database with the files on disk, and print what is wrong.

    Exits with status 1 if a problem is left unrepaired. The portal may keep running.
    """
    found = []
    for problem in _problems(content):
        if repair:
            problem.repair()
        found.append(problem)
        if not as_json:
            click.echo(str(problem))
    show([problem.as_row() for problem in found], [], as_json=as_json)
    left = sum(problem.repaired is None for problem in found)
    if found and not as_json:
        click.echo(f"{len(found)} problems, {len(found) - left} repaired.", err=True)
    if left:
        sys.exit(1)


def _problems(content: bool) -> Iterator[Problem]:
    storage = current_storage()
    yield from check_database.check_database()
    database_file = settings.data_folder(current_app) / DATABASE
    with snapshot.readable(database_file) as path:
        unusable = list(check_database.check_values(path))
    yield from unusable
    if unusable:  # the other checks, and repairs, rely on values
        return
    # Files first: the content of a missing one may be what the second check would move aside.
    with progress("Checking", check_files.total_size()) as advance:
        yield from check_files.check_files(storage, content=content, advance=advance)
    yield from check_files.check_unclaimed(storage)
    yield from check_files.check_thumbnails(storage)
    yield from check_files.check_rights(storage)
    with snapshot.readable(database_file) as path:
        yield from check_database.check_rows(path)


@portal.command("cleanup")
@takes_json
@needs_schema()
def clean_up(as_json: bool) -> None:
    """Delete old trash, expired sessions and links, and what was left unfinished.

    Run it once a day; the portal may keep running.
    """
    current_ballast().prepare()
    deleted = cleanup.clean_up(settings.data_folder(current_app), current_storage())
    lines = (f"{kind}: {count} deleted" for kind, count in deleted.items() if count)
    show(deleted, lines, as_json=as_json)


@portal.command("demo")
@needs_schema()
def create_demo() -> None:
    """Create accounts with sample files, and print their passwords.

    They are alice, bob and the administrator admin. Run again, it creates nothing and prints the
    same.
    """
    # Two runs at once would each record a password, and the account would have only one of them.
    with datafolder.locked(settings.data_folder(current_app)):
        for name in create.NAMES:
            try:
                password = create.ensure_account(name)
            except AccountError as error:
                click.echo(str(error), err=True)
            else:
                click.echo(f"demo account: {name} {password}")


@portal.command("receipts")
@click.argument("log", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--follow", is_flag=True, help="Keep reading as LOG grows and is rotated.")
@needs_schema()
def read_receipts(log: Path, follow: bool) -> None:
    """Store how downloads ended, from the web server's LOG.

    A log can be read any number of times. With --follow, its rotated files are read first, all from
    where the last --follow stopped. The web server writes the log if its configuration was created
    with --receipts.
    """
    try:
        _read(log, follow=follow)
    except OSError as error:
        raise click.ClickException(f"{log} cannot be read: {error.strerror or error}.") from error
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _read(log: Path, *, follow: bool) -> None:
    """Store many lines at once, so that the portal can write in between."""
    if follow:
        for some, position in logs.follow(log, receipts.position_in(log), wait=_pause):
            _store(some, log, position)
    else:
        lines = logs.read(log)
        while some := list(islice(lines, _MOST)):
            _store(some)


def _pause() -> None:
    """Wait for lines; and have other hosts see what waits on this one, where nobody is at work."""
    time.sleep(0.5)
    if not database.is_sqlite():  # whose pages bring it in themselves
        bring_in(wait=False)


def _store(lines: list[logs.Receipt], *place: Any) -> None:
    """Store lines, and wait while the database is locked or the disk full."""
    while True:
        try:
            receipts.store(lines, *place)
        except database.AWAY as error:
            database.db.session.rollback()
            click.echo(f"The database cannot be written: {error.orig}. Trying again.", err=True)
            time.sleep(_PATIENCE)
        else:
            return
