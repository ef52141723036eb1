"""What people download, each found by one statement: most requests to a portal ask for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import aliased

from portal.activity.record import Thing
from portal.core.models import Account, Entry, Share, ShareDownload, SignIn, StoredFile, now
from portal.core.prepared import Prepared
from portal.identity import sessions
from portal.sharing import limits, status
from portal.sharing.visitor import Visited

from . import tree
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


# Of the table: for those of StoredFile, each statement would be written anew with each request.
_FILE = StoredFile.__table__.c
_COLUMNS = [_FILE[name] for name in ("owner_id", "public_id", "name", "size")]
_COLUMNS += [_FILE["mimetype"], _FILE["storage_key"]]
_WANTED = (_FILE.public_id == bindparam("public_id")) & _FILE.is_file
_OWN = Prepared(
    sessions.valid(*_COLUMNS, Account.name)
    .join(StoredFile.__table__, may_read())
    .where(_WANTED, SignIn.used_at >= bindparam("noted"))
)


def find_own(key: str, public_id: str) -> Found | None:
    """Find a file of whoever has a session that was used within the last few minutes.

    None says only that it takes more to know: who is signed in, and why they may not have it.

    :param key: the session's, from the cookie.
    """
    wanted = {"public_id": public_id, "noted": now() - sessions.NOTED_EVERY}
    row = _OWN.one_or_none(sessions.of_key(key) | wanted)
    return _found(row) if row else None


def _granted() -> Select[*tuple[Any, ...]]:
    """Return the query for a file that a visitor has begun to download, and for the share."""
    around = tree.around(_WANTED)
    shared = aliased(Entry)
    return (
        select(Share.public_id, Share.token_hash, Share.password_hash)
        .add_columns(Share.name, Share.note, shared.public_id, *_COLUMNS)
        .join_from(Share, ShareDownload)
        .join(Account, Account.id == Share.owner_id)
        .join(shared, shared.id == Share.entry_id)
        .join(StoredFile.__table__, _FILE.id == ShareDownload.entry_id)
        .where(Share.public_id == bindparam("share"), status.may_look(shared), _WANTED)
        .where(_FILE.trash_id.is_(None), _FILE.owner_id == Share.owner_id)
        .where(Share.entry_id.in_(select(around.c.id)), limits.is_granted())
    )


_GRANTED = Prepared(_granted())


def find_granted(share: str, public_id: str, visitor: str) -> tuple[Visited, str, Found] | None:
    """Find a file whose download a visitor has begun by a share; also the share, and its entry.

    The caller checks that the visitor has entered and unlocked the share. None says only that it
    takes more to know why.

    :param share: its public id, as the file's is, and that of the share's entry.
    """
    wanted = {"share": share, "public_id": public_id, "now": now()}
    row = _GRANTED.one_or_none(wanted | limits.to(visitor))
    return (Visited(*row[:5]), row[5], _found(row[6:])) if row else None


def _found(row: Sequence[Any]) -> Found:
    return Found(Thing(*row[:4]), *row[4:])
