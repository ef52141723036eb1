"""Steps: uploads in pieces, by tus, of people and of visitors."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from . import room
from .browser import Page
from .files import NAMES, SENT, SIZES, Files
from .sessions import NUMBER
from .state import Seat, pick
from .things import Item, Upload
from .world import key

_TUS = "1.0.0"
INSIDE = st.sampled_from(["", "", "new", "new/newer"])
FIRST = st.sampled_from([0, 0, 50, 9999])
_HOW = ["rest", "rest", "part", "part", "nothing", "elsewhere", "too much", "damaged"]


class Pieces(Files):
    """People with their unfinished uploads; and what a visitor's have in common with them."""

    @precondition(lambda self: self.signed_in())
    @rule(
        who=NUMBER,
        where=NUMBER,
        name=NAMES,
        size=SIZES,
        inside=INSIDE,
        piece=FIRST,
        replaces=st.booleans(),
    )
    def begin_upload(
        self,
        who: int,
        where: int,
        name: str,
        size: int,
        inside: str,
        piece: int,
        replaces: bool = False,
    ) -> None:
        seat, person = pick(self.at_seats(), who)
        folder, free = self._folder(person, where), self.world.free(person.name)
        said = {"folder": folder.id} | ({"replace": "yes"} if replaces else {})
        upload = self.announced(folder, name, self.content(size, free), inside, **said)
        self.begin_as(seat, upload, piece)

    def announced(
        self, folder: Item, name: str, content: bytes, inside: str, /, **where: str
    ) -> Upload:
        """Return an upload that has not begun, with what a client says of it."""
        self.made += 1
        said = {"filename": name, "nonce": str(self.made)} | where
        said |= {"relativePath": f"{inside}/file"} if inside else {}
        written = ",".join(f"{one} {_encoded(value)}" for one, value in said.items())
        path = inside.split("/") if inside else []
        name = SENT[name]
        upload = Upload("", folder.owner, folder.id, name, content, 0, written, path)
        upload.replaces = "replace" in where
        return upload

    def begin_as(self, seat: Seat, upload: Upload, piece: int) -> None:
        """Begin an upload, with its first piece if there is to be one."""
        size, first = len(upload.content), upload.content[:piece]
        page = self._announce(seat, upload, first)
        if refused := self._refuses_target(upload):
            assert page.status == refused
            return
        if self.world.is_cancelled(upload):  # whether or not there is room
            assert page.status == 404
            return
        fits = upload.link is None or room.now(self.world, upload.link).holds(size)
        if not fits or size > self.world.free(upload.owner):
            assert page.status == 413
            return
        if upload.link:
            room.make(self.world, upload.link, size)
        assert page.status == 201
        upload.id = page.headers["location"].rpartition("/")[2]
        upload.used_at = self.world.clock.now
        assert upload.id not in self.world.uploads | self.world.finished
        self.world.uploads[upload.id] = upload
        for method in ("GET", "PATCH", "DELETE") if upload.link is None else ():
            self.known[method, f"/uploads/{upload.id}"] = upload.owner
        self._add(upload, len(first))

    def _announce(self, seat: Seat, upload: Upload, first: bytes) -> Page:
        headers = {"Upload_Length": str(len(upload.content)), "Upload_Metadata": upload.said}
        return self._send_piece(seat, "POST", "/uploads/", first, **headers)

    def _refuses_target(self, upload: Upload) -> int:
        """Return the status for who would begin an upload where it goes; 0 if it may begin."""
        if upload.link:
            status = self.world.status(upload.link)
            return {"unknown": 404, "open": 0, "used up": 0}.get(status, 410)
        return 403 if self.world.items[upload.folder].trashed else 0

    @precondition(lambda self: self.world.uploads or self.world.finished or self.world.cancelled)
    @rule(which=NUMBER, piece=FIRST, is_other=st.booleans())
    def repeat_upload(self, which: int, piece: int, is_other: bool) -> None:
        """Begin an upload again, as who missed the answer does; or as another visitor."""
        world = self.world
        known = [*world.uploads.values(), *world.finished.values()]
        begun = [one for one in [*known, *world.cancelled] if one.folder in world.items][::-1]
        found = [one for one in begun if self.senders(one) and not world.is_expired(one)]
        if not found:
            return
        upload = pick(found, which)
        same = {one.visitor for one in [*known, upload] if one.said == upload.said}
        others = [seat for seat in self.visitors if upload.link in seat.entered]
        others = [seat for seat in others if seat.visitor not in same]
        if is_other and others:
            seat = pick(others, which)
            self.begin_as(seat, replace(upload, visitor=seat.visitor, arrived=0, given=""), piece)
            return
        seat, first = self.senders(upload)[0], upload.content[:piece]
        if upload in world.cancelled:
            self.begin_as(seat, replace(upload, arrived=0), piece)
            return
        page = self._announce(seat, upload, first)
        if refused := self._refuses_target(upload):
            assert page.status == refused
        elif first and not upload.arrived and not self._has_room(upload, len(first)):
            assert page.status == 413
        else:
            assert page.status == 201
            assert page.headers["location"].endswith(f"/uploads/{upload.id}")
            self._add(upload, 0 if upload.arrived else len(first))
            is_told = bool(first or upload.given)
            assert page.headers.get("upload-offset") == (str(upload.arrived) if is_told else None)

    @precondition(lambda self: self.world.uploads)
    @rule(which=NUMBER, how=st.lists(st.sampled_from(_HOW), min_size=1, max_size=3))
    def send_pieces(self, which: int, how: list[str]) -> None:
        """Send some, each of another upload if there are as many."""
        for number, one in enumerate(how):
            if found := self._upload(which + number):
                self._send(*found, one)

    def _send(self, seat: Seat, upload: Upload, how: str) -> None:
        left = upload.content[upload.arrived :]
        pieces = {"part": left[: len(left) // 2], "nothing": b"", "too much": left + b"more"}
        piece = pieces.get(how, left)
        headers = {"Upload_Offset": str(upload.arrived + (how == "elsewhere"))}
        if how == "damaged":
            headers["Upload_Checksum"] = f"sha256 {_encoded(hashlib.sha256(b'other').digest())}"
        page = self._send_piece(seat, "PATCH", f"/uploads/{upload.id}", piece, **headers)
        if refused := self._refuses(upload):
            assert page.status == refused
        elif how == "elsewhere":
            assert page.status == 409
        elif how == "too much" or not self._has_room(upload, len(piece)):
            assert page.status == 413
        elif how == "damaged":
            assert page.status == 460
        else:
            assert page.status == 204
            self._add(upload, len(piece))

    @precondition(lambda self: self.world.uploads)
    @rule(which=NUMBER, is_cancelled=st.sampled_from([False, False, True]))
    def ask_for_upload(self, which: int, is_cancelled: bool) -> None:
        """Ask how much has arrived of an upload, and cancel it."""
        found = self._upload(which)
        if not found:
            return
        seat, upload = found
        address = f"/uploads/{upload.id}"
        page = seat.browser.ask("HEAD", address, Tus_Resumable=_TUS)
        refused = self._refuses(upload)
        assert page.status == (refused or 200)
        if not refused:
            assert page.headers["upload-offset"] == str(upload.arrived)
        if is_cancelled:
            page = self._send_piece(seat, "DELETE", address, b"")
            is_mine = not self.world.is_gone(upload)  # in whatever folder, by whatever link
            assert page.status == (204 if is_mine else 404)
            if is_mine:
                self.world.cancel(upload.id)

    def _upload(self, number: int) -> tuple[Seat, Upload] | None:
        """Return an unfinished upload with a browser that may go on with it."""
        found = [one for one in self.world.uploads.values() if self.senders(one)][::-1]
        return (self.senders(pick(found, number))[0], pick(found, number)) if found else None

    def senders(self, upload: Upload) -> list[Seat]:
        """Return the browsers of who sends an upload."""
        if upload.link is None:
            return [seat for seat, person in self.at_seats() if person.name == upload.owner]
        entered = [seat for seat in self.visitors if upload.link in seat.entered]
        return [seat for seat in entered if seat.visitor is upload.visitor]

    def _refuses(self, upload: Upload) -> int:
        """Return the status for who would go on with an upload; 0 if they may."""
        return 404 if self.world.is_gone(upload) else self._refuses_target(upload)

    def _has_room(self, upload: Upload, piece: int) -> bool:
        """Return whether there is still room for an upload that has begun, and for a piece."""
        size = len(upload.content)
        if upload.link:
            is_held = room.stored(upload.link).holds(size)
            if not is_held or piece > self.world.free(upload.owner):
                return False
        return self.world.has_room(upload.owner, size)

    def _send_piece(
        self, seat: Seat, method: str, address: str, piece: bytes, **headers: str
    ) -> Page:
        if piece or method == "PATCH":
            headers["Content_Type"] = "application/offset+octet-stream"
        token = seat.browser.token or seat.browser.get("/").token
        headers |= {"Tus_Resumable": _TUS, "X_CSRFToken": token}
        return seat.browser.ask(method, address, piece, **headers)

    def _add(self, upload: Upload, piece: int) -> None:
        """Note that a piece has arrived; after the last one, the file is there."""
        upload.arrived += piece
        if piece:
            upload.used_at = self.world.clock.now
        if upload.arrived < len(upload.content) or upload.given:
            return
        folder = self.world.items[upload.folder]
        for part in upload.path:  # created now, and not before
            folder = self._subfolder(folder, part)
        if upload.link:
            item = self.take_in(folder, upload.name, upload.content)
        else:
            by, how = upload.owner, upload.replaces
            item = self.place(folder, upload.name, upload.content, by, replaces=how)
        upload.given, upload.used_at = item.name, self.world.clock.now
        self.world.finished[upload.id] = self.world.uploads.pop(upload.id)
        if link := upload.link:
            link.used += 1
            link.size += item.size
            self.note("upload", "", link.owner, item, linked=link.item)

    def _subfolder(self, folder: Item, wanted: str) -> Item:
        """Return the folder of a name; it is new unless it was there."""
        here = self.world.inside(folder)
        for one in here:
            if key(one.name) == key(wanted) and not one.is_file:
                return one
        number = 2
        while any(one.is_file and key(one.name) == key(wanted) for one in here):
            wanted = f"{wanted.partition(' (')[0]} ({number})"
            number += 1
            for one in here:
                if key(one.name) == key(wanted) and not one.is_file:
                    return one
        return self.take_in(folder, wanted, None)


def _encoded(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
