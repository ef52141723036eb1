"""Accounts and files to try the portal with."""

from __future__ import annotations

import json
import secrets
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from flask import current_app

from . import accounts, passwords
from .accounts import AccountError
from .datafolder import write_private
from .entries import root_folder
from .settings import data_folder
from .uploads import add_file, current_storage

NAMES = ("alice", "bob")


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
        folder = root_folder(accounts.create(name, password).id)
        for file_name, content in sample_files(name).items():
            incoming = current_storage().receive()
            try:
                incoming.write(content)
                add_file(folder, incoming, file_name)
            finally:
                incoming.discard()
        return password
    if name not in remembered:
        raise AccountError(f"There is an account {name!r} that demo did not make; left alone.")
    if not passwords.verify(account.password_hash, remembered[name]):
        raise AccountError(f"The demo account {name!r} has another password now; left alone.")
    return remembered[name]


def sample_files(name: str) -> Mapping[str, bytes]:
    """Make the sample files of an account."""
    text = f"Hello, {name}!\n\nOnly you can read this file.\n"
    rows = ["month,visits"] + [f"2026-{month:02},{month * 137 % 400}" for month in range(1, 13)]
    return {
        "Welcome.txt": text.encode(),
        "Sunrise.png": png(320, 200),
        "Visits.csv": ("\r\n".join(rows) + "\r\n").encode(),
        "Letter.pdf": pdf(f"A private letter to {name}"),
        "Übersicht größer 日本.txt": "Names may have any letters: äöü, ñ, 日本語.\n".encode(),
    }


def png(width: int, height: int) -> bytes:
    """Make a picture: a gradient from blue to orange."""
    rows = bytearray()
    for y in range(height):
        part = 255 * y // height
        rows += b"\0" + bytes((40 + part * 200 // 255, 60 + part // 2, 160 - part // 2)) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def pdf(line: str) -> bytes:
    """Make a document of one page with one line of ASCII."""
    safe = line.encode("ascii", "replace").translate(None, b"()\\")
    stream = b"BT /F1 24 Tf 72 720 Td (" + safe + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    document = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(document + trailer % (len(objects) + 1, start))


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
