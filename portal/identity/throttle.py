"""How many attempts to guess a secret there may be: for an account, and from a network."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from dataclasses import dataclass
from math import ceil

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from portal.core import text

NETWORK = parse("50 per 15 minutes")
"""Of a network, whatever the account. What succeeds is not counted."""
ACCOUNT_FROM_NETWORK = parse("10 per 15 minutes")
"""Of a network, for one account: who guesses there does not lock out its owner elsewhere."""
ACCOUNT = parse("100 per hour")
"""For one account, wherever from."""
CODE = parse("10 per hour")
"""Of the second factor. Whoever gets there knows the password, so it counts wherever from."""
LINK = parse("30 per 15 minutes")
"""Of a network, to open links that there are not."""

CHOICE = parse("30 per 15 minutes")
"""Of a network, to choose a name or a password that is refused: to look that up takes its time."""

_IPV6_PREFIX = 64
"""Bits that one customer has at the least: the others can be chosen at will."""


class TooManyAttemptsError(Exception):
    """There were too many attempts.

    :param retry_after: seconds until there may be another one.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts, for {retry_after} seconds")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Counter:
    """One of the counters that an attempt moves.

    :param limit: how many there may be.
    :param key: of whom.
    :param shared: whether others count with it, so that a success must not set it to none.
    """

    limit: RateLimitItem
    key: str
    shared: bool = False


class Attempt:
    """An attempt that is counted as failed, until it is known to have succeeded."""

    def __init__(self, storage: Storage, *counters: Counter) -> None:
        self._storage = storage
        self._counters = counters

    def count(self) -> None:
        """Count it.

        :raises TooManyAttemptsError: if it must not be made; it counts nevertheless.
        :raises limits.errors.StorageError: if it could not be counted.
        """
        limiter = FixedWindowRateLimiter(self._storage)
        for counter in self._counters:
            if not limiter.hit(counter.limit, counter.key):
                reset_at = limiter.get_window_stats(counter.limit, counter.key).reset_time
                raise TooManyAttemptsError(max(1, ceil(reset_at - time.time())))

    def take_back(self) -> None:
        """Take it back, and nothing that others did."""
        for counter in self._counters:
            self._uncount(counter)

    def succeeded(self) -> None:
        """Take it back, and forget the failures before it that were its account's."""
        for counter in self._counters:
            if counter.shared:
                self._uncount(counter)
        self.forget_failures()

    def _uncount(self, counter: Counter) -> None:
        key = counter.limit.key_for(counter.key)
        self._storage.incr(key, counter.limit.get_expiry(), amount=-1)

    def forget_failures(self) -> None:
        """Forget the account's failures."""
        for counter in self._counters:
            if not counter.shared:
                self._storage.clear(counter.limit.key_for(counter.key))


def password_attempt(storage: Storage, name: str, address: str) -> Attempt:
    """Make an attempt to guess a password, of an account that need not exist."""
    account, network = _digest(text.fold(name)), network_of(address)
    return Attempt(
        storage,
        Counter(NETWORK, f"password/{network}", shared=True),
        Counter(ACCOUNT_FROM_NETWORK, f"password/{account}/{network}"),
        Counter(ACCOUNT, f"password/{account}"),
    )


def code_attempt(storage: Storage, account_id: int, address: str) -> Attempt:
    """Make an attempt to guess a code of the second factor."""
    return Attempt(
        storage,
        Counter(NETWORK, f"code/{network_of(address)}", shared=True),
        Counter(CODE, f"code/{account_id}"),
    )


def link_attempt(storage: Storage, address: str) -> Attempt:
    """Make an attempt to open a link."""
    return Attempt(storage, Counter(LINK, f"link/{network_of(address)}", shared=True))


def choice_attempt(storage: Storage, address: str) -> Attempt:
    """Make an attempt to choose a name or a password."""
    return Attempt(storage, Counter(CHOICE, f"choice/{network_of(address)}", shared=True))


def network_of(address: str) -> str:
    """Give the network that counts as one: an IPv4 address, or the first half of an IPv6 one.

    What is no address at all counts together.
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


def _digest(name: str) -> str:
    """Make a key of bounded length of what a client chose."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
