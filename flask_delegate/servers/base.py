"""What a web server is to the extension: the base of each module beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from ..areas import Area
from ..delivery import Delivery
from ..exceptions import HandoffUnavailable
from ..stores.store import Store
from .handshake import PROXY_HEADER, Keys, environ_key, is_claimed_by_others

COPY = f"{PROXY_HEADER}-"
"""What the names of headers begin with by which the server gets values past all hooks."""
RETRY_AFTER = 30
"""Seconds after which to ask again where a store does not answer."""
Keyed = tuple[Area, Sequence[Keys]]
"""An area and its keys: the ones in use, then those that they have replaced."""


@dataclass(frozen=True, slots=True)
class Keeps:
    """What a way of sending leaves intact of the application's response.

    :param cookies: a cookie that the response sets arrives.
    :param headers: headers that the extension does not know arrive.
    :param rate_limit: ``rate_limit`` has an effect.
    :param coding: a ``Content-Encoding`` that the view sets arrives.
    """

    cookies: bool
    headers: bool
    rate_limit: bool
    coding: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator chooses when the configuration is written: the command's options.

    :param site: Apache loads its modules elsewhere; otherwise load what is missing, as
        mod_wsgi-express needs it.
    :param process_group: the only daemon process group that may hand off; none: any.
    :param sendfile: let the kernel send files. Without it each slow download holds a thread;
        network file systems may need it off.
    :param receipts: the path of a log of hand-offs, for :mod:`flask_delegate.receipts`.
    :param store_connections: how many objects each process of Apache sends from a store at once,
        each of which holds a thread.
    :param resolver: the address of the name server that nginx asks for a store's address; none: it
        asks the system's as it starts, and never again.
    :param script: the path of the script by which nginx verifies signed URLs; not the operator's
        choice, but beside the configuration.
    :param resets: lines that undo what the server's other configuration would do to a file; not
        the operator's choice, but what this machine's server understands.
    """

    site: bool = False
    process_group: str | None = None
    sendfile: bool = True
    receipts: str | None = None
    store_connections: int = 5
    resolver: str | None = None
    script: str = ""
    resets: Sequence[str] = ()


class Server:
    """All that the extension knows of one server. It has no policy: what it gets is authorised.

    A new server is a module with its name and a subclass, and a line in
    :mod:`flask_delegate.servers`.
    """

    name: ClassVar[str]
    """The value of ``DELEGATE_BACKEND``."""
    keeps: ClassVar[Keeps]
    header: ClassVar[str | None] = None
    """The response header that hands a file off."""
    longest_path: ClassVar[int] = 4095
    """Bytes of a path that it can open; usually Linux's ``PATH_MAX``, without the NUL."""
    verifies: ClassVar[bool] = False
    """Whether it verifies signed URLs by itself: see :meth:`mac`."""

    # The configuration, written by a command that servers of one product share.
    product: ClassVar[str] = ""
    command: ClassVar[str | None] = None
    """``flask delegate COMMAND``; none where nothing needs to be configured."""
    choices: ClassVar[tuple[str, ...]] = ()
    """The fields of :class:`Choices` that its configuration heeds."""
    adds_header: ClassVar[str] = ""
    """What the operator has to write beside it for the server to show itself, if anything."""

    # For the doctor.
    software: ClassVar[str] = ""
    """What has to be installed."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Apache's modules that it needs, without ``mod_``."""
    runs_python: ClassVar[bool] = False
    """Whether the application may run in the web server's own processes."""
    needs_daemon_mode: ClassVar[bool] = False
    reads_as_root: ClassVar[bool] = True
    """Whether it reads its configuration as root, before it becomes its own user."""
    sendfile_lines: ClassVar[tuple[str, str] | None] = None
    """The lines of its configuration that switch sendfile on and off."""

    def check(self, environ: Mapping[str, object], area: Area, keys: Keys) -> None:
        """Check that the server in front of this request is ready: here, that it says so.

        A client could send the header of a proxy, but does not know the fingerprint.

        :raises HandoffUnavailable: saying what was seen and what to do.
        """
        shown = str(environ.get("HTTP_X_FLASK_DELEGATE", "")).replace(",", " ").split()
        if environ.get(environ_key(keys.fingerprint)) == area.url or keys.fingerprint in shown:
            return
        cure = (
            f"Write its configuration with 'flask delegate {self.command} --output FILE', include"
            " that, and reload the server."
        )
        if shown or is_claimed_by_others(environ, area, keys):
            kind = "other-settings"
            reason = f"the configuration loaded for {area.url} was made for other settings."
        else:
            kind = "not-loaded"
            reason = f"the request has no header {PROXY_HEADER}, which {self.product} would add."
            cure = f"{self.adds_header} {cure}".lstrip()
        raise HandoffUnavailable(area.name, reason, cure, kind)

    def respond(self, delivery: Delivery, keys: Keys, environ: WSGIEnvironment) -> Response:
        """Return the response that has the file sent."""
        raise NotImplementedError

    def rules(self, area: Area, keys: Sequence[Keys], choices: Choices) -> str:  # noqa: ARG002
        """Return the rules for one area; the fingerprint is derived from them."""
        return ""

    def mac(self, key: str, message: bytes) -> str:
        """Return the keyed hash, in hexadecimal, that the server computes of what was signed."""
        raise NotImplementedError

    def script(self, areas: Sequence[Keyed]) -> str:  # noqa: ARG002
        """Return what has to be in a file of its own beside the configuration, or nothing."""
        return ""

    def configuration(self, areas: Sequence[Keyed], choices: Choices) -> str:
        """Return the configuration for all areas of this server."""
        raise NotImplementedError

    def why_unable(self, store: Store | None) -> str:  # noqa: ARG002
        """Return why it cannot send what lies in a store, or nothing.

        :param store: none: any.
        """
        return f"the backend {self.name!r} cannot send what lies in a store."

    def modules_for(self, area: Area) -> tuple[str, ...]:  # noqa: ARG002
        """Return the modules of Apache that one area's rules need, without ``mod_``."""
        return self.modules

    def admin_address(self) -> str:
        """Return where the server shows its whole configuration to who asks, if anywhere."""
        return ""

    def is_installed(self) -> bool:
        """Return whether :attr:`software` is found on this machine."""
        return True

    def fault(self, text: str, area: Area, keys: Keys) -> str:
        """Return what is wrong with a configuration file, or nothing."""
        if keys.fingerprint not in text:
            return "was made for other settings, or by another version of Flask-Delegate"
        if keys.token in self.rules(area, [keys], Choices()) and keys.token not in text:
            return "has lost the token of this area"
        return ""


def describing_response(delivery: Delivery) -> Response:
    """Return a response without a body and with every header that describes the file."""
    # Another person gets another answer.
    return Response(status=200, headers={**delivery.headers(), "Vary": "Cookie"})
