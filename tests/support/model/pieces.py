"""Steps: uploads in pieces, by tus."""

from __future__ import annotations

import base64

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .browser import Browser, Page
from .files import NAMES, SENT, SIZES, Files
from .sessions import NUMBER
from .state import pick
from .things import Item, Person, Upload
from .world import key

_TUS = "1.0.0"


class Pieces(Files):
    """People with their unfinished uploads."""

    @precondition(lambda self: self.signed_in())
    @rule(
        who=NUMBER,
        where=NUMBER,
        name=NAMES,
        size=SIZES,
        inside=st.sampled_from(["", "", "new", "new/newer"]),
        piece=st.sampled_from([0, 0, 50]),
    )
    def begin_upload(
        self, who: int, where: int, name: str, size: int, inside: str, piece: int
    ) -> None:
        browser, person = self.somebody(who)
        folder, free = self._folder(person, where), self.world.free(person.name)
        content = self.content(size, free)
        said = {"filename": name, "folder": folder.id}
        said |= {"relativePath": f"{inside}/file"} if inside else {}
        written = ",".join(f"{one} {_encoded(value)}" for one, value in said.items())
        headers = {"Upload_Length": str(len(content)), "Upload_Metadata": written}
        first = content[:piece]
        page = self._send_piece(browser, "POST", "/uploads/", first, **headers)
        if len(content) > free:
            assert page.status == 413
            return
        assert page.status == 201
        upload_id = page.headers["location"].rpartition("/")[2]
        upload = Upload(
            upload_id, person.name, folder.id, SENT[name], content, len(first), self.world.clock.now
        )
        upload.path = inside.split("/") if inside else []
        self.world.uploads[upload.id] = upload
        for method in ("GET", "PATCH", "DELETE"):
            self.known[method, f"/uploads/{upload.id}"] = person.name
        if first or not content:
            self._finish(person, upload)

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

    @precondition(lambda self: self.signed_in() and self.world.uploads)
    @rule(
        which=NUMBER,
        how=st.sampled_from(["rest", "rest", "part", "part", "nothing", "elsewhere", "too much"]),
    )
    def send_piece(self, which: int, how: str) -> None:
        found = self._upload(which)
        if not found:
            return
        browser, person, upload = found
        left = upload.content[upload.arrived :]
        pieces = {"part": left[: len(left) // 2], "nothing": b"", "too much": left + b"more"}
        piece = pieces.get(how, left)
        start = upload.arrived + (how == "elsewhere")
        address, offset = f"/uploads/{upload.id}", str(start)
        page = self._send_piece(browser, "PATCH", address, piece, Upload_Offset=offset)
        if not self._is_there(upload):
            assert page.status == self._refusal(upload)
        elif how == "elsewhere":
            assert page.status == 409
        elif how == "too much" or not self.world.has_room(person.name, len(upload.content)):
            assert page.status == 413
        else:
            assert page.status == 204
            upload.arrived += len(piece)
            upload.used_at = self.world.clock.now
            self._finish(person, upload)

    @precondition(lambda self: self.signed_in() and self.world.uploads)
    @rule(which=NUMBER, is_cancelled=st.sampled_from([False, False, True]))
    def ask_for_upload(self, which: int, is_cancelled: bool) -> None:
        """Ask how much has arrived of an upload, and cancel it."""
        found = self._upload(which)
        if not found:
            return
        browser, _, upload = found
        address = f"/uploads/{upload.id}"
        page = browser.ask("HEAD", address, Tus_Resumable=_TUS)
        is_there = self._is_there(upload)
        assert page.status == (200 if is_there else self._refusal(upload))
        if is_there:
            assert page.headers["upload-offset"] == str(upload.arrived)
        if is_cancelled:
            page = self._send_piece(browser, "DELETE", address, b"")
            is_mine = not self.world.is_gone(upload)  # in whatever folder
            assert page.status == (204 if is_mine else 404)
            if is_mine:
                del self.world.uploads[upload.id]

    def _upload(self, number: int) -> tuple[Browser, Person, Upload] | None:
        """Return an upload of somebody who is signed in."""
        people = {person.name: seat.browser for seat, person in self.at_seats()}
        found = [one for one in self.world.uploads.values() if one.owner in people]
        if not found:
            return None
        upload = pick(found, number)
        return people[upload.owner], self.world.people[upload.owner], upload

    def _is_there(self, upload: Upload) -> bool:
        return not self.world.is_gone(upload) and not self.world.items[upload.folder].trashed

    def _refusal(self, upload: Upload) -> int:
        return 404 if self.world.is_expired(upload) else 403

    def _send_piece(
        self, browser: Browser, method: str, address: str, piece: bytes, **headers: str
    ) -> Page:
        if piece or method == "PATCH":
            headers["Content_Type"] = "application/offset+octet-stream"
        headers |= {"Tus_Resumable": _TUS, "X_CSRFToken": browser.token or browser.get("/").token}
        return browser.ask(method, address, piece, **headers)

    def _finish(self, person: Person, upload: Upload) -> None:
        if upload.arrived == len(upload.content):
            folder = self.world.items[upload.folder]
            for part in upload.path:  # created now, and not before
                folder = self._subfolder(folder, part)
            item = self.take_in(folder, upload.name, upload.content)
            del self.world.uploads[upload.id]
            self.note("upload", person.name, person.name, item)


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
