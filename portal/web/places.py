"""Places for long responses: each holds a thread until its client has read it, which may be never.

A shorter one is out of the portal's hands at once: all of it fits between the portal and the web
server, in the buffer of a socket. Linux has 208 KiB for one, unless a machine sets
``net.core.wmem_default`` lower.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from typing import cast

from flask import Flask, Response, current_app, request
from werkzeug.wsgi import ClosingIterator

from portal.identity.current_user import signed_in_account

SHORT = 160 * 1024
"""Bytes. A page of 100 of the longest names has a little less."""
VISITORS = 0
"""Whom all visitors without an account count as; no account has this id."""
_EXTENSION = "portal.places"


class BusyError(Exception):
    """As many long responses are being sent as may be."""


class Places:
    """Places for the long responses that this process sends.

    One account gets half of them at most, rounded up: nobody is kept from theirs by one other.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._each = (total + 1) // 2
        self._taken: Counter[int] = Counter()
        self._lock = threading.Lock()

    def take(self, account_id: int) -> None:
        """Take a place, or raise :exc:`BusyError` if there is none."""
        with self._lock:
            if self._taken.total() >= self._total or self._taken[account_id] >= self._each:
                raise BusyError
            self._taken[account_id] += 1

    def release(self, account_id: int) -> None:
        """Free a place."""
        with self._lock:
            self._taken[account_id] -= 1
            self._taken += Counter()  # forget who has none


class PlacedResponse(Response):
    """A long response that holds a place already, and frees it at its end."""


def init_app(app: Flask) -> None:
    """Have each long response of the application take a place."""
    app.extensions[_EXTENSION] = Places(app.config["ARCHIVES_AT_ONCE"])
    app.after_request(_place)


def take(account_id: int) -> ExitStack:
    """Take a place, and return what frees it when it is closed.

    :raises BusyError: if there is none.
    """
    places, taken = cast("Places", current_app.extensions[_EXTENSION]), ExitStack()
    places.take(account_id)
    taken.callback(places.release, account_id)
    return taken


def _place(response: Response) -> Response:
    if isinstance(response, PlacedResponse) or request.method == "HEAD" or not _is_long(response):
        return response
    account = signed_in_account()
    try:
        taken = take(account.id if account else VISITORS)
    except BusyError as error:
        response.close()
        return current_app.make_response(current_app.handle_user_exception(error))
    if response.direct_passthrough:
        # A streamed file: Werkzeug hands on the iterator alone, and does not close the response.
        pieces = cast("Iterable[bytes]", response.response)
        response.response = ClosingIterator(pieces, taken.close)
    else:
        response.call_on_close(taken.close)
    return response


def _is_long(response: Response) -> bool:
    """Return whether a response may be long; that of a hand-off is empty here."""
    length = (
        response.content_length if response.is_streamed else response.calculate_content_length()
    )
    return length is None or length > SHORT
