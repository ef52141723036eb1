"""The second factor: time-based codes, and recovery codes for a lost device."""

from __future__ import annotations

import hmac
import io
from collections.abc import Sequence
from datetime import datetime

import pyotp
import segno
import sqlalchemy as sa
from flask import current_app
from sqlalchemy import delete, func, select, update

from portal.core.clock import latest
from portal.core.database import change, commit_change, db, lock
from portal.core.models import Account, RecoveryCode, hash_token, now
from portal.core.text import fold

from . import passwords, sessions

RECOVERY_CODES = 10
_STEP = 30
"""Seconds for which a code is shown."""
_DRIFT = 1
"""Steps by which a device's clock may be off, either way."""


def begin(account: Account) -> None:
    """Choose a secret, unless one is in use by now. It counts once its first code was entered."""
    unused = sa.or_(Account.totp_secret.is_(None), Account.totp_step.is_(None))
    chosen = update(Account).where(Account.id == account.id, unused)
    commit_change(chosen.values(totp_secret=pyotp.random_base32(), totp_step=None))


def is_pending(account: Account) -> bool:
    """Return whether a secret waits for its first code."""
    return account.totp_secret is not None and not account.has_second_factor


def confirm(account: Account, code: str) -> Sequence[str] | None:
    """Switch the second factor on if the first code is right, and return recovery codes."""
    step = _matching_step(account, code)
    if step is None or not is_pending(account):
        return None
    waiting = sa.and_(Account.totp_secret == account.totp_secret, Account.totp_step.is_(None))
    return renew_recovery_codes(account) if _note_step(account, step, waiting) else None


def check(account: Account, code: str) -> bool:
    """Return whether a code is right. Each is accepted once, and no older one after it.

    Of two requests with the same code at once, one is refused: the check is part of the update.
    """
    step = _matching_step(account, code)
    if step is None:
        return False
    # A step that is still to come was noted by a clock that was wrong.
    wrong = Account.totp_step > _step_of(latest())
    return _note_step(account, step, sa.or_(Account.totp_step < step, wrong))


def use_recovery_code(account: Account, code: str) -> bool:
    """Return whether a recovery code is right, and delete it."""
    mine = delete(RecoveryCode).where(RecoveryCode.account_id == account.id)
    return commit_change(mine.where(RecoveryCode.code_hash == _hash(code))) > 0


def recovery_codes_left(account_id: int) -> int:
    """Count an account's recovery codes."""
    mine = RecoveryCode.account_id == account_id
    return db.session.scalar(select(func.count(RecoveryCode.id)).where(mine)) or 0


def renew_recovery_codes(account: Account) -> Sequence[str]:
    """Replace the recovery codes, and return the new ones, which nobody can read again."""
    codes = [passwords.generate() for _ in range(RECOVERY_CODES)]
    lock(Account, Account.id == account.id)  # of two at once, the second one replaces the first
    _delete_recovery_codes(account)
    db.session.add_all(RecoveryCode(account_id=account.id, code_hash=_hash(code)) for code in codes)
    db.session.commit()
    return codes


def switch_off(account: Account) -> None:
    """Let the password alone be enough."""
    _forget(account)
    db.session.commit()


def reset_lost(account: Account) -> None:
    """Switch off a lost second factor, and end the account's sessions."""
    _forget(account)
    sessions.end_all(account)


def qr_code(account: Account) -> bytes:
    """Return the secret as a QR code (SVG) for an authenticator app."""
    totp = pyotp.TOTP(account.totp_secret or "")
    picture = io.BytesIO()
    # On white, also in dark mode: few apps read light on dark.
    # A colon would end the issuer.
    issuer = current_app.config["NAME"].replace(":", " ")
    address = totp.provisioning_uri(name=account.name, issuer_name=issuer)
    segno.make(address, error="m").save(
        picture, kind="svg", scale=5, border=4, light="#fff", nl=False
    )
    return picture.getvalue()


def _matching_step(account: Account, code: str) -> int | None:
    """Return the time step that a code belongs to, if it is near."""
    if account.totp_secret is None:
        return None
    totp = pyotp.TOTP(account.totp_secret)
    given = _typed(code).encode()
    present = _step_of(now())
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), given):
            return step
    return None


def _step_of(moment: datetime) -> int:
    return int(moment.timestamp()) // _STEP


def _note_step(account: Account, step: int, condition: sa.ColumnElement[bool]) -> bool:
    noted = update(Account).where(Account.id == account.id, condition)
    return commit_change(noted.values(totp_step=step)) > 0


def _forget(account: Account) -> None:
    account.totp_secret = account.totp_step = None
    _delete_recovery_codes(account)


def _delete_recovery_codes(account: Account) -> None:
    change(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))


def _hash(code: str) -> str:
    return hash_token(_typed(code))


def _typed(code: str) -> str:
    """Return a code as it is compared: without case, width, hyphens and spaces."""
    return "".join(filter(str.isalnum, fold(code)))
