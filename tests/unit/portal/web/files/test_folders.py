"""Folders: made, renamed, moved, searched."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.core.database import db
from portal.core.models import Entry, Folder
from portal.files import entries, listing, trash, tree
from tests.support.portal import (
    choose,
    folder_id,
    folders,
    links,
    listed_names,
    make_folder,
    post_folder,
    public_id,
    token,
    upload,
    upload_url,
)


def rename(client: FlaskClient, link: str, name: str) -> TestResponse:
    form = {"csrf_token": token(client), "name": name}
    return client.post(f"/entries/{public_id(link)}/rename", data=form)


def move(client: FlaskClient, target: str, *chosen: str) -> TestResponse:
    """Move to a folder by its link; ``/`` is the root."""
    folder = folder_id(client) if target == "/" else public_id(target)
    entry = [public_id(link) for link in chosen]
    form = {"csrf_token": token(client), "folder": folder, "entry": entry}
    return client.post("/move", data=form)


def messages(client: FlaskClient) -> str:
    return "\n".join(re.findall(r'<p class="note[^>]*>([^<]*)', client.get("/").text))


def test_file_is_in_the_folder_that_it_was_uploaded_to(alice: FlaskClient) -> None:
    inner = make_folder(alice, "Inner", make_folder(alice, "Outer"))
    response = upload(alice, "a.txt", page=inner)
    assert response.location == inner
    assert list(links(alice, inner)) == ["a.txt"]
    assert links(alice) == {}


def test_way_to_a_folder_is_shown(alice: FlaskClient) -> None:
    outer = make_folder(alice, "Out & er")
    page = alice.get(make_folder(alice, "Inner", outer)).text
    way = page.partition('<nav class="way" aria-label="You are here">')[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]+)"', way) == ["/", outer]
    assert "Out &amp; er" in way
    assert '<span aria-current="page"><bdi>Inner</bdi></span>' in way


def test_folders_come_first_in_the_list(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    make_folder(alice, "z")
    assert listed_names(alice.get("/").text) == ["z", "a.txt"]


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        ("  x  ", "x"),
        ("A\u202eB", "AB"),
    ],
)
def test_name_of_a_folder_is_cleaned(sent: str, made: str, alice: FlaskClient) -> None:
    make_folder(alice, sent)
    assert list(folders(alice)) == [made]


@pytest.mark.parametrize("name", [".", "..", " .. ", "\u200b", "\u202e", "\u3164", "\u200b."])
def test_what_can_be_no_name_is_refused_where_somebody_types_it(
    name: str, alice: FlaskClient
) -> None:
    page = make_folder(alice, "Rows")
    upload(alice, "a.txt", page=page)
    post_folder(alice, name, page)
    assert "A name cannot be . or .." in messages(alice)
    for link in (page, links(alice, page)["a.txt"]):
        rename(alice, link, name)
        assert "A name cannot be . or .." in messages(alice)
    assert (list(folders(alice)), list(links(alice, page))) == (["Rows"], ["a.txt"])
    assert folders(alice, page) == {}


@pytest.mark.parametrize("name", ["", "   "])
def test_folder_needs_a_name(name: str, alice: FlaskClient) -> None:
    post_folder(alice, name)
    assert "Enter a name." in messages(alice)


def test_taken_name_gets_a_number_and_that_is_told(alice: FlaskClient) -> None:
    upload(alice, "Plan")
    post_folder(alice, "PLAN")
    assert "Folder created: PLAN (2) (PLAN is taken)" in messages(alice)
    assert list(folders(alice)) == ["PLAN (2)"]


def test_rename_keeps_the_address_and_sets_the_type(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    rename(alice, link, "b.html")
    assert links(alice) == {"b.html": link}
    with alice.get(link) as response:
        assert response.mimetype == "text/html"
        assert "b.html" in response.headers["Content-Disposition"]


def test_rename_to_a_taken_name_is_numbered(alice: FlaskClient) -> None:
    for name in ("a.txt", "b.txt"):
        upload(alice, name)
    rename(alice, links(alice)["b.txt"], "A.txt")
    assert "Renamed to A (2).txt (A.txt is taken)" in messages(alice)
    assert set(links(alice)) == {"a.txt", "A (2).txt"}


def test_rename_may_change_case_alone(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    rename(alice, links(alice)["a.txt"], "A.TXT")
    assert list(links(alice)) == ["A.TXT"]


@pytest.mark.parametrize("name", ["Scan 1/2.pdf", "a\\b", "/"])
def test_typed_name_with_a_slash_is_refused(name: str, alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    rename(alice, links(alice)["a.txt"], name)
    assert "A name cannot contain / or \\" in messages(alice)
    post_folder(alice, name)
    assert "A name cannot contain / or \\" in messages(alice)
    assert list(links(alice)) == ["a.txt"]
    assert folders(alice) == {}


def test_rename_needs_a_name(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    rename(alice, links(alice)["a.txt"], " ")
    assert "Enter a name." in messages(alice)
    assert list(links(alice)) == ["a.txt"]


def test_several_are_moved_at_once(alice: FlaskClient) -> None:
    target, moved = make_folder(alice, "Target"), make_folder(alice, "Moved")
    upload(alice, "a.txt", page=moved)
    upload(alice, "b.txt")
    upload(alice, "b.txt", page=target)

    response = choose(alice, "move", moved, links(alice)["b.txt"])
    page = alice.get(response.location).text
    assert "Move 2 items" in page
    assert "(being moved)" in page
    assert move(alice, target, moved, links(alice)["b.txt"]).location == target

    assert "Moved here: 2 items: b (2).txt (b.txt is taken), Moved" in messages(alice)
    assert list(folders(alice)) == ["Target"]
    assert set(links(alice, target)) == {"b.txt", "b (2).txt"}
    assert list(links(alice, moved)) == ["a.txt"]


def test_move_to_where_it_is_changes_nothing(alice: FlaskClient) -> None:
    upload(alice, "a.txt")
    assert "disabled" in alice.get(choose(alice, "move", links(alice)["a.txt"]).location).text
    move(alice, "/", links(alice)["a.txt"])
    assert list(links(alice)) == ["a.txt"]


def test_folder_is_not_moved_into_itself_or_below(alice: FlaskClient) -> None:
    outer = make_folder(alice, "Outer")
    inner = make_folder(alice, "Inner", outer)
    for target in (outer, inner):
        response = move(alice, target, outer)
        assert response.location.startswith("/move?")
        assert "cannot be moved into itself" in messages(alice)
    assert list(folders(alice)) == ["Outer"]


def test_folder_is_no_target_of_its_own_move(alice: FlaskClient) -> None:
    outer = make_folder(alice, "Outer")
    inner = make_folder(alice, "Inner", outer)
    for target in (outer, inner):
        query = {"entry": public_id(outer), "folder": public_id(target)}
        page = alice.get("/move", query_string=query).text
        assert re.search(r'<button class="main" name="folder" value="[^"]+" disabled', page)
        assert "cannot be moved into itself" in page
    page = alice.get("/move", query_string={"entry": public_id(inner)}).text
    button = f'<button class="main" name="folder" value="{folder_id(alice)}"'
    assert f"{button}>Move to My files" in page


def test_two_folders_are_not_moved_into_each_other_at_once(app: Flask, alice: FlaskClient) -> None:
    for attempt in range(5):
        one, two = (make_folder(alice, f"{name} {attempt}") for name in ("One", "Two"))
        with app.app_context():
            ids = {
                link: db.session.scalars(
                    select(Folder.id).where(Folder.public_id == public_id(link))
                ).one()
                for link in (one, two)
            }
        barrier = threading.Barrier(2)

        def into(pair: tuple[int, int], barrier: threading.Barrier = barrier) -> bool:
            with app.app_context():
                moved, target = (db.session.get_one(Folder, one) for one in pair)
                barrier.wait()
                try:
                    entries.move([moved], target)
                except tree.RefusedError:
                    return False
                return True

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(into, [(ids[one], ids[two]), (ids[two], ids[one])]))
        assert sorted(done) == [False, True]


def test_depth_is_limited_in_words(alice: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "DEEPEST", 3)
    page, pages = "/", []
    for name in "abc":
        page = make_folder(alice, name, page)
        pages.append(page)
    post_folder(alice, "d", page)
    assert "Folders can be nested at most 3 deep" in messages(alice)
    outer = make_folder(alice, "outer")
    make_folder(alice, "inner", outer)
    move(alice, pages[1], outer)
    assert "Folders can be nested at most 3 deep" in messages(alice)
    assert set(folders(alice)) == {"a", "outer"}
    move(alice, pages[0], outer)
    assert set(folders(alice)) == {"a"}


def test_folder_that_has_gone_takes_nothing(app: Flask, alice: FlaskClient) -> None:
    page = make_folder(alice, "Gone")
    url = f"/folders/{folder_id(alice, page)}/folders"
    choose(alice, "trash", page)
    form = {"csrf_token": token(alice), "name": "x"}
    assert alice.post(url, data=form).status_code == 404
    with app.app_context():
        folder = db.session.scalars(select(Folder).where(Folder.name == "Gone")).one()
        with pytest.raises(entries.GoneError):
            entries.place(Folder(name="x"), folder)
        db.session.rollback()
        assert db.session.scalars(select(Folder).where(Folder.name == "x")).all() == []


def test_root_folder_stays_as_it_is(app: Flask, alice: FlaskClient) -> None:
    root = folder_id(alice)
    with app.app_context():
        before = db.session.execute(select(Entry.__table__)).all()
    form = {"csrf_token": token(alice), "name": "x", "entry": root}
    assert alice.post(f"/entries/{root}/rename", data=form).status_code == 404
    assert alice.post("/selection/trash", data=form).status_code == 404
    assert alice.post("/move", data=form).status_code == 404
    with app.app_context():
        assert db.session.execute(select(Entry.__table__)).all() == before


@pytest.mark.parametrize("action", ["trash", "move", "zip"])
def test_one_of_anothers_among_what_was_chosen_stops_all(
    action: str, alice: FlaskClient, bob: FlaskClient
) -> None:
    upload(alice, "a.txt")
    upload(bob, "b.txt")
    mine, theirs = links(bob)["b.txt"], links(alice)["a.txt"]
    assert choose(bob, action, mine, theirs).status_code == 404
    assert list(links(bob)) == ["b.txt"]
    assert list(links(alice)) == ["a.txt"]


def test_nothing_is_written_into_anothers_folder(alice: FlaskClient, bob: FlaskClient) -> None:
    theirs = make_folder(alice, "Hers")
    upload(bob, "b.txt")
    form = {"csrf_token": token(bob), "name": "x"}
    assert bob.post(f"{theirs}/folders", data=form).status_code == 404
    assert bob.post(f"/uploads{theirs}", data=form).status_code == 404
    assert move(bob, theirs, links(bob)["b.txt"]).status_code == 404
    assert list(links(bob)) == ["b.txt"]
    assert links(alice, theirs) == folders(alice, theirs) == {}


@pytest.mark.parametrize("action", ["trash", "move", "zip"])
def test_nothing_chosen_is_told_where_one_was(action: str, alice: FlaskClient) -> None:
    page = make_folder(alice, "Here")
    response = choose(alice, action, next=f"{page}?sort=size")
    assert response.location == f"{page}?sort=size"
    assert "Select files or folders first" in messages(alice)


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_form_leads_back_to_this_site_alone(target: str, alice: FlaskClient) -> None:
    assert choose(alice, "trash", next=target).location == "/"


def found(client: FlaskClient, words: str) -> list[str]:
    page = client.get("/search", query_string={"q": words}).text
    return listed_names(page)


@pytest.fixture
def searched(alice: FlaskClient) -> FlaskClient:
    inner = make_folder(alice, "Inner", make_folder(alice, "Outer"))
    names = ("Straße.txt", "Die endgültige Fassung.md", "Übung 10.md", "übung 9.md")
    for name in names:
        upload(alice, name, page=inner)
    for name in ("100%.txt", "1000.txt", "a_b.txt", "aXb.txt", "back.txt"):
        upload(alice, name, page=inner)
    return alice


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("STRASSE", ["Straße.txt"]),
        ("endgultige", ["Die endgültige Fassung.md"]),
        ("U\u0308BUNG", ["übung 9.md", "Übung 10.md"]),
        ("100%", ["100%.txt"]),
        ("%", ["100%.txt"]),
        ("a_b", ["a_b.txt"]),
        ("_", ["a_b.txt"]),
        ("/", []),
        ("inner", ["Inner"]),
        (".TXT", ["100%.txt", "1000.txt", "a_b.txt", "aXb.txt", "back.txt", "Straße.txt"]),
        ("", []),
        ("nothing like it", []),
    ],
)
def test_search_finds_parts_of_names(words: str, names: list[str], searched: FlaskClient) -> None:
    assert found(searched, words) == names


def test_search_says_in_which_folder(searched: FlaskClient) -> None:
    page = searched.get("/search?q=aXb").text
    place = re.search(r'<td class="place"><bdi><a href="([^"]+)">Outer / Inner</a></bdi>', page)
    assert place
    assert "aXb.txt" in links(searched, place[1])
    page = searched.get("/search?q=outer").text
    assert '<td class="place"><bdi><a href="/">My files</a></bdi>' in page


def test_search_finds_only_ones_own_and_nothing_in_the_trash(
    searched: FlaskClient, bob: FlaskClient
) -> None:
    assert found(bob, "txt") == []
    choose(searched, "trash", folders(searched)["Outer"])
    assert found(searched, "txt") == []


def test_search_says_that_there_is_more(
    searched: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_FOUND", 2)
    assert len(found(searched, "txt")) == 2
    assert "The first 2 items" in searched.get("/search?q=txt").text


def test_markup_in_names_is_text_on_every_page(alice: FlaskClient) -> None:
    name = '<b onclick="x">&\'"'
    page = make_folder(alice, name)
    upload(alice, f"{name}.png", page=page)
    link = links(alice, page).popitem()[1]
    seen = [
        page,
        f"/entries/{public_id(page)}",
        f"/entries/{public_id(link)}",
        f"/move?entry={public_id(link)}",
        "/search?q=%3Cb+onclick%3D%22x",
    ]
    texts = [alice.get(address).text for address in seen]
    choose(alice, "trash", page)
    texts += [alice.get(a).text for a in ("/", "/trash", f"/trash/{public_id(page)}/delete")]
    for text in texts:
        assert "<b onclick" not in text
        assert "&lt;b onclick=&#34;x" in text


def test_details_tell_what_is_known(alice: FlaskClient) -> None:
    upload(alice, "a.txt", b"x" * 2000)
    page = alice.get(f"/entries/{public_id(links(alice)['a.txt'])}").text
    digest = hashlib.sha256(b"x" * 2000).hexdigest()
    assert "2 KiB" in page
    assert "(2000 bytes)" in page
    assert "text/plain" in page
    assert f"<code>{digest}</code>" in page


def test_parallel_uploads_and_deletion_leave_nothing_below_the_trash(
    app: Flask, alice: FlaskClient
) -> None:
    page = make_folder(alice, "Folder")
    with app.app_context():
        folder_id = db.session.scalars(select(Folder.id).where(Folder.name == "Folder")).one()
    barrier = threading.Barrier(5)

    def run(action: Callable[[Folder], object]) -> None:
        with app.app_context():
            folder = db.session.get_one(Folder, folder_id)
            barrier.wait()
            with suppress(entries.GoneError):
                action(folder)

    actions: list[Callable[[Folder], object]] = [
        lambda folder, n=n: entries.place(Folder(name=f"{n}"), folder)  # type: ignore[misc]
        for n in range(4)
    ]
    actions.insert(2, lambda folder: trash.put([folder]))
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(run, actions))
    assert page not in folders(alice).values()
    with app.app_context():
        below = select(Entry).where(Entry.parent_id == folder_id)
        assert all(one.trash_id == folder_id for one in db.session.scalars(below))


def test_every_taken_name_is_told_of_many(alice: FlaskClient) -> None:
    def send(*names: str) -> str:
        files = [(io.BytesIO(b"x"), name) for name in names]
        form = {"csrf_token": token(alice), "file": files}
        alice.post(upload_url(alice), data=form).close()
        return messages(alice)

    send("x", "y")
    said = send("a", "b", "c", "d", "x", "y")
    assert "Uploaded: 6 files: x (2) (x is taken), y (2) (y is taken), a and 3 more" in said
    assert "under other names" not in said
    said = send("a", "b", "c", "d", "e")
    assert "5 files: a (2) (a is taken), b (2) (b is taken), c (2) (c is taken) and 2 more" in said
    assert "and 2 more (1 of them under other names)" in said


def test_page_after_a_selection_of_all_selects_nothing(alice: FlaskClient) -> None:
    for number in range(3):
        upload(alice, f"{number}.txt")
    page = alice.get("/?select=all&sort=size").text
    assert len(re.findall('name="entry"[^>]* checked>', page)) == 3
    found = re.search(r'name="next" value="([^"]*)"', page)
    assert found
    assert found[1] == "/?sort=size"


def test_rename_in_a_row_refuses_a_name_that_is_taken(alice: FlaskClient) -> None:
    page = make_folder(alice, "Rows")
    for name in ("a.txt", "b.txt"):
        upload(alice, name, page=page)
    form = {"csrf_token": token(alice), "exactly": "y", "next": page}
    address = f"/entries/{public_id(links(alice, page)['b.txt'])}/rename"
    for wrong in ("A.TXT", "a/b", "", "x" * 256):
        assert alice.post(address, data=form | {"name": wrong}).location == page
        assert 'class="note error"' in alice.get(page).text
        assert set(links(alice, page)) == {"a.txt", "b.txt"}
    alice.post(address, data=form | {"name": "B.txt"})  # its own, in another case
    assert set(links(alice, page)) == {"a.txt", "B.txt"}
    elsewhere = {**form, "name": "c.txt", "next": "https://example.org/"}
    assert alice.post(address, data=elsewhere).location == address.removesuffix("/rename")
    assert set(links(alice, page)) == {"a.txt", "c.txt"}


def undo(client: FlaskClient, page: str) -> TestResponse:
    """Press the button beside the message on a page."""
    form = page.partition('<form id="undo"')[2].partition("</form>")[0]
    address = re.search(r'action="([^"]+)"', form)
    assert address
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    sent = {name: [unescape(value) for one, value in fields if one == name] for name, _ in fields}
    return client.post(address[1], data=sent)


def test_move_is_undone(alice: FlaskClient) -> None:
    source, target = make_folder(alice, "From"), make_folder(alice, "To")
    for number in range(17):
        upload(alice, f"{number}.txt", page=source)
    form = {"csrf_token": token(alice), "folder": public_id(target), "next": source}

    def moved(*names: str) -> str:
        entry = [public_id(links(alice, source)[name]) for name in names]
        return alice.post("/move", data={**form, "entry": entry}).location

    assert moved("0.txt", "1.txt") == source  # where it was asked for
    shown = alice.get(source).text
    assert set(links(alice, target)) == {"0.txt", "1.txt"}
    assert undo(alice, shown).location == source
    assert len(links(alice, source)) == 17
    assert links(alice, target) == {}
    moved(*links(alice, source))
    assert len(links(alice, target)) == 17
    assert 'id="undo"' not in alice.get(source).text  # more than the cookie takes


def test_undone_move_restores_the_names_that_it_changed(alice: FlaskClient) -> None:
    source, target = make_folder(alice, "From"), make_folder(alice, "To")
    for page in (source, target):
        for name in ("f1.txt", "f1 (2).txt", 'Ü "&".txt'):
            upload(alice, name, page=page)
        make_folder(alice, "Inner", page)
    upload(alice, "free.txt", page=source)
    before = {**links(alice, source), **folders(alice, source)}
    move(alice, target, *before.values())
    shown = alice.get(target).text
    assert {**links(alice, source), **folders(alice, source)} == {}
    assert {"f1 (3).txt", "f1 (4).txt", "Inner (2)"} < {
        *links(alice, target),
        *folders(alice, target),
    }
    upload(alice, "F1.txt", page=source)  # taken meanwhile
    undo(alice, shown)
    assert "f1 (3).txt (f1.txt is taken)" in messages(alice)
    assert folders(alice, source) == {"Inner": before["Inner"]}
    found = links(alice, source)
    assert found.pop("f1 (3).txt") == before["f1.txt"]
    del found["F1.txt"]
    assert found == {name: link for name, link in before.items() if name not in {"f1.txt", "Inner"}}
    # Names that the cookie cannot hold: there is no half of a way back.
    for page in (source, target):
        for letter in "abc":
            upload(alice, letter * 250 + ".txt", page=page)
    long = [link for name, link in links(alice, source).items() if len(name) > 200]
    assert len(long) == 3
    move(alice, target, *long)
    assert 'id="undo"' not in alice.get(target).text


def test_move_returns_to_the_page_where_it_began(alice: FlaskClient) -> None:
    target = make_folder(alice, "To & fro")
    upload(alice, "a.txt")
    link = links(alice)["a.txt"]
    found = "/search?q=a.t"
    begun = re.search(r'href="(/move\?[^"]+)"', alice.get(found).text)
    assert begun
    page = alice.get(unescape(begun[1]).replace("ENTRY", public_id(link))).text
    assert f'href="{found}">Cancel' in page
    assert all("next=" in one for one in re.findall(r'href="(/move\?[^"]+)"', page))
    form = page.partition('id="move"')[2].partition("</form>")[0]
    sent = dict(re.findall(r'name="(csrf_token|entry|next)" value="([^"]*)"', form))
    moved = alice.post("/move", data=sent | {"folder": public_id(target)})
    assert moved.location == found
    shown = alice.get(found).text
    assert f'<a href="{target}">Open To &amp; fro</a>' in shown
    assert list(links(alice, target)) == ["a.txt"]
    assert undo(alice, shown).location == found
    assert links(alice)["a.txt"] == link
    # Without a script, from a page of the list.
    second = f"{target}?after=x"
    there = choose(alice, "move", link, next=second).location
    assert "next=" in there
    assert f'name="next" value="{second}"' in alice.get(there).text


def test_undone_deletion_returns_to_the_page_that_asks(alice: FlaskClient) -> None:
    page = make_folder(alice, "Here")
    upload(alice, "a.txt", page=page)
    choose(alice, "trash", links(alice, page)["a.txt"], next=page)
    text = alice.get(page).text
    sent = dict(re.findall(r'name="(csrf_token|moment)" value="([^"]+)"', text))
    sent["next"] = f"{page}?sort=size"
    assert alice.post("/trash/undo", data=sent).location == sent["next"]
    assert set(links(alice, page)) == {"a.txt"}
