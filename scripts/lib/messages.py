"""What the scripts say, and how they end."""

from __future__ import annotations

import argparse
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
        self._filled: set[str] = set()

    def take(self, name: str, **options: str) -> None:
        """Add an option that needs a value."""
        self._filled.add(name.removeprefix("--"))
        self.add_argument(name, nargs="?", const="", **options)  # type: ignore[arg-type]

    def parse(self, words: Iterable[str]) -> argparse.Namespace:
        """Parse the words; refuse those that are unknown, and options without their value."""
        given, unknown = self.parse_known_args(list(words))
        if unknown:
            refuse(f"unknown option '{unknown[0]}'. See --help.")
        for name, value in vars(given).items():
            if value == "" and name in self._filled:
                refuse(f"--{name} needs a value. See --help.")
        return given

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        refuse(f"{message}. See --help.")
