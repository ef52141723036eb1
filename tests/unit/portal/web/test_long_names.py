"""Lists of the longest names: each page stays short, so that it holds no place of a long answer."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import String, cast, insert, literal, select, update

from portal.core.database import db
from portal.core.models import Activity, Entry, Folder, Share, StoredFile, now
from portal.files import entries
from portal.sharing import links
from portal.web.places import SHORT
from tests.support.portal import make_folder, public_id

_LONG = "'" * 248  # five bytes each, as HTML
_COUNT = 100


@pytest.fixture
def deep(app: Flask, alice: FlaskClient) -> None:
    """Give alice a folder in nine others, all with long names, with files, links and a record."""
    page = "/"
    for number in range(10):
        page = make_folder(alice, f"n{number}", page)
    with app.app_context():
        folder = db.session.scalars(select(Folder).where(Folder.public_id == public_id(page))).one()
        for number in range(_COUNT):
            stored = {"mimetype": "text/plain", "storage_key": f"{number:032}", "size": 0}
            file = entries.place(StoredFile(name=f"n{number}", **stored), folder)
            db.session.execute(
                insert(Activity).values(
                    at=now(), action="upload", actor="alice", actor_key="alice", address="",
                    owner_id=folder.owner_id, entry=file.public_id, name=_LONG, name_key="n",
                    detail=_LONG,
                )
            )  # fmt: skip
            links.create(Share, folder)
        db.session.execute(update(Share).values(note=_LONG))
        db.session.execute(
            update(Entry)
            .where(Entry.parent_id.is_not(None))
            .values(name=literal(_LONG) + cast(Entry.id, String))
        )
        db.session.commit()


def _pages(client: FlaskClient, address: str | None) -> list[str]:
    pages = []
    while address:
        response = client.get(address)
        assert response.status_code == 200
        assert len(response.data) < SHORT
        pages.append(response.text)
        found = re.search(r'href="([^"]+)">(?:Next →|Older)</a>', pages[-1])
        address = unescape(found[1]) if found else None
    return pages


def _rows(page: str) -> list[str]:
    return re.findall(r"<tr>.*?</tr>", page.partition("<tbody>")[2], re.DOTALL)


@pytest.mark.usefixtures("deep")
def test_search_shows_what_fits_and_says_that_there_is_more(alice: FlaskClient) -> None:
    (page,) = _pages(alice, "/search?q=n")
    shown = len(_rows(page))
    assert 10 <= shown < _COUNT
    assert f"The first {shown} items with" in page


@pytest.mark.usefixtures("deep")
def test_trash_of_long_names_has_more_pages(app: Flask, alice: FlaskClient) -> None:
    with app.app_context():
        trashed = {"trash_id": StoredFile.id, "trashed_at": now()}
        db.session.execute(update(Entry).where(Entry.is_file).values(trashed))
        db.session.commit()
    pages = _pages(alice, "/trash")
    rows = [_rows(page) for page in pages]
    assert all(len(some) >= 10 for some in rows[:-1])
    assert len({row for some in rows for row in some}) == sum(map(len, rows)) == _COUNT


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize(("address", "count"), [("/activity", _COUNT), ("/links", _COUNT)])
def test_list_of_long_names_has_more_pages(address: str, count: int, alice: FlaskClient) -> None:
    pages = _pages(alice, address)
    assert len(pages) > 1
    assert sum(len(_rows(page)) for page in pages) >= count
