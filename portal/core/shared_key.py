"""Hosts that share a database have one secret key. Else each would refuse the others' sessions.

Of the key, the database has a hash that only who has it can compute, and that does not tell it.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Flask

from . import facts
from .database import is_sqlite
from .models.fact import SECRET_KEY
from .setting_checks import SettingError

_SAID = b"the secret key of a portal"


def check(app: Flask) -> None:
    """Check that this host has the key of the others, and note the first one's.

    :raises SettingError: if it has another one.
    """
    if is_sqlite():
        return  # there is one host
    mine = _mark(app.secret_key or b"")
    earlier = [_mark(key) for key in app.config["SECRET_KEY_FALLBACKS"] or ()]
    if facts.note(SECRET_KEY, mine, earlier) != mine:
        raise SettingError(_REFUSAL)


_REFUSAL = (
    "This host's secret key is not that of the other hosts with the same PORTAL_DATABASE, so"
    " people would be signed out with each other request. Let PORTAL_SECRET_KEY_FILE name the same"
    " key on each. To replace it everywhere, name the earlier one in PORTAL_SECRET_KEY_FALLBACKS."
)


def _mark(key: str | bytes) -> str:
    key = key.encode() if isinstance(key, str) else key
    return hmac.new(key, _SAID, hashlib.sha256).hexdigest()
