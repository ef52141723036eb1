"""Keys of text: what is one name, what a search finds, and what comes first."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.accounts import usernames
from portal.core import text
from portal.core.models import Account, Activity, Entry
from portal.files import names

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=names.LONGEST)
ASSIGNED = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize(
    "listed",
    [
        ["img1", "img2", "IMG3", "img10", "img10a", "img11"],
        ["Äpfel", "Birnen", "Zebra"],
        ["Resume", "résumé", "resumes"],
        ["2", "10", "00010b", "a"],
        ["Øre", "Ort", "Otter"],
        ["v1.2.9", "v1.2.10", "v1.10"],
        ["a", "a 1", "a1", "ab"],
        ["file 9" + "9" * 200, "file 1" + "0" * 201],
        ["Ελλάδα", "Ζευς"],
        ["Арбуз", "Яблоко"],
    ],
)
def test_names_sort_as_people_would(listed: list[str]) -> None:
    shuffled = listed[::-1]
    shuffled.sort(key=text.sort_key)
    assert shuffled == listed


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("endgultige", "Die endgültige Fassung.pdf"),
        ("ENDGÜLTIGE", "Die endgultige Fassung.pdf"),
        ("u\u0308bung", "Übung 3.txt"),
        ("strasse", "Straße.txt"),
        ("malmo", "Malmö.txt"),
        ("lodz", "Łódź.txt"),
        ("oeuvre", "Œuvre.txt"),
        ("απριλιος", "Απρίλιος.txt"),
        ("\uff11\uff12", "12.txt"),
        ("ﬁ", "File.txt"),
    ],
)
def test_search_ignores_case_and_accents(typed: str, name: str) -> None:
    assert text.search_key(typed) in text.search_key(name)


@pytest.mark.parametrize(("one", "other"), [("कि", "क"), ("กิน", "กน"), ("o", "ö"), ("ss", "s")])
def test_names_that_are_others_stay_apart(one: str, other: str) -> None:
    assert text.fold(one) != text.fold(other)
    if one != "o":
        assert text.search_key(one) != text.search_key(other)


COLUMNS = [
    (Entry.name_key, text.fold),
    (Entry.search_key, text.search_key),
    (Entry.sort_key, text.sort_key),
    (Activity.name_key, text.search_key),
    (Activity.actor_key, text.search_key),
    (Account.name_key, text.fold),
    (Account.skeleton, usernames.skeleton),
]


@given(ANYTHING)
def test_keys_fit_their_columns(name: str) -> None:
    for fill in (name, *(character * names.LONGEST for character in name[:1])):
        cleaned = names.clean(fill)
        for column, key in COLUMNS:
            most = column.type.length
            assert len(key(cleaned)) <= most, column
            assert len(key(cleaned[:64])) <= most, column


def test_no_character_makes_a_key_too_long() -> None:
    for character in ASSIGNED:
        if len(text.fold(character)) > 3:
            name = names.clean(character * names.LONGEST)
            assert len(text.fold(name)) <= text.LONGEST_KEY
            assert text.fold(name) != text.fold(name[:-1])


@given(ANYTHING, ANYTHING)
def test_names_with_one_key_have_the_others_in_common(one: str, other: str) -> None:
    if text.fold(one) == text.fold(other):
        assert text.sort_key(one) == text.sort_key(other)
        assert text.search_key(one) == text.search_key(other)
    assert text.fold(one.upper()) == text.fold(one.upper().lower())
