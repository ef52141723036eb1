"""What links to upload accept, beside what they have stored and what visitors have begun."""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import NamedTuple

from .things import Link, Upload
from .world import SKEW, World

_STALLED = 60 * 60


class Room(NamedTuple):
    """How many more files, and bytes, a link accepts."""

    files: float
    size: float

    def holds(self, size: int) -> bool:
        """Return whether one more file fits; an empty one, too, needs a byte."""
        return self.files >= 1 and self.size >= max(size, 1)


def stored(link: Link) -> Room:
    """Return what a link accepts beside what it has stored."""
    return _beside(link, ())


def now(world: World, link: Link) -> Room:
    """Return what a link accepts beside what visitors are sending."""
    begun = [one for one in _begun(world, link) if not _is_stalled(world, one)]
    return _beside(link, begun)


def make(world: World, link: Link, size: int) -> None:
    """Give up stalled uploads until one more file fits beside all that was begun."""
    stalled = [one for one in _begun(world, link) if _is_stalled(world, one)]
    for one in sorted(stalled, key=lambda one: one.used_at):
        if _beside(link, _begun(world, link)).holds(size):
            break
        del world.uploads[one.id]


def _beside(link: Link, begun: Collection[Upload]) -> Room:
    files = inf if link.limit is None else link.limit - link.used
    size = inf if link.size_limit is None else link.size_limit - link.size
    # What no longer fits at all holds nothing.
    held = [len(one.content) for one in begun if len(one.content) <= size]
    return Room(max(files - len(held), 0), max(size - sum(held), 0))


def _begun(world: World, link: Link) -> list[Upload]:
    return [one for one in world.uploads.values() if one.link is link]


def _is_stalled(world: World, upload: Upload) -> bool:
    return not -SKEW <= world.clock.now - upload.used_at <= _STALLED
