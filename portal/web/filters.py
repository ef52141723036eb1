"""Template filters: sizes, times and types as people read them."""

from __future__ import annotations

from datetime import datetime
from textwrap import wrap

from flask import Flask

from .devices import describe

_UNITS = ("KiB", "MiB", "GiB", "TiB")
_ICONS = {
    "csv": "table",
    "tab-separated-values": "table",
    "spreadsheet": "table",
    "ms-excel": "table",
    "pdf": "text",
    "msword": "text",
    "wordprocessing": "text",
    "opendocument.text": "text",
    "rtf": "text",
    "zip": "archive",
    "x-tar": "archive",
    "compressed": "archive",
    "rar": "archive",
}
"""Icons of MIME types by a part of the subtype, where the main type does not say enough."""


def init_app(app: Flask) -> None:
    """Register the template filters."""
    for template_filter in (human_size, human_time, human_day, groups, icon):
        app.add_template_filter(template_filter)
    app.add_template_filter(describe, "device")


def human_size(size: int) -> str:
    """Return a size, such as ``1.4 MiB``."""
    if size < 1024:
        return f"{size} byte{'' if size == 1 else 's'}"
    amount = float(size)
    for unit in _UNITS:
        amount /= 1024
        # Rounding must not write almost a MiB as '1024 KiB'.
        if round(amount, 1) < 1024 or unit == _UNITS[-1]:
            break
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def human_time(moment: datetime) -> str:
    """Return a time, such as ``3 May 2026, 14:05 UTC``."""
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def icon(mimetype: str) -> str:
    """Return the icon of a type of files: the name of a picture in ``static/icons/``."""
    main, _, subtype = mimetype.partition("/")
    if main in {"audio", "image", "text", "video"}:
        return _ICONS.get(subtype, main)
    return next((name for part, name in _ICONS.items() if part in subtype), "file")


def groups(secret: str) -> str:
    """Return a secret in groups of four characters, which are easier to type."""
    return " ".join(wrap(secret, 4))


def human_day(moment: datetime) -> str:
    """Return a day, such as ``3 May 2026``."""
    return f"{moment.day} {moment:%b %Y}"
