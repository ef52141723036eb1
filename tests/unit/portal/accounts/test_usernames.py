"""Names that look alike are one name."""

from __future__ import annotations

import pytest

from portal.accounts import usernames


@pytest.mark.parametrize(
    "name",
    ["a1ice", "aIice", "аlice", "a١ice", "a\u05d5ice", "𝐚lice", "a|ice"],  # noqa: RUF001
)
def test_characters_that_look_alike_make_no_other_name(name: str) -> None:
    assert usernames.skeleton(name) == usernames.skeleton("alice")


@pytest.mark.parametrize(
    "name",
    [
        "alice\ufe0f",
        "alice\u034f",
        "alice\u0332",
        "al\u0336i\u0336ce",
        "\u2800alice",
        "alice\u3164",
        "ali\u05b0ce",
        "alic\u20dde",
        "alice\U000e0100",
    ],
)
def test_marks_and_what_nobody_sees_make_no_other_name(name: str) -> None:
    assert usernames.skeleton(name) == usernames.skeleton("alice")


@pytest.mark.parametrize(
    ("one", "other"),
    [("सुमन", "समन"), ("राम", "रीम"), ("José", "Jose"), ("กิ", "กี"), ("が", "か")],
)
def test_marks_that_are_letters_of_their_script_make_another_name(one: str, other: str) -> None:
    assert usernames.skeleton(one) != usernames.skeleton(other)
