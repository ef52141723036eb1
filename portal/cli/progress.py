"""How far a command has come, for whoever watches it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """Show a bar where somebody sees it: on standard error, if that is a terminal.

    :param length: what the given function's arguments will add up to, about.
    """
    if not sys.stderr.isatty():
        yield lambda _amount: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
