"""What a person downloads, found by one statement: most requests to a portal ask for a file."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam

from portal.activity.record import Thing
from portal.core.database import db
from portal.core.models import Account, SignIn, StoredFile, now
from portal.identity import sessions

from .policy import may_read


@dataclass(frozen=True, slots=True)
class Found:
    """A file that somebody may have, with what its hand-off needs.

    :param actor: who asks for it; None: whoever is signed in, if anybody is.
    """

    thing: Thing
    mimetype: str
    storage_key: str
    actor: str | None = None

    @classmethod
    def of(cls, file: StoredFile) -> Found:
        """Return the same of a file that was found already."""
        return cls(Thing.of(file), file.mimetype, file.storage_key)


_OWN = (
    sessions.valid(
        *(StoredFile.owner_id, StoredFile.public_id, StoredFile.name, StoredFile.size),
        *(StoredFile.mimetype, StoredFile.storage_key, Account.name),
    )
    .join(StoredFile, may_read())
    .where(StoredFile.public_id == bindparam("public_id"), StoredFile.is_file)
    .where(SignIn.used_at >= bindparam("noted"))
)


def find_own(key: str, public_id: str) -> Found | None:
    """Find a file of whoever has a session that was used within the last few minutes.

    None says only that it takes more to know: who is signed in, and why they may not have it.

    :param key: the session's, from the cookie.
    """
    wanted = {"public_id": public_id, "noted": now() - sessions.NOTED_EVERY}
    # No object is made, nor a session of the ORM: that would take four times as long.
    with db.engine.connect() as connection:
        row = connection.execute(_OWN, sessions.of_key(key) | wanted).one_or_none()
    return Found(Thing(*row[:4]), *row[4:]) if row else None
