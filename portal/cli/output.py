"""What commands print: JSON or lines on standard output, and progress on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

takes_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a value as JSON, or the lines that describe it to people."""
    for line in [json.dumps(value, indent=2)] if as_json else lines:
        click.echo(line)


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error, if that is a terminal.

    :param length: about the sum of what the yielded function is called with.
    """
    if not sys.stderr.isatty():
        yield lambda _amount: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
