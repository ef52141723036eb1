"""Limits on guessing secrets: attempts are counted before the check, and failures are logged.

Each ``count_…`` raises :exc:`TooManyAttemptsError` if the attempt must not be made.

The log's lines are for fail2ban, see ``deploy/fail2ban``: the address stands before all that a
client may choose.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.errors import ConfigurationError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from portal.core import text
from portal.core.database import db, is_sqlite
from portal.core.models import Account
from portal.core.setting_checks import SettingError

from . import throttle_database, throttle_store

NETWORK = parse("50 per 15 minutes")
"""From a network, for any account. Successes are not counted."""
ACCOUNT_FROM_NETWORK = parse("10 per 15 minutes")
"""From a network, for one account: who guesses there does not lock out its owner elsewhere."""
ACCOUNT = parse("100 per hour")
"""For one account, from anywhere."""
CODE = parse("10 per hour")
"""Codes of the second factor, from anywhere: whoever gets that far knows the password."""
LINK = parse("30 per 15 minutes")
"""Unknown links, from a network."""
CHOICE = parse("30 per 15 minutes")
"""Refused new names and passwords, from a network: each takes time to check."""

_EXTENSION = "portal.throttle"
_IPV6_PREFIX = 64
"""Bits. One customer has at least such a network, and chooses the other bits at will."""
_LONGEST_NAME = 255
"""Characters of a name that count."""
_LOGGED = 100
"""Characters of a name."""
logger = logging.getLogger(__name__)


class TooManyAttemptsError(Exception):
    """There were too many attempts; the next one is allowed after so many seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts, for {retry_after} seconds")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Counter:
    """One of the counters that an attempt moves.

    :param shared: whether others count with it, so that a success must not reset it.
    """

    limit: RateLimitItem
    key: str
    shared: bool = False


@dataclass(frozen=True)
class Attempt:
    """An attempt to guess a secret. It counts as failed until it is known to have succeeded.

    The log says what kind of secret it was, and the name that the client tried it for.
    """

    storage: Storage
    counters: tuple[Counter, ...]
    what: str
    name: str
    address: str

    def count(self) -> None:
        """Count the attempt.

        :raises TooManyAttemptsError: if it must not be made; it counts nevertheless.
        :raises limits.errors.StorageError: if it could not be counted.
        """
        limiter = FixedWindowRateLimiter(self.storage)
        for counter in self.counters:
            if not limiter.hit(counter.limit, counter.key):
                self.log_failure()
                reset_at = limiter.get_window_stats(counter.limit, counter.key).reset_time
                raise TooManyAttemptsError(max(1, ceil(reset_at - time.time())))

    def log_failure(self) -> None:
        """Log that the attempt failed, on one line."""
        # %r keeps control characters from making lines of their own. The name's quotes are the only
        # ones of their kind, and end the line: that is how fail2ban's filter knows a whole one.
        name = self.name[:_LOGGED].replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
        logger.warning("%s failed from %s: %r", self.what, self.address, name)

    def take_back(self) -> None:
        """Uncount this attempt, and no other."""
        for counter in self.counters:
            self._uncount(counter)

    def succeeded(self) -> None:
        """Uncount this attempt, and forget the account's failures before it."""
        for counter in self.counters:
            if counter.shared:
                self._uncount(counter)
            else:
                self.storage.clear(counter.limit.key_for(counter.key))

    def _uncount(self, counter: Counter) -> None:
        key = counter.limit.key_for(counter.key)
        self.storage.incr(key, counter.limit.get_expiry(), amount=-1)


def init_app(app: Flask, path: Path) -> None:
    """Set the application up to count attempts: where a setting says, or beside the rest.

    That is the database of several hosts, or else the file ``path``.

    :raises SettingError: if that store cannot be used.
    """
    uri, options = app.config["THROTTLE_STORE"], dict[str, Any]()
    if uri is None:
        uri, options = _own_store(app, path)
    try:
        storage = storage_from_string(str(uri), wrap_exceptions=True, **options)
    except (ConfigurationError, ValueError) as error:
        reason = str(error).replace(str(uri), "…").rstrip(".")  # it may hold a password
        raise SettingError(
            f"PORTAL_THROTTLE_STORE names no store that can be used: {reason}."
        ) from error
    app.extensions[_EXTENSION] = storage


def _own_store(app: Flask, path: Path) -> tuple[str, dict[str, Any]]:
    with app.app_context():
        if is_sqlite():
            return f"{throttle_store.SCHEME}:{quote(str(path))}", {}
        return f"{throttle_database.SCHEME}:", {"engine": db.engine}


def count_password(name: str, what: str = "sign-in") -> Attempt:
    """Count an attempt to guess a password, of an account that need not exist."""
    return _count(what, name, password_counters(name, _network()))


def count_share_password(public_id: str) -> Attempt:
    """Count an attempt to guess the password of a link."""
    # No account can have this name: it would share its counters.
    counters = password_counters(f"\0share {public_id}", _network())
    return _count("share password", f"share {public_id}", counters)


def count_code(account: Account) -> Attempt:
    """Count an attempt to guess a code of the second factor."""
    return _count("second factor", account.name, _code_counters(account.id, _network()))


def count_link() -> Attempt:
    """Count an attempt to guess a link."""
    return _count("link", "", (Counter(LINK, f"link/{_network()}", shared=True),))


def count_choice(what: str, name: str = "") -> Attempt:
    """Count an attempt to choose a name or a password."""
    return _count(what, name, (Counter(CHOICE, f"choice/{_network()}", shared=True),))


def forget_failures(account_id: int, name: str) -> None:
    """Allow sign-ins from this network again, after the account's password was changed."""
    network = _network()
    for counter in (*password_counters(name, network), *_code_counters(account_id, network)):
        if not counter.shared:
            _storage().clear(counter.limit.key_for(counter.key))


def password_counters(name: str, network: str) -> tuple[Counter, ...]:
    """Return the counters of a password."""
    folded = text.fold(name[:_LONGEST_NAME])
    account = hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()
    return (
        Counter(NETWORK, f"password/{network}", shared=True),
        Counter(ACCOUNT_FROM_NETWORK, f"password/{account}/{network}"),
        Counter(ACCOUNT, f"password/{account}"),
    )


def network_of(address: str) -> str:
    """Return the network that counts as one: an IPv4 address, or the first half of an IPv6 one.

    All that is no address counts together.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _IPV6_PREFIX), strict=False))


def client_address() -> str:
    """Return the address that this request came from, or ``unknown``."""
    return _normal(request.remote_addr or "")


@lru_cache
def _normal(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return "unknown"


def _count(what: str, name: str, counters: tuple[Counter, ...]) -> Attempt:
    attempt = Attempt(_storage(), counters, what, name, client_address())
    attempt.count()
    return attempt


def _code_counters(account_id: int, network: str) -> tuple[Counter, ...]:
    network_counter = Counter(NETWORK, f"code/{network}", shared=True)
    return network_counter, Counter(CODE, f"code/{account_id}")


def _network() -> str:
    return network_of(client_address())


def _storage() -> Storage:
    return cast("Storage", current_app.extensions[_EXTENSION])
