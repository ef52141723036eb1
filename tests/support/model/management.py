"""Steps: invitations, and what administrators do with accounts."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from . import attempts
from .browser import Browser, Page
from .sessions import NUMBER, Sessions
from .state import Seat, pick
from .things import OneTime, Person
from .world import DAY, SKEW

_ROOM = st.sampled_from([None, 0, 1000, 4000, 9000])
_FORGOTTEN = 30
"""Days after which an expired link is unknown."""


class Management(Sessions):
    """Administrators at their browsers."""

    def _manager(self, number: int) -> tuple[Browser, Person]:
        seat = pick(self.managing(), number)
        person = self.person_at(seat)
        assert person
        return seat.browser, person

    @precondition(lambda self: self.managing() and len(self.world.people) < 6)
    @rule(who=NUMBER, is_administrator=st.booleans(), room=_ROOM, days=st.integers(1, 9))
    def invite(self, who: int, is_administrator: bool, room: int | None, days: int) -> None:
        browser, person = self._manager(who)
        form = browser.get("/invitations").form("/invitations")
        checked = {"administrator": "y"} if is_administrator else {}
        page = browser.submit(form, note="", quota=_gibibytes(room), days=str(days), **checked)
        address = _address(browser.follow(page), "invitation")
        now = self.world.clock.now
        self.forget_links()
        made = OneTime(address, now, now + days * DAY, None, is_administrator, room)
        self.world.one_time.append(made)
        self.handed_out.append(made)
        self.note("change account", person.name)

    def forget_links(self) -> None:
        self.world.see_day()
        kept = self.world.one_time
        self.world.one_time = [
            one for one in kept if not self.world.is_old(one.expires, _FORGOTTEN)
        ]

    @precondition(lambda self: self.managing() and self._invitations())
    @rule(who=NUMBER, which=NUMBER)
    def revoke_invitation(self, who: int, which: int) -> None:
        browser, person = self._manager(who)
        page = browser.get("/invitations")
        shown = [one for one in page.forms if re.search("/invitations/.+/revoke", one.actions[0])]
        open_ones = [one for one in self._invitations() if self.world.works(one)][::-1]
        assert len(shown) == len(open_ones)
        if open_ones:
            browser.submit(pick(shown, which))
            self.world.one_time.remove(pick(open_ones, which))
            self.note("change account", person.name)

    def _invitations(self) -> list[OneTime]:
        return [one for one in self.world.one_time if one.person is None]

    @precondition(lambda self: self.managing())
    @rule(who=NUMBER, whom=NUMBER)
    def make_reset_link(self, who: int, whom: int) -> None:
        browser, person = self._manager(who)
        managed = pick(list(self.world.people.values()), whom)
        if managed is person or not managed.is_active:
            return
        page = browser.get(f"/accounts/{managed.number}")
        page = browser.follow(browser.submit(page.form(".*/reset-link")))
        kept = [one for one in self.world.one_time if one.person is not managed]
        now = self.world.clock.now
        self.world.one_time = kept
        self.forget_links()
        made = OneTime(_address(page, "reset"), now, now + DAY, managed)
        self.world.one_time.append(made)
        self.handed_out.append(made)
        self.note("change account", person.name, managed.name)

    @precondition(lambda self: self.handed_out and self.signed_out())
    @rule(at=NUMBER, which=NUMBER, how=st.sampled_from(["well", "well", "weak", "taken"]))
    def use_link(self, at: int, which: int, how: str) -> None:
        """Open an invitation or a link to reset a password, and send its form."""
        link = pick(self.handed_out[::-1], which)
        seat = pick(self.signed_out(), at)
        page = seat.browser.get(link.address)
        if not self.world.works(link):
            self._expect_dead(seat, link, page)
            return
        choice = ("choice", seat.address)
        is_allowed = self.world.attempts.count(choice)
        self.made += 1
        password = "password1" if how == "weak" else f"plural giraffe of {self.made}"
        name = "ada" if how == "taken" and "ada" in self.world.people else f"eve {self.made}"
        names = {} if link.person else {"username": name}
        form = page.form("/reset" if link.person else "/invitation")
        page = seat.browser.submit(form, new_password=password, again=password, **names)
        if not is_allowed or how == "weak" or (names and name in self.world.people):
            assert page.status == (422 if is_allowed else 429)
            return
        assert page.is_redirect
        self.world.attempts.succeeded(choice)
        self.world.one_time.remove(link)
        if link.person:
            self._reset(seat, link.person, password)
        else:
            self._accept(seat, link, name, password)

    def _expect_dead(self, seat: Seat, link: OneTime, page: Page) -> None:
        is_expired = not link.expires > self.world.clock.now > link.made - SKEW
        is_unknown = link not in self.world.one_time or not is_expired
        counted = ("link", seat.address)
        is_allowed = not is_unknown or self.world.attempts.count(counted)
        assert page.status == (410 if is_allowed else 429)

    def _reset(self, seat: Seat, person: Person, password: str) -> None:
        self.set_password(person, password)
        forgotten = (*attempts.password(person.name, ""), *attempts.code(person.name, ""))
        self.world.attempts.forget(*(key for key in forgotten if key[0] in {"name", "code"}))
        self.world.attempts.forget(("name there", person.name, seat.address))
        self.note("change account", person.name, person.name)

    def _accept(self, seat: Seat, link: OneTime, name: str, password: str) -> None:
        person = Person(name, password, link.is_administrator, quota=link.quota)
        self.join(person)
        self._begin(seat, person)
        self.note("change account", name, name)

    @precondition(lambda self: self.managing())
    @rule(
        who=NUMBER, whom=NUMBER, what=st.sampled_from(["role", "role", "active", "quota", "factor"])
    )
    def manage(self, who: int, whom: int, what: str) -> None:
        browser, person = self._manager(who)
        managed = pick(list(self.world.people.values()), whom)
        page = browser.get(f"/accounts/{managed.number}")
        if what == "quota":
            room = pick([None, 0, 1000, 4000, 9000], self.made + who)
            page = browser.submit(page.form(".*/quota"), quota=_gibibytes(room))
            managed.quota = room
        elif what == "role":
            role = "member" if managed.is_administrator else "administrator"
            browser.submit(page.form(".*/role"), role=role)
            if managed.is_administrator and not self._remove_rights(managed):
                return
            managed.is_administrator = not managed.is_administrator
        elif what == "active":
            browser.submit(page.form(".*/(de)?activate"))
            if managed.is_active and not self._remove_rights(managed):
                return
            managed.is_active = not managed.is_active
            self.world.end_sessions(managed)
        elif managed.has_second_factor and managed is not person:
            browser.submit(page.form(".*/second-factor-off"))
            managed.secret, managed.step, managed.codes = "", None, set()
            self.world.end_sessions(managed)
        else:
            return
        self.note("change account", person.name, managed.name)

    def _remove_rights(self, managed: Person) -> bool:
        """Return whether somebody may stop to be an administrator, with what ends then."""
        administrators = self.world.administrators()
        if administrators == [managed]:
            return False
        if managed in administrators:
            self.world.one_time = []
        return True

    @precondition(lambda self: self.managing() and len(self.world.people) > 3)
    @rule(who=NUMBER, whom=NUMBER)
    def delete_account(self, who: int, whom: int) -> None:
        browser, person = self._manager(who)
        managed = pick(list(self.world.people.values()), whom)
        form = browser.get(f"/accounts/{managed.number}/delete").form(".*/delete")
        browser.submit(form, name=managed.name)
        if self._remove_rights(managed):
            self.note("change account", person.name, managed.name)
            self.gone[managed.number] = managed.name
            self.world.remove(managed)


def _gibibytes(room: int | None) -> str:
    return "" if room is None else f"{room / 2**30:.12f}"


def _address(page: Page, kind: str) -> str:
    """Read the address of a link that is shown once."""
    found = re.search(rf">https?://[^/]+(/{kind}/[^<]+)<", page.text)
    assert found, page.text
    return found[1]
