"""Steps: links to download and to upload, and the visitors who open them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .browser import Form, Page
from .pieces import Pieces
from .sessions import NUMBER
from .state import Seat, pick
from .things import Item, Link, Person

_LIMIT = st.sampled_from([None, None, 1, 2])
_ROOM = st.sampled_from([None, None, 300, 1024])
_DAYS = st.sampled_from([None, None, 0, 1, 20])
"""Days until the last one of a link; none for what the form proposes."""
_PASSWORD = "a gnu for {}"


class Sharing(Pieces):
    """People with their links, and visitors."""

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER, limit=_LIMIT, days=_DAYS, has_password=st.booleans())
    def share(
        self, who: int, what: int, limit: int | None, days: int | None, has_password: bool
    ) -> None:
        browser, person = self.somebody(who)
        mine = self.world.of(person.name)
        if not mine:
            return
        item = pick(mine, what)
        self.made += 1
        password = _PASSWORD.format(self.made) if has_password else ""
        form = browser.get(f"/entries/{item.id}/share").form(".*/share")
        fields = self._last_day(form, days) | {"download_limit": _written(limit)}
        fields |= {"password": password, "lock": "own" if password else "none"}
        page = browser.follow(browser.submit(form, **fields))
        link = self._take_link("share", item, page.text, fields["until"])
        link.limit = limit
        link.password, link.lock = password, object() if password else None
        self.note("share", person.name, person.name, item)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, what=NUMBER, limit=_LIMIT, days=_DAYS, most=_ROOM)
    def request_files(
        self, who: int, what: int, limit: int | None, days: int | None, most: int | None
    ) -> None:
        browser, person = self.somebody(who)
        mine = [one for one in self.world.of(person.name) if not one.is_file]
        if not mine:
            return
        item = pick(mine, what)
        form = browser.get(f"/folders/{item.id}/request").form(".*/request")
        fields = {"file_limit": _written(limit), "size_limit": _mebibytes(most)}
        fields |= self._last_day(form, days)
        page = browser.follow(browser.submit(form, **fields))
        link = self._take_link("request", item, page.text, fields["until"])
        link.limit, link.size_limit = limit, _read(fields["size_limit"])
        self.note("request files", person.name, person.name, item)

    def _last_day(self, form: Form, days: int | None) -> dict[str, str]:
        """Return the day to enter."""
        if days is None:
            return {"until": dict(form.fields)["until"]}
        if days == 20:
            return {"until": "", "expires": "never"}
        today = datetime.fromtimestamp(self.world.clock.now, UTC).date()
        return {"until": (today + timedelta(days=days)).isoformat(), "expires": "day"}

    def _take_link(self, kind: str, item: Item, text: str, until: str) -> Link:
        found = re.search(r">https?://[^/]+(/[sr]/[^<]+)<", text)
        assert found, text
        table = "share" if kind == "share" else "file_request"
        link = Link(kind, self.stored.last(table, "public_id"), found[1], item.owner, item.id)
        link.expires = _end_of(until)
        self.world.links.append(link)
        return link

    @precondition(lambda self: self.signed_in() and self.world.links)
    @rule(which=NUMBER, limit=_LIMIT, most=_ROOM, lock=st.sampled_from(["", "", "other", "none"]))
    def change_link(self, which: int, limit: int | None, most: int | None, lock: str) -> None:
        for seat, person, link in self._own_link(which):
            page = seat.browser.get(f"/links/{link.kind}s/{link.id}")
            form = page.form(f"/links/{link.kind}s/{link.id}")
            before = (link.limit, link.size_limit, link.password)
            if link.kind == "request":
                fields = {"file_limit": _written(limit), "size_limit": _mebibytes(most)}
                link.size_limit = _read(fields["size_limit"])
            else:
                fields = {"download_limit": _written(limit)}
                self.made += 1
                password = _PASSWORD.format(self.made)
                if lock == "other":
                    link.password, link.lock = password, object()
                    fields["password"] = password
                elif lock == "none" and link.password:
                    link.password, link.lock = "", None
                    fields["no_password"] = "y"
            assert seat.browser.submit(form, **fields).is_redirect
            link.limit = limit
            if before != (link.limit, link.size_limit, link.password):
                self.note(
                    f"change {link.kind}", person.name, person.name, self.world.items[link.item]
                )

    @precondition(lambda self: self.signed_in() and self.world.links)
    @rule(which=NUMBER)
    def revoke_link(self, which: int) -> None:
        for seat, person, link in self._own_link(which):
            address = f"/links/{link.kind}s/{link.id}/revoke"
            seat.browser.submit(seat.browser.get(address).form(address))
            if not link.is_revoked:
                self.note(
                    f"revoke {link.kind}", person.name, person.name, self.world.items[link.item]
                )
            link.is_revoked = True

    def _own_link(self, number: int) -> Iterator[tuple[Seat, Person, Link]]:
        """Yield a link with its owner, if one is signed in."""
        people = {person.name: (seat, person) for seat, person in self.at_seats()}
        if found := [one for one in self.world.links if one.owner in people]:
            link = pick(found[::-1], number)
            yield (*people[link.owner], link)

    # Visitors

    @precondition(lambda self: self.world.links)
    @rule(at=NUMBER, which=NUMBER)
    def visit(self, at: int, which: int) -> None:
        seat, link = pick(self.visitors, at), pick(self.world.links[::-1], which)
        page = seat.browser.get(link.address)
        seat.visitor = seat.visitor or object()
        seat.entered[link] = None
        assert page.status == (200 if self.may_look(seat, link) else 410)

    def may_look(self, seat: Seat, link: Link) -> bool:
        """Return whether a visitor may see a link's page, or the form for its password."""
        status = self.world.status(link)
        if status == "used up" and link.kind == "share":
            return self.world.has_begun(link, seat.visitor)
        if status == "used up":
            sent = (one for one in self.world.finished.values() if one.link is link)
            senders = [*(one.visitor for one in sent), *link.senders]
            return any(one is seat.visitor for one in senders)
        return status == "open"

    @precondition(lambda self: any(seat.entered for seat in self.visitors))
    @rule(at=NUMBER, who=NUMBER)
    def sign_in_and_out(self, at: int, who: int) -> None:
        """Sign in where links were opened, and out again: they stay opened."""
        seat, person = pick(self.visitors, at), pick(list(self.world.people.values()), who)
        if person.has_second_factor:
            return
        self._sign_in(seat, person, person.password)
        if seat.session:
            page = seat.browser.get("/")
            seat.browser.follow(seat.browser.submit(page.form("/sign-out")))
            self.note("sign out", person.name, person.name)
            self._end(seat.session)
            seat.session = None

    def is_unlocked(self, seat: Seat, link: Link) -> bool:
        return not link.password or seat.unlocked.get(link) is link.lock

    @precondition(lambda self: any(seat.entered for seat in self.visitors))
    @rule(at=NUMBER, which=NUMBER, is_right=st.booleans(), times=st.sampled_from([1, 1, 11]))
    def unlock(self, at: int, which: int, is_right: bool, times: int) -> None:
        seat, link = self.entered_at(at, which)
        if not self.may_look(seat, link) or self.is_unlocked(seat, link):
            return
        form = seat.browser.get(f"/shared/{link.id}").form(".*/unlock")
        name = f"share {link.id}"
        counted = (
            ("network", "password", seat.address),
            ("name there", name, seat.address),
            ("name", name),
        )
        for _ in range(self.few(times)):
            is_allowed = self.world.attempts.count(*counted)
            page = seat.browser.submit(form, password=link.password if is_right else "wrong")
            if not is_allowed:
                assert page.status == 429
            elif is_right:
                assert page.is_redirect
                self.world.attempts.take_back(*counted)
                seat.unlocked[link] = link.lock
            else:
                assert page.status == 422
                self.note("wrong password", "", link.owner, self.world.items[link.item])

    def entered_at(self, at: int, which: int) -> tuple[Seat, Link]:
        seat = pick([seat for seat in self.visitors if seat.entered], at)
        return seat, pick(list(seat.entered)[::-1], which)

    @precondition(lambda self: any(seat.entered for seat in self.visitors))
    @rule(at=NUMBER, which=NUMBER, what=NUMBER, is_zip=st.sampled_from([False, False, True]))
    def take(self, at: int, which: int, what: int, is_zip: bool) -> None:
        """Download a file, or a folder as a ZIP, by a link."""
        seat, link = self.entered_at(at, which)
        item = self._shared(seat, link, what, is_zip=is_zip)
        if item is None:
            return
        page = self._press(seat, link, item)
        has_begun = not is_zip and self.world.has_begun(link, seat.visitor, item)
        if not has_begun and link.limit is not None and link.used >= link.limit:
            assert page.status == 410
            return
        link.used += not has_begun
        if is_zip:
            self.check_zip(page, item)
            self.note("archive", "", link.owner, item, linked=link.item)
            return
        if not has_begun:
            link.begun[seat.visitor, item.id] = self.world.clock.now
        assert page.is_redirect
        assert seat.browser.get(page.target).body == item.content
        self.note("download", "", link.owner, item, linked=link.item)

    def _shared(self, seat: Seat, link: Link, what: int, *, is_zip: bool) -> Item | None:
        """Return something that a visitor may download by a link; the folders are not empty."""
        is_open = self.may_look(seat, link) and self.is_unlocked(seat, link)
        if link.kind != "share" or not is_open:
            return None
        below = list(self.world.below(self.world.items[link.item]))
        found = [one for one in below if (self.world.inside(one) if is_zip else one.is_file)]
        return pick(found, what) if found else None

    def _press(self, seat: Seat, link: Link, item: Item) -> Page:
        """Press the button to download something, on the page that shows it."""
        home = f"/shared/{link.id}"
        folder = self.world.items[item.parent] if item.is_file else item
        is_top = link.item in {item.id, folder.id}
        page = seat.browser.get(home if is_top else f"{home}/folders/{folder.id}")
        kind = "files/{}" if item.is_file else "folders/{}/zip"
        return seat.browser.submit(page.form(f"{home}/{kind.format(item.id)}"))

    @rule(at=NUMBER, kind=st.sampled_from("sr"), times=st.sampled_from([1, 1, 1, 31]))
    def guess_link(self, at: int, kind: str, times: int) -> None:
        seat = pick(self.visitors, at)
        for _ in range(self.few(times)):
            is_allowed = self.world.attempts.count(("link", seat.address))
            page = seat.browser.get(f"/{kind}/guessed")
            assert page.status == (404 if is_allowed else 429)


def _written(limit: int | None) -> str:
    return "" if limit is None else str(limit)


def _mebibytes(most: int | None) -> str:
    return "" if most is None else f"{most / 2**20:.6f}"


def _read(mebibytes: str) -> int | None:
    return round(float(mebibytes) * 2**20) if mebibytes else None


def _end_of(day: str) -> float | None:
    """Return the last second of a day, in UTC."""
    if not day:
        return None
    return datetime.fromisoformat(f"{day}T23:59:59+00:00").timestamp()
