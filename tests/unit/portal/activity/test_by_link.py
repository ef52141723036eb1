"""By which link visitors did what: its name in the record, and all of what was done by it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from flask_delegate.receipts import Receipt as LogLine
from portal.accounts import accounts
from portal.activity import receipts, report
from portal.activity.record import bring_in, record
from portal.core.database import db
from portal.core.models import Activity, Entry, FileRequest, Folder, Role, Share, now
from portal.sharing import links
from tests.support.portal import PASSWORD, public_id, signed_in, token, upload
from tests.support.portal import links as listed
from tests.support.tus import Sender

NAME = "For the auditor"
VISITOR = f"Visitor via “{NAME}”"


@pytest.fixture(autouse=True)
def file(alice: FlaskClient) -> str:
    upload(alice, "a.txt", b"0123456789")
    return public_id(listed(alice)["a.txt"])


def share(app: Flask, name: str = NAME, note: str = "") -> tuple[str, str]:
    """Share the file, and return the link's public id and its address."""
    with app.app_context():
        entry = db.session.scalars(select(Entry).where(Entry.name == "a.txt")).one()
        link, secret = links.create(Share, entry, name=name, note=note)
        return link.public_id, f"/s/{secret}"


@contextmanager
def opened(app: Flask, link: str) -> Iterator[Share]:
    """Have a link at hand, and what is recorded."""
    with app.app_context():
        bring_in(wait=True)
        yield db.session.scalars(select(Share).where(Share.public_id == link)).one()


def download(app: Flask, address: str) -> FlaskClient:
    """Download by a link as somebody new would."""
    visitor = app.test_client()
    page = visitor.get(address, follow_redirects=True).text
    found = re.search(r'action="(/shared/[^"]+/files/[^"]+)"', page)
    assert found
    form = {"csrf_token": token(visitor, address)}
    with visitor.post(found[1], data=form, follow_redirects=True) as answer:
        assert answer.data == b"0123456789"
    return visitor


def lines(page: str) -> list[str]:
    """Return the rows of a page, without tags."""
    rows = re.findall("<tr>(.*?)</tr>", page.partition("<tbody>")[2], re.DOTALL)
    texts = [re.sub("<[^>]*>", " ", re.sub("</?bdi>", "", row)) for row in rows]
    return [" ".join(text.split()) for text in texts]


def sheet(client: FlaskClient, address: str = "/activity.csv") -> list[dict[str, str]]:
    text = client.get(address, buffered=True).text.removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(text)))


def test_record_says_the_links_name_in_place_of_an_address_and_keeps_it(
    app: Flask, alice: FlaskClient, file: str
) -> None:
    link_id, address = share(app)
    download(app, address)
    with opened(app, link_id) as link:
        (row,) = db.session.scalars(select(Activity).where(Activity.action == "download"))
        assert (row.actor, row.link, row.link_name, row.detail) == ("", link_id, NAME, "")
        assert row.address == "127.0.0.1"  # by which visitors are told apart
        links.change(link, name="For somebody else")
        links.revoke(link)
        db.session.delete(link)
        db.session.commit()
    (line,) = [one for one in lines(alice.get("/activity").text) if " download " in one]
    assert VISITOR in line
    assert "127.0.0.1" not in line
    details = alice.get(f"/entries/{file}").text
    assert f"<em>Visitor</em> via “<bdi>{NAME}</bdi>”" in details
    (cells,) = [row for row in sheet(alice) if row["action"] == "download"]
    assert (cells["by"], cells["address"]) == (VISITOR, "127.0.0.1")


def test_link_without_a_name_is_told_by_its_note_and_the_address(
    app: Flask, alice: FlaskClient
) -> None:
    for note, told in (("As promised", "via 'As promised'"), ("", "via a link")):
        link, address = share(app, "", note)
        download(app, address)
        (line,) = lines(alice.get(f"/activity?link={link}").text)
        assert unescape(told) in unescape(line)
        assert "Visitor 127.0.0.1" in line


def test_member_who_comes_by_a_link_is_named_with_it(app: Flask, alice: FlaskClient) -> None:
    _, address = share(app)
    bob = signed_in(app, "bob")
    page = bob.get(address, follow_redirects=True).text
    found = re.search(r'action="(/shared/[^"]+/files/[^"]+)"', page)
    assert found
    bob.post(found[1], data={"csrf_token": token(bob)}, follow_redirects=True).close()
    (cells,) = [row for row in sheet(alice) if row["action"] == "download"]
    assert cells["by"] == f"bob via “{NAME}”"


def test_everything_that_visitors_do_names_the_link(app: Flask, alice: FlaskClient) -> None:
    link_id, address = share(app)
    with opened(app, link_id) as link:
        links.change(link, password=PASSWORD)
        folder = link.entry.parent_id
        asked, secret = links.create(FileRequest, db.session.get_one(Folder, folder), name="Family")
        asked_id = asked.public_id
    visitor = app.test_client()
    form = {"csrf_token": token(visitor, address), "password": "wrong"}
    assert visitor.post(f"/shared/{link_id}/unlock", data=form).status_code == 422
    sender = Sender(app, address := f"/r/{secret}")
    assert sender.add(sender.begin(4, filename="c.txt"), 0, b"sent").status_code == 204
    plain = app.test_client()
    fields = {"csrf_token": token(plain, address), "file": (io.BytesIO(b"sent"), "b.txt")}
    plain.post(f"/uploads/requested/{asked_id}", data=fields)
    with opened(app, link_id):
        rows = db.session.scalars(select(Activity).where(Activity.link.is_not(None)))
        assert {(row.action, row.link, row.link_name, row.name) for row in rows} == {
            ("wrong password", link_id, NAME, "a.txt"),
            ("upload", asked_id, "Family", "b.txt"),
            ("upload", asked_id, "Family", "c.txt"),
        }
    assert "Visitor via “Family”" in " ".join(lines(alice.get("/activity").text))
    assert f'href="/activity?link={asked_id}"' in alice.get("/links").text
    assert len(lines(alice.get(f"/activity?link={asked_id}").text)) == 2


def test_downloads_by_a_link_are_one_click_from_it_and_say_how_they_ended(
    app: Flask, alice: FlaskClient, file: str
) -> None:
    link_id, address = share(app)
    _, others = share(app, "Another")
    download(app, address)
    download(app, others)
    with opened(app, link_id):
        mine = select(Activity.handoff).where(Activity.link == link_id)
        (handoff,) = db.session.scalars(mine)
        assert handoff
        receipts.store([LogLine(handoff, now(), "GET", 200, 10, None, "completed")])
    here = f"/activity?link={link_id}"
    for page in ("/links", f"/entries/{file}", f"/entries/{file}/share"):
        assert f'href="{here}"' in alice.get(page).text, page
    page = alice.get(here).text
    (line,) = lines(page)
    assert "download completed, 10 bytes sent a.txt" in line
    assert "127.0.0.1" in line  # of one link, addresses tell visitors apart
    assert f"<bdi>{NAME}</bdi>, to <bdi>a.txt</bdi>: open" in page
    rows = sheet(alice, f"/activity.csv?link={link_id}")
    assert [(row["action"], row["outcome"]) for row in rows] == [("download", "completed")]
    assert f'href="/activity.csv?link={link_id}"' in page
    # A filter narrows it further, and it is nobody else's.
    assert lines(alice.get(f"{here}&action=view").text) == []
    assert f'name="link" value="{link_id}"' in page
    bob = signed_in(app, "bob")
    assert bob.get(here).status_code == 404
    assert bob.get(f"/activity.csv?link={link_id}").status_code == 404
    assert alice.get("/activity?link=" + "x" * 65).status_code == 404
    assert "Another" not in page


def test_pages_of_a_links_downloads_lead_to_all(app: Flask, alice: FlaskClient) -> None:
    link_id, _ = share(app)
    with opened(app, link_id) as link:
        for _ in range(report.PAGE + 3):
            record("archive", link.entry, actor="", via=links.via(link))
            record("archive", link.entry, actor="")
    address, seen = f"/activity?link={link_id}", 0
    for wanted in (report.PAGE, 3):
        page = alice.get(address).text
        assert len(lines(page)) == wanted
        seen += wanted
        older = re.search(r'href="(/activity\?[^"]+)">Older', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert (seen, address) == (report.PAGE + 3, "")


def test_administrators_see_no_name_of_a_link(app: Flask) -> None:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    link_id, address = share(app)
    download(app, address)
    root = signed_in(app, "root")
    shown = root.get("/accounts/activity").text
    assert NAME not in shown
    assert "<em>Visitor</em><br><small>127.0.0.1</small>" in shown
    assert root.get(f"/accounts/activity?link={link_id}").status_code == 404
    assert NAME not in root.get("/accounts/activity.csv", buffered=True).text


def test_record_of_what_an_owner_does_with_a_link_has_its_name(
    app: Flask, alice: FlaskClient, file: str
) -> None:
    form = {"csrf_token": token(alice), "name": NAME, "expires": "never"}
    alice.post(f"/entries/{file}/share", data=form)
    with app.app_context():
        link = db.session.scalars(select(Share.public_id)).one()
    alice.post(f"/links/shares/{link}", data={**form, "name": "Other", "download_limit": "3"})
    alice.post(f"/links/shares/{link}/revoke", data=form)
    with app.app_context():
        mine = select(Activity).where(Activity.link == link).order_by(Activity.id)
        rows = db.session.scalars(mine)
        assert [(row.action, row.actor, row.link_name, row.detail) for row in rows] == [
            ("share", "alice", NAME, f"“{NAME}”, no expiry"),
            ("change share", "alice", "Other", "“Other”, no expiry, 3 downloads"),
            ("revoke share", "alice", "Other", "“Other”"),
        ]
    assert {row["by"] for row in sheet(alice, f"/activity.csv?link={link}")} == {"alice"}
