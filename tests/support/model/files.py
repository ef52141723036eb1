"""Steps: folders, files, uploads by a form, and the trash."""

from __future__ import annotations

import io
from collections import Counter
from zipfile import ZipFile

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .browser import Page
from .management import Management
from .sessions import NUMBER
from .state import ALL, MORE, page_of, pick, some
from .things import Item, Person
from .world import key

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
SIZES = st.sampled_from([0, 1, 100, 100, 100, 700, 700, ALL, MORE, MORE])
NAMES = st.sampled_from(list(SENT))
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
        files=st.lists(st.tuples(NAMES, SIZES), max_size=3),
        replaces=st.booleans(),
    )
    def upload(
        self, who: int, where: int, files: list[tuple[str, int]], replaces: bool = False
    ) -> None:
        browser, person = self.somebody(who)
        folder = self._folder(person, where)
        form = browser.get(page_of(folder)).form("/uploads/folders/[^/]+")
        free = self.world.free(person.name)
        sent = [(name, self.content(size, free)) for name, size in files]
        page = browser.submit(form, sent, taken="replace" if replaces else "keep")
        if sum(len(content) for _, content in sent) > free:
            assert page.status == 413
            return
        assert page.is_redirect
        for name, content in sent:
            self.place(folder, SENT[name], content, person.name, replaces=replaces)

    def place(self, folder: Item, name: str, content: bytes, by: str, *, replaces: bool) -> Item:
        """Take what somebody has uploaded into the model: a file, or what one holds by now."""
        if replaces and (item := self.world.replaced(folder, name)):
            self.replace(item, content)
            self.note("replace", by, by, item)
            return item
        item = self.take_in(folder, name, content)
        self.note("upload", by, by, item)
        return item

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER, is_kept=st.booleans())
    def use_version(self, who: int, what: int, is_kept: bool) -> None:
        """Download what a file held before, and restore it or delete it permanently."""
        browser, person = self.somebody(who)
        if not (found := self.world.versions(person.name)):
            return
        version = pick(found, what)
        file = self.world.items[version.version_of]
        address = f"/entries/{file.id}/versions/{version.id}"
        page = browser.ask("GET", address)
        assert (page.status, page.body) == (200, version.content)
        self.note("download", person.name, person.name, file)
        if is_kept:
            details = browser.get(f"/entries/{file.id}")
            browser.submit(details.form(f"{address}/restore"))
            del self.world.items[version.id]
            self.replace(file, version.content or b"")
            self.note("restore version", person.name, person.name, file)
        else:
            browser.submit(browser.get(f"{address}/delete").form(f"{address}/delete"))
            self.note("delete version", person.name, person.name, file)
            self.world.forget([version])

    @precondition(lambda self: self.signed_in() and self.turn % 4 == 3)
    @rule(who=NUMBER)
    def delete_versions(self, who: int) -> None:
        """Delete all versions of somebody's files, and seldom, so that there are many."""
        browser, person = self.somebody(who)
        if found := self.world.versions(person.name):
            address = "/trash/versions/delete"
            browser.submit(browser.get(address).form(address))
            files = dict.fromkeys(self.world.items[one.version_of] for one in found)
            self.note("delete version", person.name, person.name, *files)
            self.world.forget(found)

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
            is_changed, item.name = item.name != given, given
            if is_changed:
                self.note("rename", person.name, person.name, item)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, where=NUMBER, what=_FEW, to=NUMBER, is_shared=st.booleans())
    def move(self, who: int, where: int, what: list[int], to: int, is_shared: bool) -> None:
        """Move some of a folder, or of one that a link leads to."""
        browser, person = self.somebody(who)
        folders = self.world.folders(person.name)
        linked = {link.item for link in self.world.links}
        shared = [place for place, one in enumerate(folders) if one.id in linked]
        where = pick(shared, where) if is_shared and shared else where
        target, selected = self._folder(person, to), self._selected(person, where, what)
        if not selected or selected[0].parent == target.id:
            return
        chosen = "&".join(f"entry={one.id}" for one in selected)
        page = browser.get(f"/move?{chosen}&folder={target.id}")
        assert browser.submit(page.form("/move"), folder=target.id).is_redirect
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
        if not self.has_purged:  # it looks for what is too old at most once an hour, of real time
            self.world.see_day()
            self.has_purged = True
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

    @precondition(lambda self: self.signed_in() and self.turn % 4 == 1)
    @rule()
    def empty_trash(self) -> None:
        """Empty the fullest trash, and seldom, so that there is much in it."""
        seat, person = max(self.at_seats(), key=lambda one: len(self.world.trash(one[1].name)))
        browser = seat.browser
        if tops := self.world.trash(person.name):
            browser.submit(browser.get("/trash/empty").form("/trash/empty"))
            self.note("delete", person.name, person.name, *tops)
            mine = [one for one in self.world.items.values() if one.owner == person.name]
            self.world.forget([one for one in mine if one.trashed and not one.version_of])

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
