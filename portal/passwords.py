"""Passwords: how long, how hashed."""

from __future__ import annotations

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 8
LONGEST = 1024
"""In characters. A limit, as hashing a very long password would keep the server busy."""

hasher = PasswordHasher()


def has_usable_length(password: str) -> bool:
    """Tell whether a password may be hashed at all."""
    return SHORTEST <= len(password) <= LONGEST


def hash_password(password: str) -> str:
    """Hash a password for the database.

    :raises ValueError: if it is too short or too long.
    """
    if not has_usable_length(password):
        raise ValueError(f"A password has {SHORTEST} to {LONGEST} characters.")
    return hasher.hash(password)


def verify(password_hash: str | None, password: str) -> bool:
    """Check a password. It takes the same time for an account that does not exist.

    :param password_hash: the account's; none for an unknown account.
    """
    if not has_usable_length(password):
        return False
    # Asked for in either case, so that making it takes its time in either case.
    dummy = dummy_hash()
    try:
        hasher.verify(password_hash or dummy, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Tell whether a hash was made with other parameters than today's."""
    return hasher.check_needs_rehash(password_hash)


@cache
def dummy_hash() -> str:
    """Give the hash that passwords for unknown accounts are checked against."""
    return hasher.hash(secrets.token_urlsafe())
