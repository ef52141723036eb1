"""A portal that deploy/install has set up, with an account and a file in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import PurePosixPath

from .containers import HOST, Container

SERVERS = ("apache-site", "apache-express", "nginx", "xsendfile")
_GUNICORN = [
    *("portal-gunicorn.socket", "portal-uploads.socket"),
    *("portal-gunicorn.service", "portal-uploads.service"),
]
UNITS = {
    "apache-site": [],
    "apache-express": ["portal-express.service"],
    "nginx": _GUNICORN,
    "xsendfile": _GUNICORN,
}
FRONTS = {
    "apache-site": "apache2.service",
    "apache-express": "portal-express.service",
    "nginx": "nginx.service",
    "xsendfile": "apache2.service",
}
NAME = "report.txt"
CONTENT = "what only alice may read\n" * 1000
FILES = PurePosixPath("/srv/portal/files")
_JAR = "/root/cookies"
_COOKIES = ("--cookie", _JAR, "--cookie-jar", _JAR)


@dataclass
class _Form:
    """A form: the values of its inputs, and the name of one of each type."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    """The forms of a page, and its links by what they say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.links: dict[str, str] = {}
        self._href = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(_Form(given.get("action", "")))
        elif given.get("type") in {"checkbox", "radio"} and "checked" not in given:
            pass  # which nobody sends
        elif tag == "input" and self.forms and "name" in given:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
            self.forms[-1].types[given.get("type", "text")] = given["name"]
        elif tag == "a":
            self._href = given.get("href", "")

    def handle_data(self, data: str) -> None:
        if self._href and data.strip():
            self.links[data.strip()] = self._href
            self._href = ""

    def form(self, kind: str) -> _Form:
        """Find the form with an input of a type."""
        return next(form for form in self.forms if kind in form.types)


@dataclass(frozen=True)
class Reply:
    """A response, seen from inside the container."""

    status: int
    head: str
    body: str

    def header(self, name: str) -> str:
        found = re.findall(rf"^{name}: *(.*?)\r?$", self.head, re.MULTILINE | re.IGNORECASE)
        assert len(found) == 1, f"{name} came {len(found)} times:\n{self.head}"
        return str(found[0])


@dataclass(frozen=True)
class Installed:
    """A container with an installed portal.

    :param messages: what the installation printed.
    :param password: alice's.
    :param url: the path of alice's file on the site.
    :param stored: where that file is, in the container; empty: in a bucket.
    """

    container: Container
    server: str
    messages: str
    password: str
    url: str
    stored: str

    def ask(self, target: str, *options: str) -> Reply:
        """Ask as alice's browser does, where her cookies are."""
        return ask(self.container, target, *_COOKIES, *options)

    def asking(self, target: str) -> list[str]:
        """Return the command that asks so."""
        return asking(target, *_COOKIES)

    def send_form(self, page: str, kind: str) -> Reply:
        """Send a page's form with an input of a type, as it is, and return the page it leads to."""
        form = _Page(self.ask(page).body).form(kind)
        fields = [f"{name}={value}" for name, value in form.fields.items() if value]
        sent = self.ask(
            form.action or page, *(w for one in fields for w in ("--data-urlencode", one))
        )
        return self.ask(sent.header("Location"), "--compressed")

    def refuses_as_a_server(self) -> bool:
        """Return whether nginx or Apache, not Python, refuses a range behind the file's end."""
        refused = self.ask(self.url, "--range", "99999999999-")
        page = "<center>nginx" if self.server == "nginx" else "None of the range-specifier values"
        return refused.status == 416 and page in refused.body

    def restart(self) -> None:
        services = [*UNITS[self.server], FRONTS[self.server]]
        self.container.must("systemctl", "restart", *dict.fromkeys(services))


def ask(container: Container, target: str, *options: str) -> Reply:
    """Ask the server by its name, and trust no certificate but its own."""
    return reply_of(container, asking(target, *options))


def asking(target: str, *options: str) -> list[str]:
    """Return the command that asks."""
    url = target if "://" in target else f"https://{HOST}{target}"
    common = ["curl", "--silent", "--show-error", "--include", "--path-as-is", "--max-time", "60"]
    common += ["--referer", f"https://{HOST}/"]  # the portal looks at it when a form is sent
    return [*common, "--cacert", "/etc/portal/tls.crt", *options, url]


def reply_of(container: Container, command: list[str]) -> Reply:
    """Run such a command, and read what the server answered."""
    output = container.must(*command)
    while True:
        head, _, body = output.partition("\n\n")
        status = int(head.split()[1])
        if status >= 200:
            return Reply(status, head, body)
        output = body


def installed_with(container: Container, server: str, *options: str) -> Installed:
    """Install the portal, make an account, sign in and upload a file."""
    done = container.install(server, HOST, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    messages, in_store = done.stdout + done.stderr, "--cluster" in options
    return used(container, server, messages, in_store=in_store)


def used(container: Container, server: str, messages: str, *, in_store: bool = False) -> Installed:
    """Use an installed portal: make an account, sign in and upload a file."""
    password = container.must("portal", "create-account", "alice", "--generate").strip()
    sign_in(container, password)
    container.must("sh", "-c", f'printf %s "$1" >/root/{NAME}', "sh", CONTENT)
    reply = upload(container, f"/root/{NAME}")
    assert reply.status in {302, 303}, reply.head
    page = _Page(ask(container, "/", *_COOKIES, "--location").body)
    stored = container.must("find", str(FILES), "-type", "f").split()
    assert len(stored) == (0 if in_store else 1), stored
    url = page.links[NAME].removesuffix("/view")
    return Installed(container, server, messages, password, url, "".join(stored))


def upload(container: Container, path: str) -> Reply:
    """Send a file of the container by the form on the first page."""
    return reply_of(container, upload_command(container, path))


def upload_command(container: Container, path: str) -> list[str]:
    """Return the command that sends a file of the container."""
    form = _Page(ask(container, "/", *_COOKIES, "--location").body).form("file")
    # The token comes before the file, as on the page.
    fields = [f"{name}={value}" for name, value in form.fields.items() if value]
    fields += [f"{form.types['file']}=@{path};type=text/plain"]
    words = [word for field in fields for word in ("--form", field)]
    return asking(form.action, *_COOKIES, *words)


def sign_in(container: Container, password: str) -> None:
    container.must("rm", "-f", _JAR)
    form = _Page(ask(container, "/sign-in", *_COOKIES).body).form("password")
    fields = {**form.fields, "username": "alice", form.types["password"]: password}
    words = [w for name, value in fields.items() for w in ("--data-urlencode", f"{name}={value}")]
    reply = ask(container, "/sign-in", *_COOKIES, *words)
    assert reply.status in {302, 303}, reply.head + reply.body
