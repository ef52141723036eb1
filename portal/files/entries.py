"""What folders hold: put in place, named, moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import ColumnElement, delete, exists, inspect, select, update

from portal.activity.record import NOTHING_MORE, Note, commit_recorded
from portal.core import text
from portal.core.database import change, db
from portal.core.language import gettext
from portal.core.models import Account, Entry, Folder, StoredFile

from . import names, quota, thumbnails, tree, unfinished

E = TypeVar("E", bound=Entry)


class GoneError(Exception):
    """An entry is not there any more, or in the trash.

    :param name: its name, if who asks may know it.
    :param folder: the name in URLs of the folder that it was in, if that is there.
    """

    def __init__(self, name: str = "", folder: str | None = None) -> None:
        super().__init__(name)
        self.name, self.folder = name, folder


def root_folder(owner_id: int) -> Folder:
    """Return the folder that holds all that an account has."""
    root = select(Folder).where(Folder.owner_id == owner_id, Folder.parent_id.is_(None))
    return db.session.scalars(root).one()


@contextmanager
def changing(owner_id: int) -> Iterator[None]:
    """Change what an account has, in one transaction and with nobody else changing it meanwhile.

    What is read inside is what there is: nothing that was read before is trusted. Every change of
    folders goes through here, so that its checks hold until it is committed. What people are to
    read of it in the record is committed with it, by ``commit_recorded`` at the end of the block.
    """
    try:
        # A write that changes nothing takes the lock: SQLite's only one, or the row's elsewhere.
        change(update(Account).where(Account.id == owner_id).values(used=Account.used))
        db.session.expire_all()
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def current(entry: E) -> E:
    """Return an entry as it is now; raise :exc:`GoneError` if it is deleted or in the trash."""
    found = db.session.get(type(entry), id_of(entry), populate_existing=True)
    if found is None or found.trash_id is not None:
        raise GoneError
    return found


def id_of(entry: Entry) -> int:
    """Return an entry's id, which is known even of one that is not there any more."""
    (entry_id,) = inspect(entry).identity or (entry.id,)
    return int(entry_id)


def place(
    entry: E,
    folder: Folder,
    note: Note = NOTHING_MORE,
    also: Callable[[E], None] | None = None,
) -> E:
    """Put a new entry into a folder, under its name or, if that is taken, the next that is free.

    It is recorded as an upload, or as a folder that was created.

    :param also: what else to write in the transaction, of the entry that is in its place.

    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if its owner may not have that many bytes more.
    :raises TooDeepError: for a folder that would lie too deep.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written.
    """
    with changing(folder.owner_id):
        add(entry, current(folder))
        if entry.size:
            quota.charge(entry.owner_id, entry.size)
        if also:
            db.session.flush()
            also(entry)
        commit_recorded("upload" if entry.is_file else "create folder", entry, note=note)
    return entry


def add(entry: Entry, folder: Folder) -> None:
    """Do as :func:`place` does, in :func:`changing`, with a folder that is :func:`current`.

    The caller charges its size.
    """
    entry.owner_id, entry.parent_id = folder.owner_id, folder.id
    if not isinstance(entry, StoredFile):
        tree.check_depth(tree.depth(folder.id) + 1)
    give_name(entry, folder.id, entry.name)
    db.session.add(entry)


def make_path(folder: Folder, path: Sequence[str]) -> Folder:
    """Return the folder at a path below another one, created where it is missing.

    :param path: names as a client gave them, from the outermost on.
    :raises GoneError: if the folder is not there any more.
    :raises TooDeepError: if it would lie too deep.
    """
    if not path:
        return folder
    with changing(folder.owner_id):
        return subfolder_at(current(folder), path)


def subfolder_at(folder: Folder, path: Sequence[str]) -> Folder:
    """Do as :func:`make_path` does with a folder that is :func:`current`, in :func:`changing`."""
    for name in path:
        folder = subfolder(folder, names.clean(name))
    return folder


def subfolder(folder: Folder, name: str) -> Folder:
    """Return the folder of that name in a folder, created if it is missing; in :func:`changing`.

    Where a file has the name, the folder gets it with the first number that no file has.

    :raises TooDeepError: if it would lie too deep.
    """
    free, found = _find_subfolder(folder, name)
    if found:
        return found
    tree.check_depth(tree.depth(folder.id) + 1)
    created = Folder(name=free, owner_id=folder.owner_id, parent_id=folder.id)
    db.session.add(created)
    db.session.flush()
    return created


def names_on(folder: Folder, path: Sequence[str]) -> Sequence[str]:
    """Return the names of the folders that :func:`make_path` returned, as far as they are there."""
    return [inner.name for inner in _folders_on(folder, path)]


def folder_at(folder: Folder, path: Sequence[str]) -> Folder | None:
    """Return the folder that :func:`make_path` would return, if it is there."""
    found = [folder, *_folders_on(folder, path)]
    return found[-1] if len(found) > len(path) else None


def _folders_on(folder: Folder, path: Sequence[str]) -> Iterator[Folder]:
    for name in path:
        _, inner = _find_subfolder(folder, names.clean(name))
        if inner is None:
            break
        yield inner
        folder = inner


def _find_subfolder(folder: Folder, name: str) -> tuple[str, Folder | None]:
    """Return the name that a folder gets beside the files of another, and the one that has it."""
    free = names.first_free(name, lambda tried: _exists(folder.id, tried, Entry.is_file.is_(True)))
    here = Folder.parent_id == folder.id, Folder.trash_id.is_(None)
    return free, db.session.scalar(select(Folder).where(*here, Folder.name_key == text.fold(free)))


def rename(entry: Entry, wanted: str, exactly: bool = False) -> tuple[str, str]:
    """Give an entry another name or, if that is taken, the next that is free.

    Return its names before and after, which are the same if there was nothing to do.

    :param exactly: whether to refuse a name that is taken.
    :raises GoneError: if it is not there any more.
    :raises RefusedError: for a name that is taken.
    """
    with changing(entry.owner_id):
        entry = current(entry)
        if entry.parent_id is None:  # the root folder has no name
            raise GoneError
        before = entry.name
        if exactly and _exists(entry.parent_id, wanted, Entry.id != entry.id):
            raise tree.RefusedError(gettext("This name is taken. Enter another one."))
        give_name(entry, entry.parent_id, wanted)
        if isinstance(entry, StoredFile):
            entry.mimetype = names.guess_mimetype(entry.name)
        if entry.name != before:
            commit_recorded("rename", entry, note=Note(detail=f"before: {before}"))
        return before, entry.name


def move(
    moved: Iterable[Entry], folder: Folder, named: Mapping[str, str] = MappingProxyType({})
) -> Sequence[tuple[str, str]]:
    """Put entries into another folder of their owner, and return their names wanted and after.

    Nothing is done with those that are there already, nor returned of them.

    :param named: the names wanted there, if not the present ones, by the entries' names in URLs.
    :raises GoneError: if one of them is not there any more.
    :raises RefusedError: for a folder that would lie in itself, or too deep with all that is in it.
    """
    with changing(folder.owner_id):
        there, target = [current(entry) for entry in moved], current(folder)
        going = [entry for entry in there if entry.parent_id != target.id]
        placed = [_move(one, target, named.get(one.public_id, one.name)) for one in going]
        if going:
            note = Note(detail=f"to {folder.name or 'My files'}")
            commit_recorded("move", *going, note=note)
    return placed


def _move(entry: Entry, folder: Folder, wanted: str) -> tuple[str, str]:
    before = entry.name
    if not isinstance(entry, StoredFile):
        path = tree.path_to(folder.id)
        if any(step.id == entry.id for step in path):
            raise tree.RefusedError(
                gettext("A folder cannot be moved into itself. Select another folder.")
            )
        tree.check_depth(len(path) - 1 + tree.height(entry.id))
    give_name(entry, folder.id, wanted)
    entry.parent_id = folder.id
    if isinstance(entry, StoredFile) and entry.name != before:
        entry.mimetype = names.guess_mimetype(entry.name)
    db.session.flush()  # so that the next one sees that the name is taken
    return wanted, entry.name


def give_name(entry: Entry, folder_id: int, wanted: str) -> None:
    """Set the name that an entry has in a folder: as wanted, or with the next free number."""
    with db.session.no_autoflush:
        others = [Entry.id != entry.id] if entry.id is not None else []
        entry.name = names.first_free(wanted, lambda name: _exists(folder_id, name, *others))


def _exists(folder_id: int, name: str, *conditions: ColumnElement[bool]) -> bool:
    """Return whether a folder has an entry of that name, or one that differs by case only."""
    same = exists().where(
        Entry.parent_id == folder_id,
        Entry.name_key == text.fold(name),
        Entry.trash_id.is_(None),
        *conditions,
    )
    return bool(db.session.scalar(select(same)))


def forget_all(owner_id: int) -> Sequence[str]:
    """Delete all that an account has from the database, and return the keys of the content.

    Among the keys are those of thumbnails and unfinished uploads. The caller commits, and then
    deletes the content.
    """
    mine = StoredFile.owner_id == owner_id
    keys = db.session.scalars(select(StoredFile.storage_key).where(mine)).all()
    parts = unfinished.part_keys(select(Entry.id).where(Entry.owner_id == owner_id))
    small = thumbnails.forget_of(mine)
    change(delete(Entry).where(Entry.owner_id == owner_id))
    return [*keys, *small, *parts]
