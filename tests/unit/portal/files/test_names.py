from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.files import names


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\x\\Report.doc", "Report.doc"),
        ("a/b\\c.txt", "c.txt"),
        ("..", "unnamed"),
        (".", "unnamed"),
        ("", "unnamed"),
        ("/", "unnamed"),
        (" \t\u00a0", "unnamed"),
        (" a.txt \n", "a.txt"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ("cafe\u0301.txt", "café.txt"),
        (".htaccess", ".htaccess"),
        ("👩\u200d👧.txt", "👩\u200d👧.txt"),
        ("\ud800.txt", ".txt"),
        ("\u200b", "unnamed"),
        ("\u115f\u1160", "unnamed"),
        ("\u3164", "unnamed"),
        ("\uffa0", "unnamed"),
        ("\u2800", "unnamed"),
        ("\u034f\ufe0f", "unnamed"),
        ("\U000e0041\U000e0042", "unnamed"),
        ("\U000e0000", "unnamed"),
        ("\ue000\U000f0000", "unnamed"),
        ("\u200b.", "unnamed"),
        ("\u200ba", "\u200ba"),
        ("\ue000.txt", "\ue000.txt"),
        ("_", "_"),
        ("☃", "☃"),
    ],
)
def test_name_is_made_safe(given_name: str, expected: str) -> None:
    assert names.clean(given_name) == expected


def test_long_name_keeps_its_extension() -> None:
    assert names.clean("é" * 300 + ".pdf") == "é" * 125 + ".pdf"


def test_number_goes_before_the_extension() -> None:
    assert names.first_free("a.txt", {"a.txt", "a (2).txt"}.__contains__) == "a (3).txt"


@given(st.text(max_size=400))
def test_any_name_becomes_one_that_can_be_stored(name: str) -> None:
    cleaned = names.clean(name)
    second = names.first_free(cleaned, {cleaned}.__contains__)
    third = names.first_free(cleaned, {cleaned, second}.__contains__)
    for one in (cleaned, second, third):
        assert 0 < len(one.encode()) <= names.LONGEST
        assert not set(one) & set("/\\\0\n\r\u202e")
        assert one not in {".", ".."}


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [
        ("a.txt", "text/plain"),
        ("a.PNG", "image/png"),
        ("a.html.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("data:text/html,x", "application/octet-stream"),
        ("no-extension", "application/octet-stream"),
    ],
)
def test_type_is_told_by_the_name(name: str, mimetype: str) -> None:
    assert names.guess_mimetype(name) == mimetype


@pytest.mark.parametrize(
    ("name", "taken", "free"),
    [
        ("ONE (2).txt", {"ONE (2).txt"}, "ONE (3).txt"),
        ("a (2).txt", {"a (2).txt", "a (3).txt"}, "a (4).txt"),
        ("a (2)", {"a (2)"}, "a (3)"),
        ("a (1).txt", {"a (1).txt"}, "a (1) (2).txt"),
        ("a (2026).txt", {"a (2026).txt"}, "a (2026) (2).txt"),
        ("(2).txt", {"(2).txt"}, "(2) (2).txt"),
        ("a (999)", {"a (999)"}, "a (1000)"),
    ],
)
def test_number_goes_on_from_the_one_that_there_is(name: str, taken: set[str], free: str) -> None:
    assert names.first_free(name, taken.__contains__) == free
