"""What the database holds."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it is stored as UTC and read as UTC."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Store UTC.

        :raises ValueError: for a time without a time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Read UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def now() -> datetime:
    """Give this moment."""
    return datetime.now(UTC)


def new_token() -> str:
    """Make a name that nobody guesses, fit for a URL."""
    return secrets.token_urlsafe(24)


def hash_token(token: str) -> str:
    """Hash what nobody can guess, for the database: who reads that cannot use it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Role(Enum):
    """What an account is for."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


class Base(DeclarativeBase):
    """The base of all models."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# SQLite gives a deleted row's id to the next one otherwise, and with it what refers to it by its id
# and outlives it: the record of activity, requests that are under way.
NEVER_AGAIN = {"sqlite_autoincrement": True}


class Account(Base):
    """A person who may sign in."""

    __tablename__ = "account"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    # Names that differ only by case or compatible characters are one name: see names.fold.
    name_key: Mapped[str] = mapped_column(sa.String(255), unique=True)
    # Names that look alike are not given twice: see names.skeleton.
    skeleton: Mapped[str] = mapped_column(sa.String(255), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    role: Mapped[Role] = mapped_column(sa.Enum(Role, native_enum=False, length=16))
    is_active: Mapped[bool] = mapped_column(default=True)
    # Bytes; none: what PORTAL_QUOTA says.
    quota: Mapped[int | None] = mapped_column(sa.BigInteger)
    # Bytes of all its files, those in the trash, too. Kept in step by entries.py alone.
    used: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    totp_secret: Mapped[str | None] = mapped_column(sa.String(64))
    # The time step of the last code that was taken, so that none is taken twice. None with a
    # secret: it waits for the first code, and is not asked for yet.
    totp_step: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    @property
    def is_administrator(self) -> bool:
        """Tell whether the account manages others. It never reads their files."""
        return self.role is Role.ADMINISTRATOR

    @property
    def has_second_factor(self) -> bool:
        """Tell whether signing in takes a code, too."""
        return self.totp_secret is not None and self.totp_step is not None


class SignIn(Base):
    """A session: one browser that is signed in. What its cookie holds is known as a hash only."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    user_agent: Mapped[str] = mapped_column(sa.String(255))
    address: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    account: Mapped[Account] = relationship(lazy="joined", innerjoin=True)


class OneTimeLink(Base):
    """A link to hand over: to make an account with, or to choose a new password."""

    __tablename__ = "one_time_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    # The account whose password it resets; none for an invitation.
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    # What an invited account will be.
    role: Mapped[Role] = mapped_column(sa.Enum(Role, native_enum=False, length=16))
    quota: Mapped[int | None] = mapped_column(sa.BigInteger)
    note: Mapped[str] = mapped_column(sa.String(255), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class RecoveryCode(Base):
    """A code that stands in for the second factor, once."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    code_hash: Mapped[str] = mapped_column(sa.String(64))


class Entry(Base):
    """What a folder holds: a file or another folder."""

    __tablename__ = "entry"
    __table_args__ = (
        # A name is taken once in a folder; the trash takes none.
        sa.Index(
            "uq_entry_parent_id_name_key",
            "parent_id",
            "name_key",
            unique=True,
            sqlite_where=sa.text("trash_id IS NULL"),
            postgresql_where=sa.text("trash_id IS NULL"),
        ),
        # One folder without a parent for each account.
        sa.Index(
            "uq_entry_owner_id_root",
            "owner_id",
            unique=True,
            sqlite_where=sa.text("parent_id IS NULL"),
            postgresql_where=sa.text("parent_id IS NULL"),
        ),
        # A page of a folder, in each order, without reading the folder.
        sa.Index("ix_entry_by_name", "parent_id", "trash_id", "is_file", "name_key", "id"),
        sa.Index("ix_entry_by_size", "parent_id", "trash_id", "is_file", "size", "id"),
        sa.Index("ix_entry_by_time", "parent_id", "trash_id", "is_file", "created_at", "id"),
        sa.Index("ix_entry_owner_id_trash_id", "owner_id", "trash_id"),
        sa.Index("ix_entry_trash_id", "trash_id", "trashed_at"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    is_file: Mapped[bool]
    name: Mapped[str] = mapped_column(sa.String(255))
    name_key: Mapped[str] = mapped_column(sa.String(1024))
    size: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    # What was put into the trash together has the id of the entry that it was put there with.
    trash_id: Mapped[int | None] = mapped_column(sa.ForeignKey("entry.id"))
    trashed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __mapper_args__ = {"polymorphic_on": "is_file"}  # noqa: RUF012  (SQLAlchemy's way)


class Folder(Entry):
    """A folder. The one without a parent holds all others of its account."""

    __mapper_args__ = {"polymorphic_identity": False}  # noqa: RUF012


class StoredFile(Entry):
    """A file that somebody uploaded."""

    mimetype: Mapped[str] = mapped_column(sa.String(255), nullable=True)
    sha256: Mapped[str] = mapped_column(sa.String(64), nullable=True)
    storage_key: Mapped[str] = mapped_column(sa.String(64), unique=True, nullable=True)

    __mapper_args__ = {"polymorphic_identity": True}  # noqa: RUF012


class Upload(Base):
    """An upload that arrives in pieces; how much is there of it, its file on disk tells."""

    __tablename__ = "upload"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    folder_id: Mapped[int] = mapped_column(
        sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    # Bytes that it will have in all.
    size: Mapped[int] = mapped_column(sa.BigInteger)
    # As the client wrote it: the protocol wants it told again.
    client_metadata: Mapped[str] = mapped_column(sa.Text)
    part_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    # When something was last added to it.
    used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    # Its row stays for a while after that: the client may not have heard of it.
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)


class HandedLink:
    """What a link for people without an account has: its token is known as a hash only."""

    public_id: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_token)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    note: Mapped[str] = mapped_column(sa.String(255), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    # None: it does not end by itself.
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Share(HandedLink, Base):
    """A link by which anybody may download a file, or what is in a folder."""

    __tablename__ = "share"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(255))
    # None: any number.
    download_limit: Mapped[int | None]
    downloads: Mapped[int] = mapped_column(default=0)

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    entry: Mapped[Entry] = relationship(lazy="joined", innerjoin=True)


class ShareDownload(Base):
    """A download that was counted: for a while its visitor may resume it, uncounted."""

    __tablename__ = "share_download"
    __table_args__ = (sa.UniqueConstraint("share_id", "entry_id", "visitor"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    share_id: Mapped[int] = mapped_column(sa.ForeignKey("share.id", ondelete="CASCADE"))
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True)
    # Whom: a hash of what the visitor's cookie says.
    visitor: Mapped[str] = mapped_column(sa.String(64))
    counted_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class FileRequest(HandedLink, Base):
    """A link by which anybody may upload into a folder."""

    __tablename__ = "file_request"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    folder_id: Mapped[int] = mapped_column(
        sa.ForeignKey("entry.id", ondelete="CASCADE"), index=True
    )
    # None: as many, or as much, as the owner's quota has room for.
    file_limit: Mapped[int | None]
    size_limit: Mapped[int | None] = mapped_column(sa.BigInteger)
    files: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(sa.BigInteger, default=0)

    owner: Mapped[Account] = relationship(lazy="joined", innerjoin=True)
    folder: Mapped[Folder] = relationship(lazy="joined", innerjoin=True)


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
