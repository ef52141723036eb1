"""A disk that is full, or nearly so."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.support.portal import (
    REDIRECT,
    arriving,
    choose,
    kept,
    links,
    prepare,
    signed_in,
    token,
    upload_url,
)

MIB = 1024**2


def upload(client: FlaskClient, name: str, content: bytes = b"content") -> TestResponse:
    """Upload from memory: the test client would make a file of what is large, and not close it."""
    parts = [
        f'name="csrf_token"\r\n\r\n{token(client)}'.encode(),
        f'name="file"; filename="{name}"\r\n\r\n'.encode() + content,
    ]
    lines = [b"--boundary\r\nContent-Disposition: form-data; " + part for part in parts]
    body = b"\r\n".join([*lines, b"--boundary--\r\n"])
    return client.post(
        upload_url(client), data=body, content_type="multipart/form-data; boundary=boundary"
    )


def leave_free(monkeypatch: pytest.MonkeyPatch, *amounts: int) -> None:
    """Have each look at the free space find the next amount, and the last one from then on."""
    waiting = list(amounts)

    def statvfs(_path: object) -> SimpleNamespace:
        free = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return SimpleNamespace(f_bavail=free // 512, f_frsize=512, f_bfree=10**12)

    monkeypatch.setattr(os, "statvfs", statvfs)


def test_upload_is_refused_below_the_reserve(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 64 * MIB)
    assert upload(alice, "a.txt").status_code == REDIRECT
    leave_free(monkeypatch, 64 * MIB - 512)
    response = upload(alice, "b.txt")
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert list(links(alice)) == ["a.txt"]
    assert arriving(data) == []


def test_reserve_is_a_setting(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DISK_RESERVE=4096)
    prepare(app)
    alice = signed_in(app, "alice")
    leave_free(monkeypatch, 4096)
    assert upload(alice, "a.txt").status_code == REDIRECT
    leave_free(monkeypatch, 3584)
    assert upload(alice, "b.txt").status_code == 507


def test_reserve_that_is_reached_while_receiving_ends_the_upload(
    alice: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 100 * MIB, 100 * MIB, 1 * MIB)
    assert upload(alice, "large.bin", bytes(9 * MIB)).status_code == 507
    assert kept(data) == arriving(data) == []


def test_free_space_is_not_looked_at_for_each_piece(
    alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 100 * MIB, 100 * MIB, 1 * MIB)
    assert upload(alice, "small.bin", bytes(7 * MIB)).status_code == REDIRECT


@pytest.mark.parametrize("path", ["/sign-out", "trash"])
def test_database_without_room_is_507_whatever_was_asked(
    path: str, alice: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    form = {"csrf_token": token(alice)}
    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", _no_room)
        response = choose(alice, "trash", link) if path == "trash" else alice.post(path, data=form)
    assert response.status_code == 507
    assert "disk is full" in response.text
    assert list(links(alice)) == ["a.txt"]


def test_other_errors_of_the_database_are_500(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    prepare(app)
    alice = signed_in(app, "alice")
    form = {"csrf_token": token(alice)}

    def fail(_session: object) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(Session, "commit", fail)
    response = alice.post("/sign-out", data=form)
    assert response.status_code == 500
    assert "Something went wrong" in response.text


def _no_room(_session: object) -> None:
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise OperationalError("DELETE", {}, cause)
