"""Comparing the portal with the model: what is stored, and what each sees."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .attack import Attack
from .browser import Page
from .state import Seat, page_of, pick
from .things import Item, Link, Person, Upload
from .world import SESSION, SKEW

_METER = re.compile(r'<meter [^>]*\bmax="([0-9]+)"[^>]*\bvalue="([0-9]+)"')
_READS = 5
"""How often the record is read until it says what it should."""


class Compare(Attack):
    """The comparisons, which read only."""

    # What is stored

    def compare_stored(self) -> None:
        world, stored = self.world, self.stored
        people, items = world.people.values(), world.items.values()
        same(stored.accounts(), {one.name: self._account(one) for one in people})
        same(stored.entries(), {one.id: self._entry(one) for one in items})
        same(stored.files(), {one.id: one.content for one in items if one.content is not None})
        assert stored.arriving() == []
        same(stored.links(), {one.id: _link(one) for one in world.links})
        uploads = world.uploads | world.finished
        same(stored.uploads(), {one.id: _upload(one) for one in uploads.values()})
        now = world.clock.now
        valid = {one.id for one in world.sessions if world.is_current(one)}
        assert stored.sessions(_moment(now - SESSION), _moment(now + SKEW)) == valid

    def compare_record(self) -> None:
        names = {one.number: one.name for one in self.world.people.values()} | self.gone
        expected = Counter(self.world.record)
        for _ in range(_READS):
            found = self.stored.lines(self.seen_lines)[self.seen_waiting :]
            lines = Counter(
                (action, actor, names.get(owner, ""), name, linked or "")
                for _, action, actor, owner, name, linked in found
            )
            if lines == expected or not self.at_seats():
                break
            # A line waits where another process had the database; whoever reads the record has it
            # brought in.
            self.at_seats()[0][0].browser.get("/activity")
        known = [number for number, *_ in self.stored.lines(self.seen_lines)]
        self.seen_lines, self.seen_waiting = max([self.seen_lines, *known]), known.count(0)
        same(lines, expected)
        self.history += self.world.record
        self.world.record = []

    def compare_activity(self, seat: Seat, person: Person) -> None:
        """Compare what somebody can read of the record."""
        mine = [one for one in self.history if one[2] == person.name]
        shown = _activity(seat.browser.ask("GET", "/activity.csv"))
        same(Counter(shown), Counter((action, actor, name) for action, actor, _, name, _ in mine))
        if person.is_administrator:
            shown = _activity(seat.browser.ask("GET", "/accounts/activity.csv"))
            expected = Counter((action, actor) for action, actor, *_ in self.history)
            same(Counter((action, actor) for action, actor, _ in shown), expected)
            # Names of files are hidden there, and cannot be guessed either.
            assert _activity(seat.browser.ask("GET", "/accounts/activity.csv?name=a.txt")) == []

    def _account(self, person: Person) -> list[object]:
        used = self.world.used(person.name)
        rights = [int(person.is_administrator), int(person.is_active)]
        return [*rights, person.quota, used, person.secret or None, len(person.codes)]

    def _entry(self, item: Item) -> tuple[object, ...]:
        digest = None if item.content is None else hashlib.sha256(item.content).hexdigest()
        place = item.owner, item.parent or None, item.name
        state = item.trashed or None, digest, item.version_of or None
        return (*place, int(item.is_file), item.size, *state)

    # What each person sees

    def compare_pages(self, seat: Seat, person: Person) -> None:
        """Compare all that somebody sees of their own, and download one file."""
        browser, name = seat.browser, person.name
        for folder in self.world.folders(name):
            page = browser.get(page_of(folder))
            assert page.status == 200
            here = self.world.inside(folder)
            same(page.names("files"), {one.name: one.id for one in here if one.is_file})
            same(page.names("folders"), {one.name: one.id for one in here if not one.is_file})
        self._compare_meter(page, person)
        page = browser.get("/trash")
        shown = re.findall(r"/trash/([\w-]{32})/restore", page.listed)
        same(Counter(shown), Counter(one.id for one in self.world.trash(name)))
        page = browser.get("/links")
        shown = re.findall(r'/links/(?:share|request)s/([\w-]{32})"', page.text)
        mine = [one for one in self.world.links if one.owner == name and not one.is_revoked]
        assert set(shown) == {one.id for one in mine}
        page = browser.get("/account")
        shown = re.findall(r"/account/sessions/([\w-]+)/end", page.text)
        mine_now = [one for one in self.world.sessions if one.person is person]
        assert set(shown) == {one.id for one in mine_now if self.world.is_valid(one)}
        self.compare_unfinished(seat, person)
        if files := [one for one in self.world.of(name) if one.is_file]:
            file = pick(files, self.turn)
            self._compare_content(seat, person, file)
            self._compare_versions(seat, person, file)
        trashed = [one for top in self.world.trash(name) for one in self.world.with_it(top)]
        if lost := [one for one in trashed if one.is_file]:
            page = browser.ask("GET", f"/files/{pick(lost, self.turn).id}")
            assert page.status == 404

    def _compare_meter(self, page: Page, person: Person) -> None:
        ((most, shown),) = _METER.findall(page.text)
        assert int(most) == max(self.world.quota(person.name), 1)
        assert int(shown) == self.world.used(person.name) + self.world.waiting(person.name)

    def _compare_content(self, seat: Seat, person: Person, item: Item) -> None:
        page = seat.browser.ask("GET", f"/files/{item.id}")
        assert (page.status, page.body) == (200, item.content)
        is_text = page.headers["content-type"].startswith("text/plain")
        assert is_text == item.name.lower().endswith(".txt")
        self.note("download", person.name, person.name, item)

    def _compare_versions(self, seat: Seat, person: Person, file: Item) -> None:
        """Compare what the page of a file lists of what it held before."""
        page = seat.browser.get(f"/entries/{file.id}")
        shown = re.findall(rf'/entries/{file.id}/versions/([\w-]{{32}})"', page.text)
        mine = [one for one in self.world.versions(person.name) if one.version_of == file.id]
        assert Counter(shown) == Counter(one.id for one in mine)

    # What each visitor sees

    def compare_visits(self, seat: Seat) -> None:
        """Compare what a visitor sees by each link that was ever opened there."""
        for link in seat.entered:
            kind = "shared" if link.kind == "share" else "requested"
            page = seat.browser.ask("GET", f"/{kind}/{link.id}")
            if link not in self.world.links:
                assert page.status == 404
            elif not self.may_look(seat, link):
                assert page.status == 410
            elif link.kind == "request":
                self.compare_request(seat, link, page)
            elif not self.is_unlocked(seat, link):
                assert not page.listed
                assert not _downloads(page)
                page.form(".*/unlock")
            else:
                self._compare_shared(page, link)

    def _compare_shared(self, page: Page, link: Link) -> None:
        item = self.world.items[link.item]
        files = [item] if item.is_file else [one for one in self.world.inside(item) if one.is_file]
        assert Counter(_downloads(page)) == Counter(one.id for one in files)


def same(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    """Check that two are the same, and show in what they differ."""
    keys = sorted(found.keys() | expected.keys(), key=repr)
    different = [(key, found.get(key), expected.get(key)) for key in keys]
    different = [(key, one, other) for key, one, other in different if one != other]
    assert not different, "found, expected:\n" + "\n".join(map(repr, different))


def _activity(page: Page) -> list[tuple[str, str, str]]:
    """Return the action, the actor and the name of each row of a record in CSV."""
    rows = csv.DictReader(io.StringIO(page.body.decode("utf-8-sig")))
    return [(row["action"], row["by"], row["name"]) for row in rows]


def _downloads(page: Page) -> list[str]:
    """Return the ids of the files that a share's page offers."""
    shown = (re.search(r"/shared/[\w-]+/files/([\w-]+)$", one.actions[0]) for one in page.forms)
    return [found[1] for found in shown if found]


def _link(link: Link) -> tuple[object, ...]:
    counted = link.used, link.size
    state = int(link.is_revoked), int(bool(link.password))
    return (link.kind, link.owner, link.item, *counted, *state)


def _upload(upload: Upload) -> tuple[object, ...]:
    name = upload.given or upload.name
    what = (upload.owner, upload.folder, name, len(upload.content), upload.link and upload.link.id)
    part = None if upload.given else upload.content[: upload.arrived]
    return (*what, int(not upload.given), upload.arrived, part)


def _moment(seconds: float) -> str:
    """Return a moment as SQLAlchemy stores it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
