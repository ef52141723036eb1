"""Moving the content of files into a bucket or back, while people work.

Content never changes, and a key is never used twice, so a copy is as good as what it was made of.
Each file is copied and compared with its hash, and from then on read at its new place. Its old copy
goes some time later: who was told of the old place has begun to read by then.

The command may be killed at any moment. What is copied can be told by where the portal looks for
it: see :mod:`portal.storage.moving`. Of the file that was under way, a note is left.
"""

from __future__ import annotations

import errno
import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Row, select

from flask_delegate.stores.store import Store
from portal.core import content_place
from portal.core.database import db
from portal.core.models import Account, StoredFile
from portal.core.references import name_or_reference
from portal.files import thumbnail_maker
from portal.storage.base import DamagedError
from portal.storage.incoming import check_space, naming_full_disk
from portal.storage.moving import Moving, alone

from .archives import PIECE, Advance
from .check_files import check_unclaimed, hash_of

_NOTE = "moving.key"
"""The file in the data folder that says which file is under way."""
_AT_ONCE = 500
_FOR_ALL = {errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors with one file that all others would have, too."""


class MoveError(click.ClickException):
    """Files cannot be moved now. A command prints the message alone."""


@dataclass
class Report:
    """What was moved, and what was not.

    :param moved: the files whose old copies were deleted.
    :param size: their bytes.
    :param left: how many are left at the old place; none: the move ended before that was known.
    :param problems: a line for each file that is missing or damaged, or may not be moved.
    :param unclaimed: a line for each content at the old place that no file claims.
    """

    moved: int = 0
    size: int = 0
    left: int | None = None
    problems: list[str] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)


def move(
    storage: Moving, store: Store, data: Path, wait: int, advance: Advance, report: Report
) -> None:
    """Move all files to where new ones go.

    :param store: where the bucket is.
    :param wait: seconds for which a file stays at its old place after it is at the new one.
    :param report: takes what was done, and found, also where it ends early.
    :raises MoveError: if a process does not know of it, or somebody else moves files.
    :raises StorageFullError: if the disk is full; what was not moved is where it was.
    :raises StoreAwayError: if the store does not answer, with the same.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(storage))
        except BlockingIOError:
            raise MoveError(_NOT_ALONE) from None
        if storage.to_store:
            content_place.use_bucket(store)
        _Mover(storage, data, wait, advance, report).run()
        if not (storage.to_store or report.left):
            content_place.leave_bucket(store)


_NOT_ALONE = (
    "Another process uses this data folder without PORTAL_STORE_MOVING and would not find what is"
    " moved, or moves files itself. Nothing was changed. Restart the portal and what else runs with"
    " it (such as receipts --follow) with that setting; a backup or another move ends by itself."
)


class _Mover:
    def __init__(
        self, storage: Moving, data: Path, wait: int, advance: Advance, report: Report
    ) -> None:
        self._storage, self._disk, self._bucket = storage, storage.disk, storage.bucket
        self._note, self._wait, self._advance = data / _NOTE, wait, advance
        self._report = report
        self._unmoved = set[str]()
        self._unlisted = set[str]()

    def run(self) -> None:
        """Move all files, and see what is left."""
        self._finish_killed()
        # Those that were made so far; what is made from now on goes to the new place.
        thumbnail_maker.delete_all()
        for row in self._claimed():
            with naming_full_disk():
                self._note.write_text(row.storage_key)
            self._try(row, self._copy, "cannot be moved")
            self._advance(row.size)
        for row in self._claimed():
            if row.storage_key not in self._unmoved:
                self._try(row, self._remove, "is copied, but cannot be deleted at its old place")
        self._note.unlink(missing_ok=True)
        hidden = self._find_missing()
        self._set_aside()
        left = sum(1 for _ in self._storage.old.all_keys(self._unlisted))
        for name in sorted(self._unlisted):
            self._report.problems.append(f"the folder {self._disk.files / name} cannot be listed")
        if self._storage.to_store:
            left += max(hidden, len(self._unlisted))
        self._report.left = left
        if not self._storage.to_store:
            # Unfinished uploads go on with what is on the disk.
            for name in list(self._bucket.names("parts/")):
                self._bucket.delete_name(name)

    def _finish_killed(self) -> None:
        """Leave nothing of a file that was deleted as a killed command copied it."""
        key = self._note.read_text() if self._note.exists() else ""
        if not key:
            return
        self._bucket.forget_parts(key)
        (self._storage.incoming / key).unlink(missing_ok=True)
        self._forget_deleted(key)

    def _claimed(self) -> Iterator[Row[Any]]:
        """Yield the rows of what is at the old place."""
        keys = self._storage.old.all_keys(self._unlisted)
        while batch := list(islice(keys, _AT_ONCE)):
            rows = db.session.execute(_ROWS.where(StoredFile.storage_key.in_(batch))).all()
            db.session.rollback()  # a long transaction would keep the journal from being cleared
            yield from rows

    def _try(self, row: Row[Any], step: Callable[[Row[Any]], None], failed: str) -> None:
        """Do a step for a file. Where that fails for this one alone, say so and go on."""
        try:
            with naming_full_disk():
                step(row)
        except DamagedError:
            problem = "is not what was uploaded"
        except FileNotFoundError:
            problem = "has no content"
        except OSError as error:
            if error.errno in _FOR_ALL:
                raise
            if not self._storage.to_store:
                # Where the disk or the store takes or gives nothing, that ends it.
                # Into the store, the disk may be full, and the store has its own error.
                self._storage.check()
            problem = f"{failed}: {error.strerror}"
        else:
            return
        if not self._forget_deleted(row.storage_key):
            self._tell(row, problem)

    def _copy(self, row: Row[Any]) -> None:
        """Copy a file, and have it read at its new place."""
        key = row.storage_key
        if self._storage.to_store:
            self._copy_to_store(row)
        else:
            self._copy_to_disk(row)
        # Whoever deletes the row from now on deletes the copy, too.
        # What is marked already is not marked anew: it would have to wait again.
        is_there = not self._forget_deleted(key)
        if is_there and self._storage.to_store and self._disk.stays(key):
            self._disk.mark(key, has_left=True)

    def _copy_to_store(self, row: Row[Any]) -> None:
        if self._disk.left_at(row.storage_key) is None:
            with self._disk.open(row.storage_key) as content:
                self._bucket.put(row.storage_key, content, row.size, row.sha256)

    def _copy_to_disk(self, row: Row[Any]) -> None:
        key = row.storage_key
        if self._disk.find(key):
            with self._disk.open(key) as content:
                is_whole = hash_of(content) == row.sha256
            if is_whole:
                if not self._disk.stays(key):  # from a move that was turned round
                    self._disk.mark(key, has_left=False)
                return
        check_space(self._storage.incoming, row.size)
        file = self._storage.arriving.receive(name=key)
        try:
            with self._bucket.open(key) as content:
                while piece := content.read(PIECE):
                    file.write(piece)
            if (file.size, file.sha256) != (row.size, row.sha256):
                raise DamagedError
            self._disk.put(key, file)
        finally:
            file.discard()

    def _remove(self, row: Row[Any]) -> None:
        """Delete the old copy of a file, if that is not told to anybody any more."""
        key = row.storage_key
        copied_at = self._copied_at(key)
        if copied_at is None:
            return
        # Not for longer, whatever the clock does.
        time.sleep(max(0, min(self._wait, copied_at + self._wait - time.time())))
        if self._forget_deleted(key):
            return
        found = self._storage.new.find(key)
        if found is None or found.size != row.size:
            self._tell(row, "has gone from its new place, and was left at the old one")
            if self._storage.to_store:
                self._disk.mark(key, has_left=False)
            return
        self._storage.old.delete(key)
        self._report.moved += 1
        self._report.size += row.size

    def _copied_at(self, key: str) -> float | None:
        """Return since when a file is read at its new place; none if it is not."""
        if self._storage.to_store:
            return self._disk.left_at(key)
        found = self._disk.find(key) if self._disk.stays(key) else None
        return found.changed_at if found else None

    def _forget_deleted(self, key: str) -> bool:
        """Delete content from both places if its file was deleted; return whether it was."""
        is_there = db.session.scalar(
            select(StoredFile.id).where(StoredFile.storage_key == key, StoredFile.is_file)
        )
        db.session.rollback()
        if is_there is None:
            # What may not be deleted stays as content that no file claims.
            with suppress(PermissionError):
                self._storage.delete(key)
        return is_there is None

    def _find_missing(self) -> int:
        """Find files that are at neither place; return how many nobody may look for."""
        on_disk = filter(self._is_regular, self._disk.all_keys(self._unlisted))
        keys, key = heapq.merge(on_disk, self._bucket.all_keys()), ""
        last, hidden = "", 0
        rows = _ROWS.order_by(StoredFile.storage_key).limit(_AT_ONCE)
        while batch := db.session.execute(rows.where(StoredFile.storage_key > last)).all():
            db.session.rollback()
            for row in batch:
                last = row.storage_key
                while key < last:
                    key = next(keys, "~")
                if key == last or last in self._unmoved:
                    continue
                # It may have come, or been moved or deleted, since the list was read.
                self._try(row, self._look_for, "cannot be read")
                hidden += last[:2] in self._unlisted
        return hidden

    def _is_regular(self, key: str) -> bool:
        """Return whether content is on disk, and not a link, a folder or a pipe in its place."""
        try:
            return self._disk.find(key) is not None
        except PermissionError:
            return False  # looking for it again says why

    def _look_for(self, row: Row[Any]) -> None:
        key = row.storage_key
        if self._storage.find(key) is None:
            raise FileNotFoundError
        if self._storage.to_store and key[:2] in self._unlisted and self._disk.stays(key):
            raise PermissionError(errno.EACCES, "its folder cannot be listed")

    def _set_aside(self) -> None:
        """Move aside what no file claims."""
        for unclaimed in check_unclaimed(self._storage.old, self._unlisted):
            try:
                with naming_full_disk():
                    unclaimed.repair()
            except PermissionError as error:
                unclaimed.detail += f"; cannot be moved aside: {error.strerror}"
            self._report.unclaimed.append(str(unclaimed))

    def _tell(self, row: Row[Any], problem: str) -> None:
        named = name_or_reference(row.public_id, row.name)
        self._unmoved.add(row.storage_key)
        self._report.problems.append(f"{named!r} of {row.owner!r} ({row.storage_key}) {problem}")


_ROWS = (
    select(StoredFile.storage_key, StoredFile.size, StoredFile.sha256)
    .add_columns(StoredFile.name, StoredFile.public_id, Account.name.label("owner"))
    .join(Account, Account.id == StoredFile.owner_id)
    .where(StoredFile.is_file)
)
