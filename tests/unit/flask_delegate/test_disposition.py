from __future__ import annotations

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate.disposition import clean_name, content_disposition


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
