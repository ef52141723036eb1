"""Text that is to do harm, in each field, address and header: refused in words, soon, or harmless.

Which fields a route has is seen from what it reads, so that a new one is tried, too.
"""

from __future__ import annotations

import gc
import io
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import String, select
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import Rule
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from portal import create_app
from portal.accounts import accounts, invitations
from portal.core.database import db
from portal.core.models import Base, Entry, FileRequest, Role, Share
from portal.core.text import is_text
from portal.identity import passwords, sessions
from portal.sharing import links as link_service
from tests.support.databases import Saved
from tests.support.portal import (
    PASSWORD,
    cheap_hasher,
    choose,
    folder_id,
    links,
    make_folder,
    prepare,
    public_id,
    sign_in,
    signed_in,
    token,
    upload,
)

MARKS = "a" + "\u0301" * 500_000 + "\u0323" * 500_000
TEXTS = {
    "NUL": "a\0b",
    "control": "a\x1b[31mb",
    "C1": "a\x9bb",
    "marks": MARKS[:8000],
    "digits": "9" * 8000,
    "percent and brackets": "%" * 4000 + "[" * 2000 + "]" * 2000,
    "expanding": "\ufdfa" * 64,
    "right to left": "\u202e\u2067gnp.exe",
    "1 MB of marks": MARKS[::2],
}
SENT = {name: quote(text) for name, text in TEXTS.items()} | {"surrogate": "a%ED%A0%80b"}
IN_ADDRESSES = {name: SENT[name] for name in ("NUL", "C1", "surrogate", "marks", "expanding")}
IN_ADDRESSES["1 MB of digits"] = "9" * 1_000_000
REFUSED = {400, 404, 413, 414, 422, 431}
SLOWER = 20
"""Times an ordinary request's."""
LEAST = 0.01
"""Seconds: what is shorter is not measured well."""
_SENTENCE = re.compile(r"[A-Z][^<>]{8,}[.?]")


class Seen(ImmutableMultiDict[str, str]):
    """Fields of a request, of which a test sees which are read."""

    read: set[str] | None = None

    def _note(self, key: Any) -> None:
        if Seen.read is not None and isinstance(key, str):
            Seen.read.add(key)

    def getlist(self, key: Any, type: Any = None) -> list[Any]:  # noqa: A002
        self._note(key)
        return super().getlist(key, type)

    def __getitem__(self, key: Any) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)

    def get(self, key: Any, default: Any = None, type: Any = None) -> Any:  # type: ignore[override]  # noqa: A002
        self._note(key)
        return super().get(key, default, type)


class World:
    """An administrator, who visits her own links, with a file, a folder, and something deleted."""

    def __init__(self, data: Path) -> None:
        self.app, self.data = _create(data), data
        prepare(self.app)
        with self.app.app_context():
            accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
            secret = "A" * 32
            for bob in [accounts.find("bob")]:
                assert bob
                bob.totp_secret, bob.totp_step = secret, 1
                db.session.commit()
        self.root = signed_in(self.app, "root")
        self.values = self._fill(self.root)
        self.anonymous = self.app.test_client()
        self.waiting = self.app.test_client()
        sign_in(self.waiting, "bob")
        self.tokens = {one: token(one) for one in (self.root, self.anonymous)}
        self.tokens[self.waiting] = _token(self.waiting, "/sign-in/code")
        self.close()
        gc.collect()
        gc.freeze()  # a collector that goes through all earlier tests' objects is no route's time
        self._saved = Saved(self.app, data)
        self._files = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
        self._cookies = {one: dict(one._cookies or {}) for one in self.tokens}

    def _fill(self, root: FlaskClient) -> dict[str, str]:
        """Create what routes are about, and return what stands for their parameters."""
        upload(root, "a.txt")
        upload(root, "b.txt")
        inner = public_id(make_folder(root, "Inner"))
        upload(root, "c.txt", page=f"/folders/{inner}")
        choose(root, "trash", links(root)["b.txt"])
        with self.app.app_context():
            mine = {entry.name: entry for entry in db.session.scalars(select(Entry))}
            share, shared = link_service.create(Share, mine["Inner"])
            asked, request_token = link_service.create(FileRequest, mine["Inner"])
            invitation = invitations.create_invitation(Role.MEMBER, None, "")
            account = accounts.find("alice")
            assert account
            _, reset = invitations.create_reset_link(account)
            moment = mine["b.txt"].trashed_at
            assert moment
            me = accounts.find("root")
            assert me
            session = sessions.list_sessions(me)[0].public_id
            values = {
                "share": share.public_id,
                "request": asked.public_id,
                "invitation": invitation[0].public_id,
                "account": str(account.id),
                "trashed": mine["b.txt"].public_id,
                "moment": moment.isoformat(),
                "file": mine["a.txt"].public_id,
                "inner file": mine["c.txt"].public_id,
                "inner": inner,
                "session": session,
            }
        root.get(f"/s/{shared}")
        root.get(f"/r/{request_token}")
        with root.session_transaction() as cookie:
            cookie["invitation"], cookie["reset"] = invitation[1], reset
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "X-CSRFToken": token(root)}
        begun = root.post("/uploads/", headers=headers)
        return values | {"root": folder_id(root), "upload": begun.location.rpartition("/")[2]}

    def restore(self) -> None:
        """Bring everything back to how it was."""
        self.close()
        for path in self.data.rglob("*"):
            if path.is_file() and path not in self._files:
                path.unlink()
        for path, content in self._files.items():
            path.write_bytes(content)
        self._saved.restore()
        for client, cookies in self._cookies.items():
            client._cookies = dict(cookies)

    def cookies(self, client: FlaskClient) -> Iterator[tuple[str, str]]:
        for cookie in (client._cookies or {}).values():
            yield cookie.key, cookie.value

    def close(self) -> None:
        with self.app.app_context():
            db.engine.dispose()

    def client(self, rule: Rule) -> FlaskClient:
        by_rule = {"/sign-in": self.anonymous, "/sign-in/code": self.waiting}
        return by_rule.get(rule.rule, self.root)


def _create(data: Path) -> Flask:
    app = create_app({"TESTING": True, "DATA": str(data), "SESSION_COOKIE_SECURE": False})
    app.request_class.parameter_storage_class = Seen
    return app


def _token(client: FlaskClient, page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", cheap_hasher())
        made = World(tmp_path_factory.mktemp("hostile").resolve() / "data")
        yield made
        gc.unfreeze()
        made.close()
        del made.app.request_class.parameter_storage_class


# What stands for a parameter, by the rule's beginning; the longest that fits counts.
PARAMETERS = {
    "/static/": "portal.css",
    "/files/": "file",
    "/folders/": "inner",
    "/entries/": "file",
    "/trash/": "trashed",
    "/account/sessions/": "session",
    "/accounts/": "account",
    "/invitation/": "x",
    "/reset/": "x",
    "/invitations/": "invitation",
    "/links/shares/": "share",
    "/links/requests/": "request",
    "/s/": "x",
    "/r/": "x",
    "/shared/": "share",
    "/uploads/": "upload",
    "/uploads/folders/": "inner",
    "/uploads/requested/": "request",
    "/requested/": "request",
    "/unfinished/": "upload",
}
ORDINARY = {"moment": "moment", "entry": "file", "folder": "inner"}
"""Fields without whose values a view does nothing."""


def url_of(rule: Rule, world: World, **instead: str) -> str:
    """Return a route's address, with something else in place of a parameter."""
    fitting = [one for one in PARAMETERS if rule.rule.startswith(one)]
    url = rule.rule
    for name in rule.arguments:
        value = PARAMETERS[max(fitting, key=len)]
        if name == "entry_id":
            value = "inner file" if "/files/" in rule.rule else "inner"
        value = instead.get(name, world.values.get(value, value))
        url = re.sub(rf"<(\w+:)?{name}>", value, url)
    return url


def send(
    world: World,
    rule: Rule,
    method: str,
    sent: Mapping[str, str] | None = None,
    *,
    url: str = "",
    body: bytes = b"",
    said: Mapping[str, str] | None = None,
) -> tuple[Response, float]:
    """Send a request, and return its answer and the processor's seconds.

    :param sent: fields, encoded already.
    :param said: keys of the environment, for headers.
    """
    client, is_tus = world.client(rule), rule.endpoint.startswith("tus.")
    ordinary = {name: quote(world.values[key]) for name, key in ORDINARY.items()}
    fields = {"csrf_token": quote(world.tokens[client]), **ordinary, **(sent or {})}
    form = "&".join(f"{name}={value}" for name, value in fields.items())
    environ = EnvironBuilder(method=method).get_environ()
    environ["PATH_INFO"] = unquote(url or url_of(rule, world), "latin-1")
    environ["HTTP_COOKIE"] = "; ".join(f"{key}={value}" for key, value in world.cookies(client))
    if is_tus:
        environ |= {"HTTP_TUS_RESUMABLE": "1.0.0", "HTTP_X_CSRFTOKEN": world.tokens[client]}
        environ |= {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_OFFSET": "0"}
    elif method == "GET":
        environ["QUERY_STRING"] = form
    else:
        body = body or form.encode()
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **(said or {})}
    start = time.thread_time()
    response = Response(*run_wsgi_app(world.app.wsgi_app, environ))
    response.get_data()
    response.close()
    return response, time.thread_time() - start


def fields_of(world: World, rule: Rule, method: str) -> set[str]:
    """Return the names of the fields that a route reads."""
    Seen.read = set()
    send(world, rule, method)
    read, Seen.read = Seen.read, None
    return read


def routes(world: World, methods: set[str]) -> list[tuple[str, Rule]]:
    return [
        (method, rule)
        for rule in world.app.url_map.iter_rules()
        for method in sorted(methods & (rule.methods or set()))
    ]


def faults_of(response: Response, seconds: float, ordinary: float) -> list[object]:
    """Return what is wrong with an answer."""
    found: list[object] = []
    if response.status_code >= 400:
        found += [] if response.status_code in REFUSED else [response.status]
        is_page = response.mimetype == "text/html"
        text = response.get_data(as_text=True)
        text = text.partition("<main")[2] if is_page else text
        found += [] if _SENTENCE.search(text) or not text else [text]
    if seconds > SLOWER * max(ordinary, LEAST):
        found.append(f"{seconds:.2f} s, and {ordinary:.3f} s otherwise")
    return found


def faults(
    world: World,
    rule: Rule,
    method: str,
    sent: Mapping[str, str] | None = None,
    *,
    ordinary: float,
    **other: Any,
) -> list[object]:
    """Return what is wrong with the answer to a request.

    What is slow by itself is so a second time, other than on a machine that is busy.
    """
    found = faults_of(*send(world, rule, method, sent, **other), ordinary)
    if found:
        world.restore()
        found = faults_of(*send(world, rule, method, sent, **other), ordinary)
    return found


def stored_faults(world: World) -> list[object]:
    """Return what was stored and should not have been."""
    found: list[object] = []
    with world.app.app_context():
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if not isinstance(column.type, String):
                    continue
                for (value,) in db.session.execute(select(column).where(column.is_not(None))):
                    text = getattr(value, "value", value)
                    if not is_text(text) or len(text) > (column.type.length or 32 * 1024):
                        found.append(f"{column}: {len(text)} characters, {text[:50]!r}")
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_field_does_harm(method: str, world: World) -> None:
    wrong: list[object] = []
    tried, done = 0, set[str]()
    for _, rule in routes(world, {method}):
        world.restore()
        # One function reads the token of all forms.
        fields = fields_of(world, rule, method) - (done & {"csrf_token"})
        done |= fields
        world.restore()
        ordinary = max(send(world, rule, method)[1] for _ in range(2))
        for number, field in enumerate(sorted(fields)):
            world.restore()
            for name, text in SENT.items():
                if number and name == "1 MB of marks":
                    continue  # no field is read before the length of all is seen
                found = faults(world, rule, method, {field: text}, ordinary=ordinary)
                wrong += [(method, rule.rule, field, name, *found)] if found else []
                tried += 1
            found = stored_faults(world)
            wrong += [(method, rule.rule, field, *found)] if found else []
    assert wrong == []
    assert tried > 300


def test_no_part_of_an_address_does_harm(world: World) -> None:
    wrong: list[object] = []
    for method, rule in routes(world, {"GET", "POST", "PATCH", "DELETE"}):
        for parameter in rule.arguments - set(rule.defaults or ()):
            world.restore()
            ordinary = send(world, rule, method)[1]
            world.restore()
            for name, text in IN_ADDRESSES.items():
                url = url_of(rule, world, **{parameter: text})
                found = faults(world, rule, method, url=url, ordinary=ordinary)
                wrong += [(method, rule.rule, parameter, name, *found)] if found else []
    assert wrong == []


def test_no_form_of_many_or_nested_fields_does_harm(world: World) -> None:
    forms = {
        "nested": "a" + "[b]" * 4000 + "=1",
        "many": "&".join(f"a{number}=1" for number in range(7000)),
        "the same": "entry=x&" * 7000,
        "NUL in a name": "a%00=1",
        "surrogate in a name": "%ED%A0%80=1",
    }
    wrong: list[object] = []
    for method, rule in routes(world, {"POST"}):
        world.restore()
        ordinary = send(world, rule, method)[1]
        for name, form in forms.items():
            found = faults(world, rule, method, {"x": f"1&{form}"}, ordinary=ordinary)
            wrong += [(rule.rule, name, *found)] if found else []
    assert wrong == []


HEADERS = (
    *("Accept", "Accept-Language", "Authorization", "Cookie", "If-Match", "If-Modified-Since"),
    *("If-None-Match", "If-Range", "Origin", "Range", "Referer", "User-Agent", "X-Forwarded-For"),
    *("Upload-Checksum", "Upload-Length", "Upload-Metadata", "Upload-Offset", "X-CSRFToken"),
    *("Content-Type", "X-HTTP-Method-Override", "Tus-Resumable", "Transfer-Encoding"),
)


@pytest.mark.parametrize("endpoint", ["files.download", "tus.create", "tus.add"])
def test_no_header_does_harm(endpoint: str, world: World) -> None:
    rule = next(world.app.url_map.iter_rules(endpoint))
    method = {"tus.create": "POST", "tus.add": "PATCH"}.get(endpoint, "GET")
    wrong: list[object] = []
    for header in HEADERS:
        world.restore()
        ordinary = send(world, rule, method)[1]
        key = f"HTTP_{header.upper().replace('-', '_')}".replace("HTTP_CONTENT_", "CONTENT_")
        for name, text in TEXTS.items():
            said = {key: text.encode().decode("latin-1")}
            found = faults(world, rule, method, said=said, ordinary=ordinary)
            # What a header asks for may be refused in its own way.
            found = [one for one in found if one not in _OWN]
            wrong += [(header, name, *found)] if found else []
        found = stored_faults(world)
        wrong += [(header, *found)] if found else []
    assert wrong == []


_OWN = {"401 UNAUTHORIZED", "409 CONFLICT", "412 PRECONDITION FAILED", "415 UNSUPPORTED MEDIA TYPE"}
_OWN |= {"405 METHOD NOT ALLOWED", "416 REQUESTED RANGE NOT SATISFIABLE"}


@pytest.mark.parametrize("rule", ["/uploads/folders/<public_id>", "/uploads/requested/<public_id>"])
def test_no_name_of_a_file_does_harm(rule: str, world: World) -> None:
    found_rule = next(one for one in world.app.url_map.iter_rules() if one.rule == rule)
    wrong: list[object] = []
    world.restore()
    ordinary = 0.0
    for name, text in {"ordinary": "a.txt", **TEXTS}.items():
        escaped = text.replace('"', "%22")
        body = (
            f'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n'
            f"{world.tokens[world.root]}\r\n"
            f'--b\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n'
            "Content-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
        ).encode()
        said = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
        ordinary = ordinary or send(world, found_rule, "POST", body=body, said=said)[1]
        found = faults(world, found_rule, "POST", body=body, said=said, ordinary=ordinary)
        found += stored_faults(world)
        wrong += [(name, *found)] if found else []
    assert wrong == []


def test_fields_are_seen(world: World) -> None:
    """The other tests would try none if this did not work."""
    by_rule = {rule.rule: rule for rule in world.app.url_map.iter_rules()}
    world.restore()
    assert {"username", "password", "next"} <= fields_of(world, by_rule["/sign-in"], "POST")
    assert {"q"} <= fields_of(world, by_rule["/search"], "GET")
    assert {"role"} <= fields_of(world, by_rule["/accounts/<int:account_id>/role"], "POST")
    assert {"moment"} <= fields_of(world, by_rule["/trash/undo"], "POST")
    assert {"code", "recovery_code"} <= fields_of(world, by_rule["/sign-in/code"], "POST")
    assert {"username", "again"} <= fields_of(world, by_rule["/invitation"], "POST")
