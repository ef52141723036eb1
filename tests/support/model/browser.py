"""A browser as far as the portal needs one: it keeps cookies, and sends the forms of pages."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from flask import Flask

File = tuple[str, bytes]
"""A file to upload: its name and its content."""
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z-]+)(?:="([^"]*)")?')
_BOUNDARY = "a-boundary-of-the-model"
_REDIRECTS = {302, 303}


class Answer(NamedTuple):
    """A response as it came."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


Send = Callable[[str, str, Mapping[str, str], bytes, str], Answer]
"""Sends a method, a path, headers and a body from an address."""


def through_wsgi(app: Flask) -> Send:
    """Return what sends requests to an application in this process."""
    client = app.test_client(use_cookies=False)

    def send(
        method: str, path: str, headers: Mapping[str, str], body: bytes, address: str
    ) -> Answer:
        response = client.open(
            path,
            method=method,
            headers=dict(headers),
            data=body,
            environ_overrides={"REMOTE_ADDR": address},
        )
        with response:
            return Answer(response.status_code, list(response.headers), response.get_data())

    return send


def through_port(port: int) -> Send:
    """Return what sends requests to a server on this machine, whatever the address."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes, _: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body or None, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    return send


@dataclass
class Form:
    """A form of a page.

    :param actions: its own address first, then those of its buttons.
    """

    method: str
    actions: list[str]
    is_multipart: bool
    fields: list[tuple[str, str]] = field(default_factory=list)


class Page:
    """A response, read as a browser reads it."""

    def __init__(self, path: str, answer: Answer) -> None:
        self.path, self.status, self.body = path, answer.status, answer.body
        self.headers = {name.lower(): value for name, value in answer.headers}
        is_page = self.headers.get("content-type", "").startswith("text/html")
        self.text = self.body.decode() if is_page else ""
        self.forms: list[Form] = []
        self.addresses: dict[tuple[str, str], None] = {}
        """The methods and paths that it leads to."""
        self._read()

    @property
    def is_redirect(self) -> bool:
        return self.status in _REDIRECTS

    @property
    def target(self) -> str:
        """Where it redirects to."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @property
    def token(self) -> str:
        """The token of its forms; empty without any."""
        found = (value for form in self.forms for name, value in form.fields if "csrf" in name)
        return next(found, "")

    def form(self, action: str) -> Form:
        """Find the form that can be sent to an address, by an expression for the whole path."""
        for form in self.forms:
            for address in form.actions:
                if re.fullmatch(action, address):
                    return Form(form.method, [address], form.is_multipart, list(form.fields))
        raise AssertionError(f"{self.path} ({self.status}) has no form to {action}: {self.forms}")

    def names(self, kind: str) -> dict[str, str]:
        """Return the ids by the names of the files, or folders, that a list links to."""
        link = rf'<a href="/{kind}/([^"/]+)(?:/view[^"]*)?"[^>]*><bdi[^>]*>(.*?)</bdi></a>'
        # A long name is in two parts, of which the first is shortened.
        listed = [(one, re.sub("<[^>]*>", "", name)) for one, name in re.findall(link, self.listed)]
        return {unescape(name): public_id for public_id, name in listed}

    def ids(self) -> set[str]:
        """Return the ids of all files and folders that a list links to."""
        link = r'<a href="/(?:files|folders)/([^"/]+)(?:/view[^"]*)?"[^>]*><bdi'
        return set(re.findall(link, self.listed))

    @property
    def listed(self) -> str:
        """The rows of its table."""
        return self.text.partition("<tbody>")[2].partition("</tbody>")[0]

    def _read(self) -> None:
        inside: Form | None = None
        for closing, tag, rest in _TAG.findall(self.text):
            if tag == "form":
                given = _attributes(rest)
                is_sent = not closing and given.get("method") != "dialog"
                inside = self._open_form(given) if is_sent else None
            elif not closing and tag in {"a", "input", "button", "img"}:
                self._read_tag(tag, _attributes(rest), inside)

    def _open_form(self, given: Mapping[str, str]) -> Form:
        action = given.get("action") or self.path
        form = Form(given.get("method", "get"), [action], "multipart" in given.get("enctype", ""))
        self.forms.append(form)
        self.addresses[form.method.upper(), action] = None
        return form

    def _read_tag(self, tag: str, given: Mapping[str, str], inside: Form | None) -> None:
        if address := given.get("href") or given.get("src"):
            self.addresses["GET", address] = None
        if inside is None:
            return
        if "formaction" in given:
            inside.actions.append(given["formaction"])
            self.addresses[inside.method.upper(), given["formaction"]] = None
        kind = given.get("type", "text")
        is_sent = kind not in {"checkbox", "radio", "file", "submit"} or "checked" in given
        if tag == "input" and is_sent and "name" in given:
            inside.fields.append((given["name"], given.get("value", "")))


@dataclass
class Browser:
    """A browser with its cookies.

    :param time: returns the present time, in seconds.
    :param set_at: when the portal last set its cookie of the session.
    :param token: the token of the forms that it saw last; empty after a form may have ended it.
    """

    name: str
    address: str
    send: Send
    time: Callable[[], float]
    cookies: dict[str, str] = field(default_factory=dict)
    set_at: float = 0
    token: str = ""
    requests: int = 0
    on_page: Callable[[Browser, Page], None] = lambda _browser, _page: None

    def ask(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> Page:
        """Send a request; in the names of headers, an underscore stands for a hyphen."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.requests += 1
        answer = self.send(method, path, sent, body, self.address)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                self._keep(value)
                self.token = "" if method == "POST" else self.token
        page = Page(path, answer)
        self.token = page.token or self.token
        assert page.status < 500, f"{method} {path}: {page.status} {page.body[:2000]!r}"
        self.on_page(self, page)
        return page

    def get(self, path: str) -> Page:
        """Open a page, and follow where it leads."""
        return self.follow(self.ask("GET", path))

    def follow(self, page: Page) -> Page:
        """Go on to where a page redirects to."""
        for _ in range(5):
            if not page.is_redirect:
                break
            page = self.ask("GET", page.target)
        return page

    def submit(self, form: Form, files: Sequence[File] = (), /, **fields: str | list[str]) -> Page:
        """Send a form with some fields changed."""
        pairs = [(name, value) for name, value in form.fields if name not in fields]
        pairs += [
            (name, one)
            for name, value in fields.items()
            for one in ([value] if isinstance(value, str) else value)
        ]
        if form.is_multipart:
            body = b"".join([*_parts(pairs, files), f"--{_BOUNDARY}--\r\n".encode()])
            kind = f"multipart/form-data; boundary={_BOUNDARY}"
        else:
            body, kind = urlencode(pairs).encode(), "application/x-www-form-urlencoded"
        return self.ask("POST", form.actions[0], body, Content_Type=kind)

    def _keep(self, header: str) -> None:
        for name, morsel in SimpleCookie(header).items():
            if name == "session":
                self.set_at = self.time()
            if morsel["max-age"] == "0" or not morsel.value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value


def _attributes(written: str) -> Mapping[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(written)}


def _parts(pairs: Sequence[tuple[str, str]], files: Sequence[File]) -> Iterator[bytes]:
    for name, value in pairs:
        yield _part(f'name="{name}"', value.encode())
    for name, content in files:
        # As browsers escape it: https://html.spec.whatwg.org/#multipart-form-data
        escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        yield _part(f'name="file"; filename="{escaped}"', content)


def _part(what: str, content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {what}\r\n\r\n"
    return head.encode() + content + b"\r\n"
