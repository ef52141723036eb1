"""Static files are kept by browsers for as long as they are what pages ask for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.web import static_files

ADDRESS = re.compile(r'(?:src|href|data-library)="(/static/[^"]+)"')


def test_pages_name_files_that_browsers_keep(alice: FlaskClient) -> None:
    found = ADDRESS.findall(alice.get("/").text)
    addresses = {one for one in found if "/vendor/" not in one}  # which is there once it is built
    assert len(addresses) > 3
    for address in addresses:
        with alice.get(address) as response:
            assert response.status_code == 200
            said = set(response.headers["Cache-Control"].split(", "))
            assert said == {"public", "max-age=31536000", "immutable"}
            assert "Set-Cookie" not in response.headers


def test_error_is_kept_by_nobody(alice: FlaskClient) -> None:
    (style,) = {one for one in ADDRESS.findall(alice.get("/").text) if one.endswith("portal.css")}
    for address in (style, style.replace("portal.css", "nothing")):
        with alice.get(address, headers={"If-Match": '"x"'}) as response:
            assert response.status_code == (412 if address == style else 404)
            assert response.headers["Cache-Control"] == "no-store"
            assert response.mimetype == "text/html"  # and not the file


@pytest.mark.parametrize("wanted", ["bytes=5-9", "bytes=9999999-"])
def test_static_file_comes_whole(wanted: str, alice: FlaskClient) -> None:
    (style,) = {one for one in ADDRESS.findall(alice.get("/").text) if one.endswith("portal.css")}
    with alice.get(style) as whole, alice.get(style, headers={"Range": wanted}) as response:
        assert (response.status_code, response.data) == (200, whole.data)
        assert "Content-Range" not in response.headers
        assert response.headers.get("Accept-Ranges", "none") == "none"
        same = {"If-None-Match": whole.headers["ETag"]}
        with alice.get(style, headers=same) as unchanged:
            assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_scripts_and_styles_name_their_own_versions(alice: FlaskClient) -> None:
    """By relative addresses: a version in each would have to be written into them."""
    folder = Path(static_files._FOLDER)
    texts = [path.read_text() for kind in ("js", "css") for path in folder.glob(f"*.{kind}")]
    named = [name for text in texts for name in re.findall(r'(?:from |url\()"([^"]+)"', text)]
    assert len(named) > 8
    for name in named:
        assert (folder / name).is_file()
        assert not name.startswith("/")
    (style,) = {one for one in ADDRESS.findall(alice.get("/").text) if one.endswith("portal.css")}
    with alice.get(style.replace("portal.css", "icons/folder.svg")) as icon:
        assert "immutable" in icon.headers["Cache-Control"]


def test_a_change_of_one_file_changes_all_addresses(
    make_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _addresses(make_app())
    copy = shutil.copytree(static_files._FOLDER, tmp_path / "static")
    monkeypatch.setattr(static_files, "_FOLDER", copy)
    assert _addresses(make_app()) == before
    with (copy / "icons" / "folder.svg").open("a") as icon:
        icon.write(" ")
    app = make_app()
    assert not _addresses(app) & before
    for address in before:  # of a page that was opened before the upgrade
        with app.test_client().get(address) as response:
            assert response.status_code == 200
            assert "max-age" not in response.headers["Cache-Control"]


def _addresses(app: Flask) -> set[str]:
    return set(ADDRESS.findall(app.test_client().get("/sign-in").text))
