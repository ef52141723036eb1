"""Every route, for everybody: who gets what."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from portal import create_app
from portal.accounts import accounts
from portal.accounts import invitations as one_time_links
from portal.core.database import db
from portal.core.models import Account, FileRequest, Folder, Role, Share, SignIn, StoredFile
from portal.files import entries
from portal.identity import passwords, sessions
from portal.maintenance.backup import on_disk
from portal.sharing import links as link_service
from portal.storage.content import current_storage
from portal.tus.headers import CONTENT_TYPE
from tests.support.databases import Saved
from tests.support.deletions import without_room
from tests.support.portal import (
    PASSWORD,
    REDIRECT,
    cheap_hasher,
    choose,
    folder_id,
    links,
    prepare,
    public_id,
    signed_in,
    token,
    upload,
)
from tests.support.tus import words

SIGN_IN = "-> /sign-in"
VERSION = "/entries/<public_id>/versions/<version_id>"
Answer = int | str


class Answers(NamedTuple):
    """What each gets; the owner is the one that the rule's object belongs to.

    Who is deactivated, or whose session was ended, gets what an anonymous visitor gets.
    """

    anonymous: Answer
    owner: Answer
    other: Answer
    administrator: Answer
    # Who came by a link; none: what an anonymous visitor gets.
    visitor: Answer | None = None


# An administrator is nobody special to other people's files.
EXPECTED: dict[tuple[str, str], Answers] = {
    ("GET", "/static/<version>/<path:filename>"): Answers(200, 200, 200, 200),
    ("GET", "/healthz"): Answers(200, 200, 200, 200),
    ("GET", "/sign-in"): Answers(200, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/sign-in"): Answers(422, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/sign-out"): Answers(SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    ("GET", "/"): Answers(SIGN_IN, 200, 200, 200),
    ("GET", "/files/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/files/<public_id>/preview"): Answers(SIGN_IN, 200, 404, 404),
    # Of a text; test_thumbnails.py asks for one of a picture.
    ("GET", "/files/<public_id>/thumbnail"): Answers(SIGN_IN, 404, 404, 404),
    ("GET", "/files/<public_id>/view"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/folders/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/uploads/folders/<public_id>"): Answers(SIGN_IN, REDIRECT, 404, 404),
    # Uploads in pieces, for programs.
    ("POST", "/uploads/"): Answers(401, 201, 404, 404),
    ("POST", "/uploads/folders/"): Answers(401, 201, 404, 404),
    ("POST", "/uploads/groups/"): Answers(401, 200, 404, 404),
    ("POST", "/uploads/taken/"): Answers(401, 200, 404, 404),
    ("GET", "/unfinished"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/unfinished/cancel"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/unfinished/<public_id>/cancel"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/uploads/<public_id>"): Answers(401, 200, 404, 404),
    ("PATCH", "/uploads/<public_id>"): Answers(401, 204, 404, 404),
    ("DELETE", "/uploads/<public_id>"): Answers(401, 204, 404, 404),
    ("POST", "/folders/<public_id>/folders"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/folders/<public_id>/zip"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/entries/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/entries/<public_id>/folder"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("POST", "/entries/<public_id>/rename"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", f"{VERSION}"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", f"{VERSION}/restore"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", f"{VERSION}/delete"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", f"{VERSION}/delete"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/search"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/view"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/selection/trash"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("POST", "/selection/move"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("POST", "/selection/zip"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/move"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/move"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/trash"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/trash/undo"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/trash/<public_id>/restore"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/trash/<public_id>/delete"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/trash/<public_id>/delete"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/trash/empty"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/trash/empty"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("GET", "/trash/versions/delete"): Answers(SIGN_IN, 200, REDIRECT, REDIRECT),
    ("POST", "/trash/versions/delete"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    # The second factor, and the links that an administrator hands over.
    ("GET", "/sign-in/code"): Answers(SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    ("POST", "/sign-in/code"): Answers(SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    ("GET", "/invitation/<token>"): Answers(REDIRECT, REDIRECT, REDIRECT, REDIRECT),
    ("GET", "/invitation"): Answers(410, 410, 410, 410),
    ("POST", "/invitation"): Answers(410, 410, 410, 410),
    ("GET", "/reset/<token>"): Answers(REDIRECT, REDIRECT, REDIRECT, REDIRECT),
    ("GET", "/reset"): Answers(410, 410, 410, 410),
    ("POST", "/reset"): Answers(410, 410, 410, 410),
    # One's own account.
    ("GET", "/account"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/account/password"): Answers(SIGN_IN, 422, 422, 422),
    ("POST", "/account/language"): Answers(SIGN_IN, 400, 400, 400),
    ("POST", "/account/sessions/<public_id>/end"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("POST", "/account/sessions/end"): Answers(SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    ("GET", "/account/second-factor"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/account/second-factor/begin"): Answers(SIGN_IN, 422, 422, 422),
    ("GET", "/account/second-factor/qr.svg"): Answers(SIGN_IN, 404, 404, 404),
    ("POST", "/account/second-factor/confirm"): Answers(SIGN_IN, REDIRECT, REDIRECT, REDIRECT),
    ("POST", "/account/second-factor/recovery-codes"): Answers(
        SIGN_IN, REDIRECT, REDIRECT, REDIRECT
    ),
    # What is shown once, to whom has not created it.
    ("GET", "/account/second-factor/recovery-codes"): Answers(
        SIGN_IN, REDIRECT, REDIRECT, REDIRECT
    ),
    ("POST", "/account/second-factor/off"): Answers(SIGN_IN, 422, 422, 422),
    # What administrators do.
    ("GET", "/accounts"): Answers(SIGN_IN, 403, 403, 200),
    ("GET", "/accounts/<int:account_id>"): Answers(SIGN_IN, 403, 403, 200),
    ("POST", "/accounts/<int:account_id>/quota"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("POST", "/accounts/<int:account_id>/role"): Answers(SIGN_IN, 403, 403, 400),
    ("POST", "/accounts/<int:account_id>/deactivate"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("POST", "/accounts/<int:account_id>/activate"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("POST", "/accounts/<int:account_id>/reset-link"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("GET", "/accounts/<int:account_id>/reset-link"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("POST", "/accounts/<int:account_id>/second-factor-off"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("GET", "/accounts/<int:account_id>/delete"): Answers(SIGN_IN, 403, 403, 200),
    ("POST", "/accounts/<int:account_id>/delete"): Answers(SIGN_IN, 403, 403, 422),
    ("GET", "/invitations"): Answers(SIGN_IN, 403, 403, 200),
    ("POST", "/invitations"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("GET", "/invitations/created"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("GET", "/invitations/several"): Answers(SIGN_IN, 403, 403, 200),
    ("POST", "/invitations/several"): Answers(SIGN_IN, 403, 403, 422),
    ("GET", "/invitations/several/created"): Answers(SIGN_IN, 403, 403, REDIRECT),
    ("POST", "/invitations/<public_id>/revoke"): Answers(SIGN_IN, 403, 403, REDIRECT),
}
LINKS: dict[tuple[str, str], Answers] = {
    ("GET", "/links"): Answers(SIGN_IN, 200, 200, 200),
    ("GET", "/entries/<public_id>/share"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/entries/<public_id>/share"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/shares/<public_id>/created"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/shares/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/links/shares/<public_id>"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/shares/<public_id>/revoke"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/links/shares/<public_id>/revoke"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/folders/<public_id>/request"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/folders/<public_id>/request"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/requests/<public_id>/created"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/requests/<public_id>"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/links/requests/<public_id>"): Answers(SIGN_IN, REDIRECT, 404, 404),
    ("GET", "/links/requests/<public_id>/received"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/links/requests/<public_id>/received.csv"): Answers(SIGN_IN, 200, 404, 404),
    ("GET", "/links/requests/<public_id>/revoke"): Answers(SIGN_IN, 200, 404, 404),
    ("POST", "/links/requests/<public_id>/revoke"): Answers(SIGN_IN, REDIRECT, 404, 404),
    # What a visitor sees, who came by a link. Nobody else does, the owner included.
    ("GET", "/s/<token>"): Answers(404, 404, 404, 404),
    ("GET", "/shared/<public_id>"): Answers(404, 404, 404, 404, visitor=200),
    ("POST", "/shared/<public_id>/terms"): Answers(404, 404, 404, 404, visitor=303),
    ("POST", "/shared/<public_id>/unlock"): Answers(404, 404, 404, 404, visitor=422),
    ("GET", "/shared/<public_id>/folders/<entry_id>"): Answers(404, 404, 404, 404, visitor=200),
    ("POST", "/shared/<public_id>/folders/<entry_id>/zip"): Answers(404, 404, 404, 404, 200),
    ("GET", "/shared/<public_id>/files/<entry_id>/thumbnail"): Answers(404, 404, 404, 404),
    ("GET", "/shared/<public_id>/files/<entry_id>"): Answers(404, 404, 404, 404, visitor=REDIRECT),
    ("POST", "/shared/<public_id>/files/<entry_id>"): Answers(404, 404, 404, 404, visitor=303),
    ("GET", "/r/<token>"): Answers(404, 404, 404, 404),
    ("GET", "/requested/<public_id>"): Answers(404, 404, 404, 404, visitor=200),
    ("POST", "/requested/<public_id>/terms"): Answers(404, 404, 404, 404, visitor=303),
    ("GET", "/requested/<public_id>/sender"): Answers(404, 404, 404, 404, visitor=303),
    ("POST", "/requested/<public_id>/sender"): Answers(404, 404, 404, 404, visitor=303),
    ("POST", "/uploads/requested/<public_id>"): Answers(404, 404, 404, 404, visitor=REDIRECT),
    ("GET", "/receive/"): Answers(SIGN_IN, 200, 200, 200),
    ("POST", "/receive/files"): Answers(303, 303, 303, 303),
    ("GET", "/activity"): Answers(SIGN_IN, 200, 200, 200),
    ("GET", "/activity.csv"): Answers(SIGN_IN, 200, 200, 200),
    ("GET", "/accounts/activity"): Answers(SIGN_IN, 403, 403, 200),
    ("GET", "/accounts/activity.csv"): Answers(SIGN_IN, 403, 403, 200),
}
EXPECTED.update(LINKS)
POSTS = [rule for method, rule in EXPECTED if method == "POST"]
OWNED = [key for key, answers in EXPECTED.items() if answers.other == 404]


class People:
    """Somebody of each kind; alice owns what the rules' parameters name."""

    def __init__(self, app: Flask) -> None:
        with app.app_context():
            accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        self.app = app
        self.anonymous = app.test_client()
        self.owner = signed_in(app, "alice")
        self.other = signed_in(app, "bob")
        self.administrator = signed_in(app, "root")
        for content in (b"before\n", b"content\n"):
            upload(self.owner, "a.txt", content, taken="replace")
        page = self.owner.get(f"/entries/{public_id(links(self.owner)['a.txt'])}").text
        (self.version,) = re.findall(r'/versions/([\w-]+)"', page)
        self.share, self.file_request, self.shared_folder, self.shared_file = self._share()

    def _share(self) -> tuple[str, str, str, str]:
        """Have the owner share a folder with a file in it, and ask for files into it."""
        with self.app.app_context():
            alice = accounts.find("alice")
            assert alice
            root = entries.root_folder(alice.id)
            folder = entries.place(Folder(name="Shared"), root)
            file = db.session.query(StoredFile).filter_by(name="a.txt", trash_id=None).one()
            copy = StoredFile(name="b.txt", size=file.size, mimetype="text/plain", sha256="")
            # The same content: for the matrix, only the place in the folder matters.
            copy.storage_key = "zz" + file.storage_key[2:]
            storage = on_disk(current_storage())
            target = storage.files / storage.path(copy.storage_key)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((storage.files / storage.path(file.storage_key)).read_bytes())
            entries.place(copy, folder)
            share, share_token = link_service.create(Share, folder)
            asked, request_token = link_service.create(FileRequest, folder)
            ids = share.public_id, asked.public_id, folder.public_id, copy.public_id
        self.visitor = self.app.test_client()
        assert self.visitor.get(f"/s/{share_token}").status_code == REDIRECT
        assert self.visitor.get(f"/r/{request_token}").status_code == REDIRECT
        return ids

    @property
    def deactivated(self) -> FlaskClient:
        """The owner's browser, after the account was deactivated."""
        with self.app.app_context():
            db.session.execute(
                update(Account).where(Account.name == "alice").values(is_active=False)
            )
            db.session.commit()
        return self.owner

    @property
    def revoked(self) -> FlaskClient:
        """The owner's browser, after its session was ended."""
        with self.app.app_context():
            alice = accounts.find("alice")
            assert alice
            db.session.execute(delete(SignIn).where(SignIn.account_id == alice.id))
            db.session.commit()
        return self.owner


def file_id(people: People) -> str:
    return links(people.owner)["a.txt"].rpartition("/")[2]


def root_id(people: People) -> str:
    return folder_id(people.owner)


def trashed_id(people: People) -> str:
    upload(people.owner, "in the trash.txt")
    link = links(people.owner)["in the trash.txt"]
    choose(people.owner, "trash", link)
    return public_id(link)


def moment_of_trash(people: People) -> str:
    trashed_id(people)
    found = re.search(r'name="moment" value="([^"]+)"', people.owner.get("/").text)
    assert found
    return found[1]


def session_id(people: People) -> str:
    """A session of the owner's, in another browser."""
    signed_in(people.app, "alice")
    with people.app.app_context():
        alice = accounts.find("alice")
        assert alice
        return sessions.list_sessions(alice)[0].public_id


def account_id(people: People) -> str:
    with people.app.app_context():
        bob = accounts.find("bob")
        assert bob
        return str(bob.id)


def begin_upload(people: People) -> str:
    begun = send_piece(people.owner, "POST", "/uploads/", {"folder": root_id(people)})
    assert begun.status_code == 201
    return begun.location.rpartition("/")[2]


def invitation_id(people: People) -> str:
    with people.app.app_context():
        return one_time_links.create_invitation(Role.MEMBER, None, "")[0].public_id


# What stands for a parameter, by the rule's beginning; the longest that fits counts.
PARAMETERS: dict[str, Callable[[People], str]] = {
    "/static/": lambda _people: "portal.css",
    "/files/": file_id,
    "/folders/": root_id,
    "/entries/": file_id,
    "/trash/": trashed_id,
    "/account/sessions/": session_id,
    "/accounts/": account_id,
    "/invitation/": lambda _people: "x",
    "/reset/": lambda _people: "x",
    "/invitations/": invitation_id,
    "/folders/<public_id>/request": lambda people: people.shared_folder,
    "/links/shares/": lambda people: people.share,
    "/links/requests/": lambda people: people.file_request,
    "/s/": lambda _people: "x",
    "/r/": lambda _people: "x",
    "/shared/": lambda people: people.share,
    "/uploads/": lambda people: begin_upload(people),
    "/uploads/folders/": root_id,
    "/unfinished/": lambda people: begin_upload(people),
    "/uploads/requested/": lambda people: people.file_request,
    "/requested/": lambda people: people.file_request,
}


# What is named by a field of the form or query instead.
FIELDS: dict[str, tuple[str, Callable[[People], str]]] = {
    "/selection/trash": ("entry", file_id),
    "/selection/move": ("entry", file_id),
    "/selection/zip": ("entry", file_id),
    "/move": ("entry", file_id),
    "/trash/undo": ("moment", moment_of_trash),
    "/uploads/": ("folder", root_id),
    "/uploads/folders/": ("folder", root_id),
    "/uploads/groups/": ("folder", root_id),
    "/uploads/taken/": ("folder", root_id),
}


def fields_of(rule: str, people: People) -> dict[str, str]:
    if rule not in FIELDS:
        return {}
    field, value = FIELDS[rule]
    return {field: value(people)}


def send(
    client: FlaskClient, method: str, url: str, fields: dict[str, str], *, form_token: bool = True
) -> TestResponse:
    if url == "/uploads/groups/":
        return send_group(client, fields, form_token=form_token)
    if PIECES.fullmatch(url):
        return send_piece(client, method, url, fields, form_token=form_token)
    if method == "GET":
        return client.get(url, query_string=fields)
    own = {"csrf_token": token(client)} if form_token else {}
    return client.post(url, data={**fields, **own})


def send_group(
    client: FlaskClient, fields: dict[str, str], *, form_token: bool = True
) -> TestResponse:
    """Upload a file with others: what a form has in fields is in the metadata of each."""
    own = {"X-CSRFToken": token(client) if form_token else fields.pop("csrf_token", "")}
    form = {"metadata": words(filename="a", **fields), "file": (io.BytesIO(b"abc"), "a")}
    return client.post("/uploads/groups/", data=form, headers=own)


PIECES = re.compile(r"/uploads/([^/]*|folders/)")
"""Uploads in pieces: what a form has in fields, they have in headers."""


def send_piece(
    client: FlaskClient, method: str, url: str, fields: dict[str, str], *, form_token: bool = True
) -> TestResponse:
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "3",
        "Upload-Offset": "0",
        "Upload-Metadata": ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()
        ),
        "X-CSRFToken": token(client) if form_token else fields.get("csrf_token", ""),
    }
    body, kind = (b"abc", CONTENT_TYPE) if method == "PATCH" else (b"", "")
    return client.open(url, method=method, headers=headers, data=body, content_type=kind)


def head(client: FlaskClient, _method: str, url: str, fields: dict[str, str]) -> TestResponse:
    return client.head(url, query_string=fields)


def url_of(rule: str, people: People) -> str:
    if "<" not in rule:
        return rule
    beginning = max((one for one in PARAMETERS if rule.startswith(one)), key=len)
    inner = people.shared_folder if "/folders/<entry_id>" in rule else people.shared_file
    rule = rule.replace("<entry_id>", inner).replace("<version_id>", people.version)
    return re.sub("<[^>]+>", PARAMETERS[beginning](people), rule)


class World:
    """The people and what they have, made once; each test gets it as it was."""

    def __init__(self, data: Path) -> None:
        app = create_app({"TESTING": True, "DATA": str(data), "SESSION_COOKIE_SECURE": False})
        prepare(app)
        self.app, self.data, self.people = app, data, People(app)
        self._close()
        self._saved = Saved(app, data)
        self._files = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
        self._cookies = [dict(client._cookies or {}) for client in self._clients()]

    def restore(self) -> People:
        self._close()
        for path in self.data.rglob("*"):
            if path.is_file() and path not in self._files:
                path.unlink()
        for path, content in self._files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)  # in place: another database file would be noticed
        self._saved.restore()
        for client, cookies in zip(self._clients(), self._cookies, strict=True):
            client._cookies = dict(cookies)
        return self.people

    def _clients(self) -> list[FlaskClient]:
        people = self.people
        return [
            people.anonymous,
            people.owner,
            people.other,
            people.administrator,
            people.visitor,
        ]

    def _close(self) -> None:
        with self.app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", cheap_hasher())
        made = World(tmp_path_factory.mktemp("routes").resolve() / "data")
    yield made
    made.restore()


@pytest.fixture
def people(world: World) -> People:
    return world.restore()


EMPTIED = {"/trash/empty": trashed_id, "/unfinished/cancel": begin_upload}
DELETING = {
    "/account/sessions/<public_id>/end",
    "/accounts/<int:account_id>/delete",
    f"{VERSION}/delete",
    f"{VERSION}/restore",
    "/selection/trash",
    "/sign-out",
    "/trash/<public_id>/delete",
    "/trash/empty",
    "/trash/versions/delete",
    "/unfinished/<public_id>/cancel",
    "/unfinished/cancel",
    "/uploads/<public_id>",
}


def test_every_route_has_an_entry(app: Flask) -> None:
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(EXPECTED)


@pytest.mark.parametrize("person", [*Answers._fields, "deactivated", "revoked"])
@pytest.mark.parametrize(("method", "rule"), EXPECTED)
def test_route_answers_whoever_asks(method: str, rule: str, person: str, people: People) -> None:
    url, fields = url_of(rule, people), fields_of(rule, people)
    client: FlaskClient = getattr(people, person)

    response = send(client, method, url, fields)

    expected = getattr(EXPECTED[method, rule], person, None)
    if expected is None:
        expected = EXPECTED[method, rule].anonymous
    if expected == SIGN_IN:
        assert response.status_code == REDIRECT
        assert response.location.partition("?")[0] == "/sign-in"
    else:
        assert response.status_code == expected
    response.close()
    if person in {"other", "administrator", "visitor"}:
        assert "a.txt" in links(people.owner)


def test_each_route_that_deletes_has_the_room_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.app.app_context():
        engine = db.engine
    deleting = set[str]()
    for method, rule in EXPECTED:
        if method == "GET":
            continue
        people = world.restore()
        url, fields = url_of(rule, people), fields_of(rule, people)
        if rule in EMPTIED:
            EMPTIED[rule](people)
        manages = rule.startswith("/accounts/")
        client = people.administrator if manages else people.owner
        with monkeypatch.context() as patch, without_room(engine, patch) as (deleted, missing):
            send(client, method, url, {**fields, "name": "bob"}).close()
        assert missing == [], rule
        deleting |= {rule} if deleted else set()
    assert deleting == DELETING


@pytest.mark.parametrize("person", ["other", "administrator"])
@pytest.mark.parametrize(("method", "rule"), OWNED)
def test_another_persons_thing_looks_like_a_missing_one(
    method: str, rule: str, person: str, people: People
) -> None:
    client: FlaskClient = getattr(people, person)
    fields = fields_of(rule, people)
    theirs = send(client, method, url_of(rule, people), fields)
    unknown = dict.fromkeys(fields, "x" * 32)
    missing = send(client, method, re.sub("<[^>]+>", "x" * 32, rule), unknown)

    assert theirs.status_code == missing.status_code == 404
    assert _without_token(theirs.text) == _without_token(missing.text)
    assert _constant(theirs.headers) == _constant(missing.headers)


@pytest.mark.parametrize("rule", sorted({*POSTS} - {"/receive/files"}))  # which changes nothing
@pytest.mark.parametrize("form", [{}, {"csrf_token": "wrong"}])
def test_form_without_its_token_is_refused(rule: str, form: dict[str, str], people: People) -> None:
    # A visitor's and an administrator's forms are theirs, all else is the owner's.
    client = people.administrator if EXPECTED["POST", rule].owner == 403 else people.owner
    client = people.visitor if EXPECTED["POST", rule].visitor else client
    fields = {**fields_of(rule, people), **form}
    response = send(client, "POST", url_of(rule, people), fields, form_token=False)
    if rule.startswith("/sign-in"):  # whoever is signed in already is not to do so again
        assert (response.status_code, response.location) == (REDIRECT, "/")
    else:
        assert response.status_code == 400
        assert "belongs to another session" in response.text
    assert "a.txt" in links(people.owner)


@pytest.mark.parametrize("rule", [rule for method, rule in EXPECTED if method == "GET"])
def test_head_answers_like_get_and_does_nothing(rule: str, people: People) -> None:
    client = people.visitor if EXPECTED["GET", rule].visitor else people.owner
    expected = EXPECTED["GET", rule].visitor or EXPECTED["GET", rule].owner
    url, fields = url_of(rule, people), fields_of(rule, people)
    send_head = send if PIECES.fullmatch(url) else head
    with send_head(client, "HEAD", url, fields) as response:
        assert response.status_code == (REDIRECT if expected == SIGN_IN else expected)
        assert response.data == b""
    with people.app.app_context():
        assert db.session.query(Share).count() == db.session.query(FileRequest).count() == 1


# A visitor's links need no account.
BEHIND_SIGN_IN = [
    rule for (method, rule), one in EXPECTED.items() if method == "GET" and one.anonymous == SIGN_IN
]


@pytest.mark.parametrize("rule", BEHIND_SIGN_IN)
def test_signing_in_ends_on_a_page(rule: str, people: People) -> None:
    """Not with a file: the browser would stay on the filled-in form."""
    client = people.administrator if EXPECTED["GET", rule].owner == 403 else people.owner
    url, fields = url_of(rule, people), fields_of(rule, people)
    client.post("/sign-out", data={"csrf_token": token(client)})
    asked = client.get(url, query_string=fields)
    form = {"csrf_token": token(client), "username": "root" if client != people.owner else "alice"}
    target = parse_qs(urlsplit(asked.location).query).get("next", ["/"])[0]
    answer = client.post("/sign-in", data={**form, "password": PASSWORD, "next": target})
    assert answer.location == target
    with client.get(target, follow_redirects=True) as page:
        assert page.mimetype == "text/html"
        if rule.startswith("/files/"):
            assert b"a.txt" in page.data


def test_sign_in_without_token_is_refused_for_anonymous(anonymous: FlaskClient) -> None:
    form = {"username": "alice", "password": PASSWORD}
    assert anonymous.post("/sign-in", data=form).status_code == 400


def test_wrong_method_is_405_with_allow(alice: FlaskClient) -> None:
    response = alice.get("/sign-out")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert "<h1>Method not allowed</h1>" in response.text


_TOKEN = re.compile("csrf_token|data-token=")


def _without_token(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not _TOKEN.search(line))


def _constant(headers: object) -> list[tuple[str, str]]:
    pairs = list(headers)  # type: ignore[call-overload]
    return [(name, value) for name, value in pairs if name not in {"Set-Cookie", "Content-Length"}]
