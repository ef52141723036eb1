"""Accounts, and what belongs to signing in."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import NEVER_AGAIN, Base, UTCDateTime, new_token, now


class Role(Enum):
    """What an account is for."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


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
