"""What a visitor has opened so far: in the visitor's own session cookie, link by link."""

from __future__ import annotations

import time

from flask import session

from .. import passwords
from ..models import Entry, FileRequest, Share, hash_token

_ENTERED = "entered"
_UNLOCKED = "unlocked"
_GRANTS = "grants"
_MOST = 20
"""Of each, the latest: a cookie has to stay small."""
GRANT_LIFETIME = 24 * 60 * 60
"""Seconds in which a download that was counted may be resumed."""


def enter(link: Share | FileRequest) -> None:
    """Remember that the visitor has a link's token, so that it need not be in any address."""
    _remember(_ENTERED, link.public_id, link.token_hash[:16])


def has_entered(link: Share | FileRequest) -> bool:
    """Tell whether the visitor came by the link."""
    return bool(session.get(_ENTERED, {}).get(link.public_id) == link.token_hash[:16])


def is_unlocked(share: Share) -> bool:
    """Tell whether a share needs no password, or its present one was given."""
    if share.password_hash is None:
        return True
    return bool(session.get(_UNLOCKED, {}).get(share.public_id) == _fingerprint(share))


def unlock(share: Share, password: str) -> bool:
    """Unlock this share, and no other, if the password is right."""
    if not passwords.verify(share.password_hash, password):
        return False
    _remember(_UNLOCKED, share.public_id, _fingerprint(share))
    return True


def grant(share: Share, entry: Entry) -> None:
    """Remember that a download of a file was counted."""
    _remember(_GRANTS, _grant_key(share, entry), int(time.time()) + GRANT_LIFETIME)


def has_grant(share: Share, entry: Entry) -> bool:
    """Tell whether a download of a file was counted not long ago."""
    return bool(session.get(_GRANTS, {}).get(_grant_key(share, entry), 0) > time.time())


def has_any_grant(share: Share) -> bool:
    """Tell whether some download by a share was counted not long ago."""
    grants = session.get(_GRANTS, {})
    return any(
        key.startswith(f"{share.id}/") and until > time.time() for key, until in grants.items()
    )


def _remember(kind: str, key: str, value: str | int) -> None:
    kept = [(name, old) for name, old in session.get(kind, {}).items() if name != key]
    session[kind] = dict([*kept[1 - _MOST :], (key, value)])


def _grant_key(share: Share, entry: Entry) -> str:
    return f"{share.id}/{entry.id}"


def _fingerprint(share: Share) -> str:
    # Another password is another hash, and locks again.
    return hash_token(share.password_hash or "")[:16]
