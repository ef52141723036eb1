"""The visitor's session: what this browser did to open which links, in its cookie."""

from __future__ import annotations

from typing import NamedTuple

from flask import current_app, session

from portal.core.models import FileRequest, Share, hash_token, new_token
from portal.identity import passwords
from portal.identity.cookie import VISITS

_VISITOR, _ENTERED, _UNLOCKED, _ACCEPTED = VISITS
_MOST = 20
"""Links to remember of each list, the latest: a cookie has to stay small."""


class Visited(NamedTuple):
    """What a download needs to know of its share, which has the same attributes."""

    public_id: str
    token_hash: str
    password_hash: str | None
    name: str
    note: str


def enter(link: Share | FileRequest) -> None:
    """Remember that the visitor has a link's token, to keep it out of later addresses."""
    session.setdefault(_VISITOR, new_token())
    _remember(_ENTERED, link.public_id, link.token_hash[:16])


def has_entered(link: Share | FileRequest | Visited) -> bool:
    """Return whether the visitor has opened the link."""
    return bool(session.get(_ENTERED, {}).get(link.public_id) == link.token_hash[:16])


def has_entered_any() -> bool:
    """Return whether the visitor has opened any link."""
    return bool(session.get(_ENTERED))


def is_unlocked(share: Share | Visited) -> bool:
    """Return whether a share has no password, or the visitor has entered the present one."""
    if share.password_hash is None:
        return True
    return bool(session.get(_UNLOCKED, {}).get(share.public_id) == _fingerprint(share))


def unlock(share: Share, password: str) -> bool:
    """Unlock this share, and no other, if the password is right.

    It came by another way, such as a chat, from which it may be copied with blanks around it.
    """
    tried = dict.fromkeys((password, password.strip()))
    if not any(passwords.verify(share.password_hash, one) for one in tried):
        return False
    _remember(_UNLOCKED, share.public_id, _fingerprint(share))
    return True


def has_accepted(link: Share | FileRequest | Visited) -> bool:
    """Return whether there are no terms, or the visitor has accepted the present ones."""
    terms = _terms()
    return not terms or session.get(_ACCEPTED, {}).get(link.public_id) == terms


def accept(link: Share | FileRequest) -> None:
    """Remember that the visitor has accepted the terms for this link, and for no other."""
    _remember(_ACCEPTED, link.public_id, _terms())


def visitor_id() -> str:
    """Return what identifies this visitor for as long as the cookie lasts."""
    return hash_token(session.get(_VISITOR, ""))


def _remember(kind: str, key: str, value: str) -> None:
    kept = [(name, old) for name, old in session.get(kind, {}).items() if name != key]
    session[kind] = dict([*kept[1 - _MOST :], (key, value)])


def _terms() -> str:
    """Return what stands for the present terms; nothing if there are none."""
    # Another address has to be accepted anew.
    address = current_app.config["TERMS_URL"]
    return hash_token(address)[:16] if address else ""


def _fingerprint(share: Share | Visited) -> str:
    # A new password has a new hash, and locks the share again.
    return hash_token(share.password_hash or "")[:16]
