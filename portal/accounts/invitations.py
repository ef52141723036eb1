"""One-time links to hand over: invitations to create an account, and password resets."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import timedelta

from flask import current_app, has_request_context, request
from sqlalchemy import delete, select

from portal.core import text
from portal.core.clock import days_ago, latest
from portal.core.database import change, commit_change, db, lock
from portal.core.language import gettext
from portal.core.models import Account, OneTimeLink, Role, hash_token, new_token, now
from portal.core.paging import Page, newest_first
from portal.identity.sessions import Proof

from . import accounts
from .accounts import AccountError

PAGE = 100
"""Invitations of a page."""
INVITATION_DAYS = 7
_RESET_VALIDITY = timedelta(days=1)
_REMEMBERED_DAYS = 30
"""How long an expired link is remembered as expired, not unknown."""
LONGEST_TOKEN = 64
"""Characters: enough for any, and few enough for a cookie."""
_IS_INVITATION = OneTimeLink.account_id.is_(None)


class LinkError(Exception):
    """A link does not work; the message says why."""


class LinkUnknownError(LinkError):
    """There is no such link: used, revoked, or guessed."""

    def __init__(self) -> None:
        super().__init__(gettext("It has been used, has been revoked, or is incomplete."))


def create_invitation(
    role: Role,
    quota: int | None,
    note: str,
    days: int = INVITATION_DAYS,
    actor: Account | None = None,
    token: str | None = None,
) -> tuple[OneTimeLink, str]:
    """Create an invitation, and return it with its token, which nobody can read again.

    :param actor: the administrator who does it; none on the command line.
    :param token: what whoever creates it has shown already; none for a new one.
    :raises AccountError: if the actor is no longer an administrator.
    """
    if actor:
        accounts.lock_administrator(actor.id)
    return _create(token, timedelta(days=days), role=role, quota=quota, note=text.one_line(note))


def create_invitations(
    names: Sequence[str], role: Role, quota: int | None, days: int, actor: Account
) -> str:
    """Create an invitation for each of some people, all or none; return what :func:`invited` needs.

    :param names: what each invitation proposes as the account's name.
    :param actor: as for :func:`create_invitation`, which raises the same.
    """
    accounts.lock_administrator(actor.id)
    seed, expires_at = new_token(), now() + timedelta(days=days)
    for token, name in zip(_tokens(seed, len(names)), names, strict=True):
        link = OneTimeLink(token_hash=hash_token(token), expires_at=expires_at)
        link.role, link.quota, link.note, link.proposed_name = role, quota, name, name
        db.session.add(link)
    db.session.commit()
    forget_expired()
    return seed


def invited(seed: str, number: int) -> Sequence[tuple[OneTimeLink, str]]:
    """Return the first invitations that were created together, each with its token.

    Those that were used or revoked since are left out.
    """
    tokens = {hash_token(token): token for token in _tokens(seed, number)}
    mine = select(OneTimeLink).where(OneTimeLink.token_hash.in_(tokens), _IS_INVITATION)
    found = db.session.scalars(mine.order_by(OneTimeLink.id)).all()
    return [(link, tokens[link.token_hash]) for link in found]


def _tokens(seed: str, number: int) -> Iterator[str]:
    """Yield tokens that nobody guesses who does not know the seed, which fits into a cookie."""
    for count in range(number):
        digest = hmac.digest(seed.encode(), str(count).encode(), "sha256")
        yield urlsafe_b64encode(digest[:24]).decode()


def create_reset_link(
    account: Account, actor: Account | None = None, token: str | None = None
) -> tuple[OneTimeLink, str]:
    """Create a link to choose a new password with, in place of any older one.

    :param actor: as for :func:`create_invitation`, like ``token``.
    :raises AccountError: if the account is deactivated, or as for :func:`create_invitation`.
    """
    if not account.is_active:
        raise AccountError(
            gettext("The account '%(name)s' is deactivated. Activate it first.", name=account.name)
        )
    # Of two links at once, the second one replaces the first.
    lock(Account, Account.id.in_([account.id, *([actor.id] if actor else [])]))
    if actor:
        accounts.lock_administrator(actor.id)
    change(delete(OneTimeLink).where(OneTimeLink.account_id == account.id))
    return _create(token, _RESET_VALIDITY, role=account.role, account_id=account.id)


def open_invitations(before: int | None = None) -> Page[OneTimeLink]:
    """Return a page of the invitations that can still be used, the latest first.

    :param before: the id of the one that the page before ends with, if any.
    """
    works = OneTimeLink.expires_at > now(), OneTimeLink.created_at < latest()
    query = select(OneTimeLink).where(_IS_INVITATION, *works)
    place = None if before is None else (before,)
    return newest_first(query, (OneTimeLink.id,), place, PAGE).map(lambda row: row[0])


def revoke_invitation(public_id: str) -> bool:
    """Revoke an invitation, and return whether there was one."""
    revoked = delete(OneTimeLink).where(OneTimeLink.public_id == public_id, _IS_INVITATION)
    return commit_change(revoked) > 0


def find_invitation(token: str) -> OneTimeLink:
    """Return the invitation of a token, or raise :exc:`LinkError` if it cannot be used."""
    link = find(token)
    if link.account_id is not None:
        raise LinkUnknownError
    return link


def find_reset(token: str) -> tuple[OneTimeLink, Account]:
    """Return a token's reset link and its account, or raise :exc:`LinkError`."""
    link = find(token)
    account = db.session.get(Account, link.account_id or 0)
    if account is None or not account.is_active:
        raise LinkUnknownError
    return link, account


def accept_invitation(token: str, name: str, password: str) -> Proof:
    """Create the account that somebody was invited to. Of two who try at once, one is too late.

    :raises LinkError: if the invitation cannot be used.
    :raises AccountError: for a name or password that is refused; the invitation stays.
    """
    link = find_invitation(token)
    # First, as hashing takes longer than others may wait for the row.
    account = accounts.prepare(name, password, link.role, link.quota)
    _use_up(link)
    return accounts.add(account)


def reset_password(token: str, password: str) -> Proof:
    """Change the password of the account that a reset link is for.

    :raises LinkError: if it cannot be used.
    :raises AccountError: for a password that is refused; the link stays.
    """
    link, account = find_reset(token)
    password_hash = accounts.hash_new(password, account.name, account.password_hash)
    lock(Account, Account.id == account.id)  # first, as whoever deletes its links has it locked
    _use_up(link)
    return accounts.replace_hash(account, password_hash)


def link_url(kind: str, token: str) -> str:
    """Return the URL of an ``invitation`` or ``reset``; without a known base, only its path."""
    path = current_app.url_map.bind("").build(f"invitations.open_{kind}", {"token": token})
    base = current_app.config["BASE_URL"] or (request.url_root if has_request_context() else "")
    return str(base).rstrip("/") + path


def forget_expired() -> int:
    """Delete links that expired long ago, and return how many."""
    before = days_ago(_REMEMBERED_DAYS)
    return commit_change(delete(OneTimeLink).where(OneTimeLink.expires_at < before))


def _create(token: str | None, validity: timedelta, **values: object) -> tuple[OneTimeLink, str]:
    token = token or new_token()
    link = OneTimeLink(token_hash=hash_token(token), expires_at=now() + validity, **values)
    db.session.add(link)
    db.session.commit()
    forget_expired()
    return link, token


def find(token: str) -> OneTimeLink:
    """Return the link of a token, or raise :exc:`LinkError` if it cannot be used."""
    link = db.session.scalar(select(OneTimeLink).where(OneTimeLink.token_hash == hash_token(token)))
    if link is None:
        raise LinkUnknownError
    if not (link.expires_at > now() and link.created_at < latest()):
        raise LinkError(gettext("It has expired."))
    return link


def _use_up(link: OneTimeLink) -> None:
    """Delete a link in the current transaction, which fails if it was used meanwhile."""
    if not change(delete(OneTimeLink).where(OneTimeLink.id == link.id)):
        db.session.rollback()
        raise LinkUnknownError
