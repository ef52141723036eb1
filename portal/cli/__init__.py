"""The commands ``flask --app portal portal …``. Each module adds its own to the group."""

from __future__ import annotations

from . import accounts, backups, maintenance, moves
from .group import portal

__all__ = ["accounts", "backups", "maintenance", "moves", "portal"]
