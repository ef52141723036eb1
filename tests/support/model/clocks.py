"""Steps: time passes, the clock is wrong for a while, and the daily command runs."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .by_link import BEGUN, ByLink
from .sessions import NUMBER
from .world import DAY, HOUR, SESSION, TRASH_DAYS, UPLOAD_DAYS


class Clocks(ByLink):
    """The portal as time goes by."""

    def is_time(self) -> bool:
        """Return whether the clock may be set now: seldom, for it signs most people out."""
        return self.portal.can_set_clock and self.turn % 4 == 0

    def tick(self) -> None:
        """Go on by a second: no two steps happen at the same moment."""
        self.world.clock.now += 1

    @precondition(lambda self: self.is_time())
    @rule(by=st.sampled_from([31, 95, 16 * 60, HOUR, SESSION + HOUR, DAY, 3 * DAY, -10, -100]))
    def wait(self, by: int) -> None:
        self._set(self.world.clock.now + by)

    @precondition(lambda self: self.is_time() and self.requests())
    @rule(which=NUMBER, files=st.lists(BEGUN, min_size=1, max_size=3))
    def begin_after_a_pause(self, which: int, files: list[tuple[str, int, int]]) -> None:
        """Begin uploads by a link where those before are stalled."""
        self._set(self.world.clock.now + HOUR)
        if self.requests():
            self.begin_by_link(which, files, "")

    @precondition(lambda self: self.is_time())
    @rule(by=st.sampled_from([3 * HOUR, 365 * DAY]))
    def set_wrong(self, by: int) -> None:
        """Set the clock ahead, or back to the right time."""
        by = -self.ahead or by
        self.ahead += by
        self._set(self.world.clock.now + by)

    def _set(self, now: float) -> None:
        self.world.clock.now = now
        for seat in (*self.members, *self.visitors):
            if seat.session and not self.person_at(seat):
                assert seat.browser.ask("GET", "/").is_redirect
                seat.forget()
            elif not seat.has_cookie:
                seat.forget()

    @precondition(lambda self: self.is_time())
    @rule()
    def clean_up(self) -> None:
        self.portal.clean_up()
        self.world.see_day()
        tops = [one for one in self.world.items.values() if one.trashed == one.id]
        for top in sorted(tops, key=lambda one: one.trashed_at):
            if top.id in self.world.items and self.world.is_old(top.trashed_at, TRASH_DAYS):
                action = "delete version" if top.version_of else "delete"
                self.note(action, "", top.owner, self.world.items.get(top.version_of, top))
                self.world.forget(self.world.with_it(top))
        self.world.forget_sessions()
        self.forget_links()
        for uploads in (self.world.uploads, self.world.finished):
            for one in list(uploads.values()):
                one.used_at = self.world.corrected(one.used_at)
                if self.world.is_old(one.used_at, UPLOAD_DAYS):
                    del uploads[one.id]
        kept = self.world.cancelled
        self.world.cancelled = [
            one for one in kept if not self.world.is_old(one.used_at, UPLOAD_DAYS)
        ]
