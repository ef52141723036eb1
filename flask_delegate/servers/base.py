"""Ways of getting a resolved file to the client, a module each.

A backend is a module with the names of :class:`Backend`. It has no policy and does not look at the
disk: what it is given has been authorised and resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from werkzeug.wrappers import Response

from ..areas import Area
from ..handoff import Delivery
from .handshake import Mark


@dataclass(frozen=True, slots=True)
class Sending:
    """What a backend needs to answer a request.

    :param delivery: the file and what is to be said of it.
    :param area: where it lies.
    :param mark: what the area shares with the server's configuration.
    :param environ: the request's WSGI environ.
    :param headers: constant headers for every file.
    """

    delivery: Delivery
    area: Area
    mark: Mark
    environ: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Keeps:
    """What of the application's response, and of the request, a way of sending leaves intact.

    :param cookies: a cookie that the response sets arrives.
    :param headers: headers that the extension does not know of arrive.
    :param rate_limit: ``rate_limit`` has an effect.
    :param several_ranges: a request for several ranges gets them, not the whole file.
    """

    cookies: bool
    headers: bool
    rate_limit: bool
    several_ranges: bool


class Backend(Protocol):
    """What each module has."""

    @property
    def NAME(self) -> str:  # noqa: N802 -- a module's constant
        """What ``DELEGATE_BACKEND`` calls it."""

    @property
    def KEEPS(self) -> Keeps:  # noqa: N802 -- a module's constant
        """What passes."""

    @property
    def HEADER(self) -> str | None:  # noqa: N802 -- a module's constant
        """The response header by which the file is handed off, none where it is not."""

    def check(self, environ: Mapping[str, object], area: Area, mark: Mark) -> None:
        """Make sure that the server in front of this request is ready.

        :raises HandoffUnavailable: saying what was seen and what to do.
        """

    def respond(self, sending: Sending) -> Response:
        """Make the response."""
