"""People without an account: what a link shows them, and what it does not."""

from __future__ import annotations

import io
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.activity.record import bring_in
from portal.core.database import db
from portal.core.models import Account, Activity, FileRequest, Folder, Share, StoredFile, now
from portal.files.uploads import accept_up_to, add_file
from portal.identity import second_factor
from portal.sharing import links as link_service
from portal.sharing import status
from portal.storage.incoming import IncomingFile, StorageFullError
from portal.web import places
from portal.web.sharing import upload_page
from tests.support.portal import (
    REDIRECT,
    choose,
    folders,
    kept,
    links,
    make_folder,
    public_id,
    sign_in,
    token,
    upload,
)

Visitor = Callable[[str], FlaskClient]


@pytest.fixture
def visit(app: Flask) -> Visitor:
    """Open a link as somebody new would."""

    def open_link(link: str) -> FlaskClient:
        client = app.test_client()
        client.get(link, follow_redirects=True).close()
        return client

    return open_link


def share(owner: FlaskClient, link: str, **terms: str) -> str:
    """Share what a link of the list leads to, and return the share's link."""
    form = {"csrf_token": token(owner), **terms}
    page = owner.post(f"/entries/{public_id(link)}/share", data=form, follow_redirects=True)
    assert page.status_code == 200, page.text
    return _link_on(page)


def ask(owner: FlaskClient, folder: str, **terms: str) -> str:
    """Ask others for files in a folder, and return the request's link."""
    form = {"csrf_token": token(owner), **terms}
    page = owner.post(f"{folder}/request", data=form, follow_redirects=True)
    return _link_on(page)


def _link_on(page: TestResponse) -> str:
    found = re.search(r"<textarea[^>]*>http://localhost(/[sr]/[^<]+)</textarea>", page.text)
    assert found
    return found[1]


def home_of(client: FlaskClient, link: str) -> str:
    return client.get(link).location


def begin(client: FlaskClient, link: str) -> TestResponse:
    """Press the download button, as the landing page of a shared file has it."""
    page = client.get(home_of(client, link)).text
    found = re.search(r'action="(/shared/[^"]+/files/[^"]+)"', page)
    assert found, page
    return _post(client, found[1], page)


def _post(client: FlaskClient, url: str, page: str, **form: str) -> TestResponse:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return client.post(url, data={"csrf_token": found[1], **form})


def downloads(app: Flask) -> int:
    with app.app_context():
        return db.session.scalars(select(Share.downloads)).one()


def set_share(app: Flask, **values: object) -> None:
    with app.app_context():
        db.session.execute(update(Share).values(**values))
        db.session.commit()


def test_visitor_downloads_a_shared_file(app: Flask, alice: FlaskClient, visit: Visitor) -> None:
    upload(alice, "Größe.pdf", b"shared content")
    link = share(alice, links(alice)["Größe.pdf"], note="As promised")
    visitor = visit(link)
    page = visitor.get(home_of(visitor, link)).text
    assert "<bdi>alice</bdi></strong> shares a file with you" in page
    assert "Größe.pdf" in page
    assert "14 bytes" in page
    assert "As promised" in page

    answer = begin(visitor, link)
    assert answer.status_code == 303
    with visitor.get(answer.location) as file:
        assert file.data == b"shared content"
        assert file.headers["Content-Disposition"].startswith("attachment; ")
        assert file.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert downloads(app) == 1
    with app.app_context():
        bring_in(wait=True)
        row = db.session.scalars(select(Activity).where(Activity.action == "download")).one()
        assert (row.actor, row.name, row.detail) == ("", "Größe.pdf", "via 'As promised'")


def test_looking_and_resuming_count_nothing(app: Flask, alice: FlaskClient, visit: Visitor) -> None:
    upload(alice, "a.txt", b"0123456789")
    link = share(alice, links(alice)["a.txt"], download_limit="1")
    visitor = visit(link)
    home = home_of(visitor, link)
    url = f"{home}/files/{public_id(links(alice)['a.txt'])}"
    for method in ("HEAD", "GET"):
        answer = visitor.open(url, method=method, headers={"Range": "bytes=0-1"})
        assert (answer.status_code, answer.location) == (REDIRECT, home)
    assert downloads(app) == 0

    assert begin(visitor, link).location == url
    for _ in range(3):
        with visitor.get(url, headers={"Range": "bytes=5-"}) as part:
            assert (part.status_code, part.data) == (206, b"56789")
    with visitor.head(url) as head:
        assert head.status_code == 200
    assert begin(visitor, link).location == url  # pressed again
    assert downloads(app) == 1

    late = visit(link)
    closed = late.get(home_of(late, link))
    assert closed.status_code == 410
    assert "This link is used up" in closed.text


def test_head_of_a_link_enters_nobody(app: Flask, alice: FlaskClient) -> None:
    """Programs that preview links send it."""
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"])
    visitor = app.test_client()
    first = visitor.head(link)
    assert (first.status_code, visitor.get_cookie("session")) == (REDIRECT, None)
    page = first.location.partition("?")[0]
    assert visitor.get(page).status_code == visitor.get(first.location).status_code == 404
    assert visitor.get(link).location == page
    assert visitor.head(page).status_code == visitor.get(page).status_code == 200


def test_link_says_kindly_why_it_does_not_work(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "secret plan.txt")
    link = share(alice, links(alice)["secret plan.txt"])
    visitor = visit(link)
    home = home_of(visitor, link)
    for values, words in (
        ({"expires_at": now() - timedelta(seconds=1)}, "This link has expired"),
        ({"expires_at": None, "revoked_at": now()}, "This link was revoked"),
    ):
        set_share(app, **values)
        page = visitor.get(home)
        assert page.status_code == 410
        assert words in page.text
        assert "secret plan" not in page.text
    unknown = visitor.get(f"{link}x")
    assert unknown.status_code == 404
    assert "This link does not work" in unknown.text
    assert downloads(app) == 0


def test_link_dies_with_its_file_and_its_owners_account(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "a.txt")
    file = links(alice)["a.txt"]
    link = share(alice, file)
    visitor = visit(link)
    url = begin(visitor, link).location
    visitor.get(url).close()
    choose(alice, "trash", file)
    assert visitor.get(home_of(visitor, link)).status_code == 410
    assert visitor.get(url).status_code == 410

    upload(alice, "b.txt")
    other = share(alice, links(alice)["b.txt"])
    visitor = visit(other)
    url = begin(visitor, other).location
    with app.app_context():
        db.session.execute(update(Account).values(is_active=False))
        db.session.commit()
    assert visitor.get(home_of(visitor, other)).status_code == 410
    assert visitor.get(url).status_code == 410
    with app.app_context():
        assert db.session.scalars(select(Share.downloads)).all() == [1, 1]
        bring_in(wait=True)
        sent = select(Activity.name).where(Activity.action == "download")
        assert db.session.scalars(sent).all() == ["a.txt"]


def test_password_cannot_be_walked_around(app: Flask, alice: FlaskClient, visit: Visitor) -> None:
    folder = make_folder(alice, "Locked plans")
    upload(alice, "a.txt", page=folder)
    file = public_id(links(alice, folder)["a.txt"])
    link = share(alice, folder, password="four words in it")
    visitor = visit(link)
    home = home_of(visitor, link)
    page = visitor.get(home).text
    assert "Password required" in page
    assert "Locked plans" not in page
    assert "argon2" not in page
    inner = f"{home}/folders/{public_id(folder)}"
    assert visitor.get(inner).location == home
    assert visitor.get(f"{home}/files/{file}").location == home
    assert visitor.get(f"{home}/files/unknown").location == home
    assert _post(visitor, f"{home}/files/{file}", page).location == home
    assert _post(visitor, f"{inner}/zip", page).location == home
    assert downloads(app) == 0

    wrong = _post(visitor, f"{home}/unlock", page, password="other words in it")
    assert wrong.status_code == 422
    assert "Wrong password." in wrong.text
    # As it was copied from a message.
    copied = " \tfour words in it\u00a0"
    assert _post(visitor, f"{home}/unlock", page, password=copied).location == home
    assert "Locked plans" in visitor.get(home).text
    assert _post(visitor, f"{home}/files/{file}", page).status_code == 303


def test_unlocking_one_share_opens_no_other(alice: FlaskClient, visit: Visitor) -> None:
    upload(alice, "a.txt")
    upload(alice, "b.txt")
    first = share(alice, links(alice)["a.txt"], password="four words in it")
    second = share(alice, links(alice)["b.txt"], password="four words in it")
    visitor = visit(first)
    home = home_of(visitor, first)
    _post(visitor, f"{home}/unlock", visitor.get(home).text, password="four words in it")
    assert "a.txt" in visitor.get(home).text
    other = visitor.get(home_of(visitor, second)).text
    assert "Password required" in other
    assert "b.txt" not in other


def test_password_cannot_be_guessed_at_length(alice: FlaskClient, visit: Visitor) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"], password="four words in it")
    visitor = visit(link)
    home = home_of(visitor, link)
    page = visitor.get(home).text
    answers = [
        _post(visitor, f"{home}/unlock", page, password=f"guess {n}").status_code for n in range(12)
    ]
    assert answers == [422] * 10 + [429] * 2
    said = _post(visitor, f"{home}/unlock", page, password="guess 12").text
    assert "for this link or from your network" in said


def test_password_with_blanks_of_its_own_is_taken_as_it_is(
    alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"], password=" four words in it ")
    visitor = visit(link)
    home = home_of(visitor, link)
    page = visitor.get(home).text
    address = f"{home}/unlock"
    assert _post(visitor, address, page, password="four words in it").status_code == 422
    assert _post(visitor, address, page, password=" four words in it ").location == home


def test_shared_folder_shows_what_is_in_it_and_nothing_above(
    alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "beside.txt")
    outer = make_folder(alice, "Outer")
    shared = make_folder(alice, "Shared", page=outer)
    inner = make_folder(alice, "Inner", page=shared)
    upload(alice, "a.txt", page=inner)
    link = share(alice, shared)
    visitor = visit(link)
    home = home_of(visitor, link)
    assert "Inner" in visitor.get(home).text
    below = visitor.get(f"{home}/folders/{public_id(inner)}").text
    assert "a.txt" in below
    assert "Outer" not in below
    assert visitor.get(f"{home}/folders/{public_id(outer)}").status_code == 404
    beside = public_id(links(alice)["beside.txt"])
    page = visitor.get(home).text
    assert _post(visitor, f"{home}/files/{beside}", page).status_code == 404
    assert visitor.get(f"{home}/files/{beside}").status_code == 404
    archive = _post(visitor, f"{home}/folders/{public_id(shared)}/zip", page)
    assert archive.status_code == 200
    assert b"Shared/Inner/a.txt" in archive.data
    assert b"beside" not in archive.data


def test_terms_are_changed_without_another_link(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"], until="")
    change = re.search(r'href="(/links/shares/[^"]+)"', alice.get("/links").text)
    assert change
    form = {"csrf_token": token(alice), "download_limit": "3", "note": "Later", "until": ""}
    assert alice.post(change[1], data=form).status_code == REDIRECT
    visitor = visit(link)
    assert "Later" in visitor.get(home_of(visitor, link)).text
    for field, value, words in (
        ("until", "2020-01-01", "This day is in the past."),
        ("until", "9000-01-01", "This day is too far away."),
        ("until", "9999-12-31", "This day is too far away."),
        ("until", "tomorrow", "Enter a day as"),
        ("until", "2099-W50", "Enter a day as"),
        ("until", "20991231", "Enter a day as"),
        ("download_limit", "-1", "Enter a whole number"),
        ("password", "123", "at least 10 characters"),
    ):
        wrong = alice.post(change[1], data={**form, field: value})
        assert wrong.status_code == 422
        assert words in wrong.text
    revoke = f"{change[1]}/revoke"
    assert f'href="{revoke}"' in alice.get(change[1]).text
    assert f'action="{revoke}"' in alice.get(revoke).text  # asked first
    assert visitor.get(home_of(visitor, link)).status_code == 200
    assert alice.post(revoke, data={"csrf_token": token(alice)}).status_code == REDIRECT
    assert visitor.get(home_of(visitor, link)).status_code == 410
    assert downloads(app) == 0


def test_token_is_in_no_later_address_and_in_no_log(
    alice: FlaskClient, visit: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"])
    secret = link.rpartition("/")[2]
    visitor = visit(link)
    assert secret not in begin(visitor, link).location
    visitor.get(f"{link}x")
    assert secret not in caplog.text
    assert secret not in alice.get("/links").text


def test_asked_for_files_arrive_and_uploaders_see_nothing_else(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    folder = make_folder(alice, "Inbox")
    upload(alice, "a.txt", b"mine", page=folder)
    link = ask(alice, folder, note="Your photos, please")
    visitor = visit(link)
    home = home_of(visitor, link)
    page = visitor.get(home).text
    assert "Your photos, please" in page
    assert "a.txt" not in page

    said = send(visitor, home, "a.txt", b"theirs").text
    assert "Received: a.txt. Thank you." in said
    assert sorted(links(alice, folder)) == ["a (2).txt", "a.txt"]
    with alice.get(links(alice, folder)["a (2).txt"]) as file:
        assert file.data == b"theirs"
    assert visitor.get(folder).status_code == REDIRECT
    assert visitor.get(links(alice, folder)["a (2).txt"]).status_code == REDIRECT
    with app.app_context():
        row = db.session.scalars(
            select(Activity).where(Activity.detail != "", Activity.action == "upload")
        ).one()
        assert (row.action, row.actor, row.name) == ("upload", "", "a (2).txt")


def send(client: FlaskClient, home: str, name: str, content: bytes) -> TestResponse:
    page = client.get(home).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    form = {"csrf_token": found[1], "file": (io.BytesIO(content), name)}
    return client.post(f"/uploads{home}", data=form, follow_redirects=True)


def test_details_of_a_folder_list_links_to_upload(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Inbox")
    ask(alice, folder)
    page = alice.get(f"/entries/{folder.rpartition('/')[2]}").text
    assert "An upload link: open" in page


def test_limits_of_a_request_hold(app: Flask, alice: FlaskClient, visit: Visitor) -> None:
    folder = make_folder(alice, "Inbox")
    link = ask(alice, folder, file_limit="2", size_limit="0.001")
    visitor = visit(link)
    home = home_of(visitor, link)
    said = send(visitor, home, "large.txt", b"x" * 2000).text
    assert "Nothing was received: This link had room for 1 KiB more. Send smaller files" in said
    assert "Received: a.txt" in send(visitor, home, "a.txt", b"x" * 500).text
    assert "This link had room for 549 bytes more." in send(visitor, home, "b.txt", b"x" * 600).text
    last = send(visitor, home, "c.txt", b"x")
    assert (last.status_code, "Received: c.txt. Thank you." in last.text) == (200, True)
    assert "received all the files" in last.text
    assert "received all the files" in visitor.get(home).text
    assert "This link is used up" in visit(link).get(home).text
    assert sorted(links(alice, folder)) == ["a.txt", "c.txt"]
    with app.app_context():
        asked = db.session.scalars(select(FileRequest)).one()
        assert (asked.files, asked.size) == (2, 501)


def test_uploader_does_not_learn_how_full_it_is(
    app: Flask, alice: FlaskClient, visit: Visitor, data: object
) -> None:
    folder = make_folder(alice, "Inbox")
    link = ask(alice, folder)
    visitor = visit(link)
    home = home_of(visitor, link)
    with app.app_context():
        db.session.execute(update(Account).values(quota=100))
        db.session.commit()
    assert "100 bytes" not in visitor.get(home).text
    for size in (101, 200_000):
        said = send(visitor, home, "a.txt", b"x" * size)
        assert said.status_code == 200
        assert "alice does not have enough space for this." in said.text
        assert "quota" not in said.text
    assert kept(data) == []  # type: ignore[arg-type]
    with app.app_context():
        assert db.session.scalars(select(FileRequest.files)).one() == 0


def test_request_dies_with_its_folder(alice: FlaskClient, visit: Visitor) -> None:
    folder = make_folder(alice, "Inbox")
    link = ask(alice, folder)
    visitor = visit(link)
    home = home_of(visitor, link)
    choose(alice, "trash", folders(alice)["Inbox"])
    page = visitor.get(home)
    assert page.status_code == 410
    assert "This is no longer shared" in page.text


def test_request_takes_nothing_that_ended_while_it_was_sent(
    alice: FlaskClient, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(alice, "Inbox")
    visitor = visit(link := ask(alice, folder))
    home = home_of(visitor, link)
    really = accept_up_to

    def revoked_then(free: int) -> bool:
        db.session.execute(update(FileRequest).values(revoked_at=now()))
        db.session.commit()
        return really(free)

    monkeypatch.setattr(upload_page, "accept_up_to", revoked_then)
    assert "This link was revoked" in send(visitor, home, "late.txt", b"late").text
    assert links(alice, folder) == {}


def test_upload_that_breaks_tells_what_was_kept(
    alice: FlaskClient, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(alice, "Inbox")
    visitor = visit(link := ask(alice, folder))
    home = home_of(visitor, link)
    really = add_file

    def full(into: Folder, incoming: IncomingFile, name: str, *more: Any) -> StoredFile:
        if name == "b.txt":
            raise StorageFullError
        return really(into, incoming, name, *more)

    monkeypatch.setattr(upload_page, "add_file", full)
    found = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(home).text)
    assert found
    two = [(io.BytesIO(b"x"), "a.txt"), (io.BytesIO(b"y"), "b.txt")]
    form = {"csrf_token": found[1], "file": two}
    assert visitor.post(f"/uploads{home}", data=form).status_code == 507
    assert "Received: a.txt." in visitor.get(home).text
    assert list(links(alice, folder)) == ["a.txt"]


def test_form_that_is_refused_leaves_no_message(
    alice: FlaskClient, visit: Visitor, data: Path
) -> None:
    folder = make_folder(alice, "Inbox")
    visitor = visit(link := ask(alice, folder))
    home = home_of(visitor, link)
    form = {"csrf_token": "wrong", "file": (io.BytesIO(b"x"), "a.txt")}
    assert visitor.post(f"/uploads{home}", data=form).status_code == 400
    assert "Select a file first" not in visitor.get(home).text
    assert kept(data) == []
    assert links(alice, folder) == {}


def test_more_files_than_may_come_are_not_written_to_disk(
    alice: FlaskClient, visit: Visitor, data: Path
) -> None:
    folder = make_folder(alice, "Inbox")
    visitor = visit(link := ask(alice, folder, file_limit="2"))
    home = home_of(visitor, link)
    found = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(home).text)
    assert found
    many = [(io.BytesIO(b"x"), f"{n}.txt") for n in range(5)]
    form = {"csrf_token": found[1], "file": many}
    said = visitor.post(f"/uploads{home}", data=form, follow_redirects=True)
    assert "This link had room for 2 more files. Send fewer" in said.text
    assert kept(data) == []


def test_form_names_the_number_of_files_that_it_can_have(
    alice: FlaskClient, visit: Visitor, data: Path
) -> None:
    visitor = visit(link := ask(alice, make_folder(alice, "Inbox")))
    home = home_of(visitor, link)
    for count, kept_then in ((100, 0), (99, 99)):
        form = {
            "csrf_token": token(visitor, home),
            "file": [(io.BytesIO(b"x"), f"{n}.txt") for n in range(count)],
        }
        said = visitor.post(f"/uploads{home}", data=form, follow_redirects=True).text
        assert ("A form can have at most 99 files at once." in said) == (count == 100)
        assert len(kept(data)) == kept_then


@pytest.mark.disk("changes what lies there")
@pytest.mark.parametrize("left", [None, b"", b"shorte", b"longer than it was"])
def test_lost_file_is_not_counted(
    left: bytes | None, app: Flask, alice: FlaskClient, visit: Visitor, data: Path
) -> None:
    upload(alice, "a.txt", b"as sent")
    visitor = visit(link := share(alice, links(alice)["a.txt"], download_limit="1"))
    (stored,) = kept(data)
    stored.unlink() if left is None else stored.write_bytes(left)
    answer = begin(visitor, link)
    assert answer.status_code == 500
    assert "content is missing or damaged" in answer.text
    assert downloads(app) == 0
    stored.write_bytes(b"as sent")
    with visitor.get(begin(visitor, link).location) as file:
        assert file.data == b"as sent"
    assert downloads(app) == 1


@pytest.mark.disk("changes what lies there")
def test_archive_with_a_lost_file_is_not_counted(
    app: Flask, alice: FlaskClient, visit: Visitor, data: Path
) -> None:
    folder = make_folder(alice, "Shared")
    upload(alice, "a.txt", b"as sent", page=folder)
    visitor = visit(link := share(alice, folder, download_limit="1"))
    home = home_of(visitor, link)
    url, page = f"{home}/folders/{public_id(folder)}/zip", visitor.get(home).text
    (stored,) = kept(data)
    stored.unlink()
    answer = _post(visitor, url, page)
    assert (answer.status_code, downloads(app)) == (REDIRECT, 0)
    with app.app_context():
        assert not db.session.scalars(select(Activity).where(Activity.action == "archive")).all()
    stored.write_bytes(b"as sent")
    with _post(visitor, url, page) as archive:
        assert archive.mimetype == "application/zip"
    assert downloads(app) == 1


def test_archive_that_is_refused_counts_nothing(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    folder = make_folder(alice, "Shared")
    upload(alice, "a.txt", page=folder)
    visitor = visit(link := share(alice, folder, download_limit="1"))
    home = home_of(visitor, link)
    url, page = f"{home}/folders/{public_id(folder)}/zip", visitor.get(home).text
    with app.app_context():
        places.take(places.VISITORS)
        taken = places.take(places.VISITORS)
    assert _post(visitor, url, page).status_code == 503
    assert downloads(app) == 0
    taken.close()
    with _post(visitor, url, page) as archive:
        assert archive.status_code == 200
        # Visitors do not take the places of those who have an account.
        with app.app_context():
            places.take(7)
    with app.app_context():
        rows = db.session.scalars(select(Activity.action).where(Activity.action == "archive"))
        assert len(rows.all()) == 1
    alice.head(f"{folder}/zip").close()
    with app.app_context():
        rows = db.session.scalars(select(Activity.action).where(Activity.action == "archive"))
        assert len(rows.all()) == 1


def test_folder_of_a_used_up_link_is_closed(app: Flask, alice: FlaskClient, visit: Visitor) -> None:
    folder = make_folder(alice, "Shared")
    visitor = visit(link := share(alice, folder, download_limit="1"))
    home = home_of(visitor, link)
    set_share(app, downloads=1)
    assert visitor.get(f"{home}/folders/{public_id(folder)}").status_code == 410


@pytest.mark.parametrize(
    "size", ["1e999990", "1e700000", "inf", "nan", "-1", "0", "9" * 40, "1.", "\u0663"]
)
def test_strange_sizes_are_refused_at_once(size: str, alice: FlaskClient) -> None:
    folder = make_folder(alice, "Inbox")
    form = {"csrf_token": token(alice), "size_limit": size}
    began = time.process_time()
    answer = alice.post(f"{folder}/request", data=form)
    assert answer.status_code == 422
    assert "Enter a size in MiB" in answer.text
    assert time.process_time() - began < 2
    assert "No links yet" in alice.get("/links").text


@pytest.mark.parametrize("number", ["0" * 11 + "1" + "9" * 20, "9" * 5000, "-1", "1.5", "\u0663"])
def test_strange_numbers_are_refused(number: str, app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    entry = public_id(links(alice)["a.txt"])
    form = {"csrf_token": token(alice), "download_limit": number}
    assert alice.post(f"/entries/{entry}/share", data=form).status_code == 422
    with app.app_context():
        assert db.session.scalars(select(Share)).all() == []


def test_every_problem_is_shown_beside_what_was_entered(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    address = f"/entries/{public_id(links(alice)['a.txt'])}/share"
    form = {"until": "2020-01-01", "download_limit": "many", "note": "x" * 256, "password": "123"}
    page = alice.post(address, data={"csrf_token": token(alice), **form})
    assert page.status_code == 422
    for field in form:
        assert f'id="link-{field}-problem"' in page.text
        assert (f'value="{form[field]}"' in page.text) == (field != "password")
    with app.app_context():
        assert db.session.scalars(select(Share)).all() == []


def test_expired_link_is_changed_without_a_new_day(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    share(alice, links(alice)["a.txt"])
    set_share(app, expires_at=datetime(2020, 1, 1, 23, 59, 59, tzinfo=UTC))
    change = re.search(r'href="(/links/shares/[^"]+)"', alice.get("/links").text)
    assert change
    form = {"csrf_token": token(alice), "note": "new", "until": "2020-01-01"}
    assert alice.post(change[1], data=form).status_code == REDIRECT
    assert alice.post(change[1], data={**form, "until": "2020-01-02"}).status_code == 422


def test_unchanged_size_limit_stays_exactly_as_it_was(app: Flask, alice: FlaskClient) -> None:
    folder = make_folder(alice, "Inbox")
    ask(alice, folder, size_limit="5")
    with app.app_context():
        db.session.execute(update(FileRequest).values(size_limit=1_234_567))
        db.session.commit()
    change = re.search(r'href="(/links/requests/[^"/]+)"', alice.get("/links").text)
    assert change
    shown = re.search(r'name="size_limit"[^>]*value="([^"]*)"', alice.get(change[1]).text)
    assert shown
    form = {"csrf_token": token(alice), "size_limit": shown[1], "note": "new"}
    assert alice.post(change[1], data=form).status_code == REDIRECT
    with app.app_context():
        assert db.session.scalars(select(FileRequest.size_limit)).one() == 1_234_567


def test_success_of_one_visitor_forgets_no_failures_of_others(
    alice: FlaskClient, visit: Visitor
) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"], password="four words in it")
    guesser, friend = visit(link), visit(link)
    home = home_of(guesser, link)
    answers = []
    for n in range(12):
        page = guesser.get(home).text
        answers.append(_post(guesser, f"{home}/unlock", page, password=f"guess {n}").status_code)
        if n == 5:
            right = {"password": "four words in it"}
            _post(friend, f"{home}/unlock", friend.get(home).text, **right)
    assert answers[-1] == 429


def test_visit_outlives_signing_in_and_out(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    upload(alice, "a.txt", b"0123456789")
    link = share(alice, links(alice)["a.txt"], download_limit="1", password="between us two")
    page = anonymous.get(link, follow_redirects=True).text
    _post(anonymous, f"{home_of(anonymous, link)}/unlock", page, password="between us two")
    address = begin(anonymous, link).location

    def rest() -> bytes:
        with anonymous.get(address, headers={"Range": "bytes=5-"}) as answer:
            return bytes(answer.data)

    assert rest() == b"56789"
    assert sign_in(anonymous, "bob").status_code == REDIRECT
    assert rest() == b"56789"
    assert anonymous.get(home_of(anonymous, link)).status_code == 200
    anonymous.post("/sign-out", data={"csrf_token": token(anonymous)})
    assert anonymous.get("/").status_code == REDIRECT
    assert rest() == b"56789"
    assert downloads(app) == 1


def test_nothing_else_of_a_session_outlives_it(alice: FlaskClient) -> None:
    with alice.session_transaction() as kept:
        kept.update({"visitor": "x", "entered": {}, "unlocked": {}, "reset": "token", "other": 1})
    alice.post("/sign-out", data={"csrf_token": token(alice)})
    with alice.session_transaction() as kept:
        assert set(kept) <= {"visitor", "entered", "unlocked", "_flashes"}
    sign_in(alice, "bob")
    with alice.session_transaction() as kept:
        assert "reset" not in kept


def test_cookie_stays_as_small_as_browsers_take_it(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    with app.app_context():
        owner = accounts.find("alice")
        assert owner
        second_factor.begin(owner)
        assert second_factor.confirm(owner, pyotp.TOTP(owner.totp_secret or "").now())
    upload(alice, "a.txt")
    with app.app_context():
        file = db.session.scalars(select(StoredFile)).one()
        made = [link_service.create(Share, file, password="between us two") for _ in range(30)]
        tokens = [token for _, token in made]
    for one in tokens:
        page = anonymous.get(f"/s/{one}", follow_redirects=True)
        _post(anonymous, f"{page.request.path}/unlock", page.text, password="between us two")
    target = "/" + secrets.token_urlsafe(800)[:1023]
    answer = sign_in(anonymous, "alice", next=target)
    assert answer.location == "/sign-in/code"
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("session=")]
    assert len(cookie) < 4000


def test_folders_page_has_its_links_and_what_visitors_did_with_files_in_it(
    app: Flask, alice: FlaskClient, visit: Visitor
) -> None:
    folder, other = make_folder(alice, "Shared"), make_folder(alice, "Other")
    upload(alice, "a.txt", page=folder)
    link, asked = share(alice, folder, note="To read"), ask(alice, folder, note="To fill")
    visitor = visit(link)
    visitor.get(begin(visitor, link).location).close()
    sender = visit(asked)
    page = sender.get(home_of(sender, asked)).text
    found = re.search(r'action="(/uploads/requested/[^"]+)"', page)
    assert found
    form = {"csrf_token": token_on(page), "file": (io.BytesIO(b"sent"), "b.txt")}
    sender.post(found[1], data=form, content_type="multipart/form-data")

    details = alice.get(f"/entries/{public_id(folder)}").text
    assert re.search(r"<bdi>To read</bdi>: open until [^,]+, <a [^>]+>1 download<", details)
    assert re.search(r"<bdi>To fill</bdi>: open until [^,]+, <a [^>]+>1 file<", details)
    assert re.search(r"download of <bdi>a\.txt</bdi> by <em>Visitor</em>", details)
    assert re.search(r"upload of <bdi>b\.txt</bdi> by <em>Visitor</em>", details)
    assert f'href="/links/requests/{home_of(sender, asked).rpartition("/")[2]}"' in details
    assert "a.txt" not in alice.get(f"/entries/{public_id(other)}").text
    with app.app_context():
        rows = db.session.scalars(select(Activity).where(Activity.linked_entry.is_not(None)))
        assert {(row.action, row.name) for row in rows} == {
            ("download", "a.txt"),
            ("upload", "b.txt"),
        }


def token_on(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def test_form_shows_all_that_is_wrong_and_begins_at_the_first(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    wrong = {"until": "2020-01-01", "download_limit": "x", "password": "short", "note": "x" * 256}
    form = {"csrf_token": token(alice), **wrong}
    page = alice.post(f"/entries/{public_id(links(alice)['a.txt'])}/share", data=form).text
    assert len(re.findall('<p class="problem" id=', page)) == 4
    assert page.count("autofocus") == 1
    (first,) = re.findall("<input[^>]*autofocus[^>]*>", page)
    assert 'name="until"' in first


def test_link_without_a_last_day_never_expires(
    app: Flask, alice: FlaskClient, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    link = share(alice, links(alice)["a.txt"], expires="never")
    with app.app_context():
        assert db.session.scalars(select(Share.expires_at)).all() == [None]
    monkeypatch.setattr(status, "now", lambda: datetime.max.replace(tzinfo=UTC))
    visitor = visit(link)
    assert visitor.get(home_of(visitor, link)).status_code == 200
    set_share(app, expires_at=now() + timedelta(days=36_500))
    assert visitor.get(home_of(visitor, link)).status_code == 410
