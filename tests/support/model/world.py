"""What should be so: accounts, sessions, files, links and the record, in plain objects.

Nothing here knows the portal's code. What the portal chooses itself, such as ids, is told to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from .attempts import Attempts
from .clock import Clock
from .things import Item, Line, Link, OneTime, Person, Session, Upload

HOUR = 60 * 60
DAY = 24 * HOUR
SKEW = 2 * 60
SESSION = 12 * 60 * 60
WAITS = 5 * 60
QUOTA = 4000
TRASH_DAYS = 2
UPLOAD_DAYS = 3
_WRONG_DAYS = 2
"""So many later days may a wrong clock have seen."""


class World:
    """All that should be."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.people: dict[str, Person] = {}
        self.sessions: list[Session] = []
        self.items: dict[str, Item] = {}
        self.uploads: dict[str, Upload] = {}
        """Those that are not finished."""
        self.finished: dict[str, Upload] = {}
        self.cancelled: list[Upload] = []
        self.links: list[Link] = []
        self.one_time: list[OneTime] = []
        self.record: list[Line] = []
        self.days: set[int] = set()
        self.attempts = Attempts(clock)

    # Time

    def see_day(self) -> None:
        self.days.add(int(self.clock.now // DAY))

    def is_old(self, moment: float, days: int) -> bool:
        """Return whether so many days have passed, and the portal has seen as many begin."""
        today = self.clock.now // DAY
        seen = sum(moment < day * DAY and day <= today for day in self.days)
        return seen >= days and moment < self.clock.now - days * DAY

    def corrected(self, moment: float) -> float:
        """Return a moment, or now where a wrong clock noted one that is still to come."""
        later = sum(day > self.clock.now // DAY for day in self.days)
        is_wrong = later <= _WRONG_DAYS and moment > self.clock.now + SKEW
        return self.clock.now if is_wrong else moment

    # People

    def is_valid(self, session: Session | None) -> bool:
        if session is None or session not in self.sessions or not session.person.is_active:
            return False
        return self.is_current(session)

    def is_current(self, session: Session) -> bool:
        return -SKEW <= self.clock.now - session.began <= SESSION

    def end_sessions(self, person: Person) -> None:
        self.sessions = [one for one in self.sessions if one.person is not person]

    def forget_sessions(self) -> None:
        """Forget the sessions that have expired, and those that a wrong clock began."""
        self.sessions = [one for one in self.sessions if self.is_current(one)]

    def administrators(self) -> list[Person]:
        return [one for one in self.people.values() if one.is_administrator and one.is_active]

    def works(self, link: OneTime) -> bool:
        if link not in self.one_time or (link.person and not link.person.is_active):
            return False
        return link.expires > self.clock.now > link.made - SKEW

    def remove(self, person: Person) -> None:
        """Delete an account and all that is its own."""
        del self.people[person.name]
        self.end_sessions(person)
        self.one_time = [one for one in self.one_time if one.person is not person]
        self.forget([one for one in self.items.values() if one.owner == person.name])

    # Files

    def root(self, owner: str) -> Item:
        return next(one for one in self.items.values() if one.owner == owner and not one.parent)

    def inside(self, folder: Item) -> list[Item]:
        """Return what a folder shows."""
        return [one for one in self.items.values() if one.parent == folder.id and not one.trashed]

    def below(self, item: Item) -> Iterator[Item]:
        """Yield an item, and all that lies in it."""
        yield item
        for one in self.inside(item):
            yield from self.below(one)

    def of(self, owner: str) -> list[Item]:
        """Return all that an account has outside the trash, but for the root folder."""
        mine = self.items.values()
        return [one for one in mine if one.owner == owner and one.parent and not one.trashed]

    def folders(self, owner: str) -> list[Item]:
        return [self.root(owner), *(one for one in self.of(owner) if not one.is_file)]

    def trash(self, owner: str) -> list[Item]:
        """Return what an account put into the trash, without what lay in it."""
        mine: Iterable[Item] = self.items.values()
        mine = [one for one in mine if one.owner == owner and not one.version_of]
        return [one for one in mine if one.trashed == one.id]

    def versions(self, owner: str) -> list[Item]:
        """Return what an account's files held before, but for files in the trash."""
        found = [one for one in self.items.values() if one.owner == owner and one.version_of]
        return [one for one in found if not self.items[one.version_of].trashed]

    def replaced(self, folder: Item, name: str) -> Item | None:
        """Return the file that an upload of that name would replace."""
        here = (one for one in self.inside(folder) if one.is_file)
        return next((one for one in here if key(one.name) == key(name)), None)

    def with_it(self, top: Item) -> list[Item]:
        return [one for one in self.items.values() if one.trashed == top.id]

    def is_taken(self, folder: Item, name: str, by: Item | None = None) -> bool:
        return any(key(one.name) == key(name) and one is not by for one in self.inside(folder))

    def is_right_name(self, folder: Item, wanted: str, given: str, item: Item | None) -> bool:
        """Return whether a name is what is wanted or, where that is taken, the next number."""
        if not self.is_taken(folder, wanted, item):
            return given == wanted
        base, first = unnumbered(wanted)
        for number in range(first + 1, 1000):
            if given == numbered(base, number):
                before = wanted if number == first + 1 else numbered(base, number - 1)
                return self.is_taken(folder, before, item) and not self.is_taken(
                    folder, given, item
                )
        return False

    def put_into_trash(self, top: Item) -> None:
        for one in list(self.below(top)):
            one.trashed, one.trashed_at = top.id, self.clock.now

    def home(self, top: Item) -> Item:
        """Return where an item is restored to."""
        found = self.items.get(top.parent)
        return self.root(top.owner) if found is None or found.trashed else found

    def forget(self, gone: Sequence[Item]) -> None:
        """Delete items permanently, and what cannot be without them."""
        ids = {one.id for one in gone}
        ids |= {one.id for one in self.items.values() if one.version_of in ids}
        for one in self.items.values():
            if one.parent in ids and one.id not in ids:
                one.parent = self.root(one.owner).id
        self.items = {one.id: one for one in self.items.values() if one.id not in ids}
        self.links = [one for one in self.links if one.item not in ids]
        for link in self.links:
            link.begun = {one: at for one, at in link.begun.items() if one[1] not in ids}
        for uploads in (self.uploads, self.finished):
            for lost in [upload for upload in uploads.values() if upload.folder in ids]:
                del uploads[lost.id]

    # Room

    def quota(self, owner: str) -> int:
        own = self.people[owner].quota
        return QUOTA if own is None else own

    def used(self, owner: str) -> int:
        return sum(one.size for one in self.items.values() if one.owner == owner)

    def waiting(self, owner: str) -> int:
        """Return the bytes that unfinished uploads need: a visitor's, what has arrived."""
        return sum(
            one.arrived if one.link else len(one.content)
            for one in self.uploads.values()
            if one.owner == owner and not self.is_expired(one)
        )

    def is_expired(self, upload: Upload) -> bool:
        return upload.used_at + UPLOAD_DAYS * DAY < self.clock.now

    def is_gone(self, upload: Upload) -> bool:
        """Return whether an upload that is asked for has expired, by the days that were seen."""
        if self.is_expired(upload):
            self.see_day()
        return self.is_old(upload.used_at, UPLOAD_DAYS)

    def cancel(self, upload_id: str) -> None:
        upload = self.uploads.pop(upload_id)
        upload.used_at = self.clock.now
        self.cancelled.append(upload)

    def is_cancelled(self, upload: Upload) -> bool:
        """Return whether who would begin an upload has cancelled the same one."""
        same = (one for one in self.cancelled if one.said == upload.said)
        return any(one.visitor is upload.visitor for one in same)

    def free(self, owner: str) -> int:
        """Return how many bytes more an upload may have that begins now."""
        return max(self.quota(owner) - self.used(owner) - self.waiting(owner), 0)

    def has_room(self, owner: str, size: int) -> bool:
        """Return whether there is still room for an upload that has begun."""
        return size <= max(self.quota(owner) - self.used(owner), 0)

    # Links

    def status(self, link: Link) -> str:
        if link not in self.links:
            return "unknown"
        item = self.items[link.item]
        if link.is_revoked:
            return "revoked"
        if item.trashed or not self.people[link.owner].is_active:
            return "gone"
        if link.expires is not None and link.expires <= self.clock.now:
            return "expired"
        full = link.limit is not None and link.used >= link.limit
        full |= link.size_limit is not None and link.size >= link.size_limit
        return "used up" if full else "open"

    def has_begun(self, link: Link, visitor: object, item: Item | None = None) -> bool:
        """Return whether a visitor's download was counted recently, of one item or of any."""
        return any(
            who is visitor and (item is None or item_id == item.id)
            for (who, item_id), at in link.begun.items()
            if self.clock.now - SESSION <= at <= self.clock.now + SKEW
        )

    def is_shared(self, link: Link, item: Item) -> bool:
        """Return whether an item lies in what a link leads to."""
        return any(one is item for one in self.below(self.items[link.item]))

    # The record

    def note(
        self, action: str, actor: str, owner: str = "", *items: Item, linked: str = ""
    ) -> None:
        names = [one.name for one in items] if items else [""]
        self.record += [(action, actor, owner, name, linked) for name in names]


def key(name: str) -> str:
    """Return one key for names that count as the same."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def unnumbered(name: str) -> tuple[str, int]:
    """Return a name without its number, and the number: ``a.txt`` and 2 of ``a (2).txt``."""
    found = re.fullmatch(r"(.+) \((\d+)\)(\.[^.]*)?", name)
    return (found[1] + (found[3] or ""), int(found[2])) if found else (name, 1)


def numbered(name: str, number: int) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem} ({number}).{extension}" if dot and stem else f"{name} ({number})"
