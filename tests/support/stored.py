"""Files put into a portal without a browser, and taken out again without a web server."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Folder, StoredFile
from portal.files import entries
from portal.files.uploads import add_file
from portal.storage.content import current_storage


def store(owner: str, name: str, content: bytes = b"content\n") -> StoredFile:
    """Keep a file as an upload would."""
    incoming = current_storage().receive()
    try:
        incoming.write(content)
        return add_file(root(owner), incoming, name)
    finally:
        incoming.discard()


def root(owner: str) -> Folder:
    account = accounts.find(owner)
    assert account
    return entries.root_folder(account.id)


def path_of(data: Path, stored: StoredFile) -> Path:
    return data / "files" / stored.storage_key[:2] / stored.storage_key


def contents() -> dict[str, bytes]:
    """Read all files that the database names."""
    found = {}
    for stored in db.session.scalars(select(StoredFile)):
        with current_storage().open(stored.storage_key) as file:
            found[stored.name] = file.read(-1)
    return found
