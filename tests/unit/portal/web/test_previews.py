"""What is shown in the browser, and what is not."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from flask_delegate.media_types import guess
from portal.core.database import db
from portal.core.models import StoredFile
from portal.web.previews import preview_of, type_to_save
from tests.support.portal import links, public_id, upload

HARMLESS = {
    "a.png": "image/png",
    "a.JPG": "image/jpeg",
    "a.gif": "image/gif",
    "a.webp": "image/webp",
    "a.avif": "image/avif",
    "a.bmp": "image/bmp",
    "a.pdf": "application/pdf",
    "a.txt": "text/plain; charset=utf-8",
    "a.csv": "text/plain; charset=utf-8",
    "a.json": "text/plain; charset=utf-8",
    "a.md": "text/plain; charset=utf-8",
    "a.mp3": "audio/mpeg",
    "a.wav": "audio/wav",
    "a.mp4": "video/mp4",
    "a.webm": "video/webm",
}
HARMFUL = [
    "a.svg",
    "a.svgz",
    "a.html",
    "a.htm",
    "a.xhtml",
    "a.xml",
    "a.xsl",
    "a.mht",
    "a.js",
    "a.css",
    "a.swf",
    "a.php",
    "a.shtml",
    "a.hta",
    "a.rss",
    "a.ico",
    "a.jxl",
    "a.png.html",
    "a.txt.svg",
    "a",
    ".htaccess",
    "html",
    "png",
    "a.html;.x",
    "a.docx",
    "a.exe",
    "a.mathml",
]


@pytest.mark.parametrize(("name", "sent_as"), HARMLESS.items())
def test_harmless_file_is_shown_and_nothing_in_it_runs(
    name: str, sent_as: str, alice: FlaskClient
) -> None:
    content = b"<html><script>alert(1)</script>"
    upload(alice, name, content)
    with alice.get(f"{links(alice)[name]}/preview") as response:
        assert response.status_code == 200
        assert response.data == content
        assert response.headers["Content-Type"] == sent_as
        assert response.headers["Content-Disposition"].startswith("inline")
        assert response.headers.get_all("X-Content-Type-Options") == ["nosniff"]
        (policy,) = response.headers.get_all("Content-Security-Policy")
        assert policy.startswith("default-src 'none';")
        assert "script" not in policy
        # The viewer's page has a frame for it, and nobody else.
        framed_by = "self" if name == "a.pdf" else "none"
        assert f"frame-ancestors '{framed_by}';" in policy
        assert "form-action 'none'" in policy
        # See the comment on the policy for PDF.
        assert policy.endswith("sandbox allow-same-origin") == (name != "a.pdf")


@pytest.mark.parametrize("name", HARMFUL)
def test_all_else_is_for_downloading_only(name: str, alice: FlaskClient) -> None:
    upload(alice, name, b"<script>alert(1)</script>")
    link = next(iter(links(alice).values()))
    assert alice.get(f"{link}/preview").status_code == 404
    page = alice.get(f"/entries/{public_id(link)}").text
    assert "/preview" not in page
    with alice.get(link) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert response.headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_type_in_the_database_is_not_what_is_shown(app: Flask, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    with app.app_context():
        db.session.execute(update(StoredFile).values(mimetype="text/html"))
        db.session.commit()
    with alice.get(f"{links(alice)['a.txt']}/preview") as response:
        assert response.mimetype == "text/plain"


def test_film_can_be_sought_in(alice: FlaskClient) -> None:
    upload(alice, "a.webm", bytes(range(256)))
    link = f"{links(alice)['a.webm']}/preview"
    with alice.get(link, headers={"Range": "bytes=10-19"}) as response:
        assert response.status_code == 206
        assert response.data == bytes(range(10, 20))
        assert response.mimetype == "video/webm"


@pytest.mark.parametrize(
    ("name", "element"),
    [("a.png", "img"), ("a.mp3", "audio"), ("a.mp4", "video"), ("a.pdf", None), ("a.txt", None)],
)
def test_details_show_pictures_and_play_films(
    name: str, element: str | None, alice: FlaskClient
) -> None:
    upload(alice, name)
    link = links(alice)[name]
    page = alice.get(f"/entries/{public_id(link)}").text
    found = re.findall(rf'<(img|audio|video)[^>]* src="{link}/preview"', page)
    assert found == ([element] if element else [])
    assert f'<a class="quiet" href="{link}/preview">Open in the browser</a>' in page


def test_every_policy_leaves_scripts_out() -> None:
    for extension in ["png", "pdf", "txt", "mp3", "mp4"]:
        preview = preview_of(f"a.{extension}")
        assert preview
        assert "default-src 'none'" in preview.policy
        assert "allow-scripts" not in preview.policy
        assert "unsafe-eval" not in preview.policy


@pytest.mark.parametrize("name", HARMLESS)
def test_a_preview_has_the_type_of_a_download(name: str) -> None:
    preview = preview_of(name)
    assert preview is not None
    assert preview.mimetype in {guess(name), "text/plain"}


@pytest.mark.parametrize("name", ["a.js", "a.mjs", "a.css", "a.JS"])
def test_stored_script_or_style_is_none_of_the_portals(name: str, alice: FlaskClient) -> None:
    """Its pages may load scripts and styles of their own origin."""
    upload(alice, name, b"document.title = 'taken over'")
    with alice.get(links(alice)[name]) as response:
        assert response.mimetype == "application/octet-stream"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("mimetype", "saved"),
    [
        ("text/javascript", False),
        ("application/x-javascript", False),
        ("application/ecmascript", False),
        ("text/jscript", False),
        ("text/livescript", False),
        ("Text/CSS", False),
        ("text/plain", True),
        ("application/pdf", True),
    ],
)
def test_types_that_browsers_run_are_not_kept(mimetype: str, saved: bool) -> None:
    assert (type_to_save(mimetype) == mimetype) is saved
