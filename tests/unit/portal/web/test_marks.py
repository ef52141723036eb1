"""Pages that begin after an item which has changed since, or of which nothing is left."""

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


@pytest.fixture
def three(kind: str, app: Flask, admin: FlaskClient) -> tuple[str, list[str], str, list[str]]:
    """Return the address of a page and what is on it, and of the page after it and what is there.

    The page is full of items that can be deleted.
    """
    first = filled(app, admin, kind)
    if kind == "accounts":  # those that there were before are on the first page
        first = after(read(admin, first)[2])
    shown, _, second = read(admin, first)
    following, _, _ = read(admin, after(second))
    return first, shown, after(second), following


def test_page_after_an_item_that_is_gone(
    kind: str, three: tuple[str, list[str], str, list[str]], app: Flask, admin: FlaskClient
) -> None:
    _, shown, second, following = three
    for name in (shown[-1], shown[-2]):
        gone(app, kind, name)
        found, said, _ = read(admin, second)
        assert (found, said) == (following, "")


def test_page_after_items_that_are_all_gone(
    kind: str, three: tuple[str, list[str], str, list[str]], app: Flask, admin: FlaskClient
) -> None:
    _, shown, second, following = three
    gone(app, kind, *shown)
    found, said, _ = read(admin, second)
    if kind in BY_ID:
        assert (found, said) == (following, "")
    else:
        assert said == "The list has changed. This is its beginning."
        assert kind == "accounts" or found == following


def test_list_of_which_nothing_is_left_is_empty(kind: str, app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, kind))
    gone(app, kind, *names())
    found, said, more = read(admin, after(second))
    assert (found, more) == ([], None)
    assert kind == "accounts" or said == ""


def rename(name: str, wanted: str) -> None:
    entries.rename(db.session.scalars(select(Entry).where(Entry.name == name)).one(), wanted)


def leave(name: str) -> None:
    """Move an item to the root folder, where its name is taken."""
    moved = db.session.scalars(select(Entry).where(Entry.name == name)).one()
    entries.place(Folder(name=name), root("admin"))
    entries.move([moved], root("admin"))


def put_away(name: str) -> None:
    trash.put([db.session.scalars(select(Entry).where(Entry.name == name)).one()])


CHANGES: dict[str, Callable[[str], object]] = {
    "renamed to the end": lambda name: rename(name, "zzz"),
    "renamed to the beginning": lambda name: rename(name, "aaa"),
    "moved": leave,
    "trashed": put_away,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["files", "sizes", "shared"])
def test_nothing_is_left_out_after_an_item_that_changed(
    kind: str, change: str, app: Flask, admin: FlaskClient
) -> None:
    shown, _, second = read(admin, filled(app, admin, kind))
    following, _, third = read(admin, after(second))
    with app.app_context():
        for name in (shown[-1], shown[-2]):
            CHANGES[change](name)
        db.session.commit()
    found, said, more = read(admin, after(second))
    assert (found[: len(following)], said) == (following, "")
    assert bool(more) == bool(third)


def test_page_before_an_item_that_was_renamed(app: Flask, admin: FlaskClient) -> None:
    first = filled(app, admin, "files")
    _, _, second = read(admin, first)
    back = re.search(r'rel="prev" href="([^"]+)"', admin.get(after(second)).text)
    assert back
    with app.app_context():
        rename("item3", "zzz")
    assert read(admin, html.unescape(back[1]))[0] == ["item0", "item1", "item2"]


def test_page_after_items_that_were_all_renamed_says_so(app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, "files"))
    with app.app_context():
        for number in range(PAGE):
            rename(f"item{number}", f"zzz{number}")
    found, said, _ = read(admin, after(second))
    assert found == ["item3", "item4", "item5"]
    assert said == "The list has changed. This is its beginning."


@pytest.mark.parametrize("kind", ["files", "shared", "move", "trash"])
def test_mark_of_a_place_is_signed(kind: str, app: Flask, admin: FlaskClient) -> None:
    """So nobody tries names until a page begins at another place."""
    shown, _, second = read(admin, filled(app, admin, kind))
    address, _, mark = after(second).rpartition("after=")
    public_id = mark.partition(".")[0]
    for given in (public_id, f"{public_id}.", f"{public_id}.x", f"{public_id}.{'é' * 10}", "~.~"):
        found, said, _ = read(admin, f"{address}after={given}")
        assert found[: len(shown)] == shown
        assert said == "The list has changed. This is its beginning."
    assert admin.get(f"{address}after={'x' * 256}").status_code == 404


def test_item_that_was_restored_is_no_mark_in_the_trash(app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, "trash"))
    with app.app_context():
        trash.restore(db.session.scalars(select(Entry).where(Entry.name == "item4")).one())
    found, said, _ = read(admin, after(second))
    assert (found, said) == (["item3", "item2", "item1"], "")


def test_item_that_is_in_the_trash_again_is_no_mark(app: Flask, admin: FlaskClient) -> None:
    _, _, second = read(admin, filled(app, admin, "trash"))
    with app.app_context():
        restored = db.session.scalars(select(Entry).where(Entry.name == "item4")).one()
        trash.restore(restored)
        trash.put([restored])
    assert read(admin, after(second))[0] == ["item3", "item2", "item1"]
