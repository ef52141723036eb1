"""A person who uploads, moves and deletes over HTTP, and notes what was acknowledged."""

from __future__ import annotations

import base64
import html
import http.client
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from werkzeug.datastructures import Headers

from .journal import Change, File, MaybeState, Piecemeal, State, content_of

_NUMBER = re.compile(r"([a-z]+-\d{6})\b")
_FORM = "application/x-www-form-urlencoded"
_BOUNDARY = "boundary-of-a-person"
_LISTED = re.compile(r'href="/files/([^"/]+)[^"]*"[^>]*><bdi[^>]*>(.*?)</bdi>')
_TRASHED = re.compile(
    r'class="name"><bdi>([^<]*)</bdi>.*?<bdi>([^<]*)</bdi>.*?action="/trash/([^"/]+)/restore"',
    re.DOTALL,
)


class Answer(NamedTuple):
    """What the portal answered."""

    status: int
    headers: Headers
    body: bytes

    @property
    def is_done(self) -> bool:
        """Whether it acknowledges the request."""
        return self.status < 400


class NoAnswerError(Exception):
    """Nobody knows whether the request was carried out: no answer came, or a server's error."""


Send = Callable[[str, str, bytes | None, Mapping[str, str]], Answer]
"""Sends a request: its method, path, body and headers; raises ``OSError`` if no answer comes."""


@dataclass
class Person:
    """An account's owner, with a browser that keeps its cookies and its form's token."""

    name: str
    password: str
    send: Send
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    answers: list[tuple[str, int]] = field(default_factory=list)
    count: int = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request.

        :raises NoAnswerError: if no answer came, or one that says that something went wrong.
        """
        fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        try:
            answer = self.send(method, path, body, fields)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{method} {path}: {error!r}") from error
        self.answers.append((f"{method} {path}", answer.status))
        for value in answer.headers.getlist("Set-Cookie"):
            key, _, text = value.partition(";")[0].partition("=")
            self.cookies[key] = text
        if answer.status >= 500 and answer.status != 507:
            raise NoAnswerError(f"{method} {path}: {answer.status}")
        return answer

    def page(self, path: str) -> str:
        """Return a page."""
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.body.decode()

    def sign_in(self) -> None:
        """Sign in anew, in a browser without cookies."""
        self.cookies.clear()
        self._read_token("/sign-in")
        answer = self.post("/sign-in", username=self.name, password=self.password)
        assert answer.is_done, answer
        self._read_token("/")
        (self.folders[""],) = re.findall(r'action="/uploads/folders/([^"/]+)"', self.page("/"))

    def post(self, path: str, **fields: str) -> Answer:
        """Send a form."""
        form = urlencode({"csrf_token": self.token, **fields}).encode()
        return self.ask("POST", path, form, content_type=_FORM)

    def create_folder(self, name: str) -> None:
        """Create a folder to move files to."""
        assert self.post(f"/folders/{self.folders['']}/folders", name=name).is_done
        (self.folders[name],) = re.findall(
            rf'href="/folders/([^"/]+)"><bdi>{name}</bdi>', self.page("/")
        )

    def delete_all(self) -> None:
        """Delete all that is in the root folder permanently."""
        for entry in re.findall(r'name="entry" value="([^"]+)"', self.page("/")):
            assert self.post("/selection/trash", entry=entry).is_done
        assert self.post("/trash/empty").is_done

    def upload(self, size: int) -> File:
        """Upload a file by the form."""
        file, target = self._new_file(size), f"/uploads/folders/{self.folders['']}"
        name = f"{file.number}.bin"
        change = file.change(lambda _: State("", name))
        parts = [_part("csrf_token", self.token.encode()), _part("file", file.content, name)]
        _note([change], self._send_parts(target, parts))
        return file

    def upload_group(self, *sizes: int) -> Sequence[File]:
        """Upload small files in one request, as the page does."""
        files = [self._new_file(size) for size in sizes]
        parts, changes = [_part("csrf_token", self.token.encode())], []
        for file in files:
            name = f"{file.number}.bin"
            metadata = f"filename {_base64(name)},nonce {_base64(file.number)}"
            parts += [_part("metadata", metadata.encode()), _part("file", file.content, name)]
            changes.append(file.change(_becoming(name)))
        _note(changes, self._send_parts("/uploads/groups/", parts))
        return files

    def begin(self, size: int) -> File:
        """Announce an upload in pieces."""
        file = self._new_file(size)
        metadata = f"filename {_base64(f'{file.number}.bin')}"
        answer = self.tus("POST", "/uploads/", upload_length=str(size), upload_metadata=metadata)
        if answer.is_done:
            name = answer.headers["Location"].rpartition("/")[2]
            file.upload = Piecemeal(f"/uploads/{name}", time.monotonic())
        return file

    def tus(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request of tus."""
        return self.ask(
            method, path, body, tus_resumable="1.0.0", x_csrftoken=self.token, **headers
        )

    def arrived(self, file: File) -> int:
        """Ask how much of an upload has arrived."""
        assert file.upload
        answer = self.tus("HEAD", file.upload.url)
        assert answer.is_done, f"{file.number}: the upload is lost: {answer}"
        return int(answer.headers["Upload-Offset"])

    def continue_upload(self, file: File, most: int) -> None:
        """Send the next bytes of an upload, beginning with what has not arrived."""
        assert file.upload
        name = f"{file.number}.bin"
        change = file.change(lambda _: State("", name))  # if it is complete, asking finishes it
        offset = self.arrived(file)
        assert offset >= file.upload.acknowledged(), f"{file.number}: bytes are lost: {offset}"
        if piece := file.content[offset : offset + most]:
            headers = {
                "upload_offset": str(offset),
                "content_type": "application/offset+octet-stream",
            }
            answer = self.tus("PATCH", file.upload.url, piece, **headers)
            if answer.is_done:
                offset = int(answer.headers["Upload-Offset"])
                file.upload.offsets.append((time.monotonic(), offset))
        if offset == len(file.content):
            change.acknowledge()
            file.upload = None
        else:
            change.refuse()

    def rename(self, file: File) -> None:
        """Rename a file."""
        self.count += 1
        name = f"{file.number} r{self.count}.bin"
        entry = self._id_of(file)
        change = file.change(lambda state: state and state._replace(name=name))
        _note([change], self.post(f"/entries/{entry}/rename", name=name))

    def move(self, file: File, folder: str) -> None:
        """Move a file to another folder."""
        entry = self._id_of(file)
        change = file.change(lambda state: state and state._replace(folder=folder))
        _note([change], self.post("/move", entry=entry, folder=self.folders[folder]))

    def trash(self, file: File) -> None:
        """Move a file to the trash."""
        entry = self._id_of(file)
        change = file.change(lambda state: state and state._replace(is_trashed=True))
        _note([change], self.post("/selection/trash", entry=entry))

    def restore(self, file: File) -> None:
        """Restore a file from the trash."""
        entry = self._id_of(file)
        change = file.change(lambda state: state and state._replace(is_trashed=False))
        _note([change], self.post(f"/trash/{entry}/restore"))

    def delete(self, file: File) -> None:
        """Delete a file in the trash permanently."""
        entry = self._id_of(file)
        change = file.change(lambda _: None)
        _note([change], self.post(f"/trash/{entry}/delete"))

    def empty_trash(self) -> None:
        """Delete all that is in the trash permanently."""
        files = list(self.files.values())
        changes = [file.change(lambda state: _unless_trashed(state)) for file in files]
        _note(changes, self.post("/trash/empty"))

    def found(self) -> dict[str, tuple[State, str]]:
        """Return the state and id of each file that the portal shows, by the number in its name."""
        shown: dict[str, tuple[State, str]] = {}
        for folder, folder_id in self.folders.items():
            path = "/" if not folder else f"/folders/{folder_id}"
            for entry, written in self._pages(path, _LISTED):
                # A long name has two parts.
                _add(shown, State(folder, re.sub("</?span>", "", written)), entry)
        for name, folder, entry in self._pages("/trash", _TRASHED):
            folder = "" if folder == "My files" else folder
            _add(shown, State(folder, name, is_trashed=True), entry)
        return shown

    def download(self, entry: str) -> bytes:
        """Return a file's content."""
        answer = self.ask("GET", f"/files/{entry}")
        assert answer.status == 200, answer
        return answer.body

    def _pages(self, path: str, pattern: re.Pattern[str]) -> Iterator[Any]:
        while path:
            page = re.sub("</?span>", "", self.page(path))  # of names that have two parts
            yield from pattern.findall(page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            path = html.unescape(following[1]) if following else ""

    def _id_of(self, file: File) -> str:
        state = file.state
        found = self.found().get(file.number)
        assert found, f"{file.number} is not shown, and should be {state}"
        assert found[0] == state, f"{file.number}: {found} instead of {state}"
        return found[1]

    def _send_parts(self, path: str, parts: Sequence[bytes]) -> Answer:
        body = b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
        return self.ask(
            "POST", path, body, content_type=f"multipart/form-data; boundary={_BOUNDARY}"
        )

    def _new_file(self, size: int) -> File:
        self.count += 1
        number = f"{self.name}-{self.count:06}"
        self.files[number] = File(number, content_of(number, size))
        return self.files[number]

    def _read_token(self, path: str) -> None:
        found = re.search(r'name="csrf_token" value="([^"]+)"', page := self.page(path))
        assert found, page
        self.token = found[1]


def _becoming(name: str) -> Callable[[MaybeState], MaybeState]:
    return lambda _: State("", name)


def _part(field: str, content: bytes, filename: str = "") -> bytes:
    """Return a part of a form."""
    named = f'; filename="{filename}"\r\nContent-Type: application/octet-stream' if filename else ""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _unless_trashed(state: MaybeState) -> MaybeState:
    return None if state and state.is_trashed else state


def _note(changes: Iterable[Change], answer: Answer) -> None:
    for change in changes:
        if answer.is_done:
            change.acknowledge()
        else:
            change.refuse()


def _add(shown: dict[str, tuple[State, str]], state: State, entry: str) -> None:
    if number := _NUMBER.match(state.name):
        assert number[1] not in shown, f"{number[1]} is there twice: {state}, {shown[number[1]]}"
        shown[number[1]] = state, entry
