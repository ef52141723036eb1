"""A clock that is wrong for a while, and right again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.accounts import accounts, invitations
from portal.activity.record import forget_old
from portal.core.clock import days_ago
from portal.core.database import db
from portal.core.models import (
    Activity,
    CancelledUpload,
    Entry,
    Role,
    SeenDay,
    Share,
    StoredFile,
    Upload,
    base,
    now,
)
from portal.files import entries, trash, unfinished
from portal.identity import second_factor, sessions
from portal.sharing import limits
from portal.sharing import links as share_links
from portal.tus import uploads
from portal.tus.announced import Announced
from tests.support.portal import (
    PASSWORD,
    choose,
    kept,
    links,
    make_folder,
    see_days,
    sign_in,
    signed_in,
    upload,
)
from tests.support.tus import Tus

YEAR = timedelta(days=365)
Set = Callable[[timedelta], None]
"""Sets the clock ahead of the right one, or back."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Set]:
    ahead = [timedelta(0)]
    really = time.time

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(really(), tz or UTC) + ahead[0]

    monkeypatch.setattr(base, "datetime", Datetime)
    monkeypatch.setattr(time, "time", lambda: really() + ahead[0].total_seconds())

    def set_ahead(by: timedelta) -> None:
        ahead[0] = by

    yield set_ahead
    set_ahead(timedelta(0))


@pytest.mark.parametrize("ahead", [YEAR, timedelta(hours=3)])
def test_wrong_passwords_of_another_year_lock_nobody_out(
    ahead: timedelta, app: Flask, clock: Set
) -> None:
    clock(ahead)
    statuses = [sign_in(app.test_client(), "alice", "wrong").status_code for _ in range(12)]
    assert statuses[-1] == 429
    clock(timedelta(0))
    assert sign_in(app.test_client(), "alice").status_code == 302


def test_attempts_go_on_counting_when_the_clock_is_set_back_a_little(
    app: Flask, clock: Set
) -> None:
    for _ in range(12):
        sign_in(app.test_client(), "alice", "wrong")
    clock(-timedelta(seconds=10))
    refused = sign_in(app.test_client(), "alice")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 15 * 60 + 10


def test_code_of_another_year_keeps_no_right_code_out(app: Flask, clock: Set) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        second_factor.begin(account)
        clock(YEAR)
        totp = pyotp.TOTP(account.totp_secret or "")
        assert second_factor.confirm(account, totp.at(now()))
        clock(timedelta(0))
        code = totp.at(now())
        assert second_factor.check(account, code)
        assert not second_factor.check(account, code)
        # Set back by less than a code's life: none is accepted twice.
        clock(-timedelta(seconds=10))
        assert not second_factor.check(account, code)


def test_session_goes_on_when_the_clock_is_set_back_a_little(
    app: Flask, alice: FlaskClient, clock: Set
) -> None:
    del app
    clock(-timedelta(seconds=10))
    assert alice.get("/").status_code == 200
    upload(alice, "a.txt")
    clock(timedelta(0))
    assert list(links(alice)) == ["a.txt"]


def test_session_of_another_year_lasts_no_longer_than_others(app: Flask, clock: Set) -> None:
    clock(YEAR)
    client = signed_in(app, "alice")
    with app.app_context():
        account = accounts.find("alice")
        assert account
        key = sessions.start(sessions.Proof.of(account), "browser", "127.0.0.1")
    clock(timedelta(0))
    assert client.get("/").status_code == 302
    with app.app_context():
        assert sessions.find(key) is None


@pytest.mark.parametrize("ended_by", ["a sign-in", "the daily command"])
def test_session_of_another_year_is_not_listed_and_does_not_come_back(
    ended_by: str, app: Flask, clock: Set
) -> None:
    clock(YEAR)
    with app.app_context():
        account = accounts.find("alice")
        assert account
        proof = sessions.Proof.of(account)
        key = sessions.start(proof, "browser", "127.0.0.1")
        assert len(sessions.list_sessions(account)) == 1
        clock(timedelta(0))
        assert sessions.list_sessions(account) == []
        if ended_by == "a sign-in":
            sessions.start(proof, "browser", "127.0.0.1")
        else:
            assert sessions.delete_ended() == 1
        clock(YEAR)
        assert sessions.find(key) is None


def test_download_that_was_counted_a_year_ahead_is_counted_again(
    app: Flask, alice: FlaskClient, clock: Set
) -> None:
    upload(alice, "a.txt")
    with app.app_context():
        file = db.session.scalars(select(StoredFile)).one()
        share, _ = share_links.create(Share, file)
        for ahead, counted in ((YEAR, 1), (timedelta(0), 2), (timedelta(0), 2)):
            clock(ahead)
            assert limits.may_download(share, file, "visitor") == (share.downloads == counted)
            assert limits.begin_download(share, file, "visitor")
            db.session.refresh(share)
            assert share.downloads == counted


def test_invitation_of_another_year_has_expired(app: Flask, clock: Set) -> None:
    clock(YEAR)
    with app.app_context():
        _, token = invitations.create_invitation(Role.MEMBER, None, "")
        assert invitations.find_invitation(token)
    clock(timedelta(0))
    with app.app_context():
        with pytest.raises(invitations.LinkError, match="expired"):
            invitations.find_invitation(token)
        assert invitations.open_invitations().rows == []


def test_clock_that_is_a_year_ahead_deletes_nothing(
    app: Flask, alice: FlaskClient, clock: Set
) -> None:
    upload(alice, "a.txt")
    choose(alice, "trash", links(alice)["a.txt"])
    with app.app_context():
        account = accounts.find("alice")
        assert account
        folder = entries.root_folder(account.id)
        uploads.create(account, folder, Announced("b", 9, ""))
        invitations.create_invitation(Role.MEMBER, None, "")
        before = len(db.session.scalars(select(Activity)).all())
        clock(YEAR)
        assert trash.purge_expired() == trash.Purged()
        assert uploads.remove_expired() == (0, 0)
        assert forget_old() == 0
        assert invitations.forget_expired() == 0
        clock(timedelta(0))
        assert db.session.scalars(select(StoredFile.name)).all() == ["a.txt"]
        assert len(db.session.scalars(select(Activity)).all()) == before
        # Once the portal has seen those days, they count.
        for day in range(1, 31):
            clock(timedelta(days=day, minutes=1))
            assert trash.purge_expired() == trash.Purged(day // 30, 0 if day < 30 else 8)


def test_what_was_noted_a_year_ahead_expires_as_if_noted_now(
    app: Flask, clock: Set, data: Path
) -> None:
    clock(YEAR)
    client = signed_in(app, "alice")
    folder = make_folder(client, "Folder")
    upload(client, "a.txt", page=folder)
    choose(client, "trash", folder)
    Tus(client).begin(9)
    clock(timedelta(0))
    limit = now() + timedelta(days=30, minutes=1)
    with app.app_context():
        (top,) = trash.all_trashed(db.session.scalars(select(Entry.owner_id)).first() or 0)
        assert trash.expiry(top) < limit
        begun = db.session.scalars(select(Upload)).one()
        assert unfinished.expiry(begun) < now() + timedelta(days=3, minutes=1)
        parts = [*(data / "incoming/parts").iterdir()]
        for day in range(31):
            clock(timedelta(days=day, minutes=day))
            assert trash.purge_expired().files == (day == 30)
            assert uploads.remove_expired() == ((1, 0) if day == 3 else (0, 0))
            assert [one.exists() for one in parts] == [day < 3]
        assert db.session.scalars(select(Entry).where(Entry.trash_id.is_not(None))).all() == []
        assert db.session.scalars(select(Upload)).all() == []
    assert kept(data) == []


def noted() -> list[datetime | None]:
    trashed, used = select(Entry.trashed_at).order_by(Entry.id), select(Upload.used_at)
    return [*db.session.scalars(trashed), *db.session.scalars(used)]


def test_a_cancelled_upload_is_forgotten_when_it_would_have_expired(
    app: Flask, alice: FlaskClient, clock: Set
) -> None:
    tus = Tus(alice)
    assert tus.send("DELETE", tus.begin(9, filename="a", nonce="1")).status_code == 204
    with app.app_context():
        for day in range(5):
            clock(timedelta(days=day, minutes=day))
            uploads.remove_expired()
            found = db.session.scalars(select(CancelledUpload)).all()
            assert len(found) == (day < 3)


def test_an_upload_that_has_expired_is_begun_anew_by_its_nonce(
    app: Flask, alice: FlaskClient, clock: Set
) -> None:
    tus = Tus(alice)
    first = tus.begin(9, filename="a", nonce="1")
    for day in range(5):  # the portal sees them, and is not cleaned up
        clock(timedelta(days=day, minutes=day))
        with app.app_context():
            days_ago(0)
    tus = Tus(signed_in(app, "alice"))
    again = tus.begin(9, filename="a", nonce="1")
    assert again != first
    assert tus.offset(again) == 0


def test_clock_that_is_a_year_behind_makes_nothing_older(
    app: Flask, alice: FlaskClient, clock: Set, data: Path
) -> None:
    upload(alice, "a.txt")
    choose(alice, "trash", links(alice)["a.txt"])
    Tus(alice).begin(9)
    with app.app_context():
        before = noted()
        for ahead in (-YEAR, timedelta(0)):
            clock(ahead)
            assert trash.purge_expired() == trash.Purged()
            assert uploads.remove_expired() == (0, 0)
            db.session.rollback()
            assert noted() == before
    assert len(kept(data)) == len([*(data / "incoming/parts").iterdir()]) == 1


@pytest.mark.parametrize(("seen", "days", "expected"), [(0, 1, 1), (0, 2, None), (9, 9, 9)])
def test_days_are_those_that_the_portal_has_seen(
    seen: int, days: int, expected: int | None, app: Flask
) -> None:
    with app.app_context():
        see_days(seen)
        found = days_ago(days)
        today = {now().date()}
        assert today <= set(db.session.scalars(select(SeenDay.day)))
        if expected is None:
            assert found.year == 1
        else:
            assert abs(found - (now() - timedelta(days=expected))) < timedelta(minutes=1)


def test_password_is_right_whatever_the_clock(app: Flask, clock: Set) -> None:
    for ahead in (YEAR, -YEAR, timedelta(0)):
        clock(ahead)
        assert sign_in(app.test_client(), "alice", PASSWORD).status_code == 302
