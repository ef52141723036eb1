"""Commands that keep the data folder in order: upgrade, check, cleanup."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from flask import current_app

from portal.core import database, settings
from portal.maintenance import check_database, check_files, cleanup
from portal.maintenance.check_files import Problem
from portal.storage.content import disk_storage

from .group import needs_schema, portal
from .output import progress, show, takes_json


@portal.command()
def upgrade() -> None:
    """Create the database or bring it up to date, and print what was done.

    Prints and changes nothing if the database is up to date, so it can always be run.
    """
    done = database.upgrade()
    if done.before is None:
        click.echo(f"Created the database, schema {done.after}.")
    elif done.before != done.after:
        click.echo(f"Upgraded the database from schema {done.before} to {done.after}.")


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
    for problem in _problems(repair, content):
        found.append(problem)
        if not as_json:
            click.echo(str(problem))
    show([vars(problem) for problem in found], [], as_json=as_json)
    left = sum(problem.repaired is None for problem in found)
    if found and not as_json:
        click.echo(f"{len(found)} problems, {len(found) - left} repaired.", err=True)
    if left:
        sys.exit(1)


def _problems(repair: bool, content: bool) -> Iterator[Problem]:
    storage = disk_storage()
    # Files first: the content of a missing one may be what the second check would move aside.
    with progress("Checking", check_files.total_size()) as advance:
        yield from check_files.check_files(storage, content=content, repair=repair, advance=advance)
    yield from check_files.check_unclaimed(storage, repair=repair)
    yield from check_files.check_rights(storage, repair=repair)
    yield from check_database.check_database()
    yield from check_database.check_folders(repair=repair)
    yield from check_database.check_used(repair=repair)


@portal.command("cleanup")
@takes_json
@needs_schema()
def clean_up(as_json: bool) -> None:
    """Delete old trash, expired sessions and links, and what was left unfinished.

    Run it once a day; the portal may keep running.
    """
    deleted = cleanup.clean_up(settings.data_folder(current_app), disk_storage())
    lines = (f"{kind}: {count} deleted" for kind, count in deleted.items() if count)
    show(deleted, lines, as_json=as_json)
