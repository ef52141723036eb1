"""What the portal acknowledged, and the states that each file may be in after a fault.

It knows nothing of the portal's code. A change is noted before it is sent, and once it is answered.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class State(NamedTuple):
    """The folder that a file is in, by its name, or was in before it came into the trash."""

    folder: str
    name: str
    is_trashed: bool = False


MaybeState = State | None
"""None: it is not there, or deleted permanently."""


@dataclass
class Change:
    """A change that was sent.

    :param effect: what it makes of a state.
    :param sent: when, by the monotonic clock.
    :param answered: when it was acknowledged or refused; never: it may have happened or not.
    """

    effect: Callable[[MaybeState], MaybeState]
    sent: float
    answered: float = math.inf
    refused: bool = False

    def acknowledge(self) -> None:
        """Note that it was done."""
        self.answered = time.monotonic()

    def refuse(self) -> None:
        """Note that the portal said it was not done."""
        self.answered, self.refused = time.monotonic(), True


@dataclass
class Piecemeal:
    """An upload in pieces: its address, when its creation was acknowledged, and its offsets."""

    url: str
    created: float
    offsets: list[tuple[float, int]] = field(default_factory=list)

    def acknowledged(self, before: float = math.inf) -> int:
        """Return how much was acknowledged before a moment."""
        return max((offset for at, offset in self.offsets if at < before), default=0)


@dataclass
class File:
    """A file of a person, by the number in its name."""

    number: str
    content: bytes
    changes: list[Change] = field(default_factory=list)
    upload: Piecemeal | None = None

    def change(self, effect: Callable[[MaybeState], MaybeState]) -> Change:
        """Note a change that is about to be sent."""
        self.changes.append(Change(effect, time.monotonic()))
        return self.changes[-1]

    def allowed(self, before: float = math.inf, until: float = math.inf) -> set[MaybeState]:
        """Return the states that it may be in.

        :param before: what was acknowledged until then has to be there.
        :param until: what was sent after that cannot be there.
        """
        states: set[MaybeState] = {None}
        for change in self.changes:
            if change.sent > until or (change.refused and change.answered < before):
                continue
            changed = {change.effect(state) for state in states}
            states = changed if change.answered < before else states | changed
        return states

    def settle(self, state: MaybeState) -> None:
        """Note the state that it was found in."""
        self.changes = [Change(lambda _: state, 0, 0)]
        if state is not None:
            self.upload = None

    @property
    def is_settled(self) -> bool:
        """Whether it is known where it is."""
        return len(self.allowed()) == 1

    @property
    def state(self) -> MaybeState:
        """Where it is, as far as that is known."""
        (state,) = self.allowed()
        return state


def content_of(seed: str, size: int) -> bytes:
    """Return bytes that no other file has."""
    return hashlib.shake_256(seed.encode()).digest(size)
