"""What the portal's tests do with a PostgreSQL server: each data folder has a database of its own.

``python -m`` this module creates those that are copied.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from sqlalchemy import event

from portal import create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.models.fact import SECRET_KEY, Fact
from portal.identity import passwords

from . import postgresql
from .portal import PASSWORD, cheap_hasher, see_days

_apps: list[Flask] = []
_WRITES = {"INSERT", "UPDATE", "DELETE"}
"""Words of a statement that writes, or locks rows to do so."""


@contextmanager
def dropped() -> Iterator[None]:
    """Close what is open at the end of the block, and drop databases that were created in it."""
    with postgresql.dropped():
        yield
        while _apps:
            with _apps.pop().app_context():
                database.db.engine.dispose()


class Saved:
    """What the database of a portal holds, if it is on a server; nobody is connected."""

    def __init__(self, app: Flask, data: Path) -> None:
        self._data, self._is_written = data, False
        if postgresql.SERVER:
            postgresql.save(data)
            with app.app_context():
                event.listen(database.db.engine, "before_cursor_execute", self._note)

    def restore(self) -> None:
        """Have it hold that again, if anything was written since."""
        if self._is_written:
            postgresql.restore(self._data)
        self._is_written = False

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        words = set(statement.upper().split())
        reads = statement.startswith(("SELECT", "WITH")) and not words & _WRITES
        self._is_written = self._is_written or not reads


def install() -> None:
    """Have each portal of this process use the server, unless it names a database itself.

    All are noted: an open connection of one that is forgotten fails the test that runs when the
    garbage collector finds it.
    """
    really = database.init_app

    def init_app(app: Flask, path: Path) -> None:
        if app.config["DATABASE"] is None:
            postgresql.ensure(path.parent)
            app.config["DATABASE"] = postgresql.url_for(path.parent)
        really(app, path)
        _apps.append(app)

    if postgresql.SERVER:
        database.init_app = init_app


def _create_templates() -> None:
    passwords.hasher = cheap_hasher()
    for name, template in (
        (postgresql.MIGRATED, "template0"),
        (postgresql.PREPARED, postgresql.MIGRATED),
    ):
        postgresql.execute(postgresql.SERVER, f"CREATE DATABASE {name} TEMPLATE {template}")
        _migrate(name, with_accounts=name == postgresql.PREPARED)


def _migrate(name: str, *, with_accounts: bool) -> None:
    url = postgresql.url(postgresql.SERVER, name)
    with tempfile.TemporaryDirectory() as folder:
        app = create_app({"TESTING": True, "DATA": str(Path(folder).resolve()), "DATABASE": url})
        with app.app_context():
            database.upgrade()
            if with_accounts:
                see_days(1100)
                for account in ("alice", "bob"):
                    accounts.create(account, PASSWORD)
            # Each portal of a test has a key of its own.
            facts = database.db.session.query(Fact)
            facts.filter_by(name=SECRET_KEY).delete()
            database.db.session.commit()
            database.db.session.close()
            database.db.engine.dispose()


if __name__ == "__main__":
    _create_templates()
