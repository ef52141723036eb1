"""Commands that keep the data folder in order: upgrade, check, cleanup."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain

import click
from flask import current_app

from portal.core import database, settings
from portal.maintenance import check_database, check_files, cleanup
from portal.maintenance.check_files import Problem
from portal.storage.content import disk_storage

from .group import needs_schema, portal
from .progress import progress

takes_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@portal.command()
def upgrade() -> None:
    """Create the database or bring it up to date, and say what was done.

    Nothing happens where nothing is to be done, so it may always be run.
    """
    done = database.upgrade()
    if done.before is None:
        click.echo(f"Made the database, schema {done.after}.")
    elif done.before != done.after:
        click.echo(f"Brought the database from schema {done.before} to {done.after}.")


@portal.command()
@click.option("--repair", is_flag=True, help="Put right what can be, without losing anything.")
@click.option("--content", is_flag=True, help="Read all files, and compare them with their hashes.")
@takes_json
@needs_schema
def check(repair: bool, content: bool, as_json: bool) -> None:
    """Compare the database with the files on disk, and print what is wrong.

    Ends with status 1 if something is wrong and was not repaired. The portal may run meanwhile.
    """
    found = []
    for problem in _problems(repair, content):
        found.append(problem)
        if not as_json:
            click.echo(str(problem))
    left = sum(problem.repaired is None for problem in found)
    if as_json:
        click.echo(json.dumps([vars(problem) for problem in found], indent=2))
    elif found:
        click.echo(f"{len(found)} problems, {len(found) - left} repaired.", err=True)
    if left:
        sys.exit(1)


def _problems(repair: bool, content: bool) -> Iterator[Problem]:
    storage = disk_storage()
    size = check_files.total_size()
    # The first may find in the content that no row claims what the second would move aside.
    with progress("Checking", size) as advance:
        yield from check_files.check_files(storage, content=content, repair=repair, advance=advance)
    yield from chain(
        check_files.check_unclaimed(storage, repair=repair),
        check_files.check_rights(storage, repair=repair),
        check_database.check_database(),
        check_database.check_folders(repair=repair),
        check_database.check_used(repair=repair),
    )


@portal.command("cleanup")
@takes_json
@needs_schema
def clean_up(as_json: bool) -> None:
    """Remove what is over: old trash, expired sessions and links, and what was left half-done.

    To be run each day; the portal may run meanwhile.
    """
    removed = cleanup.clean_up(settings.data_folder(current_app), disk_storage())
    if as_json:
        click.echo(json.dumps(removed, indent=2))
        return
    for kind, count in removed.items():
        if count:
            click.echo(f"removed: {count} {kind}")
