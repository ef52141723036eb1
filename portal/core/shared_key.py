"""Hosts that share a database have one secret key, and one bucket if they keep files in one.

Else each would refuse the others' sessions, and lack their files. Of the key, the database has a
hash that only who has it can compute, and that does not tell it.
"""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from flask import Flask

from flask_delegate.stores.store import Store

from .database import AWAY, db, is_sqlite, upsert
from .models.fact import BUCKET, SECRET_KEY, Fact
from .setting_checks import SettingError

_SAID = b"the secret key of a portal"


def check(app: Flask, store: Store | None) -> None:
    """Check that this host has the key and the bucket of the others, and note the first one's.

    :raises SettingError: if it has another one.
    """
    with app.app_context():
        if is_sqlite():
            return  # there is one host
        try:
            if sa.inspect(db.engine).has_table(Fact.__tablename__):
                _check(app, store)
        finally:
            db.session.close()
            # This ends the start, and a process that is forked must not share a connection.
            db.engine.dispose()


def _check(app: Flask, store: Store | None) -> None:
    mine = _mark(app.secret_key or b"")
    earlier = [_mark(key) for key in app.config["SECRET_KEY_FALLBACKS"] or ()]
    try:
        noted = _note(SECRET_KEY, mine, earlier)
        bucket = store and _note(BUCKET, store.path, [])
    except AWAY:  # such as a standby: whoever can write checks it
        app.logger.exception("it is not known whether the secret key is that of other hosts")
        return
    if noted != mine:
        raise SettingError(_REFUSAL)
    if store and bucket != store.path:
        raise SettingError(
            f"PORTAL_STORE is {store.path} here, and {bucket} on the other hosts with the same"
            " PORTAL_DATABASE, whose files would be missing. Name one bucket and prefix on each."
            " After you have moved the files, delete the row 'bucket' from the table fact."
        )


_REFUSAL = (
    "This host's secret key is not that of the other hosts with the same PORTAL_DATABASE, so"
    " people would be signed out with each other request. Let PORTAL_SECRET_KEY_FILE name the same"
    " key on each. To replace it everywhere, name the earlier one in PORTAL_SECRET_KEY_FALLBACKS."
)


def _note(name: str, mine: str, earlier: list[str]) -> str:
    """Return what is noted by now: the first that was, or what replaces one of the earlier."""
    row = upsert(Fact).values(name=name, value=mine)
    replaced = row.on_conflict_do_update(
        index_elements=["name"], set_={"value": mine}, where=Fact.value.in_(earlier)
    )
    db.session.execute(replaced)
    noted = db.session.scalars(sa.select(Fact.value).where(Fact.name == name)).one()
    db.session.commit()
    return noted


def _mark(key: str | bytes) -> str:
    key = key.encode() if isinstance(key, str) else key
    return hmac.new(key, _SAID, hashlib.sha256).hexdigest()
