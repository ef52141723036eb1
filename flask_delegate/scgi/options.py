"""The server's command line."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from .exchange import Limits

_DIGITS = re.compile("[0-9]{1,18}")
_DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    :param application: ``MODULE:NAME``, or ``MODULE:NAME()`` for one that is called to get it.
    :param place: where to listen; none: on the socket that systemd has opened.
    :param mode: of a UNIX socket.
    :param grace: seconds that requests may take when their process ends.
    """

    application: str
    place: str | None
    mode: int
    processes: int
    threads: int
    max_head: int
    max_body: int
    timeout: int
    grace: int

    @property
    def limits(self) -> Limits:
        """What a request may take."""
        return Limits(self.max_head, self.max_body, self.timeout)

    def as_text(self) -> str:
        """Return what :meth:`of` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Options:
        """Return what :meth:`as_text` has written."""
        return cls(**json.loads(text))


def parse(words: Sequence[str] | None = None) -> Options:
    """Read the command line, and end the program with a message where it is wrong."""
    return Options(**vars(parser().parse_args(words)))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m flask_delegate.scgi",
        description="Serve a WSGI application by SCGI, behind Apache or nginx.",
        epilog="SIGHUP starts new processes, and ends the old ones when these are ready and their"
        " requests are answered. SIGTERM and Ctrl-C end the server likewise.",
    )
    made.add_argument("application", metavar="MODULE:NAME", type=_application)
    made.add_argument(
        "--bind",
        dest="place",
        metavar="PLACE",
        help="HOST:PORT, PORT, or unix:PATH. The default is the socket that systemd has opened."
        " Whoever reaches it can pretend to be the web server: keep others away.",
    )
    made.add_argument(
        "--mode",
        metavar="MODE",
        type=_mode,
        default="660",
        help="of a UNIX socket, which the web server's user has to write to (default: %(default)s)",
    )
    numbers: tuple[tuple[str, int, int, int, str], ...] = (
        ("--processes", 2, 1, 256, "number of processes"),
        ("--threads", 5, 1, 1024, "number of threads of each process, that is, requests at once"),
        ("--max-head", 131_072, 1024, 2**29, "bytes that the headers of a request may have"),
        ("--max-body", 0, 0, 2**50, "bytes that the body of a request may have; 0: any"),
        (
            "--timeout",
            60,
            1,
            _DAY,
            "seconds that the web server may neither send nor take anything",
        ),
        ("--grace", 30, 0, _DAY, "seconds that requests may take when their process ends"),
    )
    for name, usual, least, most, meaning in numbers:
        made.add_argument(
            name,
            type=_number(least, most),
            default=usual,
            metavar="NUMBER",
            help=f"{meaning} (default: %(default)s)",
        )
    return made


def _application(text: str) -> str:
    module, colon, name = text.partition(":")
    if not colon or not all(part.isidentifier() for part in module.split(".")):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form MODULE:NAME")
    if not all(part.isidentifier() for part in name.removesuffix("()").split(".")):
        raise argparse.ArgumentTypeError(f"{name!r} is neither a name nor NAME()")
    return text


def _mode(text: str) -> int:
    if not text.isascii() or not text.isdigit() or set(text) & {"8", "9"} or int(text, 8) > 0o777:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode such as 660")
    return int(text, 8)


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (_DIGITS.fullmatch(text) and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return number
