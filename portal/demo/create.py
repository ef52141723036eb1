"""Accounts and files to try the portal with: something for each thing that it can do."""

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
from portal.activity.record import record
from portal.core.datafolder import write_private
from portal.core.models import Account, Entry, FileRequest, Folder, Role, Share, now
from portal.core.settings import data_folder
from portal.files import entries, trash
from portal.files.uploads import add_file
from portal.identity import passwords
from portal.sharing import limits, links
from portal.storage.content import current_storage

from .samples import pdf, png, wav

NAMES = ("alice", "bob", "admin")
"""The first two are members, bob with a small quota; the last one manages the accounts."""

_BOBS_QUOTA = 20 * 1024**2
_INVITED_QUOTA = 1024**3
_TRASHED = ("Drafts", "Old notes.txt")


def ensure_account(name: str) -> str:
    """Make a demo account with its files, if it is not there yet, and give its password.

    :raises AccountError: if there is such an account and the demo did not make it, or somebody
        changed its password since.
    """
    remembered = _read_passwords()
    account = accounts.find(name)
    if account is None:
        password = remembered.get(name) or secrets.token_urlsafe(12)
        # Remembered first: an account whose password is lost would be of no use.
        _write_passwords({**remembered, name: password})
        _fill(_make(name, password))
        return password
    if name not in remembered:
        raise AccountError(f"There is an account {name!r} that demo did not make; left alone.")
    if not passwords.verify(account.password_hash, remembered[name]):
        raise AccountError(f"The demo account {name!r} has another password now; left alone.")
    return remembered[name]


def sample_files(name: str) -> Mapping[str, bytes]:
    """Make the sample files of an account, by their paths."""
    text = f"Hello, {name}!\n\nOnly you can read this file.\n"
    rows = ["month,visits"] + [f"2026-{month:02},{month * 137 % 400}" for month in range(1, 13)]
    minutes = "# Meeting\n\n- The new portal is ready.\n- Who brings the cake?\n"
    return {
        "Welcome.txt": text.encode(),
        "Sunrise.png": png(320, 200),
        "Visits.csv": ("\r\n".join(rows) + "\r\n").encode(),
        "Letter.pdf": pdf(f"A private letter to {name}"),
        "Übersicht größer 日本.txt": "Names may have any letters: äöü, ñ, 日本語.\n".encode(),
        "Projects/Plan.pdf": pdf("The plan"),
        "Projects/Meetings/Minutes.md": minutes.encode(),
        "Projects/Meetings/2026/Agenda.txt": b"1. Coffee\n2. Cake\n",
        "Pictures/Night.png": png(160, 240),
        "Music/Chime.wav": wav(523, 659, 784, 1047),
        "Drafts/Letter, first attempt.txt": b"Dear all,\n",
        "Old notes.txt": b"Nobody needs this any more.\n",
    }


def _make(name: str, password: str) -> Account:
    if name == "admin":
        account = accounts.create(name, password, Role.ADMINISTRATOR)
        invitations.create_invitation(Role.MEMBER, _INVITED_QUOTA, "Carol, the new colleague")
        return account
    return accounts.create(name, password, quota=_BOBS_QUOTA if name == "bob" else None)


def _fill(account: Account) -> None:
    root = entries.root_folder(account.id)
    made: dict[str, Entry] = {}
    for path, content in sample_files(account.name).items():
        folder, (*parts, name) = root, path.split("/")
        for part in parts:
            known = made.get(f"{folder.id}/{part}")
            if not isinstance(known, Folder):
                known = entries.place(Folder(name=part), folder)
                made[f"{folder.id}/{part}"] = known
            folder = known
        incoming = current_storage().receive()
        try:
            incoming.write(content)
            made[f"{folder.id}/{name}"] = add_file(folder, incoming, name)
        finally:
            incoming.discard()
        record("upload", made[f"{folder.id}/{name}"], actor=account.name)
    trash.put([made[f"{root.id}/{name}"] for name in _TRASHED])
    _share(made[f"{root.id}/Letter.pdf"], made[f"{root.id}/Pictures"])


def _share(letter: Entry, pictures: Entry) -> None:
    """Create links, and record a completed download."""
    soon = now() + timedelta(days=14)
    share, _ = links.create(
        Share, letter, note="For the printers", expires_at=soon, download_limit=3
    )
    limits.count_download(share)
    handoff = secrets.token_urlsafe(12)
    record("download", letter, actor="", detail=links.via(share), handoff=handoff)
    receipts.store([LogLine(handoff, now(), "GET", 200, letter.size, None, "completed")])
    links.create(FileRequest, pictures, note="Your photos, please", expires_at=soon)


def _file() -> Path:
    return data_folder(current_app) / "demo_accounts.json"


def _read_passwords() -> dict[str, str]:
    try:
        return dict(json.loads(_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _write_passwords(remembered: Mapping[str, str]) -> None:
    draft = _file().with_suffix(f".{secrets.token_hex(8)}")
    write_private(draft, (json.dumps(remembered, indent=2) + "\n").encode())
    draft.replace(_file())
