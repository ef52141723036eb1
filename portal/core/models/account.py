"""Accounts, and what belongs to signing in."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from . import values
from .base import NEVER_REUSED_IDS, Base, Bytes, Limit, Moment, Note, PublicId, TokenHash


class Role(Enum):
    """What an account may do."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


class Account(Base):
    """A person who may sign in."""

    __tablename__ = "account"
    __table_args__ = NEVER_REUSED_IDS

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(values.Text(64, values.ONE_LINE))
    # Names that differ only by case or compatible characters are one name: see text.fold.
    name_key: Mapped[str] = mapped_column(sa.String(255), unique=True)
    # No two names look alike: see usernames.skeleton.
    skeleton: Mapped[str] = mapped_column(sa.String(255), unique=True)
    password_hash: Mapped[str] = mapped_column(values.Text(255, values.ARGON2))
    role: Mapped[Role] = mapped_column(sa.Enum(Role, native_enum=False, length=16))
    is_active: Mapped[bool] = mapped_column(default=True)
    # None: PORTAL_QUOTA applies.
    quota: Mapped[Limit | None]
    # Bytes of all its files, including the trash. Only entries.py changes it.
    used: Mapped[Bytes] = mapped_column(default=0)
    totp_secret: Mapped[str | None] = mapped_column(values.Text(64, values.BASE32))
    # The time step of the last code accepted, so that none is accepted twice. None with a
    # secret: the first code is still to come, and signing in needs none yet.
    totp_step: Mapped[int | None] = mapped_column(sa.BigInteger)
    # That of its pages. None: the browser's.
    language: Mapped[str | None] = mapped_column(values.Text(35, values.LANGUAGE))
    created_at: Mapped[Moment]

    @property
    def is_administrator(self) -> bool:
        """Return whether the account manages others. It never reads their files."""
        return self.role is Role.ADMINISTRATOR

    @property
    def has_second_factor(self) -> bool:
        """Return whether signing in needs a code as well."""
        return self.totp_secret is not None and self.totp_step is not None


class SignIn(Base):
    """A session: one browser that is signed in. The key in its cookie is stored as a hash."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[PublicId]
    key_hash: Mapped[TokenHash]
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    user_agent: Mapped[str] = mapped_column(sa.String(255))
    address: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[Moment]
    used_at: Mapped[Moment]

    account: Mapped[Account] = relationship(lazy="joined", innerjoin=True)


class OneTimeLink(Base):
    """A link that creates an account, or sets a new password, once."""

    __tablename__ = "one_time_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[PublicId]
    token_hash: Mapped[TokenHash]
    # The account whose password it resets; None for an invitation.
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    # The role of the invited account.
    role: Mapped[Role] = mapped_column(sa.Enum(Role, native_enum=False, length=16))
    quota: Mapped[Limit | None]
    note: Mapped[Note]
    # What the page of an invitation proposes as the account's name; empty: nothing.
    proposed_name: Mapped[str] = mapped_column(
        sa.String(64), default="", server_default=sa.text("''")
    )
    created_at: Mapped[Moment]
    expires_at: Mapped[datetime]


class RecoveryCode(Base):
    """A code that replaces the second factor, once."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    code_hash: Mapped[str] = mapped_column(values.Text(64, values.HASH))
