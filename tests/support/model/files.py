"""Steps: folders, files, uploads by a form and in pieces, and the trash."""

from __future__ import annotations

import base64
import io
from collections import Counter
from zipfile import ZipFile

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .browser import Browser, Page
from .management import Management
from .sessions import NUMBER
from .state import page_of, pick, some
from .world import Item, Person, Upload, key

SENT = {
    "a.txt": "a.txt",
    "A.TXT": "A.TXT",
    "b": "b",
    "U\u0308.tar.gz": "\u00dc.tar.gz",
    "x/../c.txt": "c.txt",
    "CON": "CON",
    "e\u202etxt.exe": "etxt.exe",
    "..": "unnamed",
    " a.txt": "a.txt",
    "<i>&amp;'": "<i>&amp;'",
}
"""Names of files as browsers send them, and as they are kept."""
TYPED = {"b": "b", "B": "B", "a.txt": "a.txt", " x ": "x", "%2e#?&": "%2e#?&", "x/y": "", "": ""}
"""Names that people type, and what they become; nothing: they are refused."""
SIZES = st.sampled_from([0, 1, 100, 100, 700, 700, 3990])
_NAMES = st.sampled_from(list(SENT))
_TUS = "1.0.0"
_FEW = st.lists(NUMBER, min_size=1, max_size=3)


class Files(Management):
    """People with their files."""

    def _folder(self, person: Person, number: int) -> Item:
        return pick(self.world.folders(person.name), number)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, where=NUMBER, name=st.sampled_from(list(TYPED)))
    def create_folder(self, who: int, where: int, name: str) -> None:
        browser, person = self.somebody(who)
        folder = self._folder(person, where)
        form = browser.get(page_of(folder)).form("/folders/[^/]+/folders")
        browser.submit(form, name=name)
        if TYPED[name]:
            made = self.take_in(folder, TYPED[name], None)
            self.note("create folder", person.name, person.name, made)

    @precondition(lambda self: self.signed_in())
    @rule(
        who=NUMBER,
        where=NUMBER,
        files=st.lists(st.tuples(_NAMES, SIZES), max_size=3),
    )
    def upload(self, who: int, where: int, files: list[tuple[str, int]]) -> None:
        browser, person = self.somebody(who)
        folder = self._folder(person, where)
        form = browser.get(page_of(folder)).form("/uploads/folders/[^/]+")
        sent = [(name, self.content(size)) for name, size in files]
        page = browser.submit(form, sent)
        if not self.world.has_room(person.name, sum(len(content) for _, content in sent)):
            assert page.status == 413
            return
        assert page.is_redirect
        for name, content in sent:
            item = self.take_in(folder, SENT[name], content)
            self.note("upload", person.name, person.name, item)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER, name=st.sampled_from(list(TYPED)))
    def rename(self, who: int, what: int, name: str) -> None:
        browser, person = self.somebody(who)
        mine = self.world.of(person.name)
        if not mine:
            return
        item = pick(mine, what)
        browser.submit(browser.get(f"/entries/{item.id}").form(".*/rename"), name=name)
        if TYPED[name]:
            given = self.stored.entries()[item.id][2]
            folder = self.world.items[item.parent]
            assert self.world.is_right_name(folder, TYPED[name], given, item)
            item.name = given
            self.note("rename", person.name, person.name, item)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, where=NUMBER, what=_FEW, to=NUMBER)
    def move(self, who: int, where: int, what: list[int], to: int) -> None:
        browser, person = self.somebody(who)
        target, selected = self._folder(person, to), self._selected(person, where, what)
        if not selected or selected[0].parent == target.id:
            return
        chosen = "&".join(f"entry={one.id}" for one in selected)
        page = browser.get(f"/move?{chosen}&folder={target.id}")
        assert browser.submit(page.form("/move")).is_redirect
        if any(target in self.world.below(one) for one in selected):
            return
        for item in sorted(selected, key=lambda one: (one.is_file, key(one.name))):
            self._check_name(target, item)
            item.parent = target.id
        self.note("move", person.name, person.name, *selected)

    def _selected(self, person: Person, where: int, what: list[int]) -> list[Item]:
        found = self.world.inside(self._folder(person, where))
        return some(found, what) if found else []

    def _check_name(self, folder: Item, item: Item) -> None:
        """Read the name that an item has now, and check that it is right in a folder."""
        given = self.stored.entries()[item.id][2]
        assert self.world.is_right_name(folder, item.name, given, item), (item.name, given)
        item.name = given

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, where=NUMBER, what=_FEW, is_undone=st.sampled_from([False, False, True]))
    def put_into_trash(self, who: int, where: int, what: list[int], is_undone: bool) -> None:
        browser, person = self.somebody(who)
        selected = self._selected(person, where, what)
        if not selected:
            return
        folder = self.world.items[selected[0].parent]
        form = browser.get(page_of(folder)).form("/selection/trash")
        page = browser.follow(browser.submit(form, entry=[one.id for one in selected]))
        self.world.see_day()
        for item in selected:
            self.world.put_into_trash(item)
        self.note("trash", person.name, person.name, *selected)
        if is_undone:
            browser.submit(page.form("/trash/undo"))
            self._restore(person, *(one for one in self.world.items.values() if one in selected))

    def _restore(self, person: Person, *tops: Item) -> None:
        for top in tops:
            home = self.world.home(top)
            self._check_name(home, top)
            top.parent = home.id
            for one in self.world.with_it(top):
                one.trashed = ""
            self.note("restore", person.name, person.name, top)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER)
    def restore(self, who: int, what: int) -> None:
        browser, person = self.somebody(who)
        if tops := self.world.trash(person.name):
            top = pick(tops, what)
            browser.submit(browser.get("/trash").form(f"/trash/{top.id}/restore"))
            self._restore(person, top)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER)
    def delete(self, who: int, what: int) -> None:
        browser, person = self.somebody(who)
        if tops := self.world.trash(person.name):
            top = pick(tops, what)
            address = f"/trash/{top.id}/delete"
            browser.submit(browser.get(address).form(address))
            self.note("delete", person.name, person.name, top)
            self.world.forget(self.world.with_it(top))

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER)
    def empty_trash(self, who: int) -> None:
        browser, person = self.somebody(who)
        browser.submit(browser.get("/trash/empty").form("/trash/empty"))
        if tops := self.world.trash(person.name):
            self.note("delete", person.name, person.name, *tops)
            mine = self.world.items.values()
            self.world.forget([one for one in mine if one.owner == person.name and one.trashed])

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER)
    def download_zip(self, who: int, what: int) -> None:
        browser, person = self.somebody(who)
        folder = self._folder(person, what)
        page = browser.ask("GET", f"/folders/{folder.id}/zip")
        self.check_zip(page, folder)
        self.note("archive", person.name, person.name, folder)

    def check_zip(self, page: Page, folder: Item) -> None:
        with ZipFile(io.BytesIO(page.body)) as archive:
            assert archive.testzip() is None
            infos = [info for info in archive.infolist() if not info.is_dir()]
            found = Counter(archive.read(info) for info in infos)
        below = self.world.below(folder)
        assert found == Counter(one.content for one in below if one.content is not None)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, part=st.sampled_from(["a", "B", "txt", "x"]))
    def search(self, who: int, part: str) -> None:
        browser, person = self.somebody(who)
        found = browser.get(f"/search?q={part}").ids()
        mine = self.world.of(person.name)
        assert found == {one.id for one in mine if key(part) in key(one.name)}

    # In pieces

    @precondition(lambda self: self.signed_in())
    @rule(
        who=NUMBER,
        where=NUMBER,
        name=_NAMES,
        size=SIZES,
        inside=st.sampled_from(["", "", "b", "b/x"]),
        piece=st.sampled_from([0, 0, 50]),
    )
    def begin_upload(
        self, who: int, where: int, name: str, size: int, inside: str, piece: int
    ) -> None:
        browser, person = self.somebody(who)
        folder, content = self._folder(person, where), self.content(size)
        said = {"filename": name, "folder": folder.id}
        said |= {"relativePath": f"{inside}/file"} if inside else {}
        written = ",".join(f"{one} {_encoded(value)}" for one, value in said.items())
        headers = {"Upload_Length": str(size), "Upload_Metadata": written}
        first = content[: min(piece, size)]
        page = self._send_piece(browser, "POST", "/uploads/", first, **headers)
        if not self.world.has_room(person.name, self.world.waiting(person.name) + size):
            assert page.status == 413
            return
        assert page.status == 201
        for part in inside.split("/") if inside else []:
            folder = self._subfolder(folder, part)
        upload_id = page.headers["location"].rpartition("/")[2]
        upload = Upload(
            upload_id, person.name, folder.id, SENT[name], content, len(first), self.world.clock.now
        )
        self.world.uploads[upload.id] = upload
        for method in ("GET", "PATCH", "DELETE"):
            self.known[method, f"/uploads/{upload.id}"] = person.name
        if first or not size:
            self._finish(person, upload)

    def _subfolder(self, folder: Item, wanted: str) -> Item:
        """Return the folder of a name; it is new unless it was there."""
        here = self.world.inside(folder)
        for one in here:
            if key(one.name) == key(wanted) and not one.is_file:
                return one
        number = 2
        while any(one.is_file and key(one.name) == key(wanted) for one in here):
            wanted = f"{wanted.partition(' (')[0]} ({number})"
            number += 1
            for one in here:
                if key(one.name) == key(wanted) and not one.is_file:
                    return one
        return self.take_in(folder, wanted, None)

    @precondition(lambda self: self.signed_in() and self.world.uploads)
    @rule(
        which=NUMBER,
        how=st.sampled_from(["rest", "rest", "part", "part", "nothing", "elsewhere", "too much"]),
    )
    def send_piece(self, which: int, how: str) -> None:
        found = self._upload(which)
        if not found:
            return
        browser, person, upload = found
        left = upload.content[upload.arrived :]
        pieces = {"part": left[: len(left) // 2], "nothing": b"", "too much": left + b"more"}
        piece = pieces.get(how, left)
        start = upload.arrived + (how == "elsewhere")
        address, offset = f"/uploads/{upload.id}", str(start)
        page = self._send_piece(browser, "PATCH", address, piece, Upload_Offset=offset)
        if not self._is_there(upload):
            assert page.status == 404
        elif how == "elsewhere":
            assert page.status == 409
        elif how == "too much" or not self.world.has_room(person.name, len(upload.content)):
            assert page.status == 413
        else:
            assert page.status == 204
            upload.arrived += len(piece)
            upload.used_at = self.world.clock.now
            self._finish(person, upload)

    @precondition(lambda self: self.signed_in() and self.world.uploads)
    @rule(which=NUMBER, is_cancelled=st.sampled_from([False, False, True]))
    def ask_for_upload(self, which: int, is_cancelled: bool) -> None:
        """Ask how much has arrived of an upload, and cancel it."""
        found = self._upload(which)
        if not found:
            return
        browser, _, upload = found
        address = f"/uploads/{upload.id}"
        page = browser.ask("HEAD", address, Tus_Resumable=_TUS)
        is_there = self._is_there(upload)
        assert page.status == (200 if is_there else 404)
        if is_there:
            assert page.headers["upload-offset"] == str(upload.arrived)
        if is_cancelled:
            page = self._send_piece(browser, "DELETE", address, b"")
            assert page.status == (204 if is_there else 404)
            if is_there:
                del self.world.uploads[upload.id]

    def _upload(self, number: int) -> tuple[Browser, Person, Upload] | None:
        """Return an upload of somebody who is signed in."""
        people = {person.name: seat.browser for seat, person in self.at_seats()}
        found = [one for one in self.world.uploads.values() if one.owner in people]
        if not found:
            return None
        upload = pick(found, number)
        return people[upload.owner], self.world.people[upload.owner], upload

    def _is_there(self, upload: Upload) -> bool:
        return not self.world.is_expired(upload) and not self.world.items[upload.folder].trashed

    def _send_piece(
        self, browser: Browser, method: str, address: str, piece: bytes, **headers: str
    ) -> Page:
        if piece:
            headers["Content_Type"] = "application/offset+octet-stream"
        headers |= {"Tus_Resumable": _TUS, "X_CSRFToken": browser.token or browser.get("/").token}
        return browser.ask(method, address, piece, **headers)

    def _finish(self, person: Person, upload: Upload) -> None:
        if upload.arrived == len(upload.content):
            folder = self.world.items[upload.folder]
            item = self.take_in(folder, upload.name, upload.content)
            del self.world.uploads[upload.id]
            self.note("upload", person.name, person.name, item)


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
