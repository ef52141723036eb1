"""Thumbnails of pictures that are stored."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from . import values
from .base import Base, Bytes, Moment


class Thumbnail(Base):
    """What was made of a picture's content, whatever file has that content, and where.

    A row without a key says that there is none, so that nobody tries again.
    """

    __tablename__ = "thumbnail"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Of the picture. No foreign key: SQLite would write tables again to add one, and who deletes
    # the content deletes this, too.
    content_key: Mapped[str] = mapped_column(values.Text(64, values.KEY), unique=True)
    # Of the thumbnail, in the same storage.
    own_key: Mapped[str | None] = mapped_column(values.Text(64, values.KEY), unique=True)
    size: Mapped[Bytes] = mapped_column(default=0)
    created_at: Mapped[Moment]
