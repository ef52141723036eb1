"""The forms for links: safe without a decision, and what is decided is what is stored."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
import zxingcpp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Activity, FileRequest, Share, now
from portal.core.text import LONGEST_LINK_NAME
from portal.identity import passwords
from portal.web import zone
from tests.support.portal import REDIRECT, links, make_folder, public_id, token, upload

KINDS = {"share": Share, "request": FileRequest}


def form_of(client: FlaskClient, kind: str) -> str:
    """Return the address of the form for a link to a new folder."""
    entry = public_id(make_folder(client, f"To {kind}"))
    return f"/entries/{entry}/share" if kind == "share" else f"/folders/{entry}/request"


def send(client: FlaskClient, address: str, **terms: str) -> str:
    """Send a form, and return the page after it."""
    form = {"csrf_token": token(client), **terms}
    return client.post(address, data=form, follow_redirects=True).text


def change_of(client: FlaskClient) -> str:
    found = re.search(r'href="(/links/(?:shares|requests)/[^"/]+)"', client.get("/links").text)
    assert found
    return found[1]


def created(app: Flask, kind: str) -> list[Share | FileRequest]:
    with app.app_context():
        return list(db.session.scalars(select(KINDS[kind])))


def in_days(days: int, where: str) -> datetime:
    """Return the last moment of a day from today, where somebody is."""
    there = ZoneInfo(where)
    day = now().astimezone(there).date() + timedelta(days=days)
    return datetime.combine(day, time.max, there)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize(
    ("terms", "days"),
    [
        ({}, 14),
        ({"until": ""}, 14),  # who empties the field has decided nothing
        ({"expires": "1"}, 1),
        ({"expires": "7"}, 7),
        ({"expires": "14", "until": "2099-12-24"}, 14),
        ({"expires": "30", "until": "yesterday"}, 30),
        ({"expires": "never", "until": "2099-12-24"}, None),
    ],
)
def test_link_expires_as_it_was_decided_and_else_after_two_weeks(
    kind: str, where: str, terms: dict[str, str], days: int | None, app: Flask, alice: FlaskClient
) -> None:
    alice.set_cookie(zone.COOKIE, where)
    before = in_days(days, where) if days else None
    send(alice, form_of(alice, kind), **terms)
    after = in_days(days, where) if days else None
    (link,) = created(app, kind)
    assert link.expires_at in {before, after}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("terms", [{"until": ""}, {}, {"until": "2020-01-01"}])
def test_day_that_is_no_day_creates_no_link(
    kind: str, terms: dict[str, str], app: Flask, alice: FlaskClient
) -> None:
    page = send(alice, form_of(alice, kind), expires="day", **terms)
    assert 'id="link-until-problem"' in page
    boxes = re.findall(r"<input[^>]* checked[^>]*>", page)
    assert any('value="day"' in box for box in boxes)
    assert created(app, kind) == []


def test_choice_that_there_is_not_creates_no_link(app: Flask, alice: FlaskClient) -> None:
    address = form_of(alice, "share")
    assert 'id="link-expires-problem"' in send(alice, address, expires="15")
    assert 'id="link-lock-problem"' in send(alice, address, lock="later")
    assert created(app, "share") == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_weeks_are_selected_in_a_new_form_and_the_present_end_in_a_link_s(
    kind: str, app: Flask, alice: FlaskClient
) -> None:
    def selected(page: str) -> list[str]:
        boxes = re.findall("<input[^>]*>", page)
        return [box for box in boxes if " checked" in box and 'name="expires"' in box]

    address = form_of(alice, kind)
    (box,) = selected(alice.get(address).text)
    assert 'value="14"' in box
    send(alice, address)
    (link,) = created(app, kind)
    change = change_of(alice)
    (box,) = selected(alice.get(change).text)
    assert 'value="day"' in box
    # What a form does not send stays.
    send(alice, change, note="x")
    assert created(app, kind)[0].expires_at == link.expires_at
    send(alice, change, expires="never")
    assert created(app, kind)[0].expires_at is None
    (box,) = selected(alice.get(change).text)
    assert 'value="never"' in box


def test_generated_password_is_shown_once_and_opens_the_link(
    app: Flask, alice: FlaskClient
) -> None:
    address = form_of(alice, "share")
    form = {"csrf_token": token(alice), "lock": "generated", "password": "not this one"}
    answer = alice.post(address, data=form)
    assert answer.status_code == REDIRECT
    shown = re.search(
        '<input id="link-password"[^>]* value="([^"]+)"', alice.get(answer.location).text
    )
    assert shown
    (share,) = created(app, "share")
    assert isinstance(share, Share)
    assert passwords.verify(share.password_hash, shown[1])
    assert not passwords.verify(share.password_hash, "not this one")
    assert shown[1] not in answer.location
    again = alice.get(answer.location, follow_redirects=True).text
    assert "shown only once" in again
    assert shown[1] not in again


def test_generated_passwords_are_good_and_differ() -> None:
    made = {passwords.generate() for _ in range(50)}
    assert len(made) == 50
    for one in made:
        passwords.check_new(one, "")


def test_own_password_is_taken_and_not_shown(app: Flask, alice: FlaskClient) -> None:
    address = form_of(alice, "share")
    for terms in ({"lock": "own"}, {"lock": "own", "password": "short"}):
        assert 'id="link-password-problem"' in send(alice, address, **terms)
    # Who typed one and selected none may believe that there is one.
    assert 'id="link-lock-problem"' in send(alice, address, lock="none", password="correct horse")
    assert created(app, "share") == []
    page = send(alice, address, lock="own", password="between us two")
    assert "between us two" not in page
    (share,) = created(app, "share")
    assert isinstance(share, Share)
    assert passwords.verify(share.password_hash, "between us two")


@pytest.mark.parametrize("kind", KINDS)
def test_name_is_clean_short_and_optional(kind: str, app: Flask, alice: FlaskClient) -> None:
    address = form_of(alice, kind)
    send(alice, address)
    send(alice, address, name=" For\tthe\u200b  auditor\u202e ")
    send(alice, address, name="ä" * LONGEST_LINK_NAME)
    assert [link.name for link in created(app, kind)] == ["", "For the auditor", "ä" * 80]
    page = send(alice, address, name="x" * (LONGEST_LINK_NAME + 1))
    assert 'id="link-name-problem"' in page
    assert len(created(app, kind)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_name_is_listed_for_its_owner_and_no_visitor_sees_it(
    kind: str, app: Flask, alice: FlaskClient
) -> None:
    address = form_of(alice, kind)
    page = send(alice, address, name="For the auditor", note="As promised")
    link = re.search(r"http://localhost(/[sr]/[^<]+)<", page)
    assert link
    details = address.rpartition("/")[0].replace("/folders/", "/entries/")
    for own in ("/links", details, address, change_of(alice)):
        assert "For the auditor" in alice.get(own).text, own
    visitor = app.test_client()
    seen = visitor.get(link[1], follow_redirects=True).text
    assert "For the auditor" not in seen
    if kind == "share":
        assert "As promised" in seen
    send(alice, change_of(alice), name="For the tax office")
    (changed,) = created(app, kind)
    assert changed.name == "For the tax office"


def test_qr_code_is_the_link(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    page = send(alice, f"/entries/{public_id(links(alice)['a.txt'])}/share")
    link = re.search(r"<textarea[^>]*>([^<]+)</textarea>", page)
    picture = re.search(r'<svg viewBox="0 0 (\d+) \1"[^>]*>.* d="(M4 4\.5[^"]+)"', page)
    assert link
    assert picture
    assert read_code(int(picture[1]), picture[2]) == unescape(link[1])
    assert " style=" not in page


def read_code(size: int, lines: str, scale: int = 4) -> str:
    """Draw the lines of a path, each a module high, as a scanner sees them, and read them."""
    seen = [bytearray(b"\xff" * size) for _ in range(size)]
    x, y = 0, 0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", lines):
        right, *down = (float(number) for number in numbers.split())
        if command == "h":
            seen[y][x : x + int(right)] = b"\0" * int(right)
        else:
            y = int(down[0]) if command == "M" else y + int(down[0])
        x = int(right) if command == "M" else x + int(right)
    rows = [bytes(one for one in row for _ in range(scale)) for row in seen for _ in range(scale)]
    picture = memoryview(b"".join(rows)).cast("B", (size * scale, size * scale))
    (found,) = zxingcpp.read_barcodes(picture)
    return found.text


def test_form_lists_the_latest_links_to_the_same(app: Flask, alice: FlaskClient) -> None:
    address = form_of(alice, "share")
    for name in ("first", "second", "third", "fourth"):
        send(alice, address, name=name)
    send(alice, form_of(alice, "request"), name="other")
    page = alice.get(address).text
    assert re.findall("<li><bdi>([a-z]+)</bdi>: open", page) == ["fourth", "third", "second"]
    assert ">All links</a>" in page
    newest = max(created(app, "share"), key=lambda link: link.id).public_id
    assert f'href="/activity?link={newest}"' in page
    send(alice, f"/links/shares/{newest}/revoke")
    page = alice.get(address).text
    assert re.findall("<li><bdi>([a-z]+)</bdi>: open", page) == ["third", "second", "first"]
    assert ">All links</a>" not in page


@pytest.mark.parametrize("kind", KINDS)
def test_link_that_is_changed_or_revoked_twice_is_recorded_once(
    kind: str, app: Flask, alice: FlaskClient
) -> None:
    def recorded(action: str) -> int:
        with app.app_context():
            found = select(Activity).where(Activity.action == f"{action} {kind}")
            return len(db.session.scalars(found).all())

    send(alice, form_of(alice, kind), name="Before")
    address = change_of(alice)
    terms = {"name": "After", "expires": "7", "note": "x"}
    terms |= {"password": "a long password"} if kind == "share" else {"asks_name": "y"}
    for _ in range(3):
        send(alice, address, **terms)
    assert recorded("change") == 1
    (link,) = created(app, kind)
    assert (link.name, link.note) == ("After", "x")
    send(alice, address, **terms | {"note": "y"})
    assert recorded("change") == 2
    assert "was revoked before" not in send(alice, f"{address}/revoke")
    assert "was revoked before" in send(alice, f"{address}/revoke")
    assert recorded("revoke") == 1
