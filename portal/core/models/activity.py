"""The record of activity, and how downloads ended."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from . import values
from .base import Base, Bytes, LinkName, now


class Via(NamedTuple):
    """The link for people without an account that something was done by, or with.

    :param link: its public id.
    :param name: what its owner calls it at that moment; empty if nothing.
    """

    link: str
    name: str


class Activity(Base):
    """An event. Rows are only added, and outlive their account and file."""

    __tablename__ = "activity"
    __table_args__ = (
        sa.Index("ix_activity_owner_id", "owner_id", "id"),
        sa.Index("ix_activity_entry", "entry", "id"),
        sa.Index("ix_activity_linked_entry", "linked_entry", "id"),
        sa.Index("ix_activity_link", "link", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    action: Mapped[str] = mapped_column(sa.String(32))
    # The account's name at that moment; empty for a visitor.
    actor: Mapped[str] = mapped_column(sa.String(64), default="")
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    # The owner of the file. No foreign key: the row outlives the account.
    owner_id: Mapped[int | None]
    # The file or folder: its public id, and its name at that moment.
    entry: Mapped[str | None] = mapped_column(sa.String(64))
    name: Mapped[str] = mapped_column(sa.String(255), default="")
    # What filters compare: see text.search_key.
    actor_key: Mapped[str] = mapped_column(sa.String(1024), server_default=sa.text("''"))
    name_key: Mapped[str] = mapped_column(sa.String(1024), server_default=sa.text("''"))
    detail: Mapped[str] = mapped_column(sa.String(255), default="")
    # Of a download: the id of the hand-off, which its receipts name.
    handoff: Mapped[str | None] = mapped_column(sa.String(16), unique=True)
    # Of a visitor: the public id of what the link led to, in which the file was.
    linked_entry: Mapped[str | None] = mapped_column(sa.String(64))
    # The link that it was done by, or with: its public id, and its name at that moment.
    link: Mapped[str | None] = mapped_column(sa.String(64))
    link_name: Mapped[LinkName]


class Receipt(Base):
    """How a download ended, from the web server's log."""

    __tablename__ = "receipt"

    handoff: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    outcome: Mapped[str] = mapped_column(sa.String(16))
    status: Mapped[int]
    # At most this much arrived; of a part, from this position in the file.
    sent: Mapped[Bytes]
    start: Mapped[Bytes] = mapped_column(default=0)
    # The size of the whole file, if the log has it.
    total: Mapped[Bytes | None]
    at: Mapped[datetime]


class LogPosition(Base):
    """How far the web server's log was read, as :func:`flask_delegate.receipts.follow` says it."""

    __tablename__ = "log_position"

    log: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    position: Mapped[dict[str, int]] = mapped_column(values.Positions)
