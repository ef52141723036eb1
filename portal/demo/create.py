"""Demo accounts with files: something to see for each feature of the portal."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from flask import current_app

from flask_delegate.receipts import Receipt as LogLine
from portal.accounts import accounts, invitations
from portal.accounts.accounts import AccountError
from portal.activity import receipts
from portal.activity.record import Note, record
from portal.core.datafolder import write_private
from portal.core.models import Account, FileRequest, Folder, Role, Share, StoredFile, now
from portal.core.settings import data_folder
from portal.files import entries, trash
from portal.files.uploads import add_file
from portal.identity import passwords
from portal.sharing import limits, links
from portal.storage.content import current_storage

from .samples import pdf, png, wav

NAMES = ("alice", "bob", "admin")
"""Two members, bob with a small quota, and an administrator."""

_BOBS_QUOTA = 20 * 1024**2
_INVITED_QUOTA = 1024**3
_ADDRESS = "192.0.2.17"
"""Of everybody in the history, from the network for examples (RFC 5737)."""


def ensure_account(name: str) -> str:
    """Create a demo account with its files, unless it exists, and return its password.

    :raises AccountError: if the demo did not create the account of that name, or its password was
        changed since.
    """
    remembered = _read_passwords()
    account = accounts.find(name)
    if account is None:
        password = remembered.get(name) or secrets.token_urlsafe(12)
        # First, as nobody could use an account whose password is lost.
        _write_passwords({**remembered, name: password})
        _create(name, password)
        return password
    if name not in remembered:
        raise AccountError(f"The demo did not create the account {name!r}; left unchanged.")
    if not passwords.verify(account.password_hash, remembered[name]):
        raise AccountError(f"The demo account {name!r} has another password now; left unchanged.")
    return remembered[name]


def sample_files(name: str) -> Mapping[str, bytes]:
    """Return the sample files of an account, by their paths."""
    rows = ["month,visits", *(f"2026-{month:02},{month * 137 % 400}" for month in range(1, 13))]
    return {
        "Welcome.txt": f"Hello, {name}!\n\nOnly you can read this file.\n".encode(),
        "Sunrise.png": png(320, 200),
        "Visits.csv": ("\r\n".join(rows) + "\r\n").encode(),
        "Letter.pdf": pdf(f"A private letter to {name}"),
        "Übersicht größer 日本.txt": "Names may have any letters: äöü, ñ, 日本語.\n".encode(),
        "Projects/Plan.pdf": pdf("The plan"),
        "Projects/Meetings/Minutes.md": (
            b"# Meeting\n\n- The new portal is ready.\n- Who brings the cake?\n"
        ),
        "Projects/Meetings/2026/Agenda.txt": b"1. Coffee\n2. Cake\n",
        "Pictures/Night.png": png(160, 240),
        "Music/Chime.wav": wav(523, 659, 784, 1047),
        "Drafts/Letter, first attempt.txt": b"Dear all,\n",
        "Old notes.txt": b"Nobody needs this any more.\n",
    }


def _create(name: str, password: str) -> None:
    role = Role.ADMINISTRATOR if name == "admin" else Role.MEMBER
    quota = _BOBS_QUOTA if name == "bob" else None
    account = accounts.create(name, password, role, quota)
    if role is Role.ADMINISTRATOR:
        invitations.create_invitation(Role.MEMBER, _INVITED_QUOTA, "Carol, the new colleague")
    files = {path: _add(account, path, content) for path, content in sample_files(name).items()}
    trash.put([_folder(account, "Drafts"), files["Old notes.txt"]])
    _share(files["Letter.pdf"], _folder(account, "Pictures"))


def _folder(account: Account, *path: str) -> Folder:
    with entries.changing(account.id):
        folder = entries.root_folder(account.id)
        for name in path:
            folder = entries.subfolder(folder, name)
    return folder


def _add(account: Account, path: str, content: bytes) -> StoredFile:
    """Add a file as an upload does."""
    *above, name = path.split("/")
    incoming = current_storage().receive()
    try:
        incoming.write(content)
        note = Note(actor=account.name, address=_ADDRESS)
        return add_file(_folder(account, *above), incoming, name, note)
    finally:
        incoming.discard()


def _share(letter: StoredFile, pictures: Folder) -> None:
    """Create links, and a download that ended well."""
    soon = now() + timedelta(days=14)
    share, _ = links.create(
        Share, letter, name="For the printers", expires_at=soon, download_limit=3
    )
    limits.count_download(share)
    handoff = secrets.token_urlsafe(12)
    via = links.via(share)
    record("download", letter, actor="", address=_ADDRESS, handoff=handoff, via=via)
    receipts.store([LogLine(handoff, now(), "GET", 200, letter.size, None, "completed")])
    links.create(FileRequest, pictures, name="Family", note="Your photos, please", expires_at=soon)


def _passwords_file() -> Path:
    return data_folder(current_app) / "demo_accounts.json"


def _read_passwords() -> dict[str, str]:
    try:
        return dict(json.loads(_passwords_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _write_passwords(remembered: Mapping[str, str]) -> None:
    write_private(_passwords_file(), (json.dumps(remembered, indent=2) + "\n").encode())
