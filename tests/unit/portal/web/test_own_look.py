"""The organisation's name, logo, colour and links, on every page; without them, nothing of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyotp
import pytest
import segno
from flask import Flask

from portal.core.models import Account
from portal.identity import second_factor
from tests.support.portal import prepare, sign_in, signed_in

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} 10"><script>x()</script></svg>'
NAME = "Files of <Müller> & Söhne: Ltd"
LINKS = {
    "IMPRINT_URL": "https://example.org/imprint?a=1&b=2",
    "PRIVACY_URL": "/privacy.html",
    "TERMS_URL": "https://example.org/terms",
}
SHOWN = "Files of &lt;Müller&gt; &amp; Söhne: Ltd"


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "logo"
    path.write_text(SVG.format(40))
    return path


def test_every_page_has_the_name_and_the_links(make_app: Callable[..., Flask]) -> None:
    app = make_app(NAME=NAME, **LINKS)
    prepare(app)
    alice, anonymous = signed_in(app, "alice"), app.test_client()
    for client, page in ((alice, "/"), (alice, "/x"), (anonymous, "/sign-in"), (anonymous, "/s/x")):
        text = client.get(page).text
        assert f" \u2013 {SHOWN}</title>" in text
        assert text.count(SHOWN) == 2
        assert "File portal" not in text
        for address in LINKS.values():
            assert f'<a href="{address.replace("&", "&amp;")}" target="_blank">' in text
    assert text.count('<nav class="own row" aria-label="About this portal">') == 1
    assert f" \u2013 {SHOWN}</title>" in sign_in(anonymous, "alice", "wrong").text


def test_without_settings_nothing_is_added(make_app: Callable[..., Flask]) -> None:
    page = make_app().test_client().get("/sign-in").text
    assert " \u2013 File portal</title>" in page
    assert page.count('rel="stylesheet"') == 1
    for part in ("/own/", 'class="own', 'class="logo', "_blank"):
        assert part not in page


def test_authenticator_shows_the_name(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = segno.make

    def make(text: str, **more: Any) -> Any:
        made.append(text)
        return original(text, **more)

    monkeypatch.setattr(segno, "make", make)
    with make_app(NAME=NAME).app_context():
        second_factor.qr_code(Account(name="alice", totp_secret=pyotp.random_base32()))
    assert unquote(made[0]).startswith("otpauth://totp/Files of <Müller> & Söhne  Ltd:alice?")


@pytest.mark.parametrize(("width", "is_icon"), [(40, False), (12, True)])
def test_logo_is_served_to_everybody_and_runs_no_script(
    width: int, is_icon: bool, logo: Path, make_app: Callable[..., Flask]
) -> None:
    logo.write_text(SVG.format(width))
    client = make_app(LOGO=str(logo)).test_client()
    page = client.get("/sign-in").text
    logo.unlink()  # it was read at the start
    image = re.search(r'<img class="logo" src="([^"]+)" alt="" width="(\d+)" height="32">', page)
    assert image
    assert int(image[2]) == round(32 * width / 10)
    with client.get(image[1]) as response:
        assert response.get_data(as_text=True) == SVG.format(width)
        assert response.mimetype == "image/svg+xml"
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
        assert response.headers["Content-Security-Policy"] == policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        said = set(response.headers["Cache-Control"].split(", "))
        assert said == {"public", "max-age=31536000", "immutable"}
        same = {"If-None-Match": response.headers["ETag"]}
    with client.get(image[1], headers=same) as response:
        assert (response.status_code, response.data) == (304, b"")
    with client.get(image[1], headers={"If-Match": '"x"'}) as response:
        assert (response.status_code, response.mimetype) == (412, "text/html")
    icon = re.search(r'<link rel="icon" href="([^"]+)" type="image/svg\+xml">', page)
    assert icon
    assert (icon[1] == image[1]) is is_icon


def test_colour_is_a_sheet_beside_the_others_and_changes_their_addresses(
    make_app: Callable[..., Flask],
) -> None:
    seen = set()
    for colour in ("#FFCC00", "#003366"):
        client = make_app(COLOUR=colour).test_client()
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)">', client.get("/sign-in").text)
        assert [sheet.rpartition("/")[2] for sheet in sheets] == ["portal.css", "colour.css"]
        seen |= set(sheets)
        with client.get(sheets[1]) as response:
            assert response.mimetype == "text/css"
            assert f"background: {colour.lower()};" in response.get_data(as_text=True)
            assert (
                response.get_data(as_text=True).count("{")
                == response.get_data(as_text=True).count("}")
                > 3
            )
        with client.get(sheets[1].replace("colour.css", "icon.svg")) as icon:
            assert f'fill="{colour.lower()}"' in icon.get_data(as_text=True)
            assert "#1f5f6b" not in icon.get_data(as_text=True)
        with client.get(re.sub("/static/[^/]+/", "/static/0/", sheets[1])) as response:
            assert response.status_code == 200  # of a page from before
            assert response.headers["Cache-Control"] == "no-cache"
    assert len(seen) == 4
