"""What the doctor was given to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from ..areas import Area
from ..servers.handshake import Mark
from .apache_config import Configuration
from .file_access import Account

if TYPE_CHECKING:
    from ..extension import State


@dataclass(frozen=True, slots=True)
class Case:
    """An application and what surrounds it.

    :param areas: those to look at.
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

    def marks(self, area: Area) -> tuple[Mark, ...]:
        """Give an area's mark, and those of keys in ``SECRET_KEY_FALLBACKS``."""
        return (self.state.mark(area), *self.state.old_marks.get(area.name, ()))

    def tokens(self, area: Area) -> tuple[str, ...]:
        """Give the tokens that a configuration may have for an area."""
        return tuple(mark.token for mark in self.marks(area))
