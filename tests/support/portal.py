"""The portal as its users meet it: signed in, uploading, following what its pages show."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from pathlib import Path

from argon2 import PasswordHasher
from flask import Flask, redirect
from flask.testing import FlaskClient
from sqlalchemy import delete
from werkzeug.test import TestResponse

from portal.accounts import accounts
from portal.core import database
from portal.core.models import SeenDay, now

from . import bucket, postgresql

PASSWORD = "correct horse"
REDIRECT: int = signature(redirect).parameters["code"].default
"""The status of Flask's redirects: 302, and 303 from Flask 3.2 on."""

Run = Callable[..., tuple[int, str, str]]
"""Runs a command: its status, and what it wrote to standard output and standard error."""
_PREPARED: list[bytes] = []


def cheap_hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def client_of(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


def prepare(app: Flask) -> None:
    """Create the database with the accounts alice and bob, by copying one after the first time."""
    data = Path(app.config["DATA"])
    if postgresql.SERVER:
        postgresql.create(data, postgresql.PREPARED)
        return
    path = data / "portal.db"
    if path.stat().st_size == 0 and _PREPARED:
        path.write_bytes(_PREPARED[0])
        return
    with app.app_context():
        database.upgrade()
        see_days(1100)
        for name in ("alice", "bob"):
            accounts.create(name, PASSWORD)
        database.db.session.close()
        database.db.engine.dispose()  # which ends the journal
    _PREPARED.append(path.read_bytes())


def see_days(count: int) -> None:
    """Have the portal have seen the last days."""
    days = [now().date() - timedelta(days=past) for past in range(count)]
    database.db.session.execute(delete(SeenDay))
    database.db.session.add_all(SeenDay(day=day) for day in days)
    database.db.session.commit()


def signed_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    response = sign_in(client, name)
    assert response.status_code == REDIRECT
    return client


def sign_in(
    client: FlaskClient, name: str, password: str = PASSWORD, **fields: str
) -> TestResponse:
    form = {"csrf_token": token(client), "username": name, "password": password, **fields}
    return client.post("/sign-in", data=form)


def token(client: FlaskClient, address: str = "/") -> str:
    """Read the token of a form that the client would see."""
    page = client.get(address, follow_redirects=True).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def upload_url(client: FlaskClient, page: str = "/") -> str:
    """Read where a folder's page uploads to."""
    found = re.search(r'action="(/uploads/folders/[^"/]+)"', client.get(page).text)
    assert found
    return found[1]


def folder_id(client: FlaskClient, page: str = "/") -> str:
    """Read the name that a page's folder has in URLs."""
    return upload_url(client, page).rpartition("/")[2]


def upload(
    client: FlaskClient,
    name: str,
    content: bytes = b"content\n",
    *,
    page: str = "/",
    **fields: str,
) -> TestResponse:
    """Upload a file to the folder of a page."""
    form = {"csrf_token": token(client), "file": (io.BytesIO(content), name), **fields}
    return client.post(upload_url(client, page), data=form, content_type="multipart/form-data")


def post_folder(client: FlaskClient, name: str, page: str = "/") -> TestResponse:
    """Send the form for a new folder in the folder of a page."""
    form = {"csrf_token": token(client), "name": name}
    return client.post(f"/folders/{folder_id(client, page)}/folders", data=form)


def make_folder(client: FlaskClient, name: str, page: str = "/") -> str:
    """Create a folder in the folder of a page, and return its own page."""
    before = set(folders(client, page).values())
    post_folder(client, name, page)
    (made,) = set(folders(client, page).values()) - before
    return made


def links(client: FlaskClient, page: str = "/") -> dict[str, str]:
    """Read the list of files: download links by name."""
    return _listed(client.get(page).text, "files")


def folders(client: FlaskClient, page: str = "/") -> dict[str, str]:
    """Read the list of folders: their pages by name."""
    table = client.get(page).text.partition("<tbody>")[2]
    return _listed(table, "folders")


def listed_names(page: str) -> list[str]:
    """Read the names in a list, or in what a search found, in their order."""
    return [_whole(name) for name in re.findall(r"<bdi[^>]*>(.+?)</bdi></a></th>", page)]


def _whole(name: str) -> str:
    """Return a name that may have two parts, for browsers to shorten."""
    return re.sub("</?span>", "", name)


def _listed(page: str, kind: str) -> dict[str, str]:
    found = re.findall(
        rf'<a href="(/{kind}/[^"/]+)(?:/view[^"]*)?"[^>]*><bdi[^>]*>(.*?)</bdi></a>', page
    )
    return {_whole(name): link for link, name in found}


def public_id(link: str) -> str:
    """Return the name that a file or folder has in URLs."""
    return link.split("/")[2]


def choose(client: FlaskClient, action: str, *chosen: str, **fields: str) -> TestResponse:
    """Send what is chosen, by its links, to ``trash``, ``move`` or ``zip``."""
    form = {"csrf_token": token(client), "entry": [public_id(link) for link in chosen], **fields}
    return client.post(f"/selection/{action}", data=form)


def delete_for_good(client: FlaskClient, link: str) -> TestResponse:
    """Put a file or folder into the trash, by its link, and delete it there."""
    choose(client, "trash", link)
    form = {"csrf_token": token(client)}
    return client.post(f"/trash/{public_id(link)}/delete", data=form)


def kept(data: Path) -> list[Path]:
    """Return the files that the portal keeps; what a bucket has is fetched."""
    folder = bucket.fetched(data) if bucket.found() else data / "files"
    return [path for path in folder.rglob("*") if path.is_file()]


def arriving(data: Path) -> list[Path]:
    return list((data / "incoming").iterdir())
