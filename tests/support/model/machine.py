"""A state machine that drives the portal as several people and visitors at once.

After each step it compares the portal with a model of its own: what is stored and recorded, what
one person and one visitor see, and that some of the addresses that were ever seen lead nobody else
anywhere. At its end it compares all of it.
"""

from __future__ import annotations

import sys

from hypothesis.stateful import invariant

from .compare import Compare
from .state import pick

_EVERY = 4
"""Steps between two looks at a person's pages."""


class Machine(Compare):
    """The portal beside its model."""

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
        self.compare_record()
        for seat, person in self.at_seats():
            self.compare_activity(seat, person)
        self.compare_stored()
        assert self.stored.unusable() == self.stored.contradictions() == []
