"""What visitors sent by links to upload, and what they said of themselves."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from . import values
from .base import Base, Bytes, Moment

LONGEST_SENDER = 80
"""Characters of the name that a visitor gives."""
LONGEST_MESSAGE = 2000
"""Characters of a visitor's message."""
LONGEST_PATH = 1024
"""Characters of a file's path that are kept, the last ones."""


class Sender(Base):
    """A visitor who sends files by a link, and what they said of themselves: nobody has checked it.

    Who says something else later, in the same session, is another sender.
    """

    __tablename__ = "sender"
    __table_args__ = (sa.Index("ix_sender_visitor", "request_id", "visitor", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(sa.ForeignKey("file_request.id", ondelete="CASCADE"))
    # A hash of the visitor's cookie.
    visitor: Mapped[str] = mapped_column(values.Text(64, values.HASH))
    # Both empty, unless the link asks for them.
    name: Mapped[str] = mapped_column(sa.String(LONGEST_SENDER), default="")
    message: Mapped[str] = mapped_column(sa.String(LONGEST_MESSAGE), default="")
    at: Mapped[Moment]


class Arrival(Base):
    """A file that a visitor sent, as it was when it arrived; it may be gone since."""

    __tablename__ = "arrival"

    id: Mapped[int] = mapped_column(primary_key=True)
    sender_id: Mapped[int] = mapped_column(
        sa.ForeignKey("sender.id", ondelete="CASCADE"), index=True
    )
    # Its public id. No foreign key: the row outlives the file.
    entry: Mapped[str] = mapped_column(values.Text(64, values.URL_SAFE))
    # As it was sent: a number in its name would tell the visitor what there is already.
    path: Mapped[str] = mapped_column(values.Text(LONGEST_PATH, values.ONE_LINE))
    size: Mapped[Bytes]
    sha256: Mapped[str] = mapped_column(values.Text(64, values.HASH))
    at: Mapped[Moment] = mapped_column(index=True)

    sender: Mapped[Sender] = relationship(lazy="joined", innerjoin=True)
