"""What the scripts say, and how they end."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import NoReturn


def say(message: str) -> None:
    """Print a line to standard error."""
    print(message, file=sys.stderr, flush=True)


def refuse(message: str) -> NoReturn:
    """End with status 2: it cannot work like this, and the message says what to change."""
    say(f"{sys.argv[0]}: {message}")
    raise SystemExit(2)


def fail(message: str) -> NoReturn:
    """End with status 1: it should have worked."""
    say(f"{sys.argv[0]}: {message}")
    raise SystemExit(1)


class Parser(argparse.ArgumentParser):
    """A parser that refuses as the scripts do, and takes no abbreviations."""

    def __init__(self, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=sys.argv[0],
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse(self, words: Iterable[str]) -> argparse.Namespace:
        """Parse the words, and refuse those that are unknown."""
        given, unknown = self.parse_known_args(list(words))
        if unknown:
            refuse(f"unknown option '{unknown[0]}'. See --help.")
        return given

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        found = re.fullmatch(r"argument (--\w+): expected one argument", message)
        refuse(f"{found[1]} needs a value. See --help." if found else f"{message}. See --help.")
