"""Steps: uploads by links, by a form and in pieces, and what their owners do with these."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from . import room
from .browser import Page
from .files import NAMES, SENT, SIZES
from .pieces import FIRST, INSIDE
from .sessions import NUMBER
from .sharing import Sharing
from .state import Seat, pick
from .things import Link, Person, Upload

BEGUN = st.tuples(NAMES, SIZES, FIRST)
"""A file, and how many bytes of it come with its announcement."""
_SHOWN = 3
"""Unfinished uploads on the page of a link."""


class ByLink(Sharing):
    """Visitors who send files."""

    @precondition(lambda self: any(seat.entered for seat in self.visitors))
    @rule(
        at=NUMBER,
        which=NUMBER,
        files=st.lists(st.tuples(st.sampled_from(list(SENT)), SIZES), min_size=1, max_size=2),
    )
    def send(self, at: int, which: int, files: list[tuple[str, int]]) -> None:
        """Upload by a link."""
        seat, link = self.entered_at(at, which)
        if link.kind != "request" or self.world.status(link) != "open":
            return
        form = seat.browser.get(f"/requested/{link.id}").form("/uploads/requested/.*")
        left = room.now(self.world, link)
        most = int(min(self.world.free(link.owner), left.size))
        sent = [(name, self.content(size, most)) for name, size in files]
        page = seat.browser.submit(form, sent)
        assert page.is_redirect
        seat.browser.follow(page)  # until its message is read, the page can be seen
        size = sum(len(content) for _, content in sent)
        if size > most or len(sent) > left.files or not left.holds(0):
            return
        folder = self.world.items[link.item]
        for name, content in sent:
            if not room.now(self.world, link).holds(len(content)):
                return  # an empty file after what has taken all the room
            room.make(self.world, link, len(content))
            item = self.take_in(folder, SENT[name], content)
            link.used += 1
            link.senders.append(seat.visitor)
            link.size += len(content)
            self.note("upload", "", link.owner, item, linked=link.item)

    @precondition(lambda self: self.requests())
    @rule(
        which=NUMBER,
        files=st.lists(BEGUN, min_size=1, max_size=3),
        inside=INSIDE,
    )
    def begin_by_link(self, which: int, files: list[tuple[str, int, int]], inside: str) -> None:
        """Begin uploads by one link, each by another of those who have opened it."""
        link = pick(self.requests()[::-1], which)
        seats = [seat for seat in self.visitors if link in seat.entered]
        for number, (name, size, piece) in enumerate(files):
            seat, folder = pick(seats, which + number), self.world.items[link.item]
            most = min(self.world.free(link.owner), room.now(self.world, link).size)
            content = self.content(size, int(most))
            upload = self.announced(folder, name, content, inside, request=link.id)
            upload.link, upload.visitor = link, seat.visitor
            self.begin_as(seat, upload, piece)

    def requests(self) -> list[Link]:
        """Return the links to upload that are there and that visitors have opened."""
        entered = {link for seat in self.visitors for link in seat.entered}
        return [one for one in self.world.links if one in entered and one.kind == "request"]

    @precondition(lambda self: self.turn % 4 == 3)
    @rule(at=NUMBER)
    def lose_cookie(self, at: int) -> None:
        """Clear a visitor's cookies: who opens a link then is somebody else."""
        pick(self.visitors, at).forget()

    @precondition(lambda self: self.signed_in() and self.world.uploads)
    @rule(which=NUMBER, is_all=st.sampled_from([False, False, True]))
    def cancel_listed(self, which: int, is_all: bool) -> None:
        """Cancel some of one's unfinished uploads on their page, visitors' among them."""
        owners = {one.owner for one in self.world.uploads.values()}
        seats = [(seat, person) for seat, person in self.at_seats() if person.name in owners]
        if not seats:
            return
        seat, person = pick(seats, which)
        listed = self.listed(person)
        page = seat.browser.get("/unfinished")
        for upload in listed if is_all else listed[:1]:
            self.world.cancel(upload)
        if listed:
            address = "/unfinished/cancel" if is_all else f"/unfinished/{listed[0]}/cancel"
            seat.browser.submit(page.form(address))

    def listed(self, person: Person) -> list[str]:
        """Return the ids of somebody's unfinished uploads, the latest first."""
        mine = [one for one in self.world.uploads.values() if one.owner == person.name]
        return self._latest_first(mine)

    def _latest_first(self, uploads: list[Upload]) -> list[str]:
        """Return the ids of the uploads that have not expired."""
        listed = [one for one in uploads if not self.world.is_expired(one)]
        return [one.id for one in sorted(listed, key=lambda one: one.used_at)][::-1]

    def compare_unfinished(self, seat: Seat, person: Person) -> None:
        page = seat.browser.get("/unfinished")
        assert re.findall(r"/unfinished/([\w-]{32})/cancel", page.text) == self.listed(person)

    def compare_request(self, seat: Seat, link: Link, page: Page) -> None:
        """Compare the page of a link to upload that a visitor may look at."""
        forms = [one for one in page.forms if one.actions[0].startswith("/uploads/requested/")]
        assert len(forms) == (self.world.status(link) == "open")
        if not forms:
            return
        left = room.now(self.world, link)
        is_full = "All that this link accepts has been sent or is being sent." in page.text
        assert is_full == (not left.holds(0))
        if not is_full and link.limit is not None:
            assert f"This link accepts {left.files} more file" in page.text
        begun = [one for one in self.world.uploads.values() if one.link is link]
        mine = self._latest_first([one for one in begun if seat in self.senders(one)])
        assert re.findall(r'data-upload="([\w-]{32})"', page.text) == mine[:_SHOWN]
