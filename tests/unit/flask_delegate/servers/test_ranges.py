"""Which parts of a file a Range header asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate.servers.ranges import parse

SIZE = 12_000


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-0", [range(1)]),
        ("Bytes=5-", [range(5, SIZE)]),
        ("bytes=-5", [range(SIZE - 5, SIZE)]),
        ("bytes=0-", [range(SIZE)]),
        # More than there is.
        ("bytes=-20000", [range(SIZE)]),
        ("bytes=9-20000", [range(9, SIZE)]),
        ("bytes=0-9223372036854775807", [range(SIZE)]),
        ("bytes=12000-", []),
        ("bytes=12000-12001,20000-", []),
        ("bytes=1-2,20000-", [range(1, 3)]),
        # Several.
        ("bytes=0-1,4-5,-1", [range(2), range(4, 6), range(SIZE - 1, SIZE)]),
        ("bytes=8-9,0-1", [range(8, 10), range(2)]),
        ("bytes=0-1,2-3", [range(4)]),
        ("bytes=4-5,0-9,8-8", [range(10)]),
        ("bytes=4-5,2-3", [range(2, 6)]),
        ("bytes=5-6,0-,9-9", [range(SIZE)]),
        ("bytes=1-2,,5-6,", [range(1, 3), range(5, 7)]),
    ],
)
def test_a_range_is_a_part_of_the_file(header: str, parts: list[range]) -> None:
    assert parse(header, SIZE) == parts


@pytest.mark.parametrize(
    "header",
    [
        *("", "bytes", "bytes=", "bytes=,", "bytes=,0-1", "bytes =0-1", "lines=0-1", "0-1"),
        *("bytes=5", "bytes=-", "bytes=-0", "bytes=2-1", "bytes=a-b", "bytes=1-2-3", "bytes=--1"),
        *("bytes=+1-2", "bytes=1.0-2", "bytes=\xb2-\xb3", "bytes=٣-٤", "bytes=0-1,x"),
        *("bytes=0-9223372036854775808", "bytes=9223372036854775808-", "bytes=0-" + "9" * 20),
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_no_range_is_ignored(header: str) -> None:
    assert parse(header, SIZE) is None


def test_an_empty_file_has_no_parts() -> None:
    assert parse("bytes=0-", 0) is None


def listed(*spans: tuple[int, int]) -> str:
    return "bytes=" + ",".join(f"{first}-{last}" for first, last in spans)


def test_what_would_cost_more_than_the_file_is_ignored() -> None:
    single = [(3 * n, 3 * n) for n in range(201)]
    assert len(parse(listed(*single[:200]), SIZE) or []) == 200
    assert parse(listed(*single), SIZE) is None
    overlapping = [(n, n + 5) for n in range(22)]
    assert parse(listed(*overlapping[:21]), SIZE) == [range(26)]
    assert parse(listed(*overlapping), SIZE) is None
    assert parse(listed(*overlapping[::-1]), SIZE) is None
    assert parse(listed((0, SIZE - 2), (SIZE - 1, SIZE), (0, 9)), SIZE) == [range(SIZE)]
    assert parse("bytes=0-7999,9000-9001,0-7999", SIZE) is None


@given(st.text("bytes=0123456789-, \t", max_size=40).map("bytes=".__add__), st.integers(0, 99))
def test_parts_lie_in_the_file_and_are_no_longer_than_it(header: str, size: int) -> None:
    parts = parse(header, size)
    if parts is not None:
        assert all(part and part.start >= 0 and part.stop <= size for part in parts)
        assert sum(map(len, parts)) <= size
