"""Files that are seen in the browser, one after the other."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.activity.record import bring_in
from portal.core.database import db
from portal.core.models import Activity, StoredFile
from portal.storage.content import current_storage
from portal.web import markdown, shown_text
from portal.web.previews import preview_of, view_type
from tests.support.portal import links, make_folder, public_id, upload

TYPES = {
    "a.png": "picture",
    "a.JPG": "picture",
    "a.pdf": "pdf",
    "a.txt": "text",
    "a.csv": "text",
    "a.md": "markdown",
    "a.markdown": "markdown",
    "a.mp3": "audio",
    "a.webm": "video",
}
DOWNLOADED = ("a.svg", "a.html", "a.docx", "a.js", "a", ".md")


def viewed(client: FlaskClient, name: str, page: str = "/") -> str:
    response = client.get(f"{links(client, page)[name]}/view")
    assert response.status_code == 200
    return response.text


def beside(page: str) -> tuple[str | None, str | None]:
    """Return the addresses before and after a file."""
    found = [re.search(rf'rel="{rel}" href="([^"]+)"', page) for rel in ("prev", "next")]
    first, second = (one[1].replace("&amp;", "&") if one else None for one in found)
    return first, second


def actions(app: Flask) -> list[str]:
    with app.app_context():
        bring_in(wait=True)
        return list(db.session.scalars(select(Activity.action).order_by(Activity.id)))


@pytest.mark.parametrize(("name", "kind"), TYPES.items())
def test_list_says_how_a_file_is_seen(name: str, kind: str, alice: FlaskClient) -> None:
    upload(alice, name)
    link = links(alice)[name]
    assert f'href="{link}/view" data-view-type="{kind}"' in alice.get("/").text
    assert f'data-type="{kind}"' in viewed(alice, name)
    found = alice.get("/search?q=a").text
    assert f'href="{link}/view" data-view-type="{kind}"' in found


@pytest.mark.parametrize("name", DOWNLOADED)
def test_what_cannot_be_seen_is_downloaded(name: str, alice: FlaskClient) -> None:
    upload(alice, name)
    (link,) = links(alice).values()
    assert "data-view-type" not in alice.get("/").text
    response = alice.get(f"{link}/view")
    assert response.location == f"/entries/{public_id(link)}"


def test_all_that_is_shown_can_be_seen() -> None:
    """The two tables are one: what a viewer shows is safe to show."""
    for name in (*TYPES, *DOWNLOADED):
        assert bool(view_type(name)) == bool(preview_of(name))


def test_previous_and_next_are_in_the_lists_order(alice: FlaskClient) -> None:
    folder = make_folder(alice, "Trip")
    make_folder(alice, "Below", folder)
    for name, size in (("1.png", 3), ("2.docx", 1), ("3.md", 2), ("10.pdf", 4)):
        upload(alice, name, b"x" * size, page=folder)
    upload(alice, "elsewhere.png")
    of = {name: f"{link}/view" for name, link in links(alice, folder).items()}
    assert beside(viewed(alice, "1.png", folder)) == (None, of["3.md"])
    assert beside(viewed(alice, "3.md", folder)) == (of["1.png"], of["10.pdf"])
    assert beside(viewed(alice, "10.pdf", folder)) == (of["3.md"], None)
    sorted_by_size = alice.get(f"{folder}?sort=size&order=descending").text
    asked = "?sort=size&order=descending"
    assert f'href="{of["1.png"]}{asked.replace("&", "&amp;")}"' in sorted_by_size
    page = alice.get(f"{of['1.png']}{asked}").text
    assert beside(page) == (f"{of['10.pdf']}{asked}", f"{of['3.md']}{asked}")


def test_view_is_recorded_once_however_it_comes(app: Flask, alice: FlaskClient) -> None:
    """A text is in the page; a picture is asked for by an address in it."""
    for name in ("a.txt", "a.md", "a.png", "a.pdf"):
        upload(alice, name)
        before = len(actions(app))
        page = viewed(alice, name)
        if source := re.search(r'<(?:img|iframe) src="(/files/[^"]+)"', page):
            alice.get(source[1]).close()
        assert actions(app)[before:] == ["view"], name
        alice.head(f"{links(alice)[name]}/view")
        assert len(actions(app)) == before + 1


def test_hostile_text_is_text(alice: FlaskClient) -> None:
    hostile = b"</pre><script>document.title = 1</script>\0\x1b[31m<img src=x onerror=alert(1)>"
    for name in ("a.txt", "a.md", "a.csv", "a.json"):
        upload(alice, name, hostile)
        page = viewed(alice, name)
        assert "<script>document" not in page
        assert "<img" not in page.partition("<article")[2]
        assert "\0" not in page
        assert "&lt;script&gt;document" in page


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# A", "<h2>A</h2>"),
        ("###### A", "<h6>A</h6>"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "<td>1</td>"),
        ("| a |\n|--:|\n| 1 |", '<td class="to-right">1</td>'),
        ("~~old~~", "<s>old</s>"),
        ("<b onclick=x>", "&lt;b onclick=x&gt;"),
        ("<!-- a -->", "&lt;!-- a --&gt;"),
        ("![a](https://elsewhere.test/a.png)", '<span class="left-out">a</span>'),
        ("![<b>](data:image/png;base64,AAAA)", '<span class="left-out">&lt;b&gt;</span>'),
        ("![](//elsewhere.test/a.png)", '<span class="left-out">Picture</span>'),
        ("![a](beside.png)", '<span class="left-out">a</span>'),
        (
            "[a](https://elsewhere.test)",
            '<a href="https://elsewhere.test" rel="noopener noreferrer nofollow" target="_blank">',
        ),
        ("[a](javascript:alert(1))", "<p>a</p>"),
        ("[a](JaVaScRiPt:alert(1))", "<p>a</p>"),
        ("[a](&#106;avascript:alert(1))", "<p>a</p>"),
        ("[a](<data:text/html,x>)", "<p>a</p>"),
        ("[**a**](/sign-out) [b](#c)", "<p><strong>a</strong> b</p>"),
        ("[![a](b.png)](/sign-out)", '<p><span class="left-out">a</span></p>'),
        ("<javascript:alert(1)>", "<p>javascript:alert(1)</p>"),
        ("[a]: /sign-out\n\n[a]", "<p>a</p>"),
    ],
)
def test_markdown_is_safe(source: str, html: str) -> None:
    rendered = markdown.as_html(source)
    assert rendered is not None
    assert html in rendered
    assert not re.search(r"<(img|script|iframe|b)\b|<[^>]* (on\w+|style)=", rendered)
    assert all(url.startswith("https:") for url in re.findall(r'(?:href|src)="([^"]*)"', rendered))


@pytest.mark.parametrize("mark", ["- ", "> ", "1. ", "> - "])
def test_nothing_is_left_out_of_nested_markdown(mark: str) -> None:
    for depth in range(1, 60):
        rendered = markdown.as_html(mark * depth + "said\n")
        assert rendered is None or "said" in rendered
        assert rendered is not None or depth > 4


def test_markdown_is_shown_as_it_is_written_while_others_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(markdown, "_PATIENCE", 0)
    with markdown._ONE:
        assert markdown.as_html("# A") is None
    assert markdown.as_html("# A") == "<h2>A</h2>\n"


def test_long_markdown_is_shown_as_it_is_written(alice: FlaskClient) -> None:
    upload(alice, "a.md", b"# A\n" * 20_000)
    assert "# A\n# A" in viewed(alice, "a.md")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Grüße 日本".encode(), "Grüße 日本"),
        ("Grüße".encode()[:-1] + b"\xc3", "Grüß"),
        (b"\xef\xbb\xbfa", "a"),
        ("Grüße".encode("utf-16"), "Grüße"),
        (b"\xfe\xff" + "Grüße".encode("utf-16-be"), "Grüße"),
        ("Grüße, 5 €".encode("windows-1252"), "Grüße, 5 €"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\0\x1b\x7f\x81", "\ufffd" * 4),
        (b"", ""),
    ],
)
def test_text_is_read_in_its_coding(content: bytes, text: str) -> None:
    assert shown_text.decode(content) == text


def test_long_text_is_cut_and_the_page_says_so(alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"x" * shown_text.MOST)
    upload(alice, "b.txt", b"y" * (shown_text.MOST + 1))
    assert "This is the first part" not in viewed(alice, "a.txt")
    page = viewed(alice, "b.txt")
    assert "This is the first part, 128 KiB of 128 KiB" in page
    assert page.count("y" * shown_text.MOST) == 1
    assert "y" * (shown_text.MOST + 1) not in page


def test_lost_text_is_told(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    with app.app_context():
        key = db.session.scalar(select(StoredFile.storage_key))
        assert key
        current_storage().delete(key)
    before = actions(app)
    response = alice.get(f"{link}/view")
    assert response.status_code == 500
    assert "missing or damaged" in response.text
    assert actions(app) == before
