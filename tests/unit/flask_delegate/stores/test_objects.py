"""Which keys a view may ask for."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate import PathRefused
from flask_delegate.stores.objects import LONGEST_KEY, locate
from flask_delegate.stores.sigv4 import StoreKeys
from flask_delegate.stores.store import Store

STORE = Store("http://s:1", "s:1", "files", "p/", "us-east-1", "", StoreKeys("id", "secret"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("a/b c.txt", "b c.txt"),
        ("/a", "a"),
        ("a//b", "b"),
        ("a/", "a"),
        ("...", "..."),
        ("a..b/.c/..d", "..d"),
        ("%2F?#&\n\x7f\\", "%2F?#&\n\x7f\\"),
    ],
)
def test_a_key_may_have_any_characters(key: str, name: str) -> None:
    found = locate(STORE, key, None, None)
    assert (found.relative, found.name) == (key, name)
    assert (found.path, found.root) == (f"/files/p/{key}", "http://s:1/files/p/")
    assert (found.size, found.etag) == (None, None)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "an empty key"),
        ("//", "an empty key"),
        ("a\0b", "NUL"),
        ("\udcff", "UTF-8"),
        *(
            (key, "component")
            for key in (".", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a//./b")
        ),
        ("x" * (LONGEST_KEY - 1), "1025 bytes, and 1024 are the limit"),
        ("ä" * 512, "1026 bytes"),
    ],
)
def test_what_can_be_no_key_is_refused(key: str, reason: str) -> None:
    with pytest.raises(PathRefused, match=reason):
        locate(STORE, key, None, None)


def test_the_longest_key_fits() -> None:
    assert locate(STORE, "x" * (LONGEST_KEY - 2), None, None).name
    assert locate(STORE, PurePosixPath("a/b"), None, None).relative == "a/b"
    with pytest.raises(TypeError, match="bytes"):
        locate(STORE, b"a", None, None)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_a_key_is_kept_or_refused_and_never_changed(key: str) -> None:
    try:
        found = locate(STORE, key, 3, "abc")
    except PathRefused:
        return
    assert found.path == f"/files/p/{key}"
    assert not {".", ".."} & set(found.path.split("/"))


@pytest.mark.parametrize("etag", ["abc-2", '"abc-2"'])
def test_an_etag_has_its_quotes(etag: str) -> None:
    assert locate(STORE, "a", 1, etag).etag == '"abc-2"'
