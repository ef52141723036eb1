"""Files that a view makes: written once, handed off as often as asked for, then deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Unpack

from flask import Flask, Response, current_app

from .areas import Area
from .handoff import Handoff, Options
from .resolve import GENERATED
from .sending import send
from .spool import Spool
from .state import state_of

LONGEST = 31 * 24 * 3600
"""Seconds for which a generated file may be kept."""


def send_generated(
    writer: Callable[[BinaryIO], object],
    *,
    key: str,
    expires_in: int = 3600,
    limit: int | None = None,
    **options: Unpack[Options],
) -> Response:
    """Return the response that delivers what ``writer`` writes. The caller has authorised it.

    The first request with a key writes the file, into a folder of the area, and others wait for it.
    Until it expires, each request with this key gets the same file, so that a download can be
    resumed. Nobody else can ask for it.

    :param writer: called with a binary file to write to. It is called in the request, and must not
        send anything itself.
    :param key: what the content depends on: who asks, if that matters, and for what.
    :param expires_in: seconds, 31 days at most, after which a request writes a new file.
    :param limit: bytes that the file may have; none: what ``DELEGATE_GENERATED_LIMIT`` leaves.
    :param options: those of :class:`~flask_delegate.Handoff`; ``download_name`` is required.
    :raises NotGenerated: if there is no room for it, or another request has been writing it for
        a minute.
    :raises ValueError: if an argument is out of its range, or the area lies in a store.
    """
    if not options.get("download_name"):
        raise ValueError("send_generated needs a download_name: the file's own is random")
    if not 1 <= expires_in <= LONGEST:
        raise ValueError(f"expires_in must be between 1 and {LONGEST} seconds, not {expires_in}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be a number of bytes, not {limit}")
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    Handoff("", **options)  # a mistake is found before anything is written
    spool = spool_of(app, state_of(app).settings.area(options.get("area")))
    file = spool.get(key, writer, lasts=expires_in, most=limit)
    return send(Handoff(f"{GENERATED}/{file.name}", **options), tag=file.tag)


def spool_of(app: Flask, area: Area) -> Spool:
    """Return an area's folder of generated files.

    :raises ValueError: if the area lies in a store.
    """
    if area.store is not None:
        raise ValueError(f"the area {area.name!r} lies in a store, where nothing is generated")
    settings = state_of(app).settings
    return Spool(Path(area.root, GENERATED), settings.generated_limit, settings.generated_free)
