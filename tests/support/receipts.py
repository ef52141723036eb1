"""Lines of a log of receipts, and a reader that is killed while it reads them.

``python -m tests.support.receipts FOLDER KILLS`` kills a reader so often while lines are written
and the log is rotated, lets the last one finish, and prints what was lost and what came twice.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from flask_delegate.receipts import Receipt, follow

from .portal_process import wait_for


def line(identity: str = "0123456789abcdef", **changed: str) -> str:
    values = {
        "time": "1700000000",
        "method": "GET",
        "status": "200",
        **{name: value for name, value in changed.items() if name == "protocol"},
        "end": "+",
        "body": "16",
        "length": "16",
        "sent": "400",
        "range": '"-"',
        **changed,
    }
    return f"flask-delegate id={identity} " + " ".join(f"{k}={v}" for k, v in values.items())


def receipts_in_order(
    read: Callable[[], Sequence[Receipt]], requests: Iterable[Callable[[], object]]
) -> Sequence[Receipt]:
    """Send one request after the other, and return their receipts.

    A server writes a line once it has answered: without waiting, the next one could be faster.
    """
    before = len(read())
    for count, send in enumerate(requests, before + 1):
        send()
        wait_for(lambda count=count: len(read()) >= count)  # type: ignore[misc]
    return read()[before:]


class Finished(Exception):
    """The reader has read everything."""


def finish() -> None:
    raise Finished


class Log:
    """A log that a server writes, and how it is rotated."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, list[str]()

    @property
    def rotated(self) -> list[Path]:
        """The files that are not compressed, newest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.?"))

    def write(self, path: Path | None = None) -> None:
        """Write a line, into an old file where that is what the server has open."""
        identity = f"{len(self.written):016}"
        self.written.append(identity)
        with (path or self.path).open("a") as file:
            file.write(line(identity) + "\n")

    def write_late(self) -> None:
        for path in self.rotated[:2]:
            self.write(path)

    def rename(self) -> None:
        self._make_room()
        if self.path.exists():
            self.path.rename(f"{self.path}.1")

    def copy_and_truncate(self) -> None:
        self._make_room()
        if self.path.exists():
            shutil.copyfile(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)

    def compress(self) -> None:
        for path in self.rotated[2:]:
            with gzip.open(f"{path}.gz", "wb") as file:
                file.write(path.read_bytes())
            path.unlink()

    def _make_room(self) -> None:
        for path in sorted(self.path.parent.glob(f"{self.path.name}.*"), key=_number, reverse=True):
            number = _number(path)
            path.rename(f"{path}".replace(f".log.{number}", f".log.{number + 1}"))


def _number(path: Path) -> int:
    return int(path.name.removesuffix(".gz").rpartition(".")[2])


def consume(log: Path, database: Path, wait: Callable[[], object]) -> None:
    """Store receipts and the position in one transaction, as an application would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (position,) = connection.execute("SELECT position FROM place").fetchone()
        for receipts, reached in follow(log, json.loads(position), wait=wait):
            connection.execute("BEGIN IMMEDIATE")
            rows = [(receipt.id,) for receipt in receipts]
            connection.executemany("INSERT INTO receipt VALUES (?)", rows)
            connection.execute("UPDATE place SET position = ?", [json.dumps(reached)])
            connection.execute("COMMIT")


def kill_readers(folder: Path, kills: int) -> tuple[int, Counter[str]]:
    """Return how many lines were written, and how often each was stored."""
    log, database = Log(folder / "downloads.log"), folder / "stored.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE receipt (id TEXT);"
            "CREATE TABLE place (position TEXT); INSERT INTO place VALUES ('{}');"
        )
    steps = [log.rename, log.copy_and_truncate, log.compress, log.write_late, *[log.write] * 30]
    for _ in range(kills):
        reader = os.fork()
        if not reader:
            consume(log.path, database, lambda: time.sleep(0.001))
        until = time.monotonic() + random.uniform(0, 0.1)  # noqa: S311
        while time.monotonic() < until:
            random.choice(steps)()  # noqa: S311
        os.kill(reader, signal.SIGKILL)
        os.waitpid(reader, 0)
        random.choice(steps)()  # noqa: S311
    try:
        consume(log.path, database, finish)
    except Finished:
        with closing(sqlite3.connect(database)) as connection:
            stored = Counter(
                identity for (identity,) in connection.execute("SELECT * FROM receipt")
            )
    return len(log.written), stored


if __name__ == "__main__":
    count, stored = kill_readers(Path(sys.argv[1]), int(sys.argv[2]))
    doubled = sum(1 for times in stored.values() if times > 1)
    print(f"{count} written, {count - len(stored)} lost, {doubled} stored twice")  # noqa: T201
