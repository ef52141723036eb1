"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import datetime

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
"""What else than its main type says of a MIME type what it is, by a part of its subtype."""


def init_app(app: Flask) -> None:
    """Register the template filters."""
    app.add_template_filter(human_size)
    app.add_template_filter(human_time)
    app.add_template_filter(human_day)
    app.add_template_filter(groups)
    app.add_template_filter(icon)
    app.add_template_filter(describe, "device")


def human_size(size: int) -> str:
    """Write a number of bytes, such as ``1.4 MiB``."""
    if size < 1024:
        return f"{size} byte{'' if size == 1 else 's'}"
    amount = float(size)
    for unit in _UNITS:
        amount /= 1024
        # One decimal must not make '1024.0 KiB' of what is almost a MiB.
        if round(amount, 1) < 1024 or unit == _UNITS[-1]:
            break
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def human_time(moment: datetime) -> str:
    """Write a moment, such as ``3 May 2026, 14:05 UTC``."""
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def icon(mimetype: str) -> str:
    """Tell what stands for a type of files in lists: the name of a picture in ``static/icons/``."""
    main, _, subtype = mimetype.partition("/")
    if main in {"audio", "image", "text", "video"}:
        return _ICONS.get(subtype, main)
    return next((name for part, name in _ICONS.items() if part in subtype), "file")


def groups(secret: str) -> str:
    """Write a secret in groups of four, so that it can be typed without getting lost."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def human_day(moment: datetime) -> str:
    """Write a day, such as ``3 May 2026``."""
    return f"{moment.day} {moment:%b %Y}"
