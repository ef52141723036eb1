"""The portal in this process, for what a fault left: its pages, its check, its quotas."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from flask import Flask

from portal import cli, create_app
from portal.core.database import db

from .person import Answer, Person, Send
from .work import check


@contextmanager
def open_portal(data: Path) -> Iterator[Flask]:
    """Open the portal with a data folder, which may be another user's."""
    if os.geteuid() == 0:
        for path in [data, *data.rglob("*")]:
            os.chown(path, 0, 0)
    settings = {"DATA": str(data), "SESSION_COOKIE_SECURE": False, "DELEGATE_BACKEND": "stream"}
    app = create_app(settings)
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()
        app.extensions["portal.still"]()  # it holds a folder of what is unmounted next


def sender(app: Flask) -> Send:
    """Return what sends a person's requests to the portal."""
    client = app.test_client(use_cookies=False)

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        # Read to its end and closed, as a server does: else it would keep its place.
        response = client.open(
            path, method=method, data=body or b"", headers=dict(headers), buffered=True
        )
        return Answer(response.status_code, response.headers, response.get_data())

    return send


def check_application(
    app: Flask, people: list[Person], before: float = float("inf"), until: float = float("inf")
) -> None:
    """Check what everybody has, their quotas, and the database against the disk."""
    for person in people:
        person.send = sender(app)
        person.sign_in()
    used = {person.name: check(person, before, until) for person in people}
    assert {name: used_in(Path(app.config["DATA"]))[name] for name in used} == used
    done = app.test_cli_runner().invoke(cli.portal, ["check", "--content", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, []), done.output


def used_in(data: Path) -> dict[str, int]:
    """Return how many bytes are counted as used, for each account."""
    with closing(sqlite3.connect(f"{(data / 'portal.db').as_uri()}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT name, used FROM account"))
