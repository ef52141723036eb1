"""What the extension keeps of one application, in ``app.extensions["delegate"]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flask import Flask

from .areas import Area
from .config import Settings
from .servers import server_of
from .servers.base import Choices
from .servers.handshake import Keys, derive

KEY = "delegate"
HANDED_OFF = "handed-off"
"""Stands in :attr:`State.routes` beside the kinds of reasons."""


@dataclass(frozen=True, slots=True)
class State:
    """An application's settings, and what follows from them.

    :param keys: by area: the keys in use, then those that they have replaced. Where nothing is
        handed off they are empty.
    :param warned: see :func:`warn_once`.
    :param routes: what became of the files that views sent by Flask's ``send_file``, as counts and
        last reasons by endpoint and kind: see :mod:`flask_delegate.transparent`.
    """

    settings: Settings
    keys: Mapping[str, tuple[Keys, ...]]
    warned: set[str] = field(default_factory=set)
    routes: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> State:
        """Derive each area's keys."""
        keys = {
            name: tuple(_keys(secret, area) for secret in settings.secrets) or (Keys(),)
            for name, area in settings.areas.items()
        }
        return cls(settings, MappingProxyType(keys))


def state_of(app: Flask) -> State:
    """Return what the extension keeps of an application.

    :raises RuntimeError: if it was not set up.
    """
    try:
        state: State = app.extensions[KEY]
    except KeyError:
        raise RuntimeError("Delegate is not set up: call Delegate(app) or init_app(app).") from None
    return state


def warn_once(app: Flask, message: str, what: str = "") -> None:
    """Log a warning, unless one about the same was logged before.

    :param what: what it is about; by default, the message itself.
    """
    warned = state_of(app).warned
    if (what or message) not in warned:
        warned.add(what or message)
        app.logger.warning("%s", message)


def _keys(secret: bytes, area: Area) -> Keys:
    token = derive(secret, "token", area.url, area.root)
    signing = area.signed_url and derive(secret, "signed-url", area.signed_url, area.root)
    keys = Keys(token, signing_key=signing or "")
    # Whatever changes the rules changes the fingerprint.
    rules = server_of(area).rules(area, [keys], Choices())
    return replace(keys, fingerprint=derive(secret, "fingerprint", area.url, area.root, rules))
