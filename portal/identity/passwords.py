"""Passwords: what is good enough, and how they are hashed."""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

SHORTEST = 10
"""Characters of a new password. Older, shorter ones keep working."""
LONGEST = 1024
"""Characters. Hashing a longer password would keep the server busy."""

_FEWEST_GUESSES = 10**6
_ESTIMATED = 32
"""Characters that the estimate reads: it is slow for more."""
# The estimate tries each way to read these as letters, which takes seconds for many of them. Then
# those that stand for the same letter are replaced by one.
_READ_AS_LETTERS = frozenset("@4({[<8369|1!$50+7%2")
_MOST_READ_AS_LETTERS = 7
_SAME_LETTER = str.maketrans("@{[<|!$+", "4(((1157")

hasher = PasswordHasher()
_turn = threading.Lock()
"""A hash takes 64 MiB, and all processors: one is computed at a time, and the others wait."""


class PasswordError(ValueError):
    """A password is not good enough; the message says why."""


def check_new(password: str, name: str) -> None:
    """Raise :exc:`PasswordError` for a password that is too short, too long, or easy to guess.

    The estimate knows the most common leaked passwords, rows of keys, dates, and the name.
    """
    if len(password) < SHORTEST:
        raise PasswordError(f"The password is too short. Use at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise PasswordError(f"The password is too long. Use at most {LONGEST} characters.")
    if _guesses(password[:_ESTIMATED], name) < _FEWEST_GUESSES:
        raise PasswordError(
            "This password is too easy to guess: it is common, or contains the name. Choose another"
            " one."
        )


def _guesses(password: str, name: str) -> int:
    """Estimate how many guesses would find a password."""
    if len(_READ_AS_LETTERS & set(password)) > _MOST_READ_AS_LETTERS:
        password = password.translate(_SAME_LETTER)
    return int(zxcvbn(password, user_inputs=[name, *name.split()])["guesses"])


def hash_password(password: str) -> str:
    """Return the hash of a password for the database."""
    with _turn:
        return hasher.hash(password)


def verify(password_hash: str | None, password: str) -> bool:
    """Return whether a password is right; without a hash, for an unknown account, as slowly."""
    if not 0 < len(password) <= LONGEST:
        return False
    try:
        with _turn:
            # In either case, as creating the first one takes time.
            dummy = dummy_hash()
            hasher.verify(password_hash or dummy, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Return whether a hash has other parameters than new ones."""
    return hasher.check_needs_rehash(password_hash)


@cache
def dummy_hash() -> str:
    """Return the hash that passwords for unknown accounts are checked against."""
    return hasher.hash(secrets.token_urlsafe())
