"""Threads that work while something else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def at_work(tasks: Iterable[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Run each task in a thread; its event is set at the end of the block, which waits for all."""
    ended = threading.Event()
    threads = [threading.Thread(target=task, args=(ended,)) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
