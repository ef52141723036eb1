"""A state machine that drives the portal as several people and visitors at once.

After each step it compares the portal with a model of its own: what is stored and recorded, what
one person and one visitor see, and that some of the addresses that were ever seen lead nobody else
anywhere. At its end it compares all of it.
"""

from __future__ import annotations

import sys

from hypothesis.stateful import initialize, invariant

from .compare import Compare
from .state import pick

_EVERY = 4
"""Steps between two looks at a person's pages."""


class Machine(Compare):
    """The portal beside its model."""

    @initialize()
    def begin(self) -> None:
        """Begin with people who are signed in, folders that are shared, and their visitors."""
        for place in range(len(self.world.people)):
            self.sign_in(0, place, 0)
        for place in range(2):
            self.create_folder(place, 0, "b")
            self.upload(place, 1, [("a.txt", 100), ("b", 1)])
            self.share(place, 0, limit=None, days=0 if place else None, has_password=bool(place))
            self.request_files(place, 0, limit=3, days=None, most=1024 if place else None)
            for which in range(2):
                self.visit(place, which)
            self.unlock(place, 0, is_right=True, times=1)
            for what in range(2):
                self.take(place, 0, what, is_zip=False)
            self.upload(place, 0, [("a.txt", 1), ("A.TXT", 0)])
            self.put_into_trash(place, 0, [1, 2], is_undone=False)
        self.share(0, 1, limit=1, days=None, has_password=False)
        self.visit(0, 0)
        self.take(0, 0, 0, is_zip=False)
        self.create_folder(2, 0, "b")
        self.upload(2, 1, [("a.txt", 100), ("b", 1)])
        for where in (1, 0):
            self.put_into_trash(2, where, [0], is_undone=False)
        self.begin_upload(1, 0, "b", 700, "", 50)
        for which, link in enumerate((1, 3)):
            self.visit(2, link)
            self.begin_by_link(which, [("b", 100, 50), ("b", 100, 0)], "")
        self.begin_second_factor(1, is_right=True)
        self.confirm_second_factor(1, "now")
        self.sign_in(0, 1, 0)
        self.manage(0, 1, "role")
        self.invite(1, is_administrator=False, room=None, days=3)

    @invariant()
    def compare(self) -> None:
        self.turn += 1
        self.done["steps"] += 1
        self.compare_stored()
        self._look()
        self.compare_record()
        self.come_back()
        self.compare_stored()
        self.tick()

    def _look(self) -> None:
        if self.turn % _EVERY == 0 and self.at_seats():
            self.compare_pages(*pick(self.at_seats(), self.turn // _EVERY))
        visitor = pick(self.visitors, self.turn)
        if self.turn % _EVERY == 1:
            self.compare_visits(visitor)
            if self.world.links:
                self.visit(self.turn, self.turn // _EVERY)
        if self.turn % _EVERY == 2 and self.known:
            self._attack(self.turn // _EVERY)
        if self.turn % _EVERY == 3:
            self.try_outside(visitor)
            self.try_ended(visitor)

    def _attack(self, number: int) -> None:
        """Try some of what somebody has seen."""
        known = list(self.known.items())
        for place in (number, number * 7, -number):
            (method, address), owner = pick(known, place)
            self.try_known(method, address, owner)
        uploads = self.world.uploads | self.world.finished
        if uploads:
            self.try_upload(pick(list(uploads.values())[::-1], number))
        self.try_selected(pick(list(self.world.items.values()), number))
        if self.visited:
            self.try_visited(*pick(list(self.visited), number))

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._compare_all()
        finally:
            super().teardown()

    def _compare_all(self) -> None:
        for seat, person in self.at_seats():
            self.compare_pages(seat, person)
        for visitor in self.visitors:
            self.compare_visits(visitor)
            self.try_outside(visitor)
            self.try_ended(visitor)
        for (method, address), owner in list(self.known.items())[-30:]:
            self.try_known(method, address, owner)
        for method, address in list(self.visited)[-30:]:
            self.try_visited(method, address)
        for upload in (*self.world.uploads.values(), *self.world.finished.values()):
            self.try_upload(upload)
        self.compare_record()
        for seat, person in self.at_seats():
            self.compare_activity(seat, person)
        self.compare_stored()
        assert self.stored.unusable() == self.stored.contradictions() == []
