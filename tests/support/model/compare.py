"""Comparing the portal with the model: what is stored, what each sees, what nobody else gets."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .browser import Form, Page
from .clocks import Clocks
from .state import Seat, page_of, pick, some
from .things import Item, Link, Person, Upload
from .world import SESSION, SKEW

_METER = re.compile(r'<meter [^>]*\bmax="([0-9]+)"[^>]*\bvalue="([0-9]+)"')
_READS = 5
"""How often the record is read until it says what it should."""
_TUS = {"GET": (200, 404), "PATCH": (404,), "DELETE": (404,)}


class Compare(Clocks):
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
        same(stored.uploads(), {one.id: _upload(one) for one in world.uploads.values()})
        now = world.clock.now
        valid = {one.id for one in world.sessions if world.is_current(one)}
        assert stored.sessions(_moment(now - SESSION), _moment(now + SKEW)) == valid

    def compare_record(self) -> None:
        names = {one.number: one.name for one in self.world.people.values()} | self.gone
        expected = Counter(self.world.record)
        for _ in range(_READS):
            found = self.stored.lines(self.seen_lines)[self.seen_waiting :]
            lines = Counter(
                (action, actor, names.get(owner, ""), name)
                for _, action, actor, owner, name in found
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
        same(Counter(shown), Counter((action, actor, name) for action, actor, _, name in mine))
        if person.is_administrator:
            shown = _activity(seat.browser.ask("GET", "/accounts/activity.csv"))
            expected = Counter((action, actor) for action, actor, *_ in self.history)
            same(Counter((action, actor) for action, actor, _ in shown), expected)

    def _account(self, person: Person) -> list[object]:
        used = self.world.used(person.name)
        rights = [int(person.is_administrator), int(person.is_active)]
        return [*rights, person.quota, used, person.secret or None, len(person.codes)]

    def _entry(self, item: Item) -> tuple[object, ...]:
        digest = None if item.content is None else hashlib.sha256(item.content).hexdigest()
        place = item.owner, item.parent or None, item.name
        return (*place, int(item.is_file), item.size, item.trashed or None, digest)

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
        shown = re.findall(r"/links/(?:share|request)s/([\w-]{32})", page.text)
        mine = [one for one in self.world.links if one.owner == name and not one.is_revoked]
        assert set(shown) == {one.id for one in mine}
        page = browser.get("/account")
        shown = re.findall(r"/account/sessions/([\w-]+)/end", page.text)
        mine_now = [one for one in self.world.sessions if one.person is person]
        assert set(shown) == {one.id for one in mine_now if self.world.is_valid(one)}
        if files := [one for one in self.world.of(name) if one.is_file]:
            self._compare_content(seat, person, pick(files, self.turn))

    def _compare_meter(self, page: Page, person: Person) -> None:
        ((most, shown),) = _METER.findall(page.text)
        assert int(most) == max(self.world.quota(person.name), 1)
        assert int(shown) == self.world.used(person.name) + self.world.waiting(person.name)

    def _compare_content(self, seat: Seat, person: Person, item: Item) -> None:
        page = seat.browser.ask("GET", f"/files/{item.id}")
        assert (page.status, page.body) == (200, item.content)
        self.note("download", person.name, person.name, item)

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
                page.form("/uploads/requested/.*")
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

    # What nobody else gets

    def try_known(self, method: str, address: str, owner: str) -> None:
        """Try an address of somebody's in some browsers where nobody may have it."""
        for seat in self._some_seats():
            person = self.person_at(seat)
            is_managed = address.startswith(("/accounts", "/invitations"))
            if person and (person.name == owner or (is_managed and person.is_administrator)):
                continue
            page = self._try(seat, method, address)
            if upload := self.world.uploads.get(address.rpartition("/")[2]):
                self.world.is_gone(upload)
            if address.startswith("/uploads/") and "/folders/" not in address:
                # Who has entered a link hears of what is not there that it is gone. The portal
                # remembers a finished upload for a while, which the model does not.
                assert page.status == 404 if person else page.status == 401 or seat.entered
                assert page.status in {401, 404}
            elif person is None:
                assert page.is_redirect
                assert page.target.startswith("/sign-in")
            else:
                assert page.status == (403 if is_managed else 404), (method, address)

    def _some_seats(self) -> list[Seat]:
        self.tried += 1
        return [pick(self.members, self.tried), pick(self.visitors, self.tried)]

    def try_selected(self, item: Item) -> None:
        """Try to do something with a file or folder that is not theirs, or not there."""
        for seat, person in self.at_seats():
            if person.name != item.owner or item.trashed:
                action = pick(["trash", "move", "zip"], self.turn)
                token = self._token(seat)
                body = f"csrf_token={token}&entry={item.id}".encode()
                kind = "application/x-www-form-urlencoded"
                page = seat.browser.ask("POST", f"/selection/{action}", body, Content_Type=kind)
                assert page.status == 404, (action, page.text)

    def try_visited(self, method: str, address: str) -> None:
        """Try an address of a link's in some browsers that may not have it."""
        for seat in self._some_seats():
            link = next((one for one in seat.entered if f"/{one.id}" in address), None)
            if self._is_shut(seat, link):
                page = seat.browser.follow(self._try(seat, method, address))
                assert page.status in {404, 410}, (method, address)

    def _is_shut(self, seat: Seat, link: Link | None) -> bool:
        return link is None or (
            not self.world.has_begun(link, seat.visitor) and not self.may_look(seat, link)
        )

    def try_outside(self, seat: Seat) -> None:
        """Try to have files and folders by links that do not lead to them, or not any more."""
        entered = list(seat.entered)
        for link in some(entered, [self.tried, self.turn]) if entered else []:
            if link.kind == "share":
                is_there = link in self.world.links and self.is_unlocked(seat, link)
                near = [one for one in self.world.items.values() if one.owner == link.owner]
                hidden = [one for one in near if not (is_there and self.world.is_shared(link, one))]
                had = [one for one in hidden if (seat.visitor, one.id) in link.begun]
                for group in (hidden, [one for one in hidden if one.trashed], had):
                    if group:
                        self._try_by(seat, link, pick(group, self.tried))

    def try_ended(self, seat: Seat) -> None:
        """Try to download and upload by links that allow it no more."""
        for link in seat.entered:
            if link not in self.world.links or self.world.status(link) == "open":
                continue
            if link.kind == "request":
                form = Form("post", [f"/uploads/requested/{link.id}"], is_multipart=True)
                form.fields.append(("csrf_token", self._token(seat)))
                assert seat.browser.submit(form, [("late.txt", b"late")]).status == 410
            else:
                item = pick(list(self.world.below(self.world.items[link.item])), self.turn)
                if not self.world.has_begun(link, seat.visitor, item):
                    kind = f"files/{item.id}" if item.is_file else f"folders/{item.id}/zip"
                    page = self._try(seat, "POST", f"/shared/{link.id}/{kind}")
                    self._expect_refusal(seat, link, page)

    def _try_by(self, seat: Seat, link: Link, item: Item) -> None:
        self.tried += 1
        for method, kind in (("GET", "files"), ("POST", "files"), ("GET", "folders")):
            page = self._try(seat, method, f"/shared/{link.id}/{kind}/{item.id}")
            self._expect_refusal(seat, link, page)

    def _expect_refusal(self, seat: Seat, link: Link, page: Page) -> None:
        """Check that a page is an error, or for a locked link leads to where it is unlocked."""
        if page.is_redirect:
            assert not self.is_unlocked(seat, link)
            assert page.target == f"/shared/{link.id}"
        else:
            assert page.status in {404, 410}

    def _try(self, seat: Seat, method: str, address: str) -> Page:
        token = self._token(seat) if method != "GET" else ""
        headers = {"Tus_Resumable": "1.0.0"} if address.startswith("/uploads/") else {}
        if method == "PATCH":
            headers |= {"Upload_Offset": "0", "X_CSRFToken": token}
        elif method == "DELETE":
            headers |= {"X_CSRFToken": token}
        elif method == "POST":
            headers = {"Content_Type": "application/x-www-form-urlencoded"}
            return seat.browser.ask(method, address, f"csrf_token={token}".encode(), **headers)
        return seat.browser.ask(method, address, **headers)

    def _token(self, seat: Seat) -> str:
        browser = seat.browser
        return browser.token or browser.get("/" if self.person_at(seat) else "/sign-in").token


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
    arrived = upload.content[: upload.arrived]
    return (upload.owner, upload.folder, upload.name, len(upload.content), arrived)


def _moment(seconds: float) -> str:
    """Return a moment as SQLAlchemy stores it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
