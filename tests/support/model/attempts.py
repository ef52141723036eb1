"""Counters of failed attempts, as they should be."""

from __future__ import annotations

from .clock import Clock

Key = tuple[str, ...]
"""What is counted, and for whom."""
_QUARTER, _HOUR = 15 * 60, 60 * 60
_SKEW = 2 * 60
_LIMITS = {
    "network": (50, _QUARTER),
    "name there": (10, _QUARTER),
    "name": (100, _HOUR),
    "code": (10, _HOUR),
    "link": (30, _QUARTER),
    "choice": (30, _QUARTER),
}
"""How many attempts of each kind are allowed, and in how many seconds."""
_SHARED = {"network", "link", "choice"}
"""What others count with, too, so that one's own success does not clear it."""


class Attempts:
    """Each is counted before it is made, and until its time is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[Key, tuple[int, float]] = {}

    def count(self, *keys: Key) -> bool:
        """Count an attempt, and return whether it may be made."""
        for key in keys:
            self._add(key, 1)
            if self._counts[key][0] > _LIMITS[key[0]][0]:
                return False
        return True

    def succeeded(self, *keys: Key) -> None:
        """Take an attempt back, and forget the failures for the same name."""
        self.take_back(*(key for key in keys if key[0] in _SHARED))
        self.forget(*(key for key in keys if key[0] not in _SHARED))

    def forget(self, *keys: Key) -> None:
        for key in keys:
            self._counts.pop(key, None)

    def take_back(self, *keys: Key) -> None:
        for key in keys:
            self._add(key, -1)

    def _add(self, key: Key, amount: int) -> None:
        now = self._clock.now
        self._counts = {
            one: (count, began)
            for one, (count, began) in self._counts.items()
            if began <= now + _SKEW and now < began + _LIMITS[one[0]][1]
        }
        count, began = self._counts.get(key, (0, now))
        self._counts[key] = count + amount, began


def password(name: str, address: str) -> tuple[Key, ...]:
    """Return what an attempt to guess a password counts against."""
    return ("network", "password", address), ("name there", name, address), ("name", name)


def code(name: str, address: str) -> tuple[Key, ...]:
    """Return what an attempt to guess a code counts against."""
    return ("network", "code", address), ("code", name)
