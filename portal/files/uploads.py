"""Uploads: from the request to the storage and the database, in flat memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from flask import Request, current_app, request
from werkzeug.exceptions import BadRequest

from portal.activity.record import NOTHING_MORE, Note
from portal.core.database import db, is_in_doubt
from portal.core.models import Account, Folder, StoredFile
from portal.files import names
from portal.storage.base import Storage, StoreAwayError
from portal.storage.content import current_storage
from portal.storage.incoming import Allowance, IncomingFile
from portal.storage.parts import current_parts

from . import quota, replacing
from .replacing import Placed

logger = logging.getLogger(__name__)

_CHUNK = 64 * 1024
LONGEST_FORM = 64 * 1024
"""Bytes in a request that carries no upload, and room for the form around an upload's files."""


class UploadRequest(Request):
    """A request that refuses files, unless its view asked for them.

    Parsing a form would otherwise write the files of anybody to disk, before any view runs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_content_length = LONGEST_FORM
        self.storage: Storage | None = None
        self.allowance: Allowance | None = None
        self._incoming: list[IncomingFile] = []
        self._reads_to_the_end = False

    def _get_file_stream(self, *_args: Any, **_kwargs: Any) -> IO[bytes]:
        if self.storage is None:
            raise BadRequest("This form takes no files.")
        self._incoming.append(self.storage.receive(self.allowance))
        return self._incoming[-1]

    def read_to_the_end(self) -> None:
        """Have what is left of the body read, however the request ends.

        A web server in front, other than mod_wsgi's, sends all of it before it looks for an answer,
        and would answer with an error of its own.
        """
        is_told = self.environ.get("wsgi.input_terminated")  # where the body ends
        self._reads_to_the_end = bool(is_told) and "mod_wsgi.version" not in self.environ

    def close(self) -> None:
        """Delete what was received and not kept, however the request ended."""
        super().close()
        for incoming in self._incoming:
            incoming.discard()
        if self._reads_to_the_end:
            with suppress(OSError):
                while self.environ["wsgi.input"].read(_CHUNK):
                    pass


def accept_files(account: Account) -> None:
    """Accept this request's files, or raise :exc:`QuotaExceededError` by its announced length."""
    if not accept_up_to(quota.usage_of(account).free):
        raise quota.QuotaExceededError(account, announced_size())


def accept_up_to(free: int) -> bool:
    """Write this request's files to the storage when its form is read, up to so many bytes.

    Return false, and accept nothing, if the request announces more.
    """
    sent = cast("UploadRequest", request)
    sent.read_to_the_end()
    if announced_size() > free:
        return False
    # A form of another type is read into memory, all of it.
    if request.mimetype == "multipart/form-data":
        sent.max_content_length = current_app.config["MAX_CONTENT_LENGTH"] + LONGEST_FORM
    sent.storage, sent.allowance = current_storage(), Allowance(free)
    # Nothing was written yet. While the body comes, which may take hours, no transaction holds one
    # of few connections and keeps the journal from being cleared.
    db.session.rollback()
    return True


def announced_size() -> int:
    """Return how many bytes this request's files have at least: some of it is the form around."""
    return max((request.content_length or 0) - LONGEST_FORM, 0)


def takes_files() -> bool:
    """Return whether this request's view asked for files."""
    return cast("UploadRequest", request).storage is not None


def received_files(field: str) -> Iterator[tuple[str, IncomingFile]]:
    """Yield the names and files of a form's field. A file input left empty has no name."""
    for part in request.files.getlist(field):
        if part.filename:
            yield part.filename, cast("IncomingFile", part.stream)


def add_file(
    folder: Folder,
    incoming: IncomingFile,
    client_name: str,
    note: Note = NOTHING_MORE,
    also: Callable[[StoredFile], None] | None = None,
) -> StoredFile:
    """Keep an incoming file: on disk, in the database and in the record, or not at all.

    :param client_name: the name that the client gave it.
    :param also: as for :func:`portal.files.entries.place`.
    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the folder's owner may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written.
    """
    return put_file(folder, incoming, client_name, note, also=also).file


def put_file(
    folder: Folder,
    incoming: IncomingFile,
    client_name: str,
    note: Note = NOTHING_MORE,
    *,
    replaces: bool = False,
    also: Callable[[StoredFile], None] | None = None,
) -> Placed:
    """Do as :func:`add_file` does, and say whether it has replaced another one.

    :param replaces: as for :func:`replacing.place`, like the last one.
    """
    key = current_storage().keep(incoming)
    with unless_kept(key):
        file = file_of(incoming, client_name, key)
        return replacing.place(file, folder, note, replaces=replaces, also=also)


@contextmanager
def unless_kept(*keys: str) -> Iterator[None]:
    """Delete content whose rows the block was to commit, if it failed.

    Where that is in doubt the content stays: a check finds what has no row.
    """
    try:
        yield
    except BaseException as error:
        db.session.rollback()
        if is_in_doubt(error):
            logger.warning("left, as the database did not say whether it is kept: %s", keys)
        else:
            remove_content(*keys)
        raise


def file_of(incoming: IncomingFile, client_name: str, key: str) -> StoredFile:
    """Return what the database is to hold of a file that is kept under a key."""
    name = names.clean(client_name)
    return StoredFile(
        name=name,
        size=incoming.size,
        mimetype=names.guess_mimetype(name),
        sha256=incoming.sha256,
        storage_key=key,
    )


def remove_content(*keys: str) -> None:
    """Delete content, and parts of uploads, of which the database knows no more.

    What cannot be deleted is out of reach, too.
    """
    for number, key in enumerate(keys):
        try:
            current_storage().delete(key)
            current_parts().forget(key)
        except StoreAwayError:
            # The others would wait as long, each of them.
            logger.exception("no longer needed, but left in the store: %s", keys[number:])
            return
        except OSError:
            logger.exception("no longer needed, but left on disk: %s", key)
