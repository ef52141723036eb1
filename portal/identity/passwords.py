"""Passwords: what is good enough, and how they are hashed."""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from portal.core.language import gettext
from portal.core.text import is_text, search_key

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

_BETWEEN = re.compile(r"[\W_]+")
"""What stands between the parts of a name, or around it."""

# Without characters that are easily confused: 0 and o, 1, i and l.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"

hasher = PasswordHasher()
_turn = threading.Lock()
"""A hash takes 64 MiB, and all processors: one is computed at a time, and the others wait."""


class PasswordError(ValueError):
    """A password is not good enough; the message says why."""


def check_new(password: str, name: str) -> None:
    """Raise :exc:`PasswordError` for a password that is too short, too long, or easy to guess.

    The estimate knows the most common leaked passwords, rows of keys, dates, and the name.
    """
    password = unicodedata.normalize("NFC", password[: LONGEST + 1])
    if len(password) < SHORTEST:
        raise PasswordError(
            gettext(
                "The password is too short. Use at least %(shortest)s characters.",
                shortest=SHORTEST,
            )
        )
    if len(password) > LONGEST:
        raise PasswordError(
            gettext(
                "The password is too long. Use at most %(longest)s characters.", longest=LONGEST
            )
        )
    if not is_text(password):
        raise PasswordError(gettext("The password has control characters. Choose another one."))
    if _guesses(password[:_ESTIMATED], name) < _FEWEST_GUESSES:
        raise PasswordError(
            gettext(
                "This password is too easy to guess: it is common, or contains the name. Choose"
                " another one."
            )
        )


def generate() -> str:
    """Return a password that is easy to read out and to type, of 79 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def _guesses(password: str, name: str) -> int:
    """Estimate how many guesses would find what a password has beside the name."""
    if len(_READ_AS_LETTERS & set(password)) > _MOST_READ_AS_LETTERS:
        password = password.translate(_SAME_LETTER)
    names = [part for one in (name, search_key(name)) for part in (one, *_BETWEEN.split(one))]
    found = zxcvbn(password, user_inputs=names)
    others = [one for one in found["sequence"] if one.get("dictionary_name") != "user_inputs"]
    rest = "".join(one["token"] for one in others)
    if not rest or rest == password:
        return int(found["guesses"])
    # Signs around it, or in place of blanks, are what everybody adds to a year.
    bare = _BETWEEN.sub("", rest) or rest
    return min(int(found["guesses"]), *(_guesses(one, name) for one in {rest, bare}))


def hash_password(password: str) -> str:
    """Return the hash of a password for the database, however its characters are composed."""
    with _turn:
        return hasher.hash(unicodedata.normalize("NFC", password))


def verify(password_hash: str | None, password: str) -> bool:
    """Return whether a password is right; without a hash, for an unknown account, as slowly."""
    return spelling_of(password_hash, password) is not None


def spelling_of(password_hash: str | None, password: str) -> str | None:
    """Return the way of composing a password's characters that a hash is of; None if it is wrong.

    Older hashes are of what a keyboard sent: of ``ä``, or of ``a`` with a mark above.
    """
    if not 0 < len(password) <= LONGEST:
        return None
    composed, apart = (unicodedata.normalize(form, password) for form in ("NFC", "NFD"))
    spellings = dict.fromkeys((composed, password, apart))
    return next((one for one in spellings if _is_hash_of(password_hash, one)), None)


def _is_hash_of(password_hash: str | None, password: str) -> bool:
    try:
        with _turn:
            # In either case, as creating the first one takes time.
            dummy = dummy_hash()
            hasher.verify(password_hash or dummy, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str, spelling: str) -> bool:
    """Return whether a hash has other parameters than new ones, or is of another spelling."""
    is_composed = unicodedata.is_normalized("NFC", spelling)
    return hasher.check_needs_rehash(password_hash) or not is_composed


@cache
def dummy_hash() -> str:
    """Return the hash that passwords for unknown accounts are checked against."""
    return hasher.hash(secrets.token_urlsafe())
