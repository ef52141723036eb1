"""``python -m flask_delegate.scgi``: see its ``--help``."""

from __future__ import annotations

import logging
import sys

from .logs import set_up
from .master import Master
from .options import parse
from .sockets import CannotListenError, is_local, listen

logger = logging.getLogger("flask_delegate.scgi")


def main() -> int:
    """Serve; return the exit status."""
    options = parse()
    set_up()
    if sys.platform != "linux":
        logger.error("this server needs Linux.")
        return 2
    try:
        listener = listen(options.place, options.mode)
    except CannotListenError as error:
        logger.error("%s", error)  # noqa: TRY400
        return 2
    if not is_local(listener.socket):
        logger.warning(
            "%s can be reached from other machines: whoever does can pretend to be the web server.",
            options.place or "the socket",
        )
    try:
        return Master(options, listener).run()
    finally:
        listener.close()


if __name__ == "__main__":
    sys.exit(main())
