"""Secrets that a command prints: they work only if somebody could read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import sqlalchemy as sa

from flask_delegate.cli import drop_output
from portal.core.database import db

from .group import reason_of


@contextmanager
def printed_before_commit(tell: Callable[[], None]) -> Iterator[None]:
    """Call a function that prints a secret before the block's first commit.

    If it cannot be printed, what was to be committed is undone.
    """
    told = list[bool]()

    def deliver(_session: object) -> None:
        if told:
            return
        try:
            tell()
        except OSError as error:
            drop_output()
            raise click.ClickException(
                f"The answer cannot be written: {reason_of(error)} Nothing was changed."
            ) from error
        told.append(True)

    session = db.session
    sa.event.listen(session, "before_commit", deliver)
    try:
        yield
    except BaseException:
        session.rollback()
        raise
    finally:
        sa.event.remove(session, "before_commit", deliver)
