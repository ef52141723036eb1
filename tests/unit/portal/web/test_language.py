"""Each text of each page comes from the catalogues: in the pseudo-language, none is outside.

Pages are found as people find them: by the links and forms of those before.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import pyotp
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.exceptions import default_exceptions
from werkzeug.test import TestResponse

from portal.accounts import accounts, invitations
from portal.core.database import db
from portal.core.models import Account, FileRequest, Folder, Role, Share
from portal.files import entries, trash
from portal.identity import sessions
from portal.sharing import links
from tests.support import pictures, pseudo
from tests.support.portal import PASSWORD, prepare, public_id, sign_in, token, upload
from tests.support.portal import links as links_on
from tests.support.stored import root, store
from tests.support.texts import Form, Page, unknown_text
from tests.support.tus import Tus

SKIPPED = re.compile(
    r"^/(static|healthz)|/(preview|zip|thumbnail|qr\.svg)$|\.csv$|^/files/[^/]+$|^/entries/[^/]+/versions/[\w-]+$"
    r"|^/shared/[^/]+/files/|^#"
)
"""What is no page, or is another part of one."""
FACTOR = "/account/second-factor"
NO_PAGES = {
    *("activity.everybody_csv", "activity.index_csv", "zips.download_folder", "files.download"),
    *("files.preview", "health.healthz", "received.download", "second_factor.qr_code", "static"),
    *("versions.download", "share_page.download", "thumbnails.show", "share_page.thumbnail"),
    *("tus.show", "tus.describe", "tus.add", "tus.terminate", "tus.create", "tus.create_folders"),
    *(
        "flask_delegate.probe",
        "group_uploads.keep",
        "taken_names.show",
        "share_page.begin_download",
    ),
    "entries.show_in_folder",
}
"""Endpoints that answer with a file, or to programs."""
LATE = re.compile(r"/(role|deactivate|delete|empty|revoke|off|end)$|^/sign-out$|/sessions/")
"""What takes away what other forms need."""
WRONG = {"text": 'zq/\\"', "password": "wrong", "textarea": "bob\nbob\n/", "number": "-1"}
CHECKED = {"entry", "accepted"}
"""Boxes that are checked before forms are sent as they are."""
MOST = 400
"""Requests of one person, in case that pages never end."""


class Reader:
    """Somebody who reads all pages that can be reached, and sends each form as it is, and wrongly.

    :param name: what to call the person where something is found.
    :param found: texts that are in no catalogue, and where each was seen first.
    """

    def __init__(self, name: str, client: FlaskClient, found: dict[str, str]) -> None:
        self._name, self._client, self._found = name, client, found
        client.environ_base["HTTP_ACCEPT_LANGUAGE"] = pseudo.CODE
        self._to_read: list[str] = []
        self._seen: set[str] = set()
        self._sent: set[tuple[str, str]] = set()
        self._late: list[Form] = []
        self._left = MOST

    def read_from(self, *addresses: str) -> None:
        """Read these pages, and what they lead to."""
        for address in addresses:
            self._read(address, again=True)
        while self._to_read:
            self._read(self._to_read.pop(0))
        late, self._late = sorted(self._late, key=lambda form: form.action == "/sign-out"), []
        for form in late:
            self._send(form)
            while self._to_read:
                self._read(self._to_read.pop(0))

    def look(self, where: str, response: TestResponse) -> TestResponse:
        """Note what a page says that is in no catalogue."""
        assert response.status_code != 500 or "error" in self._name, where
        if response.mimetype == "text/html":
            texts = [*Page(response.text).unknown()]
        else:
            is_text = response.mimetype == "text/plain" and response.status_code >= 400
            texts = [unknown_text(response.text)] if is_text else []
        for text in filter(None, texts):
            self._found.setdefault(text, f"{self._name}, {where} ({response.status_code})")
        return response

    def _read(self, address: str, *, again: bool = False) -> None:
        address = address.partition("#")[0]
        path = urlsplit(address).path
        # The same page, sorted in another way or further down, says the same.
        kind = re.sub(r"[\w-]{16,}|\d+", "*", f"{path}?{','.join(_names(address))}")
        if not path or SKIPPED.search(path) or not self._left or (kind in self._seen and not again):
            return
        self._seen.add(kind)
        self._left -= 1
        response = self._client.get(address, follow_redirects=True, buffered=True)
        self.look(kind, response)
        self._follow(response)

    def _follow(self, response: TestResponse) -> None:
        if response.mimetype != "text/html":
            return
        page, base = Page(response.text), response.request.path
        self._to_read += [urljoin(base, link) for link in page.links if not urlsplit(link).netloc]
        for form in page.forms:
            for action in (form.action, *form.others) if form.method == "post" else ():
                sent = Form(urljoin(base, action), "post", form.fields)
                if LATE.search(urlsplit(sent.action).path):
                    self._late.append(sent)
                else:
                    self._send(sent)

    def _send(self, form: Form) -> None:
        kind = re.sub(r"[\w-]{16,}|\d+", "*", form.action)
        shape = f"{kind} {sorted({name for name, *_ in form.fields})}"
        answers = []
        for variant, data in (("wrong", _wrong(form)), ("as it is", _as_it_is(form))):
            if (shape, variant) in self._sent or not self._left:
                continue
            self._sent.add((shape, variant))
            self._left -= 1
            response = self._client.post(form.action, data=data, buffered=True)
            where = f"{kind}, {variant}"
            if response.status_code in {301, 302, 303}:
                response = self._client.get(response.location, follow_redirects=True, buffered=True)
            answers.append(self.look(where, response))
        for response in answers:
            self._follow(response)


def _names(address: str) -> list[str]:
    return sorted({part.partition("=")[0] for part in urlsplit(address).query.split("&")})


def _as_it_is(form: Form) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, kind, value in form.fields:
        if kind == "file":
            data[name] = (io.BytesIO(b"zq"), "zq-sent.txt")
        elif kind == "password":
            data[name] = PASSWORD if value else ""
        elif kind == "submit":
            data.setdefault(name, value)
        elif not kind.endswith("off") or name in CHECKED:
            data[name] = value or "y"[: name in CHECKED]
    return data


def _wrong(form: Form) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, kind, value in form.fields:
        if kind in WRONG:
            data[name] = WRONG[kind]
        elif kind in {"date", "option", "radio"}:
            data[name] = "wrong"
        elif kind in {"hidden", "submit"}:
            data[name] = value
    return data


@pytest.fixture
def app(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    pseudo.install(monkeypatch)
    app = make_app(NAME="zq", IMPRINT_URL="/zq", PRIVACY_URL="/zq", TERMS_URL="/zq", TRASH_DAYS=30)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    prepare(app)
    return app


@pytest.fixture
def found() -> Iterator[dict[str, str]]:
    """Collect texts that are in no catalogue, which there are not."""
    found: dict[str, str] = {}
    yield found
    by_page: dict[str, list[str]] = defaultdict(list)
    for text, where in found.items():
        by_page[where].append(text)
    lines = [f"{where}: {texts}" for where, texts in by_page.items()]
    assert not lines, f"{len(found)} texts are in no catalogue:\n" + "\n".join(lines)


def fill(name: str) -> dict[str, str]:
    """Give somebody one of everything, and return addresses."""
    mine = root(name)
    folder = entries.place(Folder(name="zq-folder"), mine)
    entries.place(Folder(name="zq-other"), mine)
    entries.place(Folder(name="zq-inner"), folder)
    for number, (file, content) in enumerate(
        {
            "zq.txt": b"zq\n",
            "zq.md": b"# zq\n",
            "zq.png": pictures.encoded(pictures.photo(), "PNG"),
            "zq.pdf": b"%PDF-1.4\n",
            "zq.wav": b"RIFF\0\0\0\0WAVE",
            "zq.bin": b"\0\1",
            "zq-old.txt": b"zq",
            "zq-older.txt": b"zq",
        }.items()
    ):
        stored = store(name, file, content)
        if number < 3:
            entries.move([stored], folder)
        if file.startswith("zq-old"):
            trash.put([stored])
    shared = store(name, "zq-shared.txt")
    addresses = {
        "share": links.create(Share, folder, name="zq", note="zq")[1],
        "file": links.create(Share, shared, download_limit=1)[1],
        "locked": links.create(Share, shared, password=PASSWORD)[1],
        "request": links.create(FileRequest, folder, file_limit=2, size_limit=4096)[1],
    }
    asking = links.create(FileRequest, folder, asks_name=True, asks_message=True)[1]
    db.session.commit()
    found = {kind: f"/{'r' if kind == 'request' else 's'}/{one}" for kind, one in addresses.items()}
    return {**found, "asking": f"/r/{asking}", "folder": f"/folders/{folder.public_id}"}


def signed_in(app: Flask, name: str) -> FlaskClient:
    """Sign in without the page for it, which may fail, or have refused too many."""
    with app.test_request_context():
        account = accounts.find(name)
        assert account
        key = sessions.start(sessions.Proof.of(account), "", "")
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = key
    return client


@pytest.fixture
def addresses(app: Flask) -> Mapping[str, str]:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        accounts.deactivate(accounts.create("zq-away", PASSWORD))
        secured = accounts.create("zq-secured", PASSWORD)
        secured.totp_secret, secured.totp_step = "A" * 32, 1
        invitations.create_invitation(Role.MEMBER, None, "zq")
        return fill("alice")


@pytest.fixture
def visited(app: Flask) -> set[str]:
    """Note the endpoints that were asked."""
    asked: set[str] = set()

    @app.after_request
    def note(response: Any) -> Any:
        asked.add(request.endpoint or "")
        return response

    return asked


PAGES = (
    *("/", "/?sort=size", "/search?q=zq", "/search?q=nowhere", "/search?q=", "/trash", "/links"),
    *("/activity", "/account", "/account/second-factor", "/unfinished", "/receive/"),
    *("/move", "/nothing", "/accounts", "/folders/nothing", "/files/nothing/view", "/sign-out"),
)
OF_ADMINISTRATORS = ("/accounts", "/accounts/activity", "/invitations", "/invitations/several")


def test_pages_of_a_member(app: Flask, addresses: Mapping[str, str], found: dict[str, str]) -> None:
    alice = signed_in(app, "alice")
    Tus(alice).begin(100, filename="zq-part.txt")
    for content in (b"zq", b"zqzq"):
        upload(alice, "zq.txt", content, taken="replace")
        upload(alice, "zq-gone.txt", content, taken="replace")
    reader = Reader("a member", alice, found)
    gone = public_id(links_on(alice)["zq-gone.txt"])
    reader.read_from(*PAGES, addresses["folder"], f"/entries/{gone}")
    form = {"csrf_token": token(alice)}
    reader.look("no worker", alice.post("/receive/files", data=form, follow_redirects=True))
    Reader("a member with nothing", signed_in(app, "bob"), found).read_from("/", "/trash", "/links")


@pytest.mark.usefixtures("addresses")
def test_pages_of_an_administrator(app: Flask, found: dict[str, str]) -> None:
    with app.app_context():
        numbers = db.session.scalars(select(Account.id).order_by(Account.id.desc())).all()
    pages = [f"/accounts/{number}" for number in numbers]
    reader = Reader("an administrator", signed_in(app, "root"), found)
    reader.read_from(*OF_ADMINISTRATORS, *pages)


def test_pages_of_visitors_and_of_who_is_signed_out(
    app: Flask, addresses: Mapping[str, str], found: dict[str, str]
) -> None:
    for kind, address in addresses.items():
        Reader(f"a visitor, {kind}", app.test_client(), found).read_from(address)
        Reader("a visitor, dead link", app.test_client(), found).read_from(f"{address}x")
    with app.app_context():
        invitation = invitations.create_invitation(Role.MEMBER, None, "zq")[1]
        account = accounts.find("bob")
        assert account
        reset = invitations.create_reset_link(account)[1]
    for address in (f"/invitation/{invitation}", f"/reset/{reset}", "/invitation/x", "/reset/x"):
        Reader("one with a link", app.test_client(), found).read_from(address)
    Reader("signed out", app.test_client(), found).read_from("/sign-in", *PAGES)


def test_too_many_attempts(app: Flask, found: dict[str, str]) -> None:
    guesser = app.test_client()
    reader = Reader("a guesser", guesser, found)
    guesser.environ_base["HTTP_ACCEPT_LANGUAGE"] = pseudo.CODE
    form = {"csrf_token": token(guesser), "username": "zq-nobody", "password": "wrong"}
    for _ in range(30):
        answer = reader.look("too many attempts", guesser.post("/sign-in", data=form))
    assert answer.status_code == 429


def test_second_factor(app: Flask, found: dict[str, str]) -> None:
    with app.app_context():
        bob = accounts.find("bob")
        assert bob
        bob.totp_secret, bob.totp_step = "A" * 32, 1
        db.session.commit()
    client = app.test_client()
    reader = Reader("with a second factor", client, found)
    sign_in(client, "bob")
    reader.read_from("/sign-in/code")


def test_second_factor_is_switched_on_and_off(app: Flask, found: dict[str, str]) -> None:
    bob = signed_in(app, "bob")
    reader = Reader("who wants a second factor", bob, found)
    form = {"csrf_token": token(bob), "password": PASSWORD}
    page = reader.look("begun", bob.post(f"{FACTOR}/begin", data=form, follow_redirects=True))
    secret = re.search(r'<code class="secret">([^<]+)', page.text)
    assert secret
    form["code"] = pyotp.TOTP(secret[1].replace(" ", "")).now()
    reader.look("codes", bob.post(f"{FACTOR}/confirm", data=form, follow_redirects=True))
    reader.read_from(FACTOR)


@pytest.mark.parametrize("code", [400, 403, 404, 405, 413, 500])
def test_pages_of_errors(code: int, app: Flask, found: dict[str, str]) -> None:
    def fail() -> str:
        raise default_exceptions[code]

    app.view_functions["files.index"] = fail
    app.view_functions["auth.sign_in"] = fail
    client = signed_in(app, "alice")
    reader = Reader("a member, error", client, found)
    reader.look("/", client.get("/"))
    client = app.test_client()
    reader = Reader("signed out, error", client, found)
    reader.look("/sign-in", client.get("/sign-in"))


def test_error_in_a_page_has_a_text(app: Flask, found: dict[str, str]) -> None:
    def fail() -> str:
        raise RuntimeError

    app.view_functions["files.index"] = fail
    client = signed_in(app, "alice")
    Reader("a member, error", client, found).look("/", client.get("/"))


def test_all_pages_are_read(app: Flask, addresses: Mapping[str, str], visited: set[str]) -> None:
    nowhere: dict[str, str] = {}
    test_second_factor_is_switched_on_and_off(app, nowhere)
    test_pages_of_a_member(app, addresses, nowhere)
    test_pages_of_visitors_and_of_who_is_signed_out(app, addresses, nowhere)
    test_pages_of_an_administrator(app, nowhere)
    test_second_factor(app, nowhere)
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    missed = sorted(endpoints - NO_PAGES - visited)
    assert not missed, " ".join(missed)
