"""Passwords: which are good enough, how they are hashed."""

from __future__ import annotations

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

SHORTEST = 10
"""Characters of a new password. Older ones may be shorter, and go on working."""
LONGEST = 1024
"""In characters. A limit, as hashing a very long password would keep the server busy."""

_FEWEST_GUESSES = 10**6
_ESTIMATED = 32
"""Characters that the estimate looks at: it takes long for more."""
# The estimate tries each way to read these as letters. With many of them, that takes seconds: then
# those that stand for the same letter are made one.
_READ_AS_LETTERS = frozenset("@4({[<8369|1!$50+7%2")
_MOST_READ_AS_LETTERS = 7
_SAME_LETTER = str.maketrans("@{[<|!$+", "4(((1157")

hasher = PasswordHasher()


class PasswordError(ValueError):
    """A password is not good enough for an account; the message says why."""


def check_new(password: str, name: str) -> None:
    """Refuse a password that is too short, too long, or among the first that somebody would try.

    The estimate knows the passwords that leaked most often, rows of keys and dates, and the name.

    :param name: the account's.
    :raises PasswordError: for such a password.
    """
    if len(password) < SHORTEST:
        raise PasswordError(f"A password has at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise PasswordError(f"A password has at most {LONGEST} characters.")
    if _guesses(password[:_ESTIMATED], name) < _FEWEST_GUESSES:
        raise PasswordError(
            "This password is too easy to guess: many people use it or one like it, or it is made"
            " of the name."
        )


def _guesses(password: str, name: str) -> int:
    """Estimate how many guesses it takes to find a password."""
    if len(_READ_AS_LETTERS & set(password)) > _MOST_READ_AS_LETTERS:
        password = password.translate(_SAME_LETTER)
    return int(zxcvbn(password, user_inputs=[name, *name.split()])["guesses"])


def hash_password(password: str) -> str:
    """Hash a password for the database."""
    return hasher.hash(password)


def verify(password_hash: str | None, password: str) -> bool:
    """Check a password. It takes the same time for an account that does not exist.

    :param password_hash: the account's; none for an unknown account.
    """
    if not 0 < len(password) <= LONGEST:
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
