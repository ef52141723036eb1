"""What the scripts say, and how they end."""

from __future__ import annotations

import argparse
import re
import sys
from typing import NoReturn


def say(message: str) -> None:
    """Print a line to standard error."""
    print(message, file=sys.stderr, flush=True)


def refuse(message: str) -> NoReturn:
    """End with status 2: it cannot work like this, and the message says what to change."""
    fail(message, 2)


def fail(message: str, status: int = 1) -> NoReturn:
    """End with status 1: it should have worked."""
    say(f"{sys.argv[0]}: {message}")
    raise SystemExit(status)


class Parser(argparse.ArgumentParser):
    """A parser that refuses as the scripts do, and takes no abbreviations."""

    def __init__(self, description: str, epilog: str = "") -> None:
        super().__init__(
            *(sys.argv[0], None, description, epilog),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        message = re.sub(r"(?s)^unrecognized arguments: (\S+).*", r"unknown option '\1'", message)
        message = re.sub(r"^argument (--\w+): expected one argument$", r"\1 needs a value", message)
        refuse(f"{message}. See --help.")
