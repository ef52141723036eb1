from __future__ import annotations

import pytest

from flask_delegate.mediatype import content_type, guess, sandbox_for


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [
        ("a.txt", "text/plain"),
        ("A.PDF", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.bz2", "application/x-bzip2"),
        ("a.svgz", "application/gzip"),
        ("data:text/html,x", None),
        ("http://x/a.html", "text/html"),
        ("opaque", None),
        ("a.unheard-of", None),
    ],
)
def test_a_type_is_guessed_from_the_name(name: str, mimetype: str | None) -> None:
    assert guess(name) == mimetype


def test_text_is_said_to_be_utf8() -> None:
    assert content_type("text/plain") == "text/plain; charset=utf-8"
    assert content_type("text/plain; charset=latin-1") == "text/plain; charset=latin-1"
    assert content_type("application/json") == "application/json"
    assert content_type('text/x; title="a b"; charset=utf-8').count("charset") == 1


@pytest.mark.parametrize(
    "wrong", ["", "text", "text/", "a/b\r\nX: y", "a/b;", "a/b; c", "ä/b", "a/b; c=d e", "a/b/c"]
)
def test_what_is_not_a_type_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not of the form type/subtype"):
        content_type(wrong)


@pytest.mark.parametrize(
    "active",
    ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/xml", "text/unknown"],
)
def test_what_a_browser_could_run_is_sandboxed(active: str) -> None:
    policy = sandbox_for(active)
    assert policy is not None
    assert "sandbox" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "passive", ["image/png", "text/plain; charset=utf-8", "video/mp4", "application/pdf"]
)
def test_what_a_browser_only_shows_is_not(passive: str) -> None:
    assert sandbox_for(passive) is None
