"""Long responses: each takes a place, and frees it when it has been read or given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from portal.web import places
from portal.web.places import SHORT, BusyError, Places
from tests.support.portal import links, prepare, signed_in, upload

LONG: dict[str, Callable[[], Response]] = {
    "a page": lambda: Response(b"x" * (SHORT + 1)),
    "a stream": lambda: Response(iter([b"x"])),
    "a long stream": lambda: Response(iter([b"x"]), headers={"Content-Length": str(SHORT + 1)}),
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(ARCHIVES_AT_ONCE=4)
    for name, view in LONG.items():
        app.add_url_rule(f"/{name}", name, view)
    app.add_url_rule("/short", "short", lambda: Response(b"x" * SHORT))
    prepare(app)
    return app


def test_places_are_limited_in_all_and_for_each() -> None:
    found = Places(5)
    for account_id in (1, 1, 1, 2, 2):
        found.take(account_id)
    for account_id in (1, 4):
        with pytest.raises(BusyError):
            found.take(account_id)
    found.release(2)
    found.take(4)


@pytest.mark.parametrize("path", LONG)
def test_long_response_that_nobody_reads_holds_one_of_few_places(path: str, app: Flask) -> None:
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    held = [alice.get(f"/{path}", buffered=False) for _ in range(2)]
    assert [response.status_code for response in held] == [200, 200]
    refused = alice.get(f"/{path}")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "60"
    assert "Try again in a minute" in refused.text
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    # What is short, or has no body, takes none; and others have theirs.
    assert alice.get("/short").status_code == 200
    assert alice.head(f"/{path}").status_code == 200
    others = [bob.get(f"/{path}", buffered=False) for _ in range(2)]
    assert [response.status_code for response in others] == [200, 200]
    for response in (*held, *others):
        response.close()
    assert alice.get(f"/{path}").status_code == 200


def test_record_as_csv_takes_a_place(alice: FlaskClient, app: Flask) -> None:
    with app.app_context():
        taken = [places.take(1) for _ in range(2)]
    assert alice.get("/activity.csv").status_code == 503
    taken[0].close()
    for _ in range(3):  # each frees it at its end
        with alice.get("/activity.csv") as response:
            assert response.status_code == 200


def test_visitors_share_the_places_of_one_account(app: Flask, anonymous: FlaskClient) -> None:
    with app.app_context():
        places.take(places.VISITORS)
        taken = places.take(places.VISITORS)
    assert anonymous.get("/a page").status_code == 503
    taken.close()
    assert anonymous.get("/a page").status_code == 200


def test_a_file_that_is_streamed_frees_its_place_at_its_end(make_app: Callable[..., Flask]) -> None:
    app = make_app(DELEGATE_BACKEND="stream")
    prepare(app)
    alice = signed_in(app, "alice")
    content = bytes(SHORT + 1)
    upload(alice, "long.bin", content)
    for _ in range(app.config["ARCHIVES_AT_ONCE"] + 1):
        response = alice.get(links(alice)["long.bin"])
        assert response.status_code == 200
        assert response.data == content
        response.close()
