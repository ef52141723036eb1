"""Requests from the families' templates: see :mod:`.families`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from . import http2
from .families import EVERY_TEMPLATE, Family


@dataclass(frozen=True, slots=True)
class Attack:
    """One direct request."""

    target: bytes
    method: str = "GET"
    version: str = "HTTP/1.1"
    headers: dict[str, str] = field(default_factory=dict)

    def to(self, host: str = "127.0.0.1", scheme: str = "http") -> bytes:
        """Return the request.

        :param host: the ``Host`` header, unless the attack has one.
        :param scheme: of the URL; only HTTP/2 says it.
        """
        if self.version == http2.VERSION:
            return http2.request(self.target, host, scheme)
        head = f"{self.method} ".encode() + self.target
        if self.version == "HTTP/0.9":
            return head + b"\r\n"
        lines = {"Host": host, "Connection": "close", **self.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return head + f" {self.version}\r\n{fields}\r\n".encode("latin-1")


def targets(url: str, name: str) -> list[bytes]:
    """Return every spelling of an area's URL and a file's name.

    :param url: with a slash at both ends.
    """
    return [spell(target, url, name) for target in EVERY_TEMPLATE.split()]


def requests(family: Family, url: str, name: str) -> Iterator[Attack]:
    """Yield a family's requests for one file."""
    ways = (family.targets, family.methods, family.versions, family.headers)
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
