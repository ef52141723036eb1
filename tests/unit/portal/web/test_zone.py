"""Days are days of whoever asks: shown, entered, filtered and in a ZIP."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from portal.activity.record import record
from portal.core.database import db, is_sqlite
from portal.core.models import Activity, Entry, FileRequest, Share, now
from portal.web import zone
from tests.support.portal import folder_id, links, make_folder, public_id, token, upload

ZONES = ["America/Los_Angeles", "Pacific/Auckland", "Asia/Calcutta", "UTC"]


def be_in(client: FlaskClient, name: str) -> None:
    client.set_cookie(zone.COOKIE, name)


def the_link(kind: str) -> Share | FileRequest:
    if kind == "share":
        return db.session.query(Share).one()
    return db.session.query(FileRequest).one()


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("kind", ["share", "request"])
def test_last_day_of_a_link_is_a_day_of_its_owner(
    kind: str, name: str, app: Flask, alice: FlaskClient
) -> None:
    be_in(alice, name)
    entry = public_id(make_folder(alice, "Work"))
    room = "entries" if kind == "share" else "folders"
    form = {"csrf_token": token(alice), "until": "2099-12-24"}
    created = alice.post(f"/{room}/{entry}/{kind}", data=form, follow_redirects=True).text
    assert "24 Dec 2099, 23:59 " in created
    with app.app_context():
        link = the_link(kind)
        end, own_id = link.expires_at, link.public_id
        assert end
        assert end.astimezone(ZoneInfo(name)).replace(tzinfo=None) == datetime(
            2099, 12, 24, 23, 59, 59, 999999
        )
    address = f"/links/{kind}s/{own_id}"
    shown = alice.get(address).text
    assert 'value="2099-12-24"' in shown
    assert f"in the time zone {name}" in shown
    # Saved again, it is what it was; so it is where its day is another one.
    for other in ZONES:
        be_in(alice, other)
        day = re.search(r'name="until"[^>]* value="([^"]+)"', alice.get(address).text)
        assert day
        alice.post(address, data={"csrf_token": token(alice), "until": day[1]})
        with app.app_context():
            link = the_link(kind)
            assert link.expires_at == end


@pytest.mark.parametrize("name", ZONES)
def test_today_is_allowed_and_yesterday_is_not(name: str, app: Flask, alice: FlaskClient) -> None:
    be_in(alice, name)
    address = f"/entries/{public_id(make_folder(alice, 'Work'))}/share"
    today = now().astimezone(ZoneInfo(name)).date()
    for day, is_taken in ((today - timedelta(days=1), False), (today, True)):
        form = {"csrf_token": token(alice), "until": day.isoformat()}
        answer = alice.post(address, data=form, follow_redirects=True)
        assert ("Copy this link now" in answer.text) is is_taken
    with app.app_context():
        assert db.session.query(Share).count() == 1


@pytest.mark.parametrize("name", ZONES)
def test_filter_finds_the_rows_that_read_so(name: str, app: Flask, alice: FlaskClient) -> None:
    be_in(alice, name)
    with app.app_context():
        owner = db.session.scalars(sa.text("SELECT id FROM account WHERE name = 'alice'")).one()
        db.session.execute(sa.text("DELETE FROM activity"))
        start = datetime(2026, 12, 24, tzinfo=UTC)
        for hours in range(-30, 60, 3):
            record("rename", owner_id=owner, detail=f"{hours} hours", actor="alice")
        of_table = "" if is_sqlite() else " ON activity"
        db.session.execute(sa.text(f"DROP TRIGGER activity_is_only_added_to{of_table}"))
        for row in db.session.query(Activity):
            row.at = start + timedelta(hours=int(row.detail.split()[0]))
        db.session.commit()
    shown = _days(alice.get("/activity").text)
    for since, until in (("24", "24"), ("24", "25"), ("25", "25")):
        query = f"since=2026-12-{since}&until=2026-12-{until}"
        page = alice.get(f"/activity?{query}").text
        wanted = [day for day in shown if since <= day <= until]
        assert _days(page) == wanted
        assert f"in the time zone {name}" in page
        text = alice.get(f"/activity.csv?{query}", buffered=True).text.removeprefix("\ufeff")
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0][0] == f"time ({name})"
        assert [row[0][8:10] for row in rows[:0:-1]] == wanted
    assert len(wanted) == 8


def _days(page: str) -> list[str]:
    return re.findall(r">(2\d) Dec 2026, \d\d:\d\d [A-Z]+</time>", page)


@pytest.mark.parametrize(
    "name",
    [
        *("", "x", "../../etc/passwd", "America", "/etc/localtime", "a" * 5000),
        *("Europe/Nowhere", "..", ".", "+", "posix/../UTC", "ü", "UTC\0"),
    ],
)
def test_zone_that_is_none_is_utc(name: str, app: Flask) -> None:
    with app.test_request_context(headers={"Cookie": f"{zone.COOKIE}={name}"}):
        assert str(zone.current_zone()) == "UTC"


def test_days_at_the_ends_of_calendars_and_at_changes_of_clocks(app: Flask) -> None:
    def bounds(name: str, day: date) -> tuple[datetime, datetime]:
        with app.test_request_context(headers={"Cookie": f"{zone.COOKIE}={name}"}):
            return zone.start_of(day), zone.end_of(day)

    for name in ZONES:
        for day in (date.min, date.max):
            start, end = bounds(name, day)
            assert start <= end
    # Clocks go back from 1:00 to 0:00, and forward from 0:00 to 1:00.
    start, end = bounds("America/Havana", date(2025, 11, 2))
    assert end - start == timedelta(hours=25) - timedelta(microseconds=1)
    start, end = bounds("America/Havana", date(2025, 3, 9))
    assert end - start == timedelta(hours=23) - timedelta(microseconds=1)


@pytest.mark.parametrize("name", ZONES)
def test_members_of_a_zip_have_the_time_that_pages_show(
    name: str, app: Flask, alice: FlaskClient
) -> None:
    be_in(alice, name)
    page = make_folder(alice, "Work")
    upload(alice, "a.txt", page=page)
    upload(alice, "old.txt", b"", page=page)
    make_folder(alice, "Empty", page)
    moment = datetime(2026, 3, 4, 22, 6, 8, tzinfo=UTC)
    with app.app_context():
        db.session.execute(sa.update(Entry).values(created_at=moment))
        ancient = sa.update(Entry).where(Entry.name == "old.txt")
        db.session.execute(ancient.values(created_at=datetime(1970, 1, 1, tzinfo=UTC)))
        db.session.commit()
    there = moment.astimezone(ZoneInfo(name))
    assert f"{there.day} {there:%b %Y, %H:%M %Z}" in alice.get(page).text
    content = alice.get(f"/folders/{public_id(page)}/zip").data
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        times = {one.filename: one.date_time for one in found.infolist()}
        wanted = tuple(there.timetuple())[:6]
        assert times == {
            "Work/a.txt": wanted,
            "Work/Empty/": wanted,
            "Work/old.txt": (1980, 1, 1, 0, 0, 0),
        }
        assert found.testzip() is None
    # Each member's own header says the same.
    assert content.count(content[10:14]) >= 2


def test_page_without_a_zone_names_utc(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    assert links(alice)
    assert re.search(r"\d\d:\d\d UTC</time>", alice.get("/").text)
    assert folder_id(alice)


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("kind", ["share", "request"])
def test_day_that_is_proposed_lasts_to_its_end(
    kind: str, name: str, app: Flask, alice: FlaskClient
) -> None:
    be_in(alice, name)
    room = "entries" if kind == "share" else "folders"
    address = f"/{room}/{public_id(make_folder(alice, 'Work'))}/{kind}"
    day = re.search(r'name="until"[^>]* value="([^"]+)"', alice.get(address).text)
    assert day
    alice.post(address, data={"csrf_token": token(alice), "until": day[1]})
    with app.app_context():
        end = the_link(kind).expires_at
    assert end
    assert end.astimezone(ZoneInfo(name)).isoformat()[:19] == f"{day[1]}T23:59:59"
