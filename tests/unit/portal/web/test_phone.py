"""What a phone needs to install the portal and to send files to it."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import Activity, StoredFile, Upload
from portal.web import app_icons
from tests.support.portal import arriving, make_folder, prepare, signed_in

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"/>'
STATIC = Path(app_icons.__file__).with_name("static")


def png(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk


def manifest_of(app: Flask) -> tuple[dict[str, Any], str]:
    """Return the manifest that the page to sign in names, and where it lies."""
    client = app.test_client()
    found = re.search(r'<link rel="manifest" href="([^"]+)"', client.get("/sign-in").text)
    assert found
    answer = client.get(found[1])
    assert answer.mimetype == "application/manifest+json"
    return json.loads(answer.data), found[1].rpartition("/")[0]


def chunks(content: bytes) -> dict[bytes, bytes]:
    """Read a PNG, and check it."""
    found, at = {}, 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert content[at + 8 + length :][:4] == struct.pack(">I", zlib.crc32(kind + data))
        found[kind], at = data, at + 12 + length
    return found


@pytest.mark.parametrize("colour", [None, "#fce94f"])
def test_icons_have_the_sizes_and_colours_that_the_manifest_says(
    colour: str | None, make_app: Callable[..., Flask]
) -> None:
    app = make_app(NAME="Müller's files", COLOUR=colour)
    said, folder = manifest_of(app)
    assert (said["name"], said["start_url"], said["scope"]) == ("Müller's files", "/", "/")
    assert said["theme_color"] == (colour or "#1f5f6b")
    ground, writing = ("#fce94f", "#000000") if colour else app_icons.COLOURS
    assert {one["purpose"] for one in said["icons"]} == {"any", "maskable"}
    for icon in said["icons"]:
        with app.test_client().get(f"{folder}/{icon['src']}") as answer:
            assert answer.mimetype == icon["type"] == "image/png"
            read = chunks(answer.data)
        width, height = struct.unpack_from(">II", read[b"IHDR"])
        assert f"{width}x{height}" == icon["sizes"]
        assert read[b"PLTE"] == app_icons.palette(ground, writing)
        pixels = zlib.decompress(read[b"IDAT"])
        assert len(pixels) == height * (width + 1)
        # What a phone cuts off has the ground's colour; of the others, the corners are transparent.
        corner = 0 if icon["purpose"] == "maskable" else app_icons.LEVELS
        assert pixels[1] == corner
    assert {one["sizes"] for one in said["icons"]} == {"192x192", "512x512"}


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (SVG.encode(), ["any"]),
        (png(512, 500), ["512x500"]),
        (png(64, 64), ["192x192", "512x512", "512x512"]),  # too small
        (png(512, 100), ["192x192", "512x512", "512x512"]),  # no square
    ],
)
def test_logo_is_the_icon_where_phones_take_it(
    content: bytes, sizes: list[str], make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    path = tmp_path / "logo"
    path.write_bytes(content)
    said, folder = manifest_of(make_app(LOGO=str(path)))
    assert [one["sizes"] for one in said["icons"]] == sizes
    for icon in said["icons"]:
        with make_app(LOGO=str(path)).test_client().get(f"{folder}/{icon['src']}") as answer:
            assert answer.status_code == 200
            assert (answer.data == content) == (len(sizes) == 1)


def test_visitors_are_not_asked_to_install(app: Flask) -> None:
    assert "manifest" not in app.test_client().get("/s/nothing").text


def test_what_is_sent_without_the_worker_is_stored_nowhere(
    app: Flask, alice: FlaskClient, data: Path
) -> None:
    for client in (alice, app.test_client()):
        form = {"file": (io.BytesIO(b"planted"), "planted.txt")}
        answer = client.post("/receive/files", data=form, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, answer.location) == (303, "/receive/?again=1")
    assert "Nothing was saved" in alice.get("/receive/?again=1").text
    with app.app_context():
        for kind in (StoredFile, Upload):
            assert db.session.scalars(select(kind)).all() == []
        assert not db.session.scalars(select(Activity).where(Activity.action == "upload")).all()
    assert [one for one in arriving(data) if one.is_file()] == []


def test_worker_may_answer_for_its_own_pages_alone(app: Flask, alice: FlaskClient) -> None:
    found = re.search(r'src="([^"]+)/phone.js"', alice.get("/").text)
    assert found
    with alice.get(f"{found[1]}/share_worker.js") as answer:
        assert answer.headers["Service-Worker-Allowed"] == "/receive/"
    for path in sorted(STATIC.glob("*.js")):
        with alice.get(f"{found[1]}/{path.name}") as answer:
            assert ("Service-Worker-Allowed" in answer.headers) == (path.stem == "share_worker")
        # No script keeps pages or files.
        assert "caches" not in path.read_text()
    policy = app.test_client().get("/sign-in").headers["Content-Security-Policy"]
    assert "worker-src 'self'" in policy


def test_page_offers_the_folders_of_the_account_alone(
    app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    outer = make_folder(alice, "Photos")
    make_folder(alice, "2026", outer)
    public_id = outer.rpartition("/")[2]
    assert f'href="/receive/?folder={public_id}"' in alice.get("/receive/").text
    inner = alice.get(f"/receive/?folder={public_id}").text
    assert "Save in Photos" in inner
    assert "2026" in inner
    assert f'data-target="folder/{public_id}"' in inner
    assert bob.get(f"/receive/?folder={public_id}").status_code == 404
    assert app


def test_own_files_are_not_made_twice(make_app: Callable[..., Flask]) -> None:
    app = make_app(COLOUR="#204a87")
    prepare(app)
    page = signed_in(app, "alice").get("/").text
    assert '/own/icon-192.png"' in page
