"""Uploads: from the request to the storage and the database, in flat memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, cast

from flask import Request, current_app, request
from werkzeug.exceptions import BadRequest

from portal.core.database import db
from portal.core.models import Account, Folder, StoredFile
from portal.files import names
from portal.storage.content import current_storage
from portal.storage.disk import Allowance, IncomingFile, Storage

from . import entries, quota

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
        self._storage: Storage | None = None
        self._allowance: Allowance | None = None
        self._incoming: list[IncomingFile] = []
        self._reads_to_the_end = False

    def accept_files(self, storage: Storage, free: int) -> None:
        """Have the form's files written to the storage, up to ``MAX_CONTENT_LENGTH``.

        :param free: bytes that their owner may have more.
        """
        self.max_content_length = current_app.config["MAX_CONTENT_LENGTH"] + LONGEST_FORM
        self._storage, self._allowance = storage, Allowance(free)

    @property
    def takes_files(self) -> bool:
        """Return whether the view asked for files."""
        return self._storage is not None

    def _get_file_stream(self, *_args: Any, **_kwargs: Any) -> IO[bytes]:
        if self._storage is None:
            raise BadRequest("This form takes no files.")
        self._incoming.append(self._storage.receive(self._allowance))
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
    """Have this request's files written to the storage when its form is read.

    :param account: whose files they will be.
    :raises QuotaExceededError: if it may not have as many bytes more as the request announces.
    """
    if not accept_up_to(quota.free_space(account)):
        raise quota.QuotaExceededError(account)


def accept_up_to(free: int) -> bool:
    """Have this request's files written to the storage when its form is read.

    :param free: how many bytes they may have.
    :returns: false, and nothing is accepted, if the request announces more.
    """
    cast("UploadRequest", request).read_to_the_end()
    # Some of a request is the form around its files.
    if (request.content_length or 0) - LONGEST_FORM > free:
        return False
    cast("UploadRequest", request).accept_files(current_storage(), free)
    # Nothing was written yet. While the body comes, which may take hours, no transaction holds one
    # of few connections and keeps the journal from being cleared.
    db.session.rollback()
    return True


def takes_files() -> bool:
    """Return whether this request's view asked for files."""
    return cast("UploadRequest", request).takes_files


def received_files(field: str) -> Iterator[tuple[str, IncomingFile]]:
    """Yield the names and files of a form's field. A file input left empty has no name."""
    for part in request.files.getlist(field):
        if part.filename:
            yield part.filename, cast("IncomingFile", part.stream)


def add_file(folder: Folder, incoming: IncomingFile, client_name: str) -> StoredFile:
    """Keep an incoming file: on disk and in the database, or not at all.

    :param client_name: the name that the client gave it.
    :raises GoneError: if the folder is not there any more.
    :raises QuotaExceededError: if the folder's owner may not have that many bytes more.
    :raises StorageFullError: if the disk is full.
    :raises sqlalchemy.exc.OperationalError: if the database cannot be written.
    """
    storage = current_storage()
    name = names.clean(client_name)
    stored = StoredFile(
        name=name,
        size=incoming.size,
        mimetype=names.guess_mimetype(name),
        sha256=incoming.sha256,
        storage_key=storage.keep(incoming),
    )
    key = stored.storage_key
    try:
        return entries.place(stored, folder)
    except BaseException:
        db.session.rollback()
        remove_content(key)
        raise


def remove_content(*keys: str) -> None:
    """Delete files that are not in the database: what cannot be deleted is out of reach, too."""
    for key in keys:
        try:
            current_storage().delete(key)
        except OSError:
            logger.exception("no longer needed, but left on disk: %s", key)
