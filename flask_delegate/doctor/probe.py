"""What the doctor examines, and the file that it puts into an area and asks the server for."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from flask import Flask

from ..areas import Area
from ..delivery import Delivery, describe
from ..resolve import resolve
from ..state import State
from .apache_config import Configuration
from .file_access import Account
from .requests import http2
from .requests.client import Reply, Target, answer_to, fetch
from .requests.families import Attack
from .route import PREFIX, ROUTE, longest_path, make_token, probe_handoff


@dataclass(frozen=True, slots=True)
class Case:
    """An application and what surrounds it.

    :param areas: those to examine.
    :param account: the user that the web server runs as.
    :param config: the generated configuration that is in use, if it was named.
    :param apache: Apache's whole configuration, if it was named.
    """

    app: Flask
    state: State
    areas: tuple[Area, ...]
    account: Account
    config: Path | None = None
    apache: Configuration | None = None

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
        file = resolve(self.area.root, self.probe.name)
        return describe(probe_handoff(self.area.name, self.probe.name), self.area, file)


@contextmanager
def longest_probe_file(area: Area) -> Iterator[Probe]:
    """Put a probe file at the longest path that the server can open, and delete it at the end.

    :raises OSError: if it cannot be created.
    """
    content = secrets.token_hex(16).encode()
    probe = Probe(PREFIX + secrets.token_hex(16), content, content)
    top, path = Path(area.root, probe.name), Path(area.root, longest_path(area, probe.name))
    try:
        # The web server must be able to read it. A chmod by root could be led elsewhere, by a link
        # that the area's owner puts in the way.
        usual = os.umask(0o022)
        try:
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        finally:
            os.umask(usual)
        yield probe
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def probe_file(
    root: str,
    content: bytes | None = None,
    *,
    ending: str = "",
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Probe]:
    """Put a probe file into a folder, and delete it at the end.

    :param content: by default, many lines with its marker.
    :param ending: of its name.
    :param beside: what else to put there, by what is added to the name.
    :raises OSError: if it cannot be created.
    """
    marker = secrets.token_hex(16)
    lines = "".join(f"{number:04} {marker}\n" for number in range(128)).encode()
    probe = Probe(f"{PREFIX}{secrets.token_hex(16)}{ending}", marker.encode(), content or lines)
    files = {"": probe.content, **beside}
    try:
        for added, its_content in files.items():
            place(Path(root, probe.name + added), its_content)
        yield probe
    finally:
        for added in files:
            Path(root, probe.name + added).unlink(missing_ok=True)


def place(path: Path, content: bytes) -> None:
    """Create a file that the server can read, old enough for a strong ETag."""
    old = time.time() - 3600
    with path.open("xb", buffering=0) as file:
        file.write(content)
        # Whatever the umask: the application and the web server must be able to read it. Not by the
        # path, where the area's owner could put a link meanwhile.
        os.fchmod(file.fileno(), 0o644)
        os.utime(file.fileno(), (old, old))
