"""Quotas: what an account may have, told before, kept while and after an upload."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Account, Folder
from portal.files import entries, quota, uploads
from portal.storage.content import current_storage
from portal.storage.incoming import Allowance, IncomingFile, OverAllowanceError
from tests.support.multipart import Counted, form_body, part, post_stream
from tests.support.portal import (
    REDIRECT,
    arriving,
    choose,
    kept,
    links,
    prepare,
    public_id,
    signed_in,
    token,
    upload,
    upload_url,
)
from tests.support.tus import Tus

KIB = 1024
BEYOND = "This needs more than all the space that your account has:"


@pytest.fixture
def alice(make_app: Callable[..., Flask]) -> FlaskClient:
    app = make_app(QUOTA=200 * KIB)
    prepare(app)
    return signed_in(app, "alice")


def used(app: Flask) -> int:
    with app.app_context():
        return db.session.scalars(select(Account.used).where(Account.name == "alice")).one()


def test_announced_upload_that_does_not_fit_is_not_even_read(
    alice: FlaskClient, data: Path
) -> None:
    stream = Counted(form_body([part("file", "a.bin", bytes(300 * KIB), "any/type")], token(alice)))
    response = post_stream(alice, stream, upload_url(alice))
    assert response.status_code == 413
    assert "<h1>Quota exceeded</h1>" in response.text
    sent = math.ceil(len(stream.getvalue()) * 10 / KIB) / 10
    said = f"You sent {sent} KiB, and there is room for 200 KiB. Nothing was stored."
    assert said in response.text
    assert f"{BEYOND} 200 KiB. Send less, or ask an administrator for more." in response.text
    assert "Delete" not in response.text
    assert stream.given == 0
    assert kept(data) == arriving(data) == []


@pytest.mark.parametrize(
    ("stored", "sent", "is_beyond"),
    [(50, 190, False), (50, 200, False), (50, 300, True), (0, 202, True)],
)
def test_to_delete_files_is_said_where_it_helps(
    stored: int, sent: int, is_beyond: bool, alice: FlaskClient, data: Path
) -> None:
    if stored:
        upload(alice, "stored.bin", bytes(stored * KIB))
    before = len(kept(data))
    by_form = upload(alice, "a.bin", bytes(sent * KIB))
    by_tray = Tus(alice).create(sent * KIB, name="a.bin")
    assert (by_form.status_code, by_tray.status_code) == (413, 413)
    for text in (by_tray.text, by_form.text):
        assert (BEYOND in text) == is_beyond
        assert ("Delete files" in text) != is_beyond
    assert len(kept(data)) == before


def test_upload_is_stopped_once_it_is_over(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The form around the files is allowed for, so this much is not seen beforehand.
    written: list[int] = []
    really = IncomingFile.write

    def noted(self: IncomingFile, content: bytes) -> int:
        count = really(self, content)
        written.append(count)
        return count

    monkeypatch.setattr(IncomingFile, "write", noted)
    parts = [part("file", f"{n}.bin", bytes(115 * KIB), "any/type") for n in range(2)]
    response = post_stream(alice, Counted(form_body(parts, token(alice))), upload_url(alice))
    assert response.status_code == 413
    assert "Quota exceeded" in response.text
    assert sum(written) <= 200 * KIB
    assert kept(data) == arriving(data) == []
    assert links(alice) == {}


def test_allowance_is_for_all_files_together(tmp_path: Path) -> None:
    allowance = Allowance(10)
    with IncomingFile(tmp_path / "a", allowance=allowance) as one:
        one.write(b"123456")
        with IncomingFile(tmp_path / "b", allowance=allowance) as two:
            two.write(b"1234")
            with pytest.raises(OverAllowanceError):
                two.write(b"1")
    assert (tmp_path / "b").stat().st_size == 4


def test_last_byte_fits_and_no_other(alice: FlaskClient) -> None:
    assert upload(alice, "a.bin", bytes(200 * KIB)).status_code == REDIRECT
    assert upload(alice, "b.bin", b"").status_code == REDIRECT
    assert upload(alice, "c.bin", b"1").status_code == 413
    assert set(links(alice)) == {"a.bin", "b.bin"}


def test_trash_counts_until_it_is_gone(alice: FlaskClient, data: Path) -> None:
    app = alice.application
    upload(alice, "a.bin", bytes(200 * KIB))
    link = links(alice)["a.bin"]
    choose(alice, "trash", link)
    assert upload(alice, "b.bin", b"1").status_code == 413
    assert (used(app), [path.stat().st_size for path in kept(data)]) == (200 * KIB, [200 * KIB])
    alice.post(f"/trash/{public_id(link)}/delete", data={"csrf_token": token(alice)})
    assert (used(app), kept(data)) == (0, [])
    assert upload(alice, "b.bin", b"1").status_code == REDIRECT
    assert (used(alice.application), [path.read_bytes() for path in kept(data)]) == (1, [b"1"])


def test_own_quota_of_an_account_wins(app: Flask, data: Path) -> None:
    alice = signed_in(app, "alice")
    with app.app_context():
        account = db.session.scalars(select(Account).where(Account.name == "alice")).one()
        account.quota = 3
        db.session.commit()
    assert "Up to 3 bytes at once" in alice.get("/").text
    assert upload(alice, "a.txt", b"1234").status_code == 413
    assert (used(app), kept(data)) == (0, [])
    assert upload(alice, "a.txt", b"123").status_code == REDIRECT
    assert (used(app), [path.read_bytes() for path in kept(data)]) == (3, [b"123"])


def test_two_uploads_at_once_cannot_both_take_the_last_of_it(app: Flask, data: Path) -> None:
    with app.app_context():
        account = db.session.scalars(select(Account).where(Account.name == "alice")).one()
        account.quota = 1000
        db.session.commit()
        account_id = account.id
        folder_id = entries.root_folder(account_id).id
    barrier = threading.Barrier(8)

    def add(number: int) -> bool:
        with app.app_context():
            # What a request would have looked at before.
            assert quota.usage_of(db.session.get_one(Account, account_id)).free == 1000
            folder = db.session.get_one(Folder, folder_id)
            incoming = current_storage().receive(Allowance(1000))
            incoming.write(bytes(300))
            barrier.wait()
            try:
                uploads.add_file(folder, incoming, f"{number}.bin")
            except quota.QuotaExceededError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(add, range(8)))
    assert sum(done) == 3
    assert len(kept(data)) == 3
    with app.app_context():
        assert db.session.get_one(Account, account_id).used == 900


def test_what_was_kept_before_the_rest_failed_is_told(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    really = uploads.put_file

    def fail(folder: Folder, incoming: IncomingFile, client_name: str, **how: Any) -> object:
        if client_name == "b.txt":
            raise quota.QuotaExceededError(db.session.get_one(Account, folder.owner_id))
        return really(folder, incoming, client_name, **how)

    monkeypatch.setattr("portal.web.files.files.put_file", fail)
    files = [(io.BytesIO(b"1"), "a.txt"), (io.BytesIO(b"2"), "b.txt")]
    form = {"csrf_token": token(alice), "file": files}
    response = alice.post(upload_url(alice), data=form)
    assert response.status_code == 413
    assert "The rest was not stored." in response.text
    assert "Nothing was stored" not in response.text
    assert "Uploaded: a.txt" in alice.get("/").text
    assert list(links(alice)) == ["a.txt"]
    assert (used(alice.application), [path.read_bytes() for path in kept(data)]) == (1, [b"1"])
