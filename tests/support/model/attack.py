"""Trying to have what is somebody else's, or not there any more."""

from __future__ import annotations

from .browser import Form, Page
from .clocks import Clocks
from .state import Seat, pick, some
from .things import Item, Link, Upload

_TUS = ("GET", "PATCH", "DELETE")


class Attack(Clocks):
    """What nobody else gets."""

    def try_known(self, method: str, address: str, owner: str) -> None:
        """Try an address of somebody's in some browsers where nobody may have it."""
        for seat in self._some_seats():
            person = self.person_at(seat)
            is_managed = address.startswith(("/accounts", "/invitations"))
            if person and (person.name == owner or (is_managed and person.is_administrator)):
                continue
            page = self._try(seat, method, address)
            uploads = self.world.uploads | self.world.finished
            if upload := uploads.get(address.rpartition("/")[2]):
                self.world.is_gone(upload)
            if address.startswith("/uploads/") and "/folders/" not in address:
                # Who has entered a link hears of what is not there that it is gone. The portal
                # remembers a finished upload for a while, which the model does not.
                assert page.status == 404 if person else page.status == 401 or seat.entered
                assert page.status in {401, 404}
            elif person is None:
                assert page.is_redirect
                assert page.target.startswith("/sign-in")
                seat.browser.follow(page)  # with a message, a link that is used up can be seen
            else:
                assert page.status == (403 if is_managed else 404), (method, address)

    def try_upload(self, upload: Upload) -> None:
        """Try to have somebody's upload in some browsers that may not."""
        for seat in self._some_seats():
            person, method = self.person_at(seat), pick(_TUS, self.tried)
            is_owner = person is not None and person.name == upload.owner
            if seat in self.senders(upload) or (is_owner and (upload.given or method == "DELETE")):
                continue
            page = self._try(seat, method, f"/uploads/{upload.id}")
            hears = seat.entered if self.world.is_gone(upload) else upload.link in seat.entered
            assert page.status == (404 if person or hears else 401)

    def _some_seats(self) -> list[Seat]:
        self.tried += 1
        return [pick(self.members, self.tried), pick(self.visitors, self.tried)]

    def try_selected(self, item: Item) -> None:
        """Try to do something with a file or folder that is not theirs, or not there."""
        for seat, person in self.at_seats():
            if person.name != item.owner or item.trashed:
                action = pick(["trash", "move", "zip"], self.turn)
                token = self._token(seat)
                body = f"csrf_token={token}&entry={item.id}".encode()
                kind = "application/x-www-form-urlencoded"
                page = seat.browser.ask("POST", f"/selection/{action}", body, Content_Type=kind)
                assert page.status == 404, (action, page.text)

    def try_visited(self, method: str, address: str) -> None:
        """Try an address of a link's in some browsers that may not have it."""
        for seat in self._some_seats():
            link = next((one for one in seat.entered if f"/{one.id}" in address), None)
            if self._is_shut(seat, link):
                page = seat.browser.follow(self._try(seat, method, address))
                assert page.status in {404, 410}, (method, address)

    def _is_shut(self, seat: Seat, link: Link | None) -> bool:
        return link is None or not self.may_look(seat, link)

    def try_outside(self, seat: Seat) -> None:
        """Try to have files and folders by links that do not lead to them, or not any more."""
        entered = list(seat.entered)
        for link in some(entered, [self.tried, self.turn]) if entered else []:
            if link.kind == "share":
                is_there = link in self.world.links and self.is_unlocked(seat, link)
                near = [one for one in self.world.items.values() if one.owner == link.owner]
                hidden = [one for one in near if not (is_there and self.world.is_shared(link, one))]
                had = [one for one in hidden if (seat.visitor, one.id) in link.begun]
                for group in (hidden, [one for one in hidden if one.trashed], had):
                    if group:
                        self._try_by(seat, link, pick(group, self.tried))

    def try_ended(self, seat: Seat) -> None:
        """Try to download and upload by links that allow it no more."""
        for link in seat.entered:
            if link not in self.world.links or self.world.status(link) == "open":
                continue
            if link.kind == "request" and not self.may_look(seat, link):
                form = Form("post", [f"/uploads/requested/{link.id}"], is_multipart=True)
                form.fields.append(("csrf_token", self._token(seat)))
                assert seat.browser.submit(form, [("late.txt", b"late")]).status == 410
            elif link.kind == "share":
                self._try_ended_share(seat, link)

    def _try_ended_share(self, seat: Seat, link: Link) -> None:
        """Try to download by a share, and to go on with what was begun before it ended."""
        below = list(self.world.below(self.world.items[link.item]))
        begun = [one for one in below if self.world.has_begun(link, seat.visitor, one)]
        may_go_on = self.world.status(link) == "used up"
        for item in (pick(below, self.turn), *begun):
            if not (may_go_on and item in begun):
                kind = f"files/{item.id}" if item.is_file else f"folders/{item.id}/zip"
                page = self._try(seat, "POST", f"/shared/{link.id}/{kind}")
                self._expect_refusal(seat, link, page)
                if item.is_file:
                    page = self._try(seat, "GET", f"/shared/{link.id}/{kind}")
                    assert page.status in {404, 410} or page.target == f"/shared/{link.id}"

    def _try_by(self, seat: Seat, link: Link, item: Item) -> None:
        self.tried += 1
        for method, kind in (("GET", "files"), ("POST", "files"), ("GET", "folders")):
            page = self._try(seat, method, f"/shared/{link.id}/{kind}/{item.id}")
            self._expect_refusal(seat, link, page)

    def _expect_refusal(self, seat: Seat, link: Link, page: Page) -> None:
        """Check that a page is an error, or for a locked link leads to where it is unlocked."""
        if page.is_redirect:
            assert not self.is_unlocked(seat, link)
            assert page.target == f"/shared/{link.id}"
        else:
            assert page.status in {404, 410}

    def _try(self, seat: Seat, method: str, address: str) -> Page:
        token = self._token(seat) if method != "GET" else ""
        headers = {"Tus_Resumable": "1.0.0"} if address.startswith("/uploads/") else {}
        if method == "PATCH":
            headers |= {"Upload_Offset": "0", "X_CSRFToken": token}
        elif method == "DELETE":
            headers |= {"X_CSRFToken": token}
        elif method == "POST":
            headers = {"Content_Type": "application/x-www-form-urlencoded"}
            return seat.browser.ask(method, address, f"csrf_token={token}".encode(), **headers)
        return seat.browser.ask(method, address, **headers)

    def _token(self, seat: Seat) -> str:
        browser = seat.browser
        return browser.token or browser.get("/" if self.person_at(seat) else "/sign-in").token
