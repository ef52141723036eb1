"""The server's log: a line for each event on the standard error stream."""

from __future__ import annotations

import logging


def set_up() -> None:
    """Send the server's own messages there, whatever the application does with its log."""
    logger = logging.getLogger("flask_delegate.scgi")
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("%(asctime)s scgi[%(process)d] %(levelname)s: %(message)s")
    )
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
