"""The days on which the portal ran: see :mod:`portal.core.clock`."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Mapped, mapped_column

from .base import Base


class SeenDay(Base):
    """A day, in UTC, on which the portal ran."""

    __tablename__ = "seen_day"

    day: Mapped[date] = mapped_column(primary_key=True)
