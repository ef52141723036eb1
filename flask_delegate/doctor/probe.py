"""What the doctor examines, and the file that it puts into an area and asks the server for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from flask import Flask

from ..areas import Area
from ..delivery import Delivery, describe, find
from ..state import State
from .apache_config import Configuration
from .file_access import Account
from .places import place_of
from .requests import http2
from .requests.client import Reply, Target, answer_to, fetch
from .requests.families import Attack
from .route import PREFIX, ROUTE, make_token, probe_handoff


@dataclass(frozen=True, slots=True)
class Case:
    """An application and what surrounds it.

    :param areas: those to examine.
    :param account: the user that the web server runs as.
    :param config: the generated configuration that is in use, if it was named.
    :param apache: Apache's whole configuration, if it was named.
    :param server_config: another server's whole configuration, if it was named.
    """

    app: Flask
    state: State
    areas: tuple[Area, ...]
    account: Account
    config: Path | None = None
    apache: Configuration | None = None
    server_config: Path | None = None

    def tokens(self, area: Area) -> tuple[str, ...]:
        """Return the tokens that a configuration may have for an area."""
        return tuple(keys.token for keys in self.state.keys[area.name])


@dataclass(frozen=True, slots=True)
class Probe:
    """The file.

    :param marker: what each line of it contains, and nothing else in the world does.
    """

    name: str
    marker: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Visit:
    """One area of one running server, with a probe file in it."""

    case: Case
    area: Area
    target: Target
    probe: Probe

    def path(self, kind: str) -> str:
        """Return the path of the probe route, with a token."""
        token = make_token(self.case.app, kind, self.area.name, self.probe.name)
        return self.target.path.rstrip("/") + ROUTE + token

    def ask(self, kind: str, method: str = "GET", **headers: str) -> Reply:
        """Ask the probe route; blanks in header names are written as underscores."""
        return self.fetch(self.path(kind), method, **headers)

    def fetch(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Ask for a path of the probe route. The reply's URL is without the token."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = fetch(self.target, path, method=method, headers=fields)
        return replace(reply, url=self.target.url(f"{path.rpartition('/')[0]}/…"))

    def attack(self, attack: Attack) -> bytes | None:
        """Return whatever comes, or nothing if the server does not answer."""
        request = attack.to(self.target.host_header, self.target.scheme, self.target.headers)
        return answer_to(self.target, request, use_http2=attack.version == http2.VERSION)

    def delivery(self) -> Delivery:
        """Return what the client should be told of the file."""
        handoff = probe_handoff(self.area.name, self.probe.name)
        return describe(handoff, self.area, find(handoff, self.area))


@contextmanager
def longest_probe_file(area: Area) -> Iterator[Probe]:
    """Put a probe file at the longest path that the server can open, and delete it at the end.

    :raises OSError: if it cannot be created.
    """
    content, place = secrets.token_hex(16).encode(), place_of(area)
    probe = Probe(PREFIX + secrets.token_hex(16), content, content)
    path = place.longest(probe.name)
    try:
        place.put(path, content)
        yield probe
    finally:
        place.delete(path)


@contextmanager
def probe_file(
    area: Area,
    content: bytes | None = None,
    *,
    ending: str = "",
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Probe]:
    """Put a probe file into an area, and delete it at the end.

    :param content: by default, many lines with its marker.
    :param ending: of its name.
    :param beside: what else to put there, by what is added to the name.
    :raises OSError: if it cannot be created.
    """
    marker, place = secrets.token_hex(16), place_of(area)
    lines = "".join(f"{number:04} {marker}\n" for number in range(128)).encode()
    probe = Probe(f"{PREFIX}{secrets.token_hex(16)}{ending}", marker.encode(), content or lines)
    files = {"": probe.content, **beside}
    try:
        for added, its_content in files.items():
            place.put(probe.name + added, its_content)
        yield probe
    finally:
        for added in files:
            place.delete(probe.name + added)
