"""What is no proper frame is refused, and nothing of it reaches the application."""

from __future__ import annotations

import pytest

from flask_delegate.scgi.frame import SHORTEST, BadFrameError, parse
from tests.support.scgi_frames import (
    Application,
    encoded,
    exchange,
    frame,
    netstring,
    try_hostile_frames,
)

SPECIFIED = encoded([("CONTENT_LENGTH", "27"), ("SCGI", "1"), ("REQUEST_METHOD", "POST")])


def test_the_example_of_the_specification() -> None:
    assert parse(SPECIFIED) == {"CONTENT_LENGTH": "27", "SCGI": "1", "REQUEST_METHOD": "POST"}


def test_no_frame_is_shorter_than_what_is_read_at_once() -> None:
    assert len(netstring(encoded([("CONTENT_LENGTH", "0"), ("SCGI", "1")]))) == SHORTEST + 1


def test_values_are_latin_1_and_may_be_empty() -> None:
    assert parse(SPECIFIED + encoded([("HTTP_X", "é"), ("HTTPS", "")]))["HTTP_X"] == "é"


def test_a_header_that_is_there_twice_is_joined() -> None:
    """As nginx before 1.23 passes it on, and no other name."""
    twice = [("HTTP_X", "1"), ("HTTP_COOKIE", "a=1"), ("HTTP_X", "2"), ("HTTP_COOKIE", "b=2")]
    found = parse(SPECIFIED + encoded(twice))
    assert (found["HTTP_X"], found["HTTP_COOKIE"]) == ("1, 2", "a=1; b=2")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "does not begin with CONTENT_LENGTH"),
        (SPECIFIED[:-1], "does not end with the end of a value"),
        (SPECIFIED + b"HTTP_X\0", "does not end with the end of a value"),
        (encoded([("SCGI", "1"), ("CONTENT_LENGTH", "0")]), "does not begin with CONTENT_LENGTH"),
        (encoded([("CONTENT_LENGTH", ""), ("SCGI", "1")]), "does not begin with CONTENT_LENGTH"),
        (encoded([("CONTENT_LENGTH", "+1"), ("SCGI", "1")]), "does not begin with CONTENT_LENGTH"),
        (encoded([("CONTENT_LENGTH", "²"), ("SCGI", "1")]), "does not begin with CONTENT_LENGTH"),
        (encoded([("CONTENT_LENGTH", "1"), ("SCGI", "2")]), "SCGI is not 1"),
        (encoded([("CONTENT_LENGTH", "1")]), "SCGI is not 1"),
        (SPECIFIED + encoded([("", "x")]), "a name is empty"),
        (SPECIFIED + encoded([("é", "x")]), "other characters"),
        (SPECIFIED + encoded([("a b", "x")]), "other characters"),
        (SPECIFIED + encoded([("CONTENT_LENGTH", "0")]), "'CONTENT_LENGTH' is there twice"),
        (SPECIFIED + encoded([("REQUEST_METHOD", "GET")]), "'REQUEST_METHOD' is there twice"),
        (SPECIFIED + encoded([("HTTP_HOST", "a"), ("HTTP_HOST", "b")]), "'HTTP_HOST' is there"),
    ],
)
def test_what_is_wrong_is_said(head: bytes, said: str) -> None:
    with pytest.raises(BadFrameError, match=said):
        parse(head)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"0" + frame(),
        b"-" + frame(),
        b" " + frame(),
        frame().replace(b":", b";", 1),
        frame().replace(b",", b".", 1),
        b"1:" + b"x" * 40,
        b"9999999999999999999:" + b"x" * 40,
    ],
)
def test_what_is_no_netstring_is_refused(sent: bytes) -> None:
    application = Application()
    assert exchange(sent, application).startswith(b"Status: 400 Bad Request\r\n")
    assert application.asked == []


def test_a_head_above_the_limit_is_refused_with_its_own_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Application()
    got = exchange(frame(HTTP_X="x" * 4096), application)
    assert got.startswith(b"Status: 431 Request Header Fields Too Large\r\n")
    assert application.asked == []
    assert "4096 are the limit (--max-head)" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_hostile_frames(seed: int) -> None:
    """A million were tried by ``scripts/bench scgi-frames``."""
    outcomes = try_hostile_frames(1000, seed)
    assert min(outcomes[name] for name in ("refused", "broken off", "answered")) > 20
