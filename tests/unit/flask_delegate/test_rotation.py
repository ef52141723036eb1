"""A log is read through its rotations, each line once."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from flask_delegate import rotation
from flask_delegate.receipts import follow
from flask_delegate.rotation import Position
from tests.support.paths import PROJECT
from tests.support.receipts import Finished, Log, finish, line


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "downloads.log")


class Reader:
    """A reader that is started, reads to the end, and is stopped."""

    def __init__(self, log: Log) -> None:
        self.log, self.stored, self.position = log, list[str](), Position()

    def run(self, wait: Callable[[], object] = finish) -> None:
        position = json.loads(json.dumps(self.position))
        with suppress(Finished):
            for receipts, reached in follow(self.log.path, position, wait=wait):
                self.stored += [receipt.id for receipt in receipts]
                self.position = reached

    def check(self) -> None:
        self.run()
        assert sorted(self.stored) == self.log.written


@pytest.fixture
def reader(log: Log) -> Reader:
    return Reader(log)


def test_lines_are_read_as_they_come_and_in_order(log: Log, reader: Reader) -> None:
    def finish_line() -> None:
        with log.path.open("a") as file:
            file.write("\n")

    def begin_line() -> None:
        log.written.append("x" * 16)
        with log.path.open("a") as file:
            file.write(line("x" * 16))

    steps = [log.write, log.rename, log.write, begin_line, finish_line, log.write, finish]
    reader.run(wait=lambda: steps.pop(0)())
    assert reader.stored == log.written


@pytest.mark.parametrize("rotate", [Log.rename, Log.copy_and_truncate])
@pytest.mark.parametrize("runs", [True, False])
def test_rotation_loses_nothing(
    rotate: Callable[[Log], None], runs: bool, log: Log, reader: Reader
) -> None:
    steps: list[Callable[[], object]] = [
        *(log.write, log.write),
        *(lambda: rotate(log), log.write_late, log.write),
        *(lambda: rotate(log), log.write_late, log.write_late, log.write, log.write, log.write),
        *(lambda: rotate(log), lambda: rotate(log), log.write, log.compress, log.write_late),
    ]
    if runs:
        reader.run(wait=lambda: steps.pop(0)() if steps else finish())
    else:
        log.write()
        reader.run()
        for step in steps:
            step()
    reader.check()
    assert len(log.written) > 9


def test_a_new_reader_begins_with_the_oldest_file(log: Log, reader: Reader) -> None:
    for _ in range(4):
        log.write()
        log.rename()
    log.compress()
    log.write()
    for age, path in enumerate([log.path, *sorted(log.path.parent.glob("*.log.*"))]):
        os.utime(path, (10**9 - age, 10**9 - age))
    reader.run()
    assert reader.stored == log.written


@pytest.mark.parametrize("name", ["downloads.log-20261127", "downloads.log-20261127.gz"])
def test_rotated_files_may_have_dates(name: str, log: Log, reader: Reader) -> None:
    log.write()
    reader.run()
    log.write()
    content = log.path.read_bytes()
    log.path.unlink()
    path = log.path.with_name(name)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    log.write()
    reader.check()


def test_any_order_of_events_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_MOST", 2)
    for seed in range(50):
        chance = random.Random(seed)  # noqa: S311
        log = Log(tmp_path / str(seed) / "downloads.log")
        log.path.parent.mkdir()
        reader = Reader(log)
        events: list[Callable[[], object]] = [
            *(log.rename, log.copy_and_truncate, log.compress, log.write_late),
            *[log.write] * 5,
        ]

        steps = [chance.choice([*events, finish]) for _ in range(200)]
        run: Callable[[], object] = partial(reader.run, wait=lambda: steps.pop()())  # noqa: B023
        for _ in range(20):
            chance.choice([*events, run])()
        reader.check()
        shutil.rmtree(log.path.parent)


def test_a_log_that_is_truncated_while_it_is_read_is_read_anew(log: Log, reader: Reader) -> None:
    for _ in range(1000):
        log.write()
    followed = follow(log.path, wait=finish)
    receipts, reader.position = next(followed)
    reader.stored += [receipt.id for receipt in receipts]
    log.copy_and_truncate()
    for _ in range(1000):
        log.write()
    with suppress(Finished):
        next(followed)
    reader.check()


def test_the_position_is_that_after_the_receipts_that_came_with_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_MOST", 1)
    for _ in range(3):
        log.write()
    for count, (_, position) in enumerate(follow(log.path, wait=finish), 1):
        rest = next(follow(log.path, position), ([], {}))[0] if count < 3 else []
        assert [receipt.id for receipt in rest] == log.written[count : count + 1]
        if count == 3:
            break


def test_files_that_cannot_be_read_are_logged_once_and_left_out(
    log: Log, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    log.write()
    log.path.with_name("downloads.log.1.gz").write_bytes(b"no archive")
    log.path.with_name("downloads.log.d").mkdir()
    os.mkfifo(log.path.with_name("downloads.log.pipe"))
    steps = [log.write, log.write, finish]
    reader.run(wait=lambda: steps.pop(0)())
    assert reader.stored == log.written
    (message,) = caplog.messages
    assert "downloads.log.1.gz cannot be read, and is left out" in message


@pytest.mark.parametrize("ending", ["zst", "xz", "bz2"])
def test_files_of_other_programs_than_gzip_are_named_once(
    ending: str, log: Log, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    log.write()
    log.path.with_name(f"downloads.log.1.{ending}").write_bytes(b"compressed")
    steps = [log.write, log.write, finish]
    reader.run(wait=lambda: steps.pop(0)())
    assert reader.stored == log.written
    (message,) = caplog.messages
    assert f"files that end in .{ending} are not read" in message


def test_an_archive_that_is_being_written_is_read_as_far_as_it_goes(
    log: Log, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5000):
        log.write()
    whole = gzip.compress(log.path.read_bytes())
    log.path.unlink()
    archive = log.path.with_name("downloads.log.2.gz")
    archive.write_bytes(whole[: len(whole) // 2])
    reader.run()
    assert 0 < len(reader.stored) < 5000
    archive.write_bytes(whole)
    reader.check()
    assert not caplog.messages


def test_a_line_without_an_end_takes_no_memory_and_no_receipt(log: Log, reader: Reader) -> None:
    with log.path.open("w") as file:
        file.write("\0" * 200_000 + "\n")
    log.write()
    reader.check()


def test_what_has_disappeared_is_forgotten_in_the_end(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_REMEMBERED", 3)
    events: list[Callable[[], object]] = [log.write, log.path.unlink]
    steps = [*events * 10, log.write, finish]
    reader.run(wait=lambda: steps.pop(0)())
    assert reader.stored == log.written
    assert len(reader.position) == 4


def test_a_log_whose_folder_cannot_be_read_is_an_error(log: Log) -> None:
    log.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        next(follow(log.path))


def test_a_reader_that_is_killed_stores_each_receipt_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.receipts", str(tmp_path), "25"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(" written, 0 lost, 0 stored twice\n")
    assert int(done.stdout.split()[0]) > 25


def test_a_file_that_could_not_be_read_is_read_later(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log.write()
    old = log.path.rename(log.path.with_name("downloads.log.1"))
    log.write()
    really, failures = rotation.open_log, [3]

    def failing(file: Path) -> IO[bytes]:
        if file == old and failures[0]:
            failures[0] -= 1
            raise OSError(13, "Permission denied")
        return really(file)

    monkeypatch.setattr(rotation, "open_log", failing)
    steps = [lambda: None, lambda: None, lambda: None, finish]
    reader.run(wait=lambda: steps.pop(0)())
    assert sorted(reader.stored) == log.written
    assert len(caplog.messages) == 1


def test_a_link_that_leads_nowhere_ends_no_reader(log: Log, reader: Reader) -> None:
    log.write()
    for name in ("downloads.log.9", "downloads.log.gone"):
        link = log.path.with_name(name)
        link.symlink_to(link.name if name.endswith("9") else "nothing")
    reader.check()
