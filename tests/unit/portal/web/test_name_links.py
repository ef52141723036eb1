"""Names of files in lists, which browsers shorten in the middle."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.web.name_links import cut, name_link


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("a.txt", ""),
        ("Eighteen chars.pdf", ""),
        ("Report 001 of the committee on finance.pdf", " finance.pdf"),
        ("IMG_20261128_174500_edited.jpeg", "_edited.jpeg"),
        ("x" * 40, "x" * 9),
        ("日本語のとても長い名前.txt", "名前.txt"),
        ("Übersicht " + "e\u0301" * 20, "e\u0301" * 5),  # each accent stays on its letter
        ("family " + "👨\u200d👩\u200d👧" * 4, "👨\u200d👩\u200d👧" * 2),
        ("م" * 40, ""),  # joined letters would look different
    ],
)
def test_end_of_a_long_name_is_a_word_or_whole_letters(name: str, end: str) -> None:
    assert name[len(name) - cut(name) :] == end


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=255))
def test_link_has_the_whole_name_once_to_read(name: str) -> None:
    html = name_link("/files/x", name)
    shown = re.fullmatch(
        r'<a href="/files/x"( title="([^"]*)")?><bdi[^>]*>(.*)</bdi></a>', html, re.S
    )
    assert shown
    assert unescape(re.sub("</?span>", "", shown[3])) == name
    # What is in two parts has its name from the title alone.
    assert ("<span>" in shown[3]) == ('aria-hidden="true"' in html) == (shown[2] is not None)
    if shown[2] is not None:
        assert unescape(shown[2]) == name
        end = name[-cut(name) :]
        assert len(end) < len(name)
        assert unicodedata.category(end[0])[0] != "M"
