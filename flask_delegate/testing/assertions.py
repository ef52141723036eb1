"""Assertions on the responses of Flask's test client, streamed or handed off."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from flask import Flask, request
from werkzeug.test import TestResponse

from ..delivery import Delivery, clean_name, content_type
from ..exceptions import DelegateError
from ..guards.lost_headers import Sent
from ..guards.redirects import SENT
from ..handoff import Options
from ..signals import file_delegated, file_refused


@dataclass(slots=True)
class _Record:
    delivered: list[tuple[Delivery, tuple[str, str]]] = field(default_factory=list)
    """Each delivery, and the response header that shows it."""
    error: DelegateError | None = None


# The client gives the application a copy of the environ that it keeps. Both hold the same input
# stream, which is a new one for each request.
_records: WeakKeyDictionary[object, _Record] = WeakKeyDictionary()


def assert_delegated(
    response: TestResponse, path: str | os.PathLike[str], **options: Unpack[Options]
) -> None:
    """Assert that a response delivers a private file, whoever sends the bytes.

    The response is read to its end and closed. What is left out is not compared.

    :param response: from Flask's test client.
    :param path: relative to the area's root.
    :param options: those of :class:`~flask_delegate.Handoff` to compare. The area of
        ``DELEGATE_ROOT`` is ``default``; ``download_name`` is cleaned like the application's;
        ``mimetype`` may leave out the charset that text is given; an empty ``csp``: none is sent.
    :raises AssertionError: with what was expected and what came.
    """
    __tracebackhide__ = True
    delivery = _delivered_by(response)
    wanted = os.fspath(path)
    if delivery is None:
        raise AssertionError(f"expected {wanted!r}, but not delivered: {_outcome(response)}")
    came = _facts(delivery)
    expected: dict[str, object] = {"path": _real(wanted, delivery), **options}
    if (name := options.get("download_name")) is not None:
        expected["download_name"] = clean_name(name)
    if (mimetype := options.get("mimetype")) is not None:
        expected["mimetype"] = content_type(mimetype)
    wrong = [
        f"  {name}: expected {value!r}, delivered {came[name]!r}"
        for name, value in expected.items()
        if came[name] != value and value is not None
    ]
    if wrong:
        head = f"{came['path']!r} of area {came['area']!r} was delivered, but not as expected:"
        raise AssertionError("\n".join([head, *wrong]))


def assert_refused(response: TestResponse, status: int | None = None) -> None:
    """Assert that a response delivers no file and says so.

    The response is read to its end and closed.

    :param response: from Flask's test client.
    :param status: what it must answer, such as 302 where a visitor is sent to sign in; none: any
        status from 400 to 499.
    :raises AssertionError: with what was expected and what came.
    """
    __tracebackhide__ = True
    wanted = "a status from 400 to 499" if status is None else str(status)
    if delivery := _delivered_by(response):
        came = _facts(delivery)
        what = f"{came['path']!r} of area {came['area']!r}"
        raise AssertionError(f"expected {wanted}, but {what} was delivered: {response.status}")
    code = response.status_code
    if code != status and not (status is None and 400 <= code < 500):
        raise AssertionError(f"expected {wanted}, but came {_outcome(response)}")


def _delivered_by(response: TestResponse) -> Delivery | None:
    """Return the delivery that a response carries, not merely one that its view made."""
    # An open file would be a ResourceWarning in a test that does not look at the content.
    response.make_sequence()
    response.close()
    if response.status_code in (200, 206, 304):
        for delivery, (name, value) in reversed(_record_of(response).delivered):
            if response.headers.getlist(name) == [value]:
                return delivery
    return None


def _record_of(response: TestResponse) -> _Record:
    if not isinstance(response, TestResponse):
        raise TypeError(f"not a response of Flask's test client, but {type(response).__name__}")
    return _records.get(response.request.environ["wsgi.input"]) or _Record()


def _outcome(response: TestResponse) -> str:
    record = _record_of(response)
    if record.error is not None:
        return f"{response.status} ({record.error})"
    if record.delivered:
        return f"{response.status}, instead of the response that the extension made"
    if response.status_code in (200, 206, 304):
        return f"{response.status}, not by the extension (import this module before requests)"
    return response.status


def _facts(delivery: Delivery) -> dict[str, object]:
    return {
        "path": delivery.file.relative,
        "area": delivery.area.name,
        "download_name": clean_name(delivery.handoff.download_name or delivery.file.name),
        "mimetype": delivery.content_type,
        "as_attachment": delivery.disposition.startswith("attachment;"),
        "max_age": delivery.max_age,
        "csp": delivery.csp or "",
        "rate_limit": delivery.rate_limit,
        "size": delivery.handoff.size,
        "etag": delivery.handoff.etag,
    }


def _real(path: str, delivery: Delivery) -> str:
    """Follow symbolic links, as the extension does; leave a path that leads elsewhere unchanged."""
    root = delivery.file.root
    real = os.path.realpath(f"{root}/{path}")
    return os.path.relpath(real, root) if real.startswith(f"{root}/") else path


def _record(environ: dict[str, Any]) -> _Record:
    return _records.setdefault(environ["wsgi.input"], _Record())


@file_delegated.connect
def _note_delivery(_app: Flask, *, delivery: Delivery, **_: object) -> None:
    sent: Sent = request.environ[SENT][-1]
    # The header that hands the file off must have arrived; where there is none, its description.
    name, value = sent.handoff or ("Content-Disposition", delivery.disposition)
    _record(request.environ).delivered.append((delivery, (name.lower(), value)))


@file_refused.connect
def _note_refusal(_app: Flask, *, error: DelegateError) -> None:
    _record(request.environ).error = error
