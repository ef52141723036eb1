"""The log: one line a message, so that no visitor can forge lines."""

from __future__ import annotations

import logging
import re

from flask import Flask
from flask.logging import default_handler

# The token of a link: Flask logs the address with an exception.
_LINK = re.compile(r"(/(?:s|r|invitation|reset)/)[^\s/]+")


class OneLineFormatter(logging.Formatter):
    """Flask's format, with control characters escaped and tracebacks indented.

    Programs that read the log line by line, such as fail2ban, then take no part of a message for
    a line: neither of an address, which Flask logs with an exception, nor of the exception's text.
    """

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] %(levelname)s in %(module)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        """Return the first line."""
        return _safe(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Return the traceback."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"    {_safe(line)}" for line in lines)


def init_app(app: Flask) -> None:
    """Log information, too, and format what the application's own handler writes."""
    app.logger.setLevel(logging.INFO)
    if default_handler in app.logger.handlers:
        default_handler.setFormatter(OneLineFormatter())


def _safe(text: str) -> str:
    """Mask tokens, and escape what cannot be printed as Python does, with a backslash."""
    masked = _LINK.sub(r"\1…", text)
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in masked)
