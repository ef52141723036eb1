"""A folder that visitors send files to by a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import FileRequest, Folder
from portal.sharing import links
from tests.support.portal import make_folder


@pytest.fixture
def inbox(alice: FlaskClient) -> str:
    return make_folder(alice, "Inbox")


@pytest.fixture
def ask(app: Flask, inbox: str) -> Callable[..., str]:
    """Return a function that creates a link to upload, and returns its address."""

    def create(**terms: object) -> str:
        with app.app_context():
            mine = select(Folder).where(Folder.public_id == inbox.rpartition("/")[2])
            folder = db.session.scalars(mine).one()
            _, secret = links.create(FileRequest, folder, **terms)  # type: ignore[arg-type]
        return f"/r/{secret}"

    return create
