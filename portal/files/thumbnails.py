"""Thumbnails that were made: found with their files, and forgotten with them.

What one is of is content, which never changes. A file that is renamed, moved or restored keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
from sqlalchemy import bindparam, delete, select

from portal.core.database import commit_change, db
from portal.core.models import SignIn, StoredFile, Thumbnail, now
from portal.core.prepared import Prepared
from portal.identity import sessions
from portal.thumbnails.process import MOST_BYTES

from .policy import may_read

TYPES = frozenset(f"image/{name}" for name in ("jpeg", "png", "gif", "webp", "avif", "bmp"))
"""Media types of pictures that have thumbnails: those that browsers show."""
_AT_ONCE = 500

_FILE, _MADE = StoredFile.__table__.c, Thumbnail.__table__.c
_COLUMNS = [_FILE["owner_id"], _FILE["mimetype"], _FILE["size"], _FILE["storage_key"]]
_COLUMNS += [_MADE["content_key"].label("tried"), _MADE["own_key"], _MADE["size"].label("made")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that somebody may see, and what is known of its thumbnail.

    :param owner_id: whose it is.
    :param tried: nothing, if nobody has tried to make one.
    :param key: where it is; none, if there is none.
    :param made: its bytes.
    """

    owner_id: int
    mimetype: str
    size: int
    content_key: str
    tried: str | None
    key: str | None
    made: int | None

    @property
    def is_possible(self) -> bool:
        """Return whether the file may have one."""
        return is_possible(self.mimetype, self.size) and (self.tried is None or bool(self.key))

    @classmethod
    def of(cls, content_key: str) -> Self | None:
        """Find a file that somebody is known to be allowed to see."""
        row = db.session.execute(_OF_CONTENT, {"content_key": content_key}).one_or_none()
        return cls(*row) if row else None


_WITH_MADE = sa.join(
    StoredFile.__table__, Thumbnail.__table__, _MADE["content_key"] == _FILE["storage_key"], True
)
_OF_CONTENT = (
    select(*_COLUMNS)
    .select_from(_WITH_MADE)
    .where(_FILE["storage_key"] == bindparam("content_key"), _FILE["is_file"])
)
_OWN = Prepared(
    sessions.valid(*_COLUMNS)
    .join(StoredFile.__table__, may_read())
    .outerjoin(Thumbnail.__table__, _MADE["content_key"] == _FILE["storage_key"])
    .where(_FILE["public_id"] == bindparam("public_id"), _FILE["is_file"])
    .where(SignIn.used_at >= bindparam("noted"))
)


def is_possible(mimetype: str | None, size: int) -> bool:
    """Return whether a file of that type and so many bytes may have a thumbnail."""
    return mimetype in TYPES and 0 < size <= MOST_BYTES


def find_own(key: str, public_id: str) -> Wanted | None:
    """Find a file as :func:`.downloads.find_own` does, by one statement."""
    wanted = {"public_id": public_id, "noted": now() - sessions.NOTED_EVERY}
    row = _OWN.one_or_none(sessions.of_key(key) | wanted)
    return Wanted(*row) if row else None


def untried(content_key: str) -> tuple[int, int] | None:
    """Return the owner and the bytes of a picture that nobody has tried yet; none of any other."""
    tried = select(Thumbnail.id).where(Thumbnail.content_key == content_key).exists()
    found = select(StoredFile.owner_id, StoredFile.size).where(
        StoredFile.storage_key == content_key, StoredFile.is_file, ~tried
    )
    row = db.session.execute(found).one_or_none()
    return (row.owner_id, row.size) if row else None


def forget_of(files: sa.ColumnElement[bool]) -> Sequence[str]:
    """Delete the rows of some files' thumbnails, and return where these are.

    Whoever deletes the content of files calls it while nobody else changes what their account has,
    and deletes the thumbnails with the content.

    :param files: the condition on the files.
    """
    contents = select(StoredFile.storage_key).where(files, StoredFile.is_file)
    gone = delete(Thumbnail).where(Thumbnail.content_key.in_(contents)).returning(Thumbnail.own_key)
    options = {"synchronize_session": False}
    return [key for key in db.session.scalars(gone, execution_options=options) if key]


def forget_lost(key: str) -> None:
    """Delete the row of a thumbnail that is not where it should be: another one can be made."""
    commit_change(delete(Thumbnail).where(Thumbnail.own_key == key))


def forget_orphans(most: int = _AT_ONCE) -> Sequence[str]:
    """Delete rows of thumbnails whose content no file has any more; return where these are."""
    contents = select(StoredFile.id).where(StoredFile.storage_key == Thumbnail.content_key)
    return _forget_some(~contents.exists(), most)


def forget_all(most: int = _AT_ONCE) -> Sequence[str]:
    """Delete rows of any thumbnails, so many at most, and return where these are."""
    return _forget_some(Thumbnail.own_key.is_not(None), most)


def _forget_some(which: sa.ColumnElement[bool], most: int) -> Sequence[str]:
    some = db.session.execute(
        select(Thumbnail.id, Thumbnail.own_key).where(which).limit(most)
    ).all()
    commit_change(delete(Thumbnail).where(Thumbnail.id.in_([row.id for row in some])))
    return [row.own_key or "" for row in some]
