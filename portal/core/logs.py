"""The log: a line for each message, so that nobody outside can write lines of their own."""

from __future__ import annotations

import logging
import re

from flask import Flask
from flask.logging import default_handler

# What opens a share or an invitation: Flask logs the address with an exception.
_LINK = re.compile(r"(/(?:s|r|invitation|reset)/)[^\s/]+")


class OneLineFormatter(logging.Formatter):
    """Flask's format, with control characters escaped, and tracebacks set in.

    What reads the log by its lines, as fail2ban does, then takes no part of a message for one:
    neither of an address, which Flask logs with an exception, nor of an exception's own text.
    """

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] %(levelname)s in %(module)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        """Write the first line."""
        return escape(_masked(super().formatMessage(record)))

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Write the traceback."""
        lines = _masked(super().formatException(ei)).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"    {escape(line)}" for line in lines)


def init_app(app: Flask) -> None:
    """Have the application's own handler write such lines; others are their owner's concern."""
    if default_handler in app.logger.handlers:
        default_handler.setFormatter(OneLineFormatter())


def _masked(text: str) -> str:
    return _LINK.sub(r"\1…", text)


def escape(text: str) -> str:
    """Write what cannot be printed the way that Python does, with a backslash."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
