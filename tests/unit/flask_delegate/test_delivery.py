from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_delegate import Handoff
from flask_delegate.areas import Area
from flask_delegate.delivery import (
    Delivery,
    clean_name,
    content_disposition,
    content_type,
    describe,
    sandbox_for,
)
from flask_delegate.resolve import PrivateFile

AREA = Area("default", "/srv", "/private/", "auto")


def delivery(name: str, **options: Any) -> Delivery:
    return describe(Handoff(name, **options), AREA, PrivateFile("/srv", name, name, 1, 0, (1, 1)))


def test_the_files_own_name_and_type_are_the_defaults() -> None:
    made = delivery("report.pdf")
    assert made.content_type == "application/pdf"
    assert made.disposition == 'inline; filename="report.pdf"'
    assert made.headers()["Cache-Control"] == "private, no-cache"
    assert made.csp is None


def test_an_unknown_type_is_an_attachment() -> None:
    made = delivery("0f3a", as_attachment=False)
    assert made.content_type == "application/octet-stream"
    assert made.disposition == 'attachment; filename="0f3a"'


def test_a_types_case_does_not_matter() -> None:
    assert delivery("x", mimetype="Application/Octet-Stream").disposition.startswith("attachment")
    assert delivery("x", mimetype="TEXT/HTML").content_type == "TEXT/HTML; charset=utf-8"
    assert delivery("x", mimetype="TEXT/HTML").csp


def test_the_download_name_tells_the_type_of_an_opaque_file() -> None:
    assert delivery("0f3a", download_name="a.png").content_type == "image/png"
    assert delivery("a.png", download_name="picture").content_type == "image/png"


def test_the_cache_policy_is_never_public() -> None:
    assert delivery("a.txt", max_age=0).headers()["Cache-Control"] == "private, max-age=0"
    assert delivery("a.txt", max_age=60).headers()["Cache-Control"] == "private, max-age=60"


def test_a_policy_of_ones_own_replaces_the_sandbox() -> None:
    assert "sandbox" in (delivery("a.html").csp or "")
    assert delivery("a.html", csp="default-src 'self'").csp == "default-src 'self'"


# Download names.


@pytest.mark.parametrize(
    ("given_name", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("C:\\temp\\x.txt", "C:_temp_x.txt"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2066x\u2069\u200e\u200f\u061c.txt", "x.txt"),
        (".htaccess", "_htaccess"),
        ("trailing. . ", "trailing"),
        ("", "download"),
        (" ", "download"),
        ("...", "download"),
        ("\x00\x1f\x7f\x85", "download"),
        ("lone \ud800.txt", "lone .txt"),
        ("👩‍👩‍👧.png", "👩‍👩‍👧.png"),
        ("می‌خواهم.txt", "می‌خواهم.txt"),
    ],
)
def test_a_name_is_made_safe(given_name: str, cleaned: str) -> None:
    assert clean_name(given_name) == cleaned


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    name = clean_name("ü" * 200 + ".pdf")
    assert name == "ü" * 125 + ".pdf"
    assert len(clean_name("x" * 300).encode()) == 255
    assert len(clean_name("." + "x" * 300).encode()) <= 255
    assert len(clean_name("a." + "é" * 300).encode()) <= 255


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", 'inline; filename="a.txt"'),
        ("two words.txt", 'inline; filename="two words.txt"'),
        ("naïve.txt", "inline; filename=\"naive.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ("日本.pdf", "inline; filename=\"download.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf"),
        ("日本", "inline; filename=\"download\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
        ('q"q.txt', "inline; filename=\"q_q.txt\"; filename*=UTF-8''q%22q.txt"),
        (
            "\uff0essh\uff0e\uff0fkeys",
            "inline; filename=\"ssh._keys\"; filename*=UTF-8''%EF%BC%8Essh%EF%BC%8E%EF%BC%8Fkeys",
        ),
        ("50%.txt", "inline; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a;b'c.txt", "inline; filename=\"a_b'c.txt\"; filename*=UTF-8''a%3Bb%27c.txt"),
    ],
)
def test_the_header_carries_the_name(name: str, header: str) -> None:
    assert content_disposition("inline", name) == header


@given(st.text())
def test_any_name_gives_a_header_that_reads_back(text: str) -> None:
    name = clean_name(text)
    assert 1 <= len(name.encode()) <= 255
    assert clean_name(name) == name
    assert not any(unicodedata.category(character) == "Cc" for character in name)
    header = content_disposition("attachment", name)
    assert header.isascii()
    assert header.isprintable()
    fallback, _, extended = header.partition("; filename*=UTF-8''")
    quoted = fallback.removeprefix('attachment; filename="').removesuffix('"')
    assert quoted
    assert not set(quoted) & {'"', "\\", "%", "/"}
    assert not quoted.startswith(".")
    assert unquote(extended, errors="strict") == name if extended else quoted == name


# Media types.


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


@pytest.mark.parametrize(
    ("extension", "is_kept"), [("e" * 63, True), ("e" * 64, False), ("é" * 31, True)]
)
def test_an_extension_of_a_quarter_of_a_name_is_kept(extension: str, is_kept: bool) -> None:
    name = clean_name(f"{'x' * 300}.{extension}")
    assert len(name.encode()) == 255
    assert name.endswith(f".{extension}") == is_kept


def test_a_name_of_255_bytes_is_kept_and_a_longer_one_is_cut() -> None:
    for name in ("x" * 255, "ü" * 127 + "x", "ü" + "x" * 249 + ".pdf"):
        assert clean_name(name) == name
    assert clean_name("ü" + "x" * 250 + ".pdf") == "ü" + "x" * 249 + ".pdf"


@pytest.mark.parametrize("attachment", [None, False, True])
def test_a_description_has_all_that_is_told(attachment: bool | None) -> None:
    area = Area("a", "/srv", "/private/", "auto", headers={"X-A": "1", "Cache-Control": "public"})
    file = PrivateFile("/srv", "b", "stored", 1, 0, (1, 1))
    options: dict[str, Any] = {"max_age": 9, "rate_limit": 7, "mimetype": "text/html"}
    handoff = Handoff("b", as_attachment=attachment, download_name="c/d.pdf", **options)
    made, another = (describe(handoff, area, file) for _ in range(2))
    kind = "attachment" if attachment else "inline"
    assert (made.handoff, made.area, made.file) == (handoff, area, file)
    assert re.fullmatch("[A-Za-z0-9_-]{16}", made.id)
    assert made.id != another.id
    assert (made.max_age, made.rate_limit) == (9, 7)
    assert made.headers() == {
        "X-A": "1",
        "Content-Type": "text/html; charset=utf-8",
        "Content-Disposition": f'{kind}; filename="c_d.pdf"',
        "Cache-Control": "private, max-age=9",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
        ),
    }


@pytest.mark.parametrize(
    "passive",
    """application/octet-stream application/pdf image/avif image/bmp image/gif image/jpeg image/png
    image/webp text/plain audio/x video/y TEXT/PLAIN;x=y""".split(),  # noqa: SIM905 -- 12 of them
)
def test_harmless_types_have_no_sandbox(passive: str) -> None:
    assert sandbox_for(passive) is None


@pytest.mark.parametrize(
    "active", ["image/pngx", "x-image/png", "text/plain2", "application/pdf+x"]
)
def test_a_type_that_only_begins_or_ends_like_a_harmless_one_has_it(active: str) -> None:
    assert sandbox_for(active)


@pytest.mark.parametrize("charset", ["CHARSET=latin-1", "charset=utf-8"])
def test_a_charset_that_is_given_is_kept(charset: str) -> None:
    assert content_type(f"TEXT/plain; {charset}") == f"TEXT/plain; {charset}"


@pytest.mark.parametrize(
    "character",
    "\u0000\u001f\u007f\u009f\u061c\u200e\u200f\u2028\u202e\u2066\u2069\ufeff\ud800\udfff",
)
def test_an_invisible_character_is_left_out(character: str) -> None:
    assert clean_name(f"ä{character}b.txt") == "äb.txt"


@pytest.mark.parametrize("character", "\u00a0\u200d\u2010\u202f\u2065\u206a\ufefe\ufffd")
def test_a_visible_neighbour_of_it_is_kept(character: str) -> None:
    assert clean_name(f"ä{character}b.txt") == f"ä{character}b.txt"


@pytest.mark.parametrize("name", ["a b.txt", "_a", "a_", "Z9.(1)+,=@-", "a.b-", "a)"])
def test_a_plain_name_stands_in_the_header_as_it_is(name: str) -> None:
    assert clean_name(name) == name
    assert content_disposition("attachment", name) == f'attachment; filename="{name}"'


def test_the_header_of_a_name_escapes_what_is_no_letter_of_a_parameter() -> None:
    header = content_disposition("inline", "é!#$&+-.^_`|~()'*,/:;<=>?@[]{}.x")
    expected = "%C3%A9!#$&+-.^_`|~%28%29%27%2A%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5D%7B%7D.x"
    assert header.endswith(f"; filename*=UTF-8''{expected}")


def test_only_what_follows_the_last_dot_is_an_extension() -> None:
    assert clean_name("x" * 300 + ".tar.gz") == "x" * 252 + ".gz"
    header = content_disposition("inline", "日.本.tär.gz")
    assert header.startswith('inline; filename="tar.gz"; ')
    header = content_disposition("inline", "日 a. 本.日")
    assert header.startswith('inline; filename="a"; ')


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        (".", "download"),
        (". .a", "_ .a"),
        ("..a", "_.a"),
        ("..X", "_.X"),
        (" .a ", "_a"),
        ("a ..", "a"),
        (" é ", "é"),
        ("x_", "x_"),
        ("a/", "a_"),
        ("é\u202e", "é"),
    ],
)
def test_dots_and_blanks_at_the_ends_of_a_name(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@settings(max_examples=50)
@given(st.binary(max_size=100), st.sampled_from([str.upper, str.lower]))
def test_a_hash_is_said_as_rfc_9530_does(content: bytes, write: Callable[[str], str]) -> None:
    made = delivery("x", sha256=write(hashlib.sha256(content).hexdigest()))
    value = made.headers()["Repr-Digest"]
    assert base64.b64decode(value.removeprefix("sha-256=:").removesuffix(":"), validate=True) == (
        hashlib.sha256(content).digest()
    )
    assert "Repr-Digest" not in delivery("x").headers()
