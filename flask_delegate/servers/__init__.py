"""The servers that can send a file, a module each, and what they share.

:mod:`.base` says what a module has to have. :mod:`.handshake` shows the application that the right
configuration is loaded, :mod:`.codec` carries a file's description through Apache, and
:mod:`.signing` makes URLs that Apache verifies.
"""

from __future__ import annotations

from ..areas import Area
from .base import Server
from .mod_wsgi import ModWsgi
from .nginx import Nginx
from .stream import Stream
from .xsendfile import XSendfile

AUTO = "auto"
"""The backend that uses mod_wsgi where a request shows that it is ready, and streams elsewhere."""
STREAM = Stream.name

_ALL: tuple[Server, ...] = (ModWsgi(), Nginx(), XSendfile(), Stream())
SERVERS = {server.name: server for server in _ALL}


def server_of(area: Area) -> Server:
    """Return the server that an area's settings have in mind; with ``auto``, mod_wsgi."""
    return SERVERS[ModWsgi.name if area.backend == AUTO else area.backend]
