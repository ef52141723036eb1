"""Steps: signing in and out, passwords, and the second factor."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from . import attempts
from .browser import Browser, Form, Page
from .codes import code_at, step_of
from .state import Seat, State, pick
from .things import Person, Session
from .world import SKEW, WAITS

NUMBER = st.integers(0, 30)
_CODES = st.sampled_from(["now", "now", "before", "after", "old", "used", "wrong", "recovery"])


_FEW = 3
"""Browsers where somebody is signed in, of four."""


class Sessions(State):
    """People at their browsers."""

    def come_back(self) -> None:
        """Sign one in where few are: most steps need somebody who is."""
        if len(self.signed_in()) >= _FEW:
            return
        if any(seat.waiting for seat in self.members):
            self.enter_code(self.turn, pick(["now", "after", "recovery"], self.turn), 1)
        else:
            self.sign_in(self.turn, self.turn // 2, 0)

    @precondition(lambda self: self.signed_out())
    @rule(at=NUMBER, who=NUMBER, wrong=st.sampled_from([0, 0, 0, 0, 1, 9, 11]))
    def sign_in(self, at: int, who: int, wrong: int) -> None:
        """Sign in after so many wrong passwords."""
        seat = pick(self.signed_out(), at)
        person = pick(list(self.world.people.values()), who)
        for _ in range(self.few(wrong)):
            self._sign_in(seat, person, "wrong")
        self._sign_in(seat, person, person.password)

    def _sign_in(self, seat: Seat, person: Person, password: str) -> None:
        counted = attempts.password(person.name, seat.address)
        form = seat.browser.get("/sign-in").form("/sign-in")
        is_allowed = self.world.attempts.count(*counted)
        page = seat.browser.submit(form, username=person.name, password=password)
        if not is_allowed:
            assert page.status == 429
            return
        if password != person.password or not person.is_active:
            assert page.status == 422
            self.note("sign-in failed", "", person.name)
            return
        self.world.attempts.succeeded(*counted)
        assert page.is_redirect
        seat.session = seat.waiting = None
        if person.has_second_factor:
            seat.waiting = person, self.world.clock.now + WAITS, (person.password, person.secret)
        else:
            self._begin(seat, person)
            self.note("sign in", person.name, person.name)

    def _begin(self, seat: Seat, person: Person) -> None:
        self.world.forget_sessions()
        self.world.sessions = [one for one in self.world.sessions if one is not seat.session]
        seat.waiting = None
        session_id = self.stored.last("sign_in", "public_id")
        seat.session = Session(session_id, person, self.world.clock.now)
        self.world.sessions.append(seat.session)

    @precondition(lambda self: any(seat.waiting for seat in self.members))
    @rule(at=NUMBER, which=_CODES, times=st.sampled_from([1, 1, 1, 11]))
    def enter_code(self, at: int, which: str, times: int) -> None:
        seat = pick([seat for seat in self.members if seat.waiting], at)
        assert seat.waiting
        person = seat.waiting[0]
        for _ in range(self.few(times)):
            page = seat.browser.ask("GET", "/sign-in/code")
            if not self._may_enter_code(seat):
                assert page.is_redirect
                return
            by = "recovery_code" if which == "recovery" else "code"
            form = next(one for one in page.forms if by in dict(one.fields))
            given, step, is_right = self._code(person, which)
            counted = attempts.code(person.name, seat.address)
            is_allowed = self.world.attempts.count(*counted)
            page = seat.browser.submit(form, **{by: given})
            if not is_allowed:
                assert page.status == 429
            elif not is_right:
                assert page.status == 422
                self.note("sign-in failed", "", person.name)
            else:
                assert page.is_redirect
                self.world.attempts.succeeded(*counted)
                self._use_code(person, given, step)
                self._begin(seat, person)
                self.note("sign in", person.name, person.name)
                return

    def _may_enter_code(self, seat: Seat) -> bool:
        assert seat.waiting
        person, until, known = seat.waiting
        is_same = known == (person.password, person.secret)
        is_there = self.world.people.get(person.name) is person and person.is_active
        is_in_time = until >= self.world.clock.now and seat.has_cookie
        return is_same and is_there and is_in_time and person.has_second_factor

    def _code(self, person: Person, which: str) -> tuple[str, int | None, bool]:
        """Return a code, its time step if it has one, and whether it should be accepted."""
        if which == "recovery":
            return min(person.codes, default="a-recovery-code"), None, bool(person.codes)
        if which == "wrong":
            return "wrong", None, False
        present = step_of(self.world.clock.now)
        offset = {"before": -1, "after": 1, "old": -3}.get(which, 0)
        step = present + (offset if self.portal.can_set_clock else 0)
        if which == "used" and person.step is not None:
            step = person.step
        last = person.step if person.step is not None else -1
        is_new = step > last or last > step_of(self.world.clock.now + SKEW)
        return code_at(person.secret, step), step, abs(step - present) <= 1 and is_new

    @staticmethod
    def _use_code(person: Person, code: str, step: int | None) -> None:
        if step is None:
            person.codes.discard(code)
        else:
            person.step = step

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER)
    def sign_out(self, who: int) -> None:
        browser, person = self.somebody(who)
        page = browser.submit(browser.get("/").form("/sign-out"))
        assert page.is_redirect
        self.note("sign out", person.name, person.name)
        self._end(self._session_at(browser))

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER)
    def sign_out_everywhere(self, who: int) -> None:
        browser, person = self.somebody(who)
        browser.submit(browser.get("/account").form("/account/sessions/end"))
        self.note("sign out", person.name, person.name)
        self.world.end_sessions(person)

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, which=NUMBER)
    def end_a_session(self, who: int, which: int) -> None:
        browser, person = self.somebody(who)
        mine = [one for one in self.world.sessions if one.person is person]
        session = pick([one for one in mine if self.world.is_valid(one)], which)
        page = browser.get("/account")
        browser.submit(page.form(f"/account/sessions/{session.id}/end"))
        self._end(session)

    def _session_at(self, browser: Browser) -> Session | None:
        return next(seat.session for seat in self.members if seat.browser is browser)

    def _end(self, session: Session | None) -> None:
        self.world.sessions = [one for one in self.world.sessions if one is not session]

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, how=st.sampled_from(["well", "well", "weak", "wrong"]))
    def change_password(self, who: int, how: str) -> None:
        browser, person = self.somebody(who)
        self.made += 1
        new = "password1" if how == "weak" else f"plural giraffe of {self.made}"
        old = "wrong" if how == "wrong" else person.password
        form = browser.get("/account").form("/account/password")
        is_known = self._proves(browser, person, is_right=how != "wrong")
        choice = ("choice", browser.address)
        is_allowed = is_known == 200 and self.world.attempts.count(choice)
        page = browser.submit(form, password=old, new_password=new, again=new)
        if is_known != 200 or not is_allowed:
            assert page.status == (is_known if is_known != 200 else 429)
        elif how == "weak":
            assert page.status == 422
        else:
            assert page.is_redirect
            self.world.attempts.succeeded(choice)
            self.note("change account", person.name, person.name)
            self.set_password(person, new)
            self._begin(next(one for one in self.members if one.browser is browser), person)

    def set_password(self, person: Person, new: str) -> None:
        person.password = new
        self.world.end_sessions(person)
        self.world.one_time = [one for one in self.world.one_time if one.person is not person]

    def _proves(self, browser: Browser, person: Person, *, is_right: bool) -> int:
        """Count a check of the present password, and return the status that it should lead to."""
        counted = attempts.password(person.name, browser.address)
        if not self.world.attempts.count(*counted):
            return 429
        if is_right:
            self.world.attempts.succeeded(*counted)
        return 200 if is_right else 422

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, is_right=st.sampled_from([True, True, True, False]))
    def begin_second_factor(self, who: int, is_right: bool) -> None:
        browser, person = self.somebody(who)
        page = browser.get("/account/second-factor")
        if person.secret:
            return
        page = self._with_password(browser, person, page.form(".*/begin"), is_right=is_right)
        if found := re.search(r'class="secret">([A-Z2-7 ]+)<', page.text):
            person.secret, person.step = found[1].replace(" ", ""), None
        assert bool(person.secret) == bool(found)

    def _with_password(
        self, browser: Browser, person: Person, form: Form, *, is_right: bool
    ) -> Page:
        """Send a form that asks for the present password, and return the page after it."""
        field = next(name for name, _ in form.fields if name.endswith("password"))
        status = self._proves(browser, person, is_right=is_right)
        page = browser.submit(form, **{field: person.password if is_right else "wrong"})
        page = browser.follow(page)
        assert page.status == status
        return page

    @precondition(lambda self: self.signed_in())
    @rule(who=NUMBER, which=st.sampled_from(["now", "now", "before", "after", "old", "wrong"]))
    def confirm_second_factor(self, who: int, which: str) -> None:
        browser, person = self.somebody(who)
        page = browser.get("/account/second-factor")
        if not person.secret or person.has_second_factor:
            return
        counted = attempts.code(person.name, browser.address)
        code, step, is_right = self._code(person, which)
        is_allowed = self.world.attempts.count(*counted)
        page = browser.follow(browser.submit(page.form(".*/confirm"), code=code))
        if not is_allowed or not is_right:
            assert page.status == (422 if is_allowed else 429)
            return
        self.world.attempts.succeeded(*counted)
        self._use_code(person, code, step)
        self.note("change account", person.name, person.name)
        self._read_codes(person, page)

    @staticmethod
    def _read_codes(person: Person, page: Page) -> None:
        person.codes = set(re.findall(r"<code>([a-z0-9]{4}(?:-[a-z0-9]{4}){3})</code>", page.text))
        assert len(person.codes) == 10

    @precondition(lambda self: any(map(self._has_factor, self.members)))
    @rule(who=NUMBER, is_off=st.booleans(), is_right=st.sampled_from([True, True, False]))
    def change_second_factor(self, who: int, is_off: bool, is_right: bool) -> None:
        """Switch it off, or renew the recovery codes."""
        found = [seat for seat in self.signed_in() if self._has_factor(seat)]
        if not found:
            return
        browser = pick(found, who).browser
        person = self.person_at(pick(found, who))
        assert person
        page = browser.get("/account/second-factor")
        form = page.form(".*/off" if is_off else ".*/recovery-codes")
        page = self._with_password(browser, person, form, is_right=is_right)
        if page.status != 200:
            return
        self.note("change account", person.name, person.name)
        if is_off:
            person.secret, person.step, person.codes = "", None, set()
        else:
            self._read_codes(person, page)

    def _has_factor(self, seat: Seat) -> bool:
        person = self.person_at(seat)
        return bool(person and person.has_second_factor)
