"""What all parts of the machine share: the portal that runs, the model, and browsers."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from .browser import Browser, Page, Send
from .clock import Clock
from .stored import Stored
from .things import Item, Line, Link, OneTime, Person, Session
from .world import SESSION, SKEW, World

T = TypeVar("T")

PASSWORD = "correct horse of {}"
ALL, MORE = -1, -2
"""Sizes of files: all the bytes that there is room for, and one more."""
NAMES = ("ada", "bob", "cyd")
"""The accounts at the beginning; the first is the administrator."""
_ID = re.compile(r"/[\w-]{32}(?![\w-])|[=&][\w-]{32}(?![\w-])")
_MANAGED = ("/accounts", "/invitations")
_VISITED = ("/shared/", "/requested/", "/uploads/requested/")


@dataclass(frozen=True)
class Running:
    """A portal with an empty data folder, but for the accounts.

    :param clean_up: runs the daily command.
    :param quota: of each account by itself; none: they have the portal's.
    """

    send: Send
    data: Path
    clock: Clock
    clean_up: Callable[[], None]
    quota: int | None = None

    @property
    def can_set_clock(self) -> bool:
        return type(self.clock) is Clock


@dataclass(eq=False)
class Seat:
    """A browser, and what it should be able to do.

    :param waiting: who gave the password here and has still to enter a code, until when, and what
        was known then.
    :param visitor: who it is for the portal as long as its cookie lasts.
    """

    browser: Browser
    session: Session | None = None
    waiting: tuple[Person, float, tuple[str, str]] | None = None
    visitor: object = None
    entered: dict[Link, None] = field(default_factory=dict)
    unlocked: dict[Link, object] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.browser.address

    @property
    def has_cookie(self) -> bool:
        """Whether the portal still believes its cookie."""
        return -SKEW <= self.browser.time() - self.browser.set_at <= SESSION

    def forget(self) -> None:
        """Lose the cookies, and what they are good for."""
        self.browser.cookies.clear()
        self.browser.token = ""
        self.session = self.waiting = self.visitor = None
        self.entered, self.unlocked = {}, {}


class State(RuleBasedStateMachine):
    """The portal and its model, before any rule."""

    open: ClassVar[Callable[[], AbstractContextManager[Running]]]
    done: ClassVar[Counter[str]]
    """The steps and requests of all portals."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.portal = self.stack.enter_context(type(self).open())
        self.world = World(self.portal.clock)
        self.stored = Stored(self.portal.data)
        self.stack.callback(self.stored.close)
        self.members = [self._seat(f"browser {n}", n) for n in range(4)]
        self.visitors = [self._seat(f"visitor {n}", 10 + n) for n in range(3)]
        self.known: dict[tuple[str, str], str] = {}
        self.visited: dict[tuple[str, str], None] = {}
        self.has_purged = False
        self.turn = self.tried = self.made = self.ahead = 0
        self.history: list[Line] = []
        self.handed_out: list[OneTime] = []
        self.gone: dict[int, str] = {}
        """The names of deleted accounts."""
        for name in NAMES:
            person = Person(name, PASSWORD.format(name), is_administrator=name == NAMES[0])
            person.quota = self.portal.quota
            self.join(person)
        self.seen_lines, self.seen_waiting = self.stored.last("activity"), 0

    def teardown(self) -> None:
        self.done["requests"] += sum(
            seat.browser.requests for seat in (*self.members, *self.visitors)
        )
        self.stack.close()

    def _seat(self, name: str, number: int) -> Seat:
        address = f"192.0.2.{number}" if self.portal.can_set_clock else "127.0.0.1"
        browser = Browser(name, address, self.portal.send, self.portal.clock.time)
        browser.on_page = self._note_page
        return Seat(browser)

    def _note_page(self, browser: Browser, page: Page) -> None:
        """Note the addresses that a page shows, to be tried by others."""
        for seat in self.members:
            person = self.person_at(seat) if seat.browser is browser else None
            if person and page.status == 200:
                for method, address in page.addresses:
                    if _ID.search(address) or address.startswith(_MANAGED):
                        self.known[method, address] = person.name
        for method, address in page.addresses:
            if address.startswith(_VISITED):
                self.visited[method, address] = None

    # Who and what there is

    def person_at(self, seat: Seat) -> Person | None:
        """Return who should be signed in at a browser."""
        session = seat.session
        is_valid = seat.has_cookie and self.world.is_valid(session)
        return session.person if session and is_valid else None

    def at_seats(self) -> list[tuple[Seat, Person]]:
        """Return all who are signed in, with their browsers."""
        found = ((seat, self.person_at(seat)) for seat in self.members)
        return [(seat, person) for seat, person in found if person]

    def signed_in(self) -> list[Seat]:
        return [seat for seat, _ in self.at_seats()]

    def signed_out(self) -> list[Seat]:
        return [seat for seat in self.members if not self.person_at(seat)]

    def managing(self) -> list[Seat]:
        return [seat for seat, person in self.at_seats() if person.is_administrator]

    def few(self, times: int) -> int:
        """Return how often to guess: where no time passes, nobody is closed out."""
        return times if self.portal.can_set_clock else min(times, 1)

    def somebody(self, number: int) -> tuple[Browser, Person]:
        """Return one who is signed in."""
        seat, person = pick(self.at_seats(), number)
        return seat.browser, person

    def content(self, size: int, room: int = 0) -> bytes:
        """Return bytes that no other file has.

        :param size: how many, or :data:`ALL` or :data:`MORE` than there is room for.
        """
        self.made += 1
        size = {ALL: room, MORE: room + 1}.get(size, size)
        seed = hashlib.sha256(str(self.made).encode()).hexdigest().encode()
        return (seed * (size // len(seed) + 1))[:size]

    def join(self, person: Person) -> None:
        """Take a new account into the model, with what the portal chose for it."""
        person.number = self.stored.number_of(person.name)
        self.world.people[person.name] = person
        root_id, owner, parent, *_ = self.stored.newest_entries(self.world.items, person.number)[0]
        assert (owner, parent) == (person.number, None)
        self.world.items[root_id] = Item(root_id, person.name, "", "")

    def take_in(self, folder: Item, wanted: str, content: bytes | None) -> Item:
        """Take the oldest entry that the model does not know into it, and check its name."""
        person = self.world.people[folder.owner]
        found = self.stored.newest_entries(self.world.items, person.number)
        assert found, f"{wanted!r} is not stored"
        public_id, _, parent, name = found[0]
        assert parent == folder.id, f"{name!r} is in another folder"
        assert self.world.is_right_name(folder, wanted, name, None), (wanted, name)
        item = Item(public_id, folder.owner, folder.id, name, content)
        self.world.items[item.id] = item
        return item

    def replace(self, item: Item, content: bytes) -> None:
        """Give a file other content, and take what it held into the model, as a version of it."""
        person, root = self.world.people[item.owner], self.world.root(item.owner)
        version_id, _, parent, name = self.stored.newest_entries(self.world.items, person.number)[0]
        assert (parent, name) == (root.id, item.name)
        version = Item(version_id, item.owner, root.id, name, item.content, version_id)
        version.trashed_at, version.version_of = self.world.clock.now, item.id
        self.world.items[version_id] = version
        item.content = content

    def note(
        self, action: str, actor: str, owner: str = "", *items: Item, linked: str = ""
    ) -> None:
        self.world.note(action, actor, owner, *items, linked=linked)


def pick(found: Sequence[T], number: int) -> T:
    """Return one of several, by any number."""
    return found[number % len(found)]


def some(found: Sequence[T], numbers: Sequence[int]) -> list[T]:
    """Return some of several, each once, in their order."""
    wanted = {number % len(found) for number in numbers}
    return [one for place, one in enumerate(found) if place in wanted]


def page_of(folder: Item) -> str:
    return f"/folders/{folder.id}" if folder.parent else "/"
