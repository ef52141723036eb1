"""A visitor of the portal, over HTTP and without a browser."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"


@dataclass
class Visitor:
    """A browser as far as the portal needs one: it keeps cookies and follows no redirects."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a GET, or a POST where there is a body; ``content_type`` stands for Content-Type."""
        fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, body, fields)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        for header in response.headers.get_all("Set-Cookie") or []:
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return response, content

    def token(self, path: str) -> str:
        """Return the CSRF token of the page's form."""
        response, page = self.ask(path)
        assert response.status == 200
        for tag in re.findall(r"<input[^>]*>", page.decode()):
            value = re.search(r'value="([^"]+)"', tag)
            if 'name="csrf_token"' in tag and value:
                return value[1]
        raise AssertionError(f"{path} has no form with a CSRF token")

    def send(
        self, page: str, /, to: str = "", **form: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a form of a page, to the page itself or ``to`` another address."""
        fields = {"csrf_token": self.token(page), **form}
        return self.ask(to or page, urlencode(fields).encode(), content_type=FORM)

    def sign_in(self, name: str, password: str) -> None:
        response, _ = self.send("/sign-in", username=name, password=password)
        assert response.status in {302, 303}

    def share(self, file: str, **terms: str) -> str:
        """Create a link to a file by its URL, and return the link's address."""
        public_id = file.rpartition("/")[2]
        response, _ = self.send(f"/entries/{public_id}/share", **terms)
        page = self.ask(response.headers["Location"])[1].decode()
        found = re.search(r">http://127\.0\.0\.1:[0-9]+(/s/[^<]+)<", page)
        assert found, page
        return found[1]

    def open_share(self, link: str) -> tuple[str, str]:
        """Open a link, and return the address of its page and that which begins the download."""
        home = self.ask(link)[0].headers["Location"]
        page = self.ask(home)[1].decode()
        button = re.search(r'action="(/shared/[^"]+/files/[^"]+)"', page)
        assert button, page
        return home, button[1]

    def begin_download(self, link: str) -> str:
        """Press the download button of a link, and return the file's address."""
        home, begin = self.open_share(link)
        response, _ = self.send(home, to=begin)
        assert response.status == 303
        return str(response.headers["Location"])

    def files(self) -> set[str]:
        """List the files' URLs that the start page links to."""
        _, page = self.ask("/")
        return set(re.findall(r'href="(/files/[\w-]{20,})(?:/view)?"', page.decode()))

    def upload(self, name: str, content: bytes) -> str:
        """Upload by the form and return the new file's URL."""
        before = self.files()
        boundary = "a-boundary-of-the-tests"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n'
            f"{self.token('/')}\r\n--{boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        ).encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        _, start = self.ask("/")
        action = re.search(r'action="(/uploads/folders/[^"/]+)"', start.decode())
        assert action, start.decode()
        response, page = self.ask(
            action[1], body, content_type=f"multipart/form-data; boundary={boundary}"
        )
        assert response.status in {302, 303}, page.decode()
        (url,) = self.files() - before
        return url
