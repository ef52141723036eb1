"""Pages that begin after an item which has left the list since, or of which nothing is left."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from portal.accounts import accounts, invitations
from portal.activity import report
from portal.core.database import db
from portal.core.models import (
    Account,
    Activity,
    Entry,
    FileRequest,
    Folder,
    OneTimeLink,
    Role,
    Share,
)
from portal.files import entries, listing, trash
from portal.sharing import links
from tests.support.portal import PASSWORD, signed_in
from tests.support.stored import root, store

PAGE = 3
COUNT = 7
NEXT = re.compile(r'href="([^"]+)">(?:Next →|Next page|Older|More folders →)<')
NAME = re.compile(r"\b(item[0-9]+)</bdi>")
NOTE = re.compile(r'<p class="note" role="status">(The list has changed[^<]*)</p>')


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, links, invitations, accounts, report):
        monkeypatch.setattr(module, "PAGE", PAGE)


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("admin", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "admin")


def names() -> list[str]:
    return [f"item{number}" for number in range(COUNT)]


def folder() -> Folder:
    return entries.place(Folder(name="Many"), root("admin"))


def fill_files() -> str:
    inside = folder()
    for name in names():
        store("admin", name).parent_id = inside.id
    db.session.commit()
    return f"/folders/{inside.public_id}"


def fill_sizes() -> str:
    return f"{fill_files()}?sort=size"


def fill_shared() -> str:
    address = fill_files()
    shared = select(Folder).where(Folder.public_id == address.rpartition("/")[2])
    return f"/s/{links.create(Share, db.session.scalars(shared).one())[1]}"


def fill_move() -> str:
    file = store("admin", "moved")
    for name in names():
        entries.place(Folder(name=name), root("admin"))
    return f"/move?entry={file.public_id}"


def fill_trash() -> str:
    for name in names():
        trash.put([store("admin", name)])
    return "/trash"


def fill_shares() -> str:
    for name in names():
        links.create(Share, store("admin", name))
    return "/links"


def fill_requests() -> str:
    for name in names():
        links.create(FileRequest, entries.place(Folder(name=name), root("admin")))
    return "/links"


def fill_invitations() -> str:
    for name in names():
        invitations.create_invitation(Role.MEMBER, None, name)
    return "/invitations"


def fill_accounts() -> str:
    for name in names():
        accounts.create(name, PASSWORD)
    return "/accounts"


def fill_activity() -> str:
    for name in names():
        line = {"action": "upload", "actor": "x", "name": name, "name_key": name, "entry": "x"}
        db.session.add(Activity(owner_id=root("admin").owner_id, **line))
    db.session.commit()
    return "/activity?name=item"


def delete_entries(*gone: str) -> None:
    db.session.execute(delete(Entry).where(Entry.name.in_(gone)))


def delete_links(*gone: str) -> None:
    for kind, of in ((Share, Share.entry_id), (FileRequest, FileRequest.folder_id)):
        of_gone = of.in_(select(Entry.id).where(Entry.name.in_(gone)))
        db.session.execute(delete(kind).where(of_gone))


def delete_invitations(*gone: str) -> None:
    db.session.execute(delete(OneTimeLink).where(OneTimeLink.note.in_(gone)))


def delete_accounts(*gone: str) -> None:
    for account in db.session.scalars(select(Account).where(Account.name.in_(gone))).all():
        accounts.delete(account)


def delete_activity(*gone: str) -> None:
    db.session.execute(delete(Activity).where(Activity.name.in_(gone)))


LISTS: dict[str, tuple[Callable[[], str], Callable[..., None]]] = {
    "files": (fill_files, delete_entries),
    "sizes": (fill_sizes, delete_entries),
    "shared": (fill_shared, delete_entries),
    "move": (fill_move, delete_entries),
    "trash": (fill_trash, delete_entries),
    "shares": (fill_shares, delete_links),
    "requests": (fill_requests, delete_links),
    "invitations": (fill_invitations, delete_invitations),
    "accounts": (fill_accounts, delete_accounts),
    "activity": (fill_activity, delete_activity),
}
BY_ID = {"shares", "requests", "invitations", "activity"}
"""Lists that are sorted by what their marks say, whether the item is still there or not."""


@pytest.fixture(params=LISTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def filled(app: Flask, client: FlaskClient, kind: str) -> str:
    with app.app_context():
        address = LISTS[kind][0]()
    return client.get(address).location or address


def gone(app: Flask, kind: str, *what: str) -> None:
    with app.app_context():
        LISTS[kind][1](*what)
        db.session.commit()


def read(client: FlaskClient, address: str) -> tuple[list[str], str, str | None]:
    """Return the items of a page, what it says has changed, and the address of the next."""
    response = client.get(address)
    assert response.status_code == 200
    main = response.text.partition("<main")[2]
    said, more = NOTE.search(main), NEXT.search(main)
    found = list(dict.fromkeys(NAME.findall(main)))
    return found, said[1] if said else "", html.unescape(more[1]) if more else None


def after(address: str | None) -> str:
    assert address
    return address


def test_page_of_which_nothing_is_left_is_the_end_of_the_list(
    kind: str, app: Flask, admin: FlaskClient
) -> None:
    last, more = "", filled(app, admin, kind) or None
    before: list[str] = []
    some: list[str] = []
    while more:
        last, before = more, before + some
        some, said, more = read(admin, last)
        assert said == ""
        assert "item" not in (more or "").replace("name=item", "")  # no name is in an address
    assert sorted(before + some) == names()
    gone(app, kind, *some)
    found, said, more = read(admin, last)
    assert (said, more) == ("The list has changed. This is its end.", None)
    assert found == before[-PAGE:]


def test_page_after_an_item_that_is_gone(kind: str, app: Flask, admin: FlaskClient) -> None:
    first = filled(app, admin, kind)
    if kind == "accounts":  # those that there were before are on the first page
        first = after(read(admin, first)[2])
    shown, _, second = read(admin, first)
    following, _, _ = read(admin, after(second))
    gone(app, kind, shown[-1])
    found, said, _ = read(admin, after(second))
    if kind in BY_ID:
        assert (found, said) == (following, "")
    else:
        assert said == "The list has changed. This is its beginning."
        assert kind == "accounts" or found[: len(shown) - 1] == shown[:-1]


def test_list_of_which_nothing_is_left_is_empty(kind: str, app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, kind))
    gone(app, kind, *names())
    found, said, more = read(admin, after(second))
    assert (found, more) == ([], None)
    assert kind == "accounts" or said == ""


def test_file_that_was_renamed_to_the_end_leads_to_the_end(app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, "files"))
    with app.app_context():
        renamed = db.session.scalars(select(Entry).where(Entry.name == "item2")).one()
        entries.rename(renamed, "zzz")
    found, said, _ = read(admin, after(second))
    assert (found, said) == (["item5", "item6"], "The list has changed. This is its end.")


def test_item_that_was_restored_is_no_mark_in_the_trash(app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, "trash"))
    with app.app_context():
        trash.restore(db.session.scalars(select(Entry).where(Entry.name == "item4")).one())
    found, said, _ = read(admin, after(second))
    assert found == ["item6", "item5", "item3"]
    assert said == "The list has changed. This is its beginning."
