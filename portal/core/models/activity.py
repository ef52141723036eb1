"""The record of activity, and how downloads ended."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, now


class Activity(Base):
    """Something that somebody did. It is only added to, and outlives account and file."""

    __tablename__ = "activity"
    __table_args__ = (
        sa.Index("ix_activity_owner_id", "owner_id", "id"),
        sa.Index("ix_activity_entry", "entry", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    action: Mapped[str] = mapped_column(sa.String(32))
    # Who did it, as the name was then; empty for somebody without an account.
    actor: Mapped[str] = mapped_column(sa.String(64), default="")
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    # Whose file it was. No foreign key: accounts go, this stays.
    owner_id: Mapped[int | None]
    # The file or folder: its public id, and its name as it was then.
    entry: Mapped[str | None] = mapped_column(sa.String(64))
    name: Mapped[str] = mapped_column(sa.String(255), default="")
    detail: Mapped[str] = mapped_column(sa.String(255), default="")
    # Of a download: the hand-off's id, by which its receipts are found.
    handoff: Mapped[str | None] = mapped_column(sa.String(16), unique=True)


class Receipt(Base):
    """What the web server's log says of a download's end."""

    __tablename__ = "receipt"

    handoff: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    outcome: Mapped[str] = mapped_column(sa.String(16))
    status: Mapped[int]
    # Bytes, an upper bound of what arrived; and of a part, where in the file it began.
    sent: Mapped[int] = mapped_column(sa.BigInteger)
    start: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    # Bytes of the whole file, where the log tells.
    total: Mapped[int | None] = mapped_column(sa.BigInteger)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
