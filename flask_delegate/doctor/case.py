"""What the doctor examines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from ..areas import Area
from ..servers.handshake import Keys
from ..state import State
from .apache_config import Configuration
from .file_access import Account


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

    def keys(self, area: Area) -> tuple[Keys, ...]:
        """Return an area's keys, and those from ``SECRET_KEY_FALLBACKS``."""
        return self.state.keys[area.name]

    def tokens(self, area: Area) -> tuple[str, ...]:
        """Return the tokens that a configuration may have for an area."""
        return tuple(keys.token for keys in self.keys(area))
