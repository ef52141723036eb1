"""What a request's conditions make of a file."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flask_delegate.resolve import resolve
from flask_delegate.servers.conditions import Validators, allows_range, evaluate, parse_date

NOW = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
OLD = Validators('"10-6"', NOW - 3600, NOW)
YOUNG = Validators('"10-6"', NOW - 30, NOW)
FRESH = Validators('W/"10-6"', NOW, NOW)
MODIFIED = "Tue, 14 Nov 2023 21:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 21:13:19 GMT"
LATER = "Tue, 14 Nov 2023 22:13:20 GMT"
FUTURE = "Tue, 14 Nov 2023 22:13:21 GMT"


def answer(current: Validators, method: str = "GET", **headers: str) -> int:
    names = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return evaluate({"REQUEST_METHOD": method, **names}, current)


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        *(('"10-6"', 200), ("*", 200), ('"x", "10-6"', 200), (' ,"x,y","10-6" ', 200)),
        *(('"x"', 412), ("", 412), ("10-6", 412), ('W/"10-6"', 412), ('"10-6"x', 412)),
        ('"10-6', 412),
    ],
)
def test_if_match(tags: str, status: int) -> None:
    assert answer(OLD, if_match=tags) == status
    assert answer(FRESH, if_match=tags) == (200 if tags == "*" else 412)


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        *(('"10-6"', 304), ("*", 304), ('"x", W/"10-6"', 304), ('W/"x", "10-6"', 304)),
        *(('"x"', 200), ("", 200), ("10-6", 200)),
    ],
)
def test_if_none_match(tags: str, status: int) -> None:
    for current in (OLD, FRESH):
        assert answer(current, if_none_match=tags) == status
        assert answer(current, "HEAD", if_none_match=tags) == status


def test_a_part_and_a_change_need_a_strong_match() -> None:
    for current, tag, status in (
        (OLD, '"10-6"', 304),
        (OLD, 'W/"10-6"', 200),
        (FRESH, 'W/"10-6"', 200),
    ):
        assert answer(current, range="bytes=0-1", if_none_match=tag) == status
        changed = 412 if status == 304 else 200
        assert answer(current, "POST", if_none_match=tag) == changed


@pytest.mark.parametrize(
    ("date", "modified", "unmodified"),
    [
        *((MODIFIED, 304, 200), (EARLIER, 200, 412), (LATER, 304, 200), (FUTURE, 200, 200)),
        *(("yesterday", 200, 200), ("", 200, 200)),
    ],
)
def test_dates(date: str, modified: int, unmodified: int) -> None:
    assert answer(OLD, if_modified_since=date) == modified
    assert answer(OLD, "POST", if_modified_since=date) == 200
    assert answer(OLD, if_unmodified_since=date) == unmodified
    assert answer(OLD, "POST", if_unmodified_since=date) == unmodified


def test_in_its_first_minute_no_part_depends_on_a_date() -> None:
    assert answer(YOUNG, if_modified_since=LATER) == 304
    assert answer(YOUNG, range="bytes=0-1", if_modified_since=LATER) == 200
    assert answer(YOUNG, if_unmodified_since=EARLIER) == 412
    assert answer(YOUNG, range="bytes=0-1", if_unmodified_since=EARLIER) == 200


def test_all_conditions_have_to_hold() -> None:
    both = {"if_none_match": '"10-6"', "if_modified_since": MODIFIED}
    assert answer(OLD, **both) == 304
    assert answer(OLD, **{**both, "if_modified_since": EARLIER}) == 200
    assert answer(OLD, **{**both, "if_none_match": '"x"'}) == 200
    assert answer(OLD, **both, if_unmodified_since=MODIFIED) == 200
    assert answer(OLD, **both, if_match='"x"') == 412
    assert answer(OLD, **both, range="bytes=0-1", if_range='"x"') == 200
    assert answer(OLD, **both, if_range='"x"') == 304


def test_a_file_without_a_date_may_have_changed() -> None:
    unknown = Validators('"10-0"', 0, NOW)
    assert answer(unknown, if_modified_since=EARLIER) == 200
    assert answer(unknown, if_unmodified_since=EARLIER) == 412
    assert not allows_range({"HTTP_IF_RANGE": LATER}, unknown)
    assert answer(unknown, if_none_match='"10-0"') == 304


@pytest.mark.parametrize(
    ("value", "old", "young"),
    [
        *(('"10-6"', True, True), ('W/"10-6"', False, False), ('"x"', False, False)),
        *((MODIFIED, True, False), (EARLIER, False, False), (LATER, False, False)),
        *(("", False, False), ("*", False, False)),
    ],
)
def test_if_range(value: str, old: bool, young: bool) -> None:
    assert allows_range({"HTTP_IF_RANGE": value}, OLD) == old
    assert allows_range({"HTTP_IF_RANGE": value}, YOUNG) == young
    assert not allows_range({"HTTP_IF_RANGE": value}, FRESH)
    assert allows_range({}, FRESH)


@pytest.mark.parametrize(
    "date",
    [
        *("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"),
        *("Sun Nov  6 08:49:37 1994", "Sun, 6 Nov 1994 08:49:37 GMT"),
    ],
)
def test_a_date_has_three_forms(date: str) -> None:
    assert parse_date(date) == 784111777


def test_a_date_knows_leap_seconds_and_centuries() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800
    assert parse_date("Sunday, 06-Nov-33 08:49:37 GMT") == 2014879777
    assert parse_date("Fri, 31 Dec 9999 23:59:59 GMT") == 253402300799


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "0", "784111777", "1994-11-06T08:49:37Z", "06 Nov 1994 08:49:37 GMT"),
        *("Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"),
        *("Wed, 30 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT"),
        *("Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:62 GMT"),
        *("Sun,  6 Nov 1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT"),
        *("Sun Nov 6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37"),
        *("Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"),
    ],
)
def test_what_is_no_date_is_none(wrong: str) -> None:
    assert parse_date(wrong) is None


def validators(path: Path, modified_ns: int) -> Validators:
    os.utime(path, ns=(modified_ns, modified_ns))
    return Validators.of(resolve(str(path.parent), path.name))


def test_an_etag_is_size_and_time_in_microseconds(tmp_path: Path) -> None:
    old = 1_700_000_000_123_456_789
    for name in ("one", "copy"):
        (tmp_path / name).write_bytes(b"x" * 26)
        found = validators(tmp_path / name, old)
        assert found.headers() == {
            "ETag": '"1a-60a2418202240"',
            "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT",
        }


def test_a_time_before_the_epoch_is_none(tmp_path: Path) -> None:
    (tmp_path / "ancient").touch()
    found = validators(tmp_path / "ancient", -5 * 10**9)
    assert found.headers() == {
        "ETag": '"0-ffffffffffb3b4c0"',
        "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT",
    }


def test_what_may_still_change_has_a_weak_etag(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    now = time.time_ns()
    fresh = validators(tmp_path / "new", now)
    assert fresh.etag.startswith('W/"0-')
    later = validators(tmp_path / "new", now + 3600 * 10**9)
    assert later.etag.startswith('W/"0-')
    assert later.modified == later.now


@pytest.mark.parametrize(("age", "certain"), [(59, False), (60, True), (61, True)])
def test_a_date_is_certain_after_a_minute(age: int, certain: bool) -> None:
    assert Validators('"x"', NOW - age, NOW).is_certain() == certain


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def test_a_date_in_each_month_and_form() -> None:
    for number, month in enumerate(MONTHS, 1):
        wanted = int(datetime(2023, number, 7, 1, 2, 3, tzinfo=UTC).timestamp())
        for form in ("Sun, 07 {} 2023 01:02:03 GMT", "Sun {}  7 01:02:03 2023"):
            assert parse_date(form.format(month)) == wanted
        assert parse_date(f"Sunday, 07-{month}-23 01:02:03 GMT") == wanted
