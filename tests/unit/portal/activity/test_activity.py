"""The record of what was done, below the pages."""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import IntegrityError

from flask_delegate.receipts import Outcome, parse
from flask_delegate.receipts import Receipt as LogLine
from portal.accounts import accounts
from portal.activity import receipts, report
from portal.activity.downloads import Downloads
from portal.activity.record import forget_old, record
from portal.core import clock
from portal.core.database import db, is_sqlite
from portal.core.logs import OneLineFormatter
from portal.core.models import Account, Activity, Entry, Receipt, Role, StoredFile, now
from portal.files import entries, trash
from tests.support.portal import (
    PASSWORD,
    Run,
    choose,
    links,
    public_id,
    sign_in,
    signed_in,
    token,
    upload,
)
from tests.support.receipts import Log


@pytest.fixture
def file(app: Flask) -> Iterator[StoredFile]:
    upload(signed_in(app, "alice"), "a.txt")
    with app.app_context():
        yield db.session.query(StoredFile).one()


def download(
    file: StoredFile,
    handoff: str,
    outcome: Outcome | None,
    actor: str = "alice",
    action: str = "download",
) -> None:
    record(action, file, actor=actor, handoff=handoff.ljust(16, "x"))  # type: ignore[arg-type]
    if outcome:
        assert receipts.store([line(handoff, outcome)])


def line(handoff: str, outcome: Outcome) -> LogLine:
    sent = 8 if outcome == "completed" else 5
    return LogLine(handoff.ljust(16, "x"), datetime.now(UTC), "GET", 200, sent, None, outcome)


def test_what_was_done_cannot_be_written_anew(file: StoredFile) -> None:
    record("trash", file, actor="alice")
    with pytest.raises(IntegrityError, match="only added to"):
        db.session.execute(sa.update(Activity).values(actor="bob"))


def test_record_outlives_file_and_account(file: StoredFile) -> None:
    record("trash", file, actor="alice")
    account = accounts.find("alice")
    assert account
    accounts.delete(account)
    assert [one.name for one in db.session.query(Activity).filter_by(action="trash")] == ["a.txt"]


def test_record_is_forgotten_after_its_time(app: Flask, file: StoredFile) -> None:
    old = now() - timedelta(days=app.config["ACTIVITY_DAYS"], minutes=1)
    db.session.add(Activity(action="trash", at=old, name="old"))
    db.session.add(Receipt(handoff="x" * 16, outcome="completed", status=200, sent=1, at=old))
    db.session.commit()
    record("trash", file, actor="alice")
    assert forget_old() == 1
    assert db.session.query(Activity).filter_by(name="old").count() == 0
    assert db.session.query(Activity).filter_by(action="trash").count() == 1
    assert db.session.query(Receipt).count() == 0


def test_receipt_of_another_application_is_not_kept(file: StoredFile) -> None:
    assert not receipts.store([line("other", "completed")])
    download(file, "mine", None)
    assert receipts.store([line("mine", "completed")])
    assert not receipts.store([line("mine", "cut short")])  # the log is read again
    assert db.session.query(Receipt).one().outcome == "completed"


def test_receipts_are_stored_with_the_position_or_not_at_all(
    file: StoredFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(file, "1", None)
    assert receipts.position_in(tmp_path / "log") == {}
    with monkeypatch.context() as patch:
        patch.setattr(db.session, "merge", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            receipts.store([line("1", "completed")], tmp_path / "log", {"a": 1})
    db.session.rollback()
    assert db.session.query(Receipt).count() == 0
    for size in (1, 2):
        receipts.store([line("1", "completed")], tmp_path / "log", {"a": size})
        assert receipts.position_in(tmp_path / "log") == {"a": size}
    assert db.session.query(Receipt).count() == 1
    assert receipts.position_in(tmp_path / "other log") == {}


def test_command_goes_on_where_it_stopped_through_rotations(
    file: StoredFile, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path / "downloads.log")
    for number in range(6):
        record("download", file, handoff=f"{number:016}")
    monkeypatch.setattr(time, "sleep", Mock(side_effect=KeyboardInterrupt))
    parsing = Mock(side_effect=parse)
    monkeypatch.setattr("flask_delegate.receipts.parse", parsing)
    for rotate in (log.rename, log.copy_and_truncate, log.rename):
        log.write()
        assert run("receipts", "--follow", str(log.path))[0] == 0
        log.write()
        rotate()
    assert run("receipts", "--follow", str(log.path))[0] == 0
    assert db.session.query(Receipt).count() == parsing.call_count == 6


def test_command_reads_one_file_any_number_of_times(
    file: StoredFile, run: Run, tmp_path: Path
) -> None:
    log = Log(tmp_path / "downloads.log")
    for number in range(3):
        record("download", file, handoff=f"{number:016}")
        log.write()
    for _ in range(2):
        assert run("receipts", str(log.path)) == (0, "", "")
        assert db.session.query(Receipt).count() == 3


def counted(file: StoredFile) -> Downloads:
    found = report.history(file, []).downloads
    assert found
    return found


def test_several_ranges_at_once_do_not_make_up_a_download(file: StoredFile) -> None:
    download(file, "1", None)
    receipts.store([LogLine("1".ljust(16, "x"), now(), "GET", 206, 300, None, "completed")])
    assert counted(file).completed == 0


def test_downloads_are_counted_by_how_they_ended(file: StoredFile) -> None:
    assert counted(file) == Downloads()
    download(file, "1", "completed")
    download(file, "2", "cut short", actor="bob")
    download(file, "3", None, actor="carol")
    record("download", file, handoff="4".ljust(16, "x"))
    receipts.store([line("4", "unknown")])
    found = counted(file)
    assert (found.completed, found.incomplete, found.pending, found.unknown) == (1, 1, 1, 1)
    assert found.last
    assert found.summary == (
        "4 downloads: 1 complete, 1 incomplete, 1 still being confirmed, 1 with an unknown end"
    )


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((1, 0, 0, 0), "1 download"),
        ((2, 0, 0, 0), "2 downloads"),
        ((0, 0, 1, 0), "1 download, still being confirmed"),
        ((0, 0, 0, 2), "2 downloads, with an unknown end"),
        ((1, 0, 1, 0), "2 downloads: 1 complete, 1 still being confirmed"),
        ((0, 0, 0, 0), "No complete download"),
    ],
)
def test_downloads_are_summed_up_in_words(counts: tuple[int, int, int, int], words: str) -> None:
    assert Downloads(*counts).summary == words


def test_download_is_being_confirmed_for_an_hour(
    alice: FlaskClient, file: StoredFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"/entries/{file.public_id}"
    assert "Not downloaded yet" in alice.get(page).text
    download(file, "1", None)
    text = alice.get(page).text
    assert "1 download, still being confirmed. The last was on" in text
    assert "end unknown" not in text
    assert "still being confirmed" in alice.get("/activity").text
    later = now() + timedelta(minutes=61)
    monkeypatch.setattr(clock, "now", lambda: later)
    text = alice.get(page).text
    assert "1 download, with an unknown end." in text
    assert "end unknown" in text
    assert "still being" not in text + alice.get("/activity").text


@pytest.mark.parametrize(
    ("requests", "completed", "incomplete"),
    [
        # Of 8 bytes: status, first byte, bytes sent.
        ([(200, 0, 8)], 1, 0),
        ([(206, 0, 1)], 0, 1),
        ([(206, 4, 4), (206, 0, 4)], 1, 0),
        ([(206, 0, 2), (206, 2, 2), (206, 4, 2), (206, 6, 2)], 1, 0),
        ([(206, 7, 1)], 0, 1),
        ([(206, 0, 4), (206, 5, 3)], 0, 1),
        ([(304, 0, 0)], 0, 0),
        ([(200, 0, 8), (304, 0, 0), (206, 0, 8)], 2, 0),
        ([(200, 0, 5), (206, 3, 5)], 1, 0),
    ],
)
def test_parts_make_up_a_download_when_they_cover_the_file(
    requests: list[tuple[int, int, int]], completed: int, incomplete: int, file: StoredFile
) -> None:
    assert file.size == 8
    for number, (status, start, sent) in enumerate(requests):
        handoff = f"{number}".ljust(16, "x")
        record("resume" if start else "download", file, actor="bob", handoff=handoff)
        part = (start, start + sent - 1, 8) if status == 206 else None
        outcome: Outcome = "cut short" if (status, sent) == (200, 5) else "completed"
        receipts.store([LogLine(handoff, datetime.now(UTC), "GET", status, sent, part, outcome)])
    found = counted(file)
    assert (found.completed, found.incomplete) == (completed, incomplete)
    assert bool(found.last) == any(status != 304 for status, _, _ in requests)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"name": "UBUNG"}, 2),
        ({"name": "u\u0308bung"}, 2),
        ({"name": "10"}, 1),
        ({"actor": "Zoe"}, 1),
        ({"actor": "ZOË"}, 1),
        ({"actor": "zo"}, 0),
    ],
)
def test_filters_ignore_case_and_accents(
    wanted: dict[str, str], count: int, file: StoredFile
) -> None:
    for name, actor in (("Übung 10.txt", "alice"), ("übung 9.txt", "Zoë")):
        file.name = name
        record("rename", file, actor=actor)
    assert len(report.page(report.matching(**wanted, has_names=True), has_names=True).rows) == count  # type: ignore[arg-type]


def read(before: int | None = None) -> Sequence[report.Line]:
    return report.page(report.matching(has_names=True), before, has_names=True).rows


def test_rows_are_filtered_and_paged(file: StoredFile) -> None:
    for number in range(report.PAGE + 5):
        record("rename", file, actor="alice" if number % 2 else "bob", detail=str(number))
    record("sign in", owner_id=99, actor="carol")
    everything = read()
    assert everything[0].activity.action == "sign in"
    assert len(everything) == report.PAGE
    rest = read(before=everything[-1].activity.id)
    assert rest[-1].activity.id < rest[0].activity.id < everything[-1].activity.id

    def details(**wanted: object) -> int:
        rows = report.matching(action="rename", has_names=True, **wanted)  # type: ignore[arg-type]
        return len(report.page(rows, has_names=True).rows)

    assert details(actor="bob") == 53
    assert details(owner_id=99) == 0
    assert details(name="A.TX") == 100
    assert details(name="%") == 0
    assert details(actor="BÓB") == 53
    assert details(since=now() + timedelta(seconds=1)) == 0
    assert details(until=now() - timedelta(hours=1)) == 0


def test_csv_has_every_row_and_no_formula(file: StoredFile) -> None:
    file.name = "=1+1"
    record("rename", file, actor="alice", detail="+x")
    download(file, "1", "cut short")
    download(file, "2", None)
    text = "".join(report.as_csv(report.matching(has_names=True), UTC, has_names=True))
    assert text.startswith("\ufeff")
    rows = list(csv.reader(text.removeprefix("\ufeff").splitlines()))
    assert ",".join(rows[0]) == "time (UTC),action,by,address,name,detail,outcome,bytes sent"
    assert rows[-3][1:] == ["rename", "alice", rows[-3][3], "'=1+1", "'+x", "", ""]
    assert rows[-2][4:] == ["'=1+1", "", "cut short", "5"]
    assert rows[-1][4:] == ["'=1+1", "", "still being confirmed", ""]
    assert all(line.startswith('"') for line in text.removeprefix("\ufeff").splitlines())


def test_what_was_typed_for_an_unknown_name_is_not_kept(app: Flask) -> None:
    client = app.test_client()
    sign_in(client, "my secret password", "whatever it was")
    sign_in(client, "alice", "whatever it was")
    with app.app_context():
        rows = db.session.query(Activity).filter_by(action="sign-in failed").order_by(Activity.id)
        assert [(row.actor, row.detail) for row in rows] == [
            ("", "an unknown name"),
            ("", "password, for alice"),
        ]


def test_each_sees_what_was_done_with_their_things_and_administrators_all(
    app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    upload(alice, "of alice.txt")
    upload(bob, "of bob.txt")
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    root = signed_in(app, "root")
    mine = alice.get("/activity").text
    assert "of alice.txt" in mine
    assert "of bob.txt" not in mine
    assert "of bob.txt" not in alice.get("/activity.csv").text
    app.config["ADMINISTRATORS_SEE_NAMES"] = True
    everything = root.get("/accounts/activity?action=upload").text
    assert "of alice.txt" in everything
    assert "of bob.txt" in everything
    rows = root.get("/accounts/activity.csv?name=alice&action=upload").text.splitlines()
    assert len(rows) == 2
    assert '"upload","alice","127.0.0.1","of alice.txt",' in rows[1]
    assert "See the names" in alice.get("/account").text


@pytest.mark.parametrize(
    "query",
    [
        "until=9999-12-31",
        "since=0001-01-01",
        "before=x",
        "before=99999999999999999999",
        "endpoint=x",
        "_method=POST&_anchor=x",
    ],
)
def test_strange_filters_break_nothing(query: str, alice: FlaskClient) -> None:
    assert alice.get(f"/activity?{query}").status_code == 200
    assert alice.get(f"/activity.csv?{query}").status_code == 200


def recorded(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        rows = db.session.execute(sa.select(Activity.action, Activity.name).order_by(Activity.id))
        return [(action, name) for action, name in rows]


NO_DAYS = (
    *("abc", "tomorrow", "2026-W50", "2026-W50-1", "20261231", "2026-12", "2026-2-3", "2026"),
    *("2026-02-30", "2026-00-10", "0000-01-01", "-2026-01-01", "10000-01-01", "١٢٣٤-01-01"),
    *("2026-12-31T10:00", "2026-12-31Z", "0", "-1", "x" * 3_000),
)


@pytest.mark.parametrize("path", ["/activity", "/activity.csv"])
@pytest.mark.parametrize("field", ["since", "until"])
def test_day_that_cannot_be_read_is_refused_and_nothing_is_sent(
    field: str, path: str, app: Flask, alice: FlaskClient
) -> None:
    upload(alice, "a.txt")
    before = recorded(app)
    for day in NO_DAYS:
        response = alice.get(path, query_string={field: day})
        assert (response.status_code, response.mimetype) == (422, "text/html")
        assert f'id="{field}-problem"' in response.text
        assert "Enter a day as year-month-day, such as 2027-01-31." in response.text
        assert "<bdi>a.txt</bdi>" not in response.text
        assert 'action="/activity"' in response.text
        assert "matches" not in response.text
    assert recorded(app) == before != []


@pytest.mark.parametrize("path", ["/activity", "/activity.csv"])
def test_reversed_days_are_refused(path: str, app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    before = recorded(app)
    response = alice.get(path, query_string={"since": "2026-02-01", "until": "2026-01-31"})
    assert (response.status_code, response.mimetype) == (422, "text/html")
    assert "The first day is after the last one." in response.text
    same = {"since": f"{now():%Y-%m-%d}", "until": f"{now():%Y-%m-%d}"}
    assert alice.get(path, query_string=same).status_code == 200
    assert recorded(app) == before


def test_filter_that_cannot_match_shows_and_saves_nothing(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    before = recorded(app)
    for query in ("name=" + "x" * 5000, "actor=" + "x" * 65, "action=x"):
        for path in ("/activity", "/activity.csv"):
            response = alice.get(f"{path}?{query}")
            assert (response.status_code, response.mimetype) == (422, "text/html")
            assert "<bdi>a.txt</bdi>" not in response.text
    assert recorded(app) == before


def test_page_that_is_none_is_the_first(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    today = f"{now():%Y-%m-%d}"
    page = alice.get(f"/activity?until={today}&before=-1").text
    assert "a.txt" in page
    assert f'href="/activity.csv?until={today}"' in page
    assert "No matches" in alice.get("/activity?until=2020-01-01").text


def test_everybodys_activity_is_marked_in_the_navigation(app: Flask) -> None:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    root = signed_in(app, "root")
    for page, marked in (("/accounts/activity", "Accounts"), ("/activity", "Activity")):
        found = re.findall(r'aria-current="page">([^<]+)</a>', root.get(page).text)
        assert found == [marked]


def test_what_the_portal_does_by_itself_and_what_commands_do_is_told_apart(
    alice: FlaskClient, file: StoredFile
) -> None:
    public_id = file.public_id
    record("rename", file, detail="by a command")
    choose(alice, "trash", f"/files/{public_id}")
    file.trashed_at = now() - timedelta(days=31)
    db.session.commit()
    trash.purge_expired()
    rows = db.session.query(Activity).filter(Activity.entry == public_id).order_by(Activity.id)
    assert [(row.action, row.actor, row.address) for row in rows][1:] == [
        ("rename", "", "command line"),
        ("trash", "alice", "127.0.0.1"),
        ("delete", "", ""),
    ]
    page = alice.get("/activity").text
    assert "<em>the portal</em>" in page
    assert "<em>a command</em>" in page


def test_what_no_account_did_is_found_by_who_did_it(alice: FlaskClient, file: StoredFile) -> None:
    record("rename", file, detail="by a command")
    record("delete", file, actor="", address="")
    for action in ("download", "sign-in failed"):
        line = {"action": action, "actor": "", "address": "198.51.100.7"}
        db.session.add(Activity(owner_id=file.owner_id, **line))
    db.session.commit()
    record("move", file, actor="alice")

    def actions(query: dict[str, str], path: str = "/activity") -> set[str]:
        """Return the actions that a page, and its CSV, shows."""
        page = alice.get(path, query_string=query)
        with alice.get(f"{path}.csv", query_string=query) as saved:
            text = saved.get_data(as_text=True)
        found = {row["action"] for row in csv.DictReader(io.StringIO(text, newline=""))}
        assert found == set(re.findall(r"</td>\s*<td>([a-z -]+)(?:<br>|</td>)", page.text))
        return found

    assert actions({"by": "Visitor"}) == {"download", "sign-in failed"}
    assert actions({"by": "A command"}) == {"rename"}
    assert actions({"by": "The portal"}) == {"delete"}
    assert actions({"by": "Visitor", "action": "download"}) == {"download"}
    assert actions({"by": "Visitor", "actor": "alice"}) == set()
    assert actions({"actor": "alice"}) >= {"move"}
    assert alice.get("/activity?by=Nobody").status_code == 422


def test_log_has_no_link_that_was_opened(app: Flask) -> None:
    def fail(token: str) -> str:
        raise RuntimeError(f"something about /s/{token}")

    client = app.test_client()
    app.config["PROPAGATE_EXCEPTIONS"] = app.testing = False
    app.view_functions["share_page.enter"] = fail
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLineFormatter())
    app.logger.addHandler(handler)
    assert client.get("/s/secret-token").status_code == 500
    app.logger.removeHandler(handler)
    assert "Exception on /s/" in stream.getvalue()
    assert "secret-token" not in stream.getvalue()


def test_account_that_is_deleted_meanwhile_fails_no_request(
    app: Flask, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    really = entries.rename

    def deleted_then(entry: Entry, wanted: str, exactly: bool = False) -> tuple[str, str]:
        names = really(entry, wanted, exactly)
        without_references = (
            "PRAGMA foreign_keys = OFF" if is_sqlite() else "SET session_replication_role = replica"
        )
        db.session.execute(sa.text(without_references))
        db.session.execute(sa.delete(Account).where(Account.name == "alice"))
        db.session.commit()
        return names

    monkeypatch.setattr(entries, "rename", deleted_then)
    form = {"csrf_token": token(alice), "name": "b.txt"}
    answer = alice.post(f"/entries/{public_id(link)}/rename", data=form)
    assert answer.status_code < 500
    with app.app_context():
        assert db.session.scalars(sa.select(Account).where(Account.name == "alice")).all() == []
        assert db.session.scalars(sa.select(Entry.name).where(Entry.is_file)).all() == ["b.txt"]
