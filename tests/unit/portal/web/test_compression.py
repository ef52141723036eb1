"""What may be compressed: whatever shows no secret, and was not opened by another site."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, Role
from tests.support.paths import PROJECT
from tests.support.portal import PASSWORD, links, signed_in, token, upload

_TEMPLATES = PROJECT / "portal/web/templates"


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def may_be_compressed(client: FlaskClient, address: str, **headers: str) -> bool:
    """Ask as a browser would; Apache looks at one header, nginx at the other."""
    with client.get(address, headers=headers) as answer:
        assert answer.status_code == 200
        codings = answer.headers.getlist("Content-Encoding")
        varies = "Accept-Encoding" in answer.vary
        assert codings == ([] if varies else ["identity"])
        return varies


ORDINARY = ["/", "/trash", "/links", "/activity", "/activity.csv", "/account", "/accounts"]


@pytest.mark.parametrize("address", ORDINARY)
def test_pages_and_lists_are(address: str, root: FlaskClient) -> None:
    assert may_be_compressed(root, address)
    assert may_be_compressed(root, address, **{"Sec-Fetch-Site": "same-origin"})
    assert may_be_compressed(root, address, **{"Sec-Fetch-Site": "none"})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "other"])
@pytest.mark.parametrize("address", ["/?after=x", "/search?q=secret", "/activity.csv"])
def test_what_another_site_opens_is_not(address: str, site: str, root: FlaskClient) -> None:
    assert not may_be_compressed(root, address, **{"Sec-Fetch-Site": site})


def test_static_files_are_for_everybody_alike(root: FlaskClient) -> None:
    address = re.search(r'href="(/static/[^"]+\.css)"', root.get("/").text)
    assert address
    for site in ("same-origin", "cross-site"):
        with root.get(address[1], headers={"Sec-Fetch-Site": site}) as answer:
            # No 'Cookie': browsers that heed it would ask again after each change of the session.
            assert answer.headers.getlist("Vary") == ["Accept-Encoding"]
            assert "Set-Cookie" not in answer.headers


def test_delivered_files_are_not_and_say_nothing_of_it(app: Flask) -> None:
    alice = signed_in(app, "alice")
    upload(alice, "a.txt", b"text " * 1000)
    for address in (links(alice)["a.txt"], links(alice)["a.txt"] + "/preview"):
        with alice.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.data == b"text " * 1000
            assert answer.headers["Content-Length"] == "5000"
            assert answer.headers["Vary"] == "Cookie"
            assert "Content-Encoding" not in answer.headers


def test_secret_of_the_second_factor_is_not(app: Flask, root: FlaskClient) -> None:
    form = {"csrf_token": token(root), "password": PASSWORD}
    root.post("/account/second-factor/begin", data=form)
    with app.app_context():
        secret = db.session.scalars(select(Account.totp_secret).filter_by(name="root")).one()
    assert secret
    page = "/account/second-factor"
    assert secret in re.sub(r"\s", "", root.get(page).text)
    assert not may_be_compressed(root, page)
    assert not may_be_compressed(root, f"{page}/qr.svg")
    wrong = root.post(f"{page}/confirm", data={"csrf_token": token(root), "code": "000000"})
    assert wrong.headers["Content-Encoding"] == "identity"


def test_no_other_template_shows_what_the_database_has_in_clear() -> None:
    """All other secrets are kept as hashes, and can be shown by ``shown_once`` only."""
    clear = [path.name for path in _TEMPLATES.rglob("*.html") if "totp" in path.read_text()]
    assert clear == ["second_factor.html"]


def test_head_names_no_length_that_get_would_not_have(root: FlaskClient) -> None:
    style = re.search(r'href="(/static/[^"]+\.css)"', root.get("/").text)
    assert style
    for address in ("/", style[1]):
        with root.head(address) as answer:
            assert answer.status_code == 200
            assert "Content-Length" not in answer.headers
            assert "Accept-Encoding" in answer.vary


def test_programs_that_send_pieces_get_plain_answers(root: FlaskClient) -> None:
    for answer in (root.options("/uploads/"), root.post("/uploads/"), root.get("/uploads/x")):
        assert "Accept-Encoding" not in answer.vary
        assert "Content-Encoding" not in answer.headers
