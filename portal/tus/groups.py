"""Small files that a page sends in one request: kept in one transaction, or none of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from portal.activity.record import Action, commit_all_recorded
from portal.core.database import db
from portal.core.models import Account, Folder, now
from portal.files import entries, quota, replacing, tree
from portal.files.replacing import Placed
from portal.files.uploads import file_of, remove_content, unless_kept
from portal.storage.content import current_storage
from portal.storage.incoming import IncomingFile

from . import uploads
from .announced import Announced, begun, check_not_cancelled
from .headers import folders_of, replaces


class Sent(NamedTuple):
    """A whole file, and what its client said of it."""

    announced: Announced
    content: IncomingFile


class _Kept(NamedTuple):
    """The name that a file got, and where it is; nowhere, if it was kept before."""

    name: str
    placed: Placed | None


class UnfinishedError(Exception):
    """An upload of one of the files has begun by itself, and is to be finished so."""


def keep(account: Account, folder: Folder, sent: Sequence[Sent]) -> Sequence[str]:
    """Keep files in a folder of an account, or in the one below it where their paths lie.

    Return the names that they got.

    What was kept before, as an answer was lost, is not kept again.

    :raises CancelledError: if somebody has cancelled the upload of one.
    :raises GoneError: if the folder is not there any more.
    :raises HeaderError: if metadata cannot be read.
    :raises QuotaExceededError: if the account may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    :raises TooDeepError: if folders would lie too deep.
    :raises UnfinishedError: if an upload of one has begun, and is not finished.
    """
    keys = current_storage().keep_all([one.content for one in sent])
    with unless_kept(*keys), entries.changing(account.id):
        kept = _add_all(account, entries.current(folder), sent, keys)
        if new := [one.placed for one in kept if one.placed]:
            actions: Sequence[Action] = ("upload", "replace")
            commit_all_recorded(
                (action, [one.file for one in new if one.action == action]) for action in actions
            )
    remove_content(*(key for key, one in zip(keys, kept, strict=True) if one.placed is None))
    return [one.name for one in kept]


def _add_all(
    account: Account, folder: Folder, sent: Sequence[Sent], keys: Sequence[str]
) -> Sequence[_Kept]:
    before = _kept_before(account, [one.announced for one in sent])
    new = [one for one in sent if one.announced not in before]
    check_not_cancelled(account.id, [one.announced for one in new])
    quota.charge(account.id, sum(one.content.size for one in new))
    path = folders_of(sent[0].announced.metadata)
    tree.check_depth(tree.depth(folder.id) + len(path))
    place = entries.subfolder_at(folder, path) if new else folder
    return [
        _Kept(before[one.announced], None)
        if one.announced in before
        else _add(one, key, folder, place)
        for one, key in zip(sent, keys, strict=True)
    ]


def _kept_before(account: Account, announced: Sequence[Announced]) -> Mapping[Announced, str]:
    """Return the names of those that an earlier request has brought."""
    before = begun(account.id, announced)
    if any(upload.finished_at is None for upload in before.values()):
        raise UnfinishedError
    return {one: upload.name for one, upload in before.items()}


def _add(sent: Sent, key: str, target: Folder, folder: Folder) -> _Kept:
    file = file_of(sent.content, sent.announced.name, key)
    placed = replacing.add(file, folder, replaces=replaces(sent.announced.metadata))
    upload = uploads.new(target, sent.announced, None, secrets.token_hex(16))
    upload.name, upload.arrived = placed.file.name, sent.content.size
    upload.finished_at = now()
    db.session.add(upload)
    db.session.flush()
    return _Kept(placed.file.name, placed)
