"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import datetime

from flask import Flask

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def init_app(app: Flask) -> None:
    """Register the template filters."""
    app.add_template_filter(human_size)
    app.add_template_filter(human_time)


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
