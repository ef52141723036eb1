"""The servers that can send a file, a module each, and what they share.

:mod:`.base` says what a module has to have. :mod:`.handshake` shows the application that the right
configuration is loaded, :mod:`.codec` carries a file's description through Apache, and
:mod:`.signing` makes URLs that the server verifies, and :mod:`.signed` what it verifies them by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from ..areas import Area
from .base import Server
from .mod_wsgi import ModWsgi
from .stream import Stream

AUTO = "auto"
"""The backend that uses mod_wsgi where a request shows that it is ready, and streams elsewhere."""
STREAM = Stream.name

_CLASSES = {
    "mod_wsgi": "ModWsgi",
    "scgi": "Scgi",
    "nginx": "Nginx",
    "caddy": "Caddy",
    "lighttpd": "Lighttpd",
    "xsendfile": "XSendfile",
    "stream": "Stream",
}


class _Servers(Mapping[str, Server]):
    """The servers by name. A module is imported when somebody asks for its server."""

    def __init__(self) -> None:
        self._made: dict[str, Server] = {}

    def __getitem__(self, name: str) -> Server:
        made = self._made.get(name)
        if made is None:
            kind = _CLASSES[name]
            made = self._made[name] = getattr(import_module(f".{name}", __name__), kind)()
        return made

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


SERVERS = _Servers()


def server_of(area: Area) -> Server:
    """Return the server that an area's settings have in mind; with ``auto``, mod_wsgi."""
    return SERVERS[ModWsgi.name if area.backend == AUTO else area.backend]
