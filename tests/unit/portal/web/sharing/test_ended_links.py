"""A page that a visitor has open, of a link that ends meanwhile: whatever is pressed says so."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Entry, FileRequest, Folder, Share, now
from portal.files import entries, trash
from portal.files.uploads import accept_up_to
from portal.sharing import links
from portal.web.sharing import upload_page
from tests.support.stored import root, store

MAIN = re.compile(r"<main.*</main>", re.DOTALL)
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def entry(name: str) -> Entry:
    return db.session.scalars(select(Entry).where(Entry.name == name)).one()


def set_link(**values: object) -> None:
    for kind in (Share, FileRequest):
        db.session.execute(update(kind).values(**values))


def owner() -> Account:
    return db.session.scalars(select(Account).where(Account.name == "alice")).one()


ENDINGS: dict[str, Callable[[], object]] = {
    "revoked": lambda: set_link(revoked_at=now()),
    "expired": lambda: set_link(expires_at=now() - timedelta(seconds=1)),
    "trashed": lambda: trash.put([entry("Shared")]),
    "deleted": lambda: (trash.put([entry("Shared")]), trash.empty(owner().id)),
    "deactivated": lambda: accounts.deactivate(owner()),
    "locked": lambda: db.session.execute(update(Share).values(password_hash="none")),
    "used up": lambda: (
        db.session.execute(update(Share).values(download_limit=1, downloads=1)),
        db.session.execute(update(FileRequest).values(file_limit=1, files=1)),
    ),
}


@pytest.fixture
def addresses(app: Flask) -> dict[str, str]:
    """Return the addresses of a share, and of what is in it, and of a link to upload."""
    with app.app_context():
        shared = entries.place(Folder(name="Shared"), root("alice"))
        inner = entries.place(Folder(name="Inner"), shared)
        file = store("alice", "a.txt")
        entries.move([file], shared)
        share, opened = links.create(Share, shared)
        wanted, sent = links.create(FileRequest, shared)
        page = f"/shared/{share.public_id}"
        return {
            "link": f"/s/{opened}",
            "page": page,
            "file": f"{page}/files/{file.public_id}",
            "folder": f"{page}/folders/{inner.public_id}",
            "zip": f"{page}/folders/{shared.public_id}/zip",
            "unlock": f"{page}/unlock",
            "upload link": f"/r/{sent}",
            "upload": f"/uploads/requested/{wanted.public_id}",
        }


def end(app: Flask, ending: Callable[[], object]) -> None:
    with app.app_context():
        ending()
        db.session.commit()


def what(page: TestResponse) -> tuple[int, str]:
    found = MAIN.search(page.text)
    assert found, page.text
    return page.status_code, TOKEN.sub("", found[0])


def pressed(visitor: FlaskClient, page: TestResponse, address: str) -> TestResponse:
    found = TOKEN.search(page.text)
    assert found
    form: dict[str, object] = {"csrf_token": found[1]}
    if address.startswith("/uploads/"):
        form["file"] = (io.BytesIO(b"late"), "late.txt")
    return visitor.post(address, data=form, follow_redirects=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_visitor_presses_says_what_the_link_would(
    ending: str, app: Flask, addresses: dict[str, str]
) -> None:
    visitor = app.test_client()
    page = visitor.get(addresses["link"], follow_redirects=True)
    assert "Inner" in page.text
    end(app, ENDINGS[ending])
    anew = what(visitor.get(addresses["link"], follow_redirects=True))
    if ending == "deleted":  # the token is unknown by now, as the page's name is
        assert anew[0] == 404
    else:
        assert anew[0] == (200 if ending == "locked" else 410)
    assert what(visitor.get(addresses["page"])) == anew
    for name in ("file", "folder"):
        assert what(visitor.get(addresses[name], follow_redirects=True)) == anew
    for name in ("file", "zip"):
        assert what(pressed(visitor, page, addresses[name])) == anew
    if ending != "locked":
        assert what(pressed(visitor, page, addresses["unlock"])) == anew
    assert "My files" not in anew[1]
    assert "a.txt" not in anew[1]


@pytest.mark.parametrize("ending", sorted(ENDINGS.keys() - {"locked"}))
def test_what_a_visitor_sends_late_says_what_the_link_would(
    ending: str, app: Flask, addresses: dict[str, str]
) -> None:
    visitor = app.test_client()
    page = visitor.get(addresses["upload link"], follow_redirects=True)
    end(app, ENDINGS[ending])
    anew = what(visitor.get(addresses["upload link"], follow_redirects=True))
    assert anew[0] == (404 if ending == "deleted" else 410)
    assert what(pressed(visitor, page, addresses["upload"])) == anew


@pytest.mark.parametrize(("ending", "status"), [("trashed", 410), ("deleted", 404)])
def test_folder_that_goes_while_a_form_is_read_says_so(
    ending: str,
    status: int,
    app: Flask,
    addresses: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def accept(free: int) -> bool:
        ENDINGS[ending]()
        db.session.commit()
        return accept_up_to(free)

    visitor = app.test_client()
    page = visitor.get(addresses["upload link"], follow_redirects=True)
    monkeypatch.setattr(upload_page, "accept_up_to", accept)
    late = pressed(visitor, page, addresses["upload"])
    assert what(late) == what(visitor.get(addresses["upload link"], follow_redirects=True))
    assert late.status_code == status
    with app.app_context():
        assert not db.session.scalars(select(Entry).where(Entry.name == "late.txt")).all()


def test_item_that_leaves_a_share_leads_back_to_it(app: Flask, addresses: dict[str, str]) -> None:
    visitor = app.test_client()
    page = visitor.get(addresses["link"], follow_redirects=True)
    end(app, lambda: entries.move([entry("a.txt"), entry("Inner")], root("alice")))
    for late in (
        visitor.get(addresses["file"]),
        visitor.get(addresses["folder"]),
        pressed(visitor, page, addresses["file"]),
        visitor.get(f"{addresses['page']}/folders/unknown"),
    ):
        assert late.status_code == 404
        assert "This is not here any more" in late.text
        assert f'href="{addresses["page"]}"' in late.text
        assert "My files" not in late.text


def test_stranger_learns_nothing(app: Flask, addresses: dict[str, str]) -> None:
    stranger = app.test_client()
    there = {name: what(stranger.get(addresses[name])) for name in ("page", "file", "folder")}
    end(app, ENDINGS["revoked"])
    assert {name: what(stranger.get(addresses[name])) for name in there} == there
    unknown = what(stranger.get("/shared/unknown/files/unknown"))
    assert unknown[0] == 404
    assert set(there.values()) == {unknown}


def test_error_of_a_visitor_leads_to_no_files_of_theirs(
    app: Flask, addresses: dict[str, str], alice: FlaskClient
) -> None:
    visitor = app.test_client()
    visitor.get(addresses["link"])
    for client, is_shown in ((visitor, False), (alice, True), (app.test_client(), True)):
        page = client.get(addresses["zip"])
        assert page.status_code == 405
        assert ("My files" in page.text) == is_shown


@pytest.mark.parametrize("ending", [None, *ENDINGS])
def test_head_of_a_link_ends_as_its_page_would(
    ending: str | None, app: Flask, addresses: dict[str, str]
) -> None:
    if ending:
        end(app, ENDINGS[ending])
    previewer = app.test_client(use_cookies=False)
    for name in ("link", "upload link"):
        head = previewer.head(addresses[name])
        page = app.test_client().get(addresses[name], follow_redirects=True)
        followed = previewer.head(head.location) if head.location else head
        assert (followed.status_code, followed.data) == (page.status_code, b"")
    with app.app_context():
        assert db.session.scalar(select(Share.downloads)) in {None, ending == "used up"}


def test_proof_of_a_head_opens_nothing(app: Flask, addresses: dict[str, str]) -> None:
    previewer = app.test_client()
    proof = previewer.head(addresses["link"]).location.partition("?")[2]
    for name in ("page", "file", "folder"):
        assert previewer.get(f"{addresses[name]}?{proof}").status_code == 404
    assert previewer.head(f"{addresses['file']}?{proof}").location == addresses["page"]
    page = previewer.get("/sign-in")
    for name in ("file", "zip"):
        assert pressed(previewer, page, f"{addresses[name]}?{proof}").status_code == 404
    for other in ("", "proof=", "proof=x", "proof=é"):
        assert previewer.head(f"{addresses['page']}?{other}").status_code == 404
    assert previewer.head(f"/requested/unknown?{proof}").status_code == 404
