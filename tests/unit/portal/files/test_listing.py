"""Lists: sorted, in pages, and as fast for many as for a few."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import String, cast, event, insert, literal, select, update
from sqlalchemy.engine import Connection

from portal.core.database import db, is_sqlite
from portal.core.models import Account, Entry, Folder, new_token
from portal.files import listing
from portal.files.listing import Listed, Order, Page
from portal.web.places import SHORT
from tests.support.portal import listed_names, make_folder, public_id, upload

ORDERS = [Order(by, descending) for by in listing.SORTS for descending in (False, True)]


def fill(app: Flask, folder: str, count: int, subfolders: int = 0) -> int:
    """Put rows into a folder by its link, and return its id."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with app.app_context():
        found = db.session.scalars(
            select(Folder).where(Folder.public_id == public_id(folder))
        ).one()
        db.session.execute(
            insert(Entry.__table__),  # type: ignore[arg-type]
            [
                {
                    "public_id": new_token(),
                    "owner_id": found.owner_id,
                    "parent_id": found.id,
                    "is_file": number >= subfolders,
                    "name": f"N{number * 7919 % count:06}",
                    "name_key": f"n{number * 7919 % count:06}",
                    "sort_key": f"n{number * 7919 % count:06}",
                    # Many have the same size and time.
                    "size": number % 11 if number >= subfolders else 0,
                    "created_at": start + timedelta(minutes=number % 13),
                    "mimetype": "text/plain",
                    "storage_key": f"{found.id}-{number}",
                }
                for number in range(count)
            ],
        )
        if not is_sqlite():  # which a server does by itself after a while
            db.session.connection().exec_driver_sql("ANALYZE entry")
        db.session.commit()
        return found.id


def walk(folder: Folder, order: Order) -> list[Page]:
    pages = [listing.page(folder, order)]
    while pages[-1].has_next:
        pages.append(listing.page(folder, order, "after", pages[-1].entries[-1]))
    return pages


def names(entries: Sequence[Listed]) -> list[str]:
    return [entry.name for entry in entries]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("count", "subfolders"), [(250, 0), (300, 100), (230, 230), (450, 150)])
def test_pages_hold_each_entry_once_forwards_and_backwards(
    order: Order, count: int, subfolders: int, app: Flask, alice: FlaskClient
) -> None:
    folder_id = fill(app, make_folder(alice, "Many"), count, subfolders)
    with app.app_context():
        folder = db.session.get_one(Folder, folder_id)
        pages = walk(folder, order)
        listed = [entry for page in pages for entry in page.entries]
        assert len({entry.id for entry in listed}) == len(listed) == count
        assert [entry.is_file for entry in listed] == sorted(entry.is_file for entry in listed)
        key = listing.SORTS[order.by]
        for is_file in (False, True):
            if order.by == "size" and not is_file:
                continue
            values = [getattr(one, key) for one in listed if one.is_file is is_file]
            assert values == sorted(values, reverse=order.descending)
        for before, page in pairwise(pages):
            back = listing.page(folder, order, "before", page.entries[0])
            assert names(back.entries) == names(before.entries)
            assert back.has_previous == before.has_previous
            assert back.has_next


def test_links_lead_through_all_pages_and_back(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Many")
    fill(app, page, 250)
    first = alice.get(page, query_string={"sort": "size", "order": "descending"}).text
    assert 'aria-sort="descending"' in first
    assert "100 items on this page" in first
    assert 'rel="prev"' not in first
    second = alice.get(_link(first, "next")).text
    third = alice.get(_link(second, "next")).text
    assert 'rel="next"' not in third
    assert _rows(alice.get(_link(third, "prev")).text) == _rows(second)
    assert _rows(alice.get(_link(second, "prev")).text) == _rows(first)
    assert len({*_rows(first), *_rows(second), *_rows(third)}) == 250


_ROWS = Entry.metadata.tables["entry"]


@pytest.mark.parametrize("mimetype", ["text/plain", "image/jpeg"])
@pytest.mark.parametrize(("longest", "least"), [("x" * 250, 100), ("'" * 250, 20)])
def test_page_of_the_longest_names_holds_no_place(
    longest: str, least: int, mimetype: str, app: Flask, alice: FlaskClient
) -> None:
    address = make_folder(alice, "Many")
    folder_id = fill(app, address, 230, 30)
    with app.app_context():
        name = literal(longest) + cast(Entry.id + 10_000, String)
        if mimetype == "image/jpeg":  # which has an address of its own, and another to see it
            name, least = name + ".jpg", least * 4 // 5
        keys = {"name": name, "sort_key": name, "mimetype": mimetype, "size": 1000}
        db.session.execute(update(_ROWS).where(_ROWS.c.parent_id == folder_id).values(keys))
        db.session.commit()
    pages = [alice.get(address)]
    while 'rel="next"' in pages[-1].text:
        pages.append(alice.get(_link(pages[-1].text, "next")))
    assert not [len(page.data) for page in pages if len(page.data) >= SHORT]
    rows = [_rows(page.text) for page in pages]
    assert all(len(some) >= least for some in rows[:-1])
    assert len({one for some in rows for one in some}) == sum(map(len, rows)) == 230
    back = [rows[-1]]
    page = pages[-1].text
    while 'rel="prev"' in page:
        page = alice.get(_link(page, "prev")).text
        back.append(_rows(page))
    assert {one for some in back for one in some} == {one for some in rows for one in some}


def test_no_name_is_markup(app: Flask, alice: FlaskClient) -> None:
    hostile, escaped = """\"><b id='x'>&amp;""", "&#34;&gt;&lt;b id=&#39;x&#39;&gt;&amp;amp;"
    outer = make_folder(alice, f"{hostile} outer")
    make_folder(alice, f"{hostile} inner", page=outer)
    upload(alice, f"{hostile[1:]} file.txt", page=outer)
    found = {"q": "<b id"}
    for page in (alice.get("/"), alice.get(outer), alice.get("/search", query_string=found)):
        assert hostile not in page.text
        assert "<b id" not in page.text
        assert f"{escaped} " in page.text
    with app.app_context():
        stored = set(db.session.scalars(select(Entry.name).where(Entry.name.contains("<b id"))))
    assert stored == {f"{hostile} outer", f"{hostile} inner", f"{hostile[1:]} file.txt"}
    # In a search, the folder that an entry lies in is text, too.
    assert f'<td class="place"><bdi><a href="{outer}">{escaped} outer</a></bdi></td>' in page.text


def test_page_after_an_entry_that_has_gone_still_works(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Many")
    fill(app, page, 250)
    following = _link(alice.get(page).text, "next")
    with app.app_context():
        mark = db.session.scalars(
            select(Entry).where(Entry.public_id == following.rpartition("=")[2].split(".")[0])
        ).one()
        mark.trash_id = mark.id
        db.session.commit()
    assert len(_rows(alice.get(following).text)) == 100
    assert len(_rows(alice.get(f"{page}?after=unknown").text)) == 100


def test_mark_of_another_account_tells_nothing(
    app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    theirs = make_folder(alice, "Many")
    fill(app, theirs, 150)
    page = make_folder(bob, "Few")
    fill(app, page, 3)
    mark = _link(alice.get(theirs).text, "next").partition("?")[2]
    shown = bob.get(f"{page}?{mark}").text
    assert len(_rows(shown)) == 3
    assert "This is its beginning." in shown


def test_sorted_column_is_named_and_turns(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Some")
    fill(app, page, 5)
    text = alice.get(page).text
    assert text.count("aria-sort=") == 1
    assert '<th scope="col" class="name" aria-sort="ascending">' in text
    assert f'href="{page}?sort=name&amp;order=descending"' in text
    assert f'href="{page}?sort=size"' in text
    assert 'aria-sort="ascending"' in alice.get(f"{page}?sort=nonsense&order=descending").text


def test_boxes_name_their_files_and_can_all_be_checked(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Some")
    fill(app, page, 5)
    text = alice.get(page).text
    assert len(re.findall(r'<input type="checkbox"[^>]* aria-label="Select N00000\d">', text)) == 5
    assert not re.search('name="entry"[^>]* checked>', text)
    assert alice.get(f"{page}?select=all").text.count('" checked>') == 6  # and a template


@pytest.mark.sqlite("how it explains a statement")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["after", "before"])
def test_page_is_found_in_an_index_without_sorting_or_counting(
    order: Order, direction: listing.Direction, app: Flask, alice: FlaskClient
) -> None:
    folder_id = fill(app, make_folder(alice, "Many"), 350, 120)
    statements: list[tuple[str, object]] = []

    def note(_c: Connection, _cursor: object, statement: str, given: object, *_: object) -> None:
        statements.append((statement, given))

    with app.app_context():
        folder = db.session.get_one(Folder, folder_id)
        mark = walk(folder, order)[2].entries[0]
        event.listen(db.engine, "before_cursor_execute", note)
        listing.page(folder, order, direction, mark)
        event.remove(db.engine, "before_cursor_execute", note)
        assert 1 <= len(statements) <= 4
        for statement, given in statements:
            if "FROM entry" not in statement:
                continue
            assert "count(" not in statement.lower()
            assert statement.endswith("OFFSET ?")
            assert list(given)[-1] == 0  # type: ignore[call-overload]
            plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)  # type: ignore[arg-type]
            steps = [row[-1] for row in plan]
            assert len(steps) == 1
            assert steps[0].startswith("SEARCH entry USING INDEX")
            assert "ix_entry_by_" in steps[0]
            assert "parent_id=? AND is_file=?" in steps[0]


def test_large_folder_is_listed_as_fast_as_a_small_one(app: Flask, alice: FlaskClient) -> None:
    pages = {}
    for count in (100, 20_000):
        pages[count] = make_folder(alice, f"{count}")
        fill(app, pages[count], count)
    times: dict[int, list[float]] = {count: [] for count in pages}
    for _ in range(15):
        for count, page in pages.items():
            start = time.perf_counter()
            assert alice.get(page).status_code == 200
            times[count].append(time.perf_counter() - start)
    # Counting, skipping or sorting 20,000 rows would take several times as long.
    assert median(times[20_000]) < 2 * median(times[100])


def test_storage_is_told_on_every_page(app: Flask, alice: FlaskClient) -> None:
    with app.app_context():
        alices = db.session.scalars(select(Account).where(Account.name == "alice")).one()
        alices.used, alices.quota = 3 * 1024, 4 * 1024
        db.session.commit()
    for address in ("/", "/trash", "/search", "/account"):
        assert "3 KiB of 4 KiB used" in alice.get(address).text


def _rows(page: str) -> list[str]:
    return listed_names(page)


def _link(page: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    assert found
    return found[1].replace("&amp;", "&")
