from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from flask_delegate.receipts import Receipt, follow, parse, read


def line(identity: str = "0123456789abcdef", **changed: str) -> str:
    values = {
        "time": "1700000000",
        "method": "GET",
        "status": "200",
        **{name: value for name, value in changed.items() if name == "protocol"},
        "end": "+",
        "body": "16",
        "sent": "400",
        "range": '"-"',
        **changed,
    }
    return f"flask-delegate id={identity} " + " ".join(f"{k}={v}" for k, v in values.items())


def parsed(**changed: str) -> Receipt:
    receipt = parse(line(**changed))
    assert receipt
    return receipt


def test_a_line_is_read() -> None:
    assert parsed(status="206", range='"bytes 8-15/16"', body="8") == Receipt(
        id="0123456789abcdef",
        time=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        method="GET",
        status=206,
        sent=8,
        part=(8, 15, 16),
        outcome="completed",
    )


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"end": "+"}, "completed"),
        ({"end": "-"}, "completed"),
        ({"end": "OK"}, "completed"),
        ({"end": "X"}, "cut short"),
        ({"protocol": "HTTP/1.1", "end": "X"}, "cut short"),
        ({"protocol": "HTTP/2.0", "end": "X"}, "completed"),
        ({"protocol": "HTTP/2.0", "end": "X", "sent": "15"}, "cut short"),
        ({"protocol": "HTTP/2.0", "end": "X", "body": "0", "sent": "0"}, "cut short"),
        ({"protocol": "HTTP/2.0", "end": "X", "method": "HEAD"}, "completed"),
        ({"end": ""}, "cut short"),
        ({"end": "?"}, "unknown"),
        ({"status": "304"}, "completed"),
        ({"status": "403"}, "failed"),
        ({"status": "500", "end": "X"}, "failed"),
    ],
)
def test_the_outcome(changed: dict[str, str], outcome: str) -> None:
    assert parsed(**changed).outcome == outcome


def test_sent_is_of_the_file_and_never_more_than_the_server_sent() -> None:
    assert parsed(body="16", sent="400").sent == 16
    assert parsed(body="1000000", sent="65536", end="X").sent == 65536
    assert parsed(body="-", sent="300").sent == 0
    assert parsed(method="HEAD").sent == 0


@pytest.mark.parametrize(
    "other",
    [
        "",
        "GET / HTTP/1.1",
        line(identity="-"),
        line(identity="a/b"),
        line(status="2xx"),
        line()[:40],
    ],
)
def test_other_lines_are_passed_over(other: str) -> None:
    assert parse(other) is None


def test_a_receipt_may_stand_inside_a_longer_line() -> None:
    receipt = parse(f"host web1: {line()} trailing")
    assert receipt
    assert receipt.id == "0123456789abcdef"


def write(log: Path, *identities: str, mode: str = "a", end: str = "\n") -> None:
    with log.open(mode) as file:
        file.write("".join(line(one.ljust(16, "0")) + end for one in identities))


def ids(receipts: list[Receipt]) -> list[str]:
    return [receipt.id.rstrip("0") for receipt in receipts]


def test_a_log_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, "a", "b")
    write(log, "c", end="")
    assert ids(list(read(log))) == ["a", "b"]


def followed(log: Path, count: int, *steps: Callable[[], object]) -> list[str]:
    """Follow a log, taking a step each time that there is nothing new."""
    pending = list(steps)
    receipts = follow(log, wait=lambda: pending.pop(0)())
    return ids([next(receipts) for _ in range(count)])


def test_a_log_is_followed_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def finish() -> None:
        with log.open("a") as file:
            file.write("\n")

    steps = [
        lambda: write(log, "a"),
        lambda: write(log, "b", end=""),
        finish,
        lambda: write(log, "c"),
    ]
    assert followed(log, 3, *steps) == ["a", "b", "c"]


def test_nothing_is_lost_when_the_log_is_renamed(tmp_path: Path) -> None:
    log, old = tmp_path / "log", tmp_path / "log.1"

    def rotate() -> None:
        write(old, "c")
        write(log, "d")

    write(log, "a")
    steps: list[Callable[[], object]] = [
        lambda: log.rename(old),
        lambda: write(old, "b"),  # the server has the old file open still
        rotate,
    ]
    assert followed(log, 4, *steps) == ["a", "b", "c", "d"]


def test_a_truncated_log_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, "a", "b")
    assert followed(log, 3, lambda: write(log, "c", mode="w")) == ["a", "b", "c"]


def test_the_command_prints_lines_or_json(app: Flask, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(line(end="X", body="1000") + "\nsomething else\n")
    runner = app.test_cli_runner()
    text = runner.invoke(args=["delegate", "receipts", str(log)]).output
    assert text == "2023-11-14 22:13:20Z 0123456789abcdef 200 cut short, 400 bytes sent\n"
    found = json.loads(runner.invoke(args=["delegate", "receipts", "--json", str(log)]).output)
    assert (found["outcome"], found["sent"], found["part"]) == ("cut short", 400, None)
    assert found["time"] == "2023-11-14T22:13:20+00:00"


def test_a_log_that_cannot_be_read_is_said_to_be_so(app: Flask, tmp_path: Path) -> None:
    runner = app.test_cli_runner()
    result = runner.invoke(args=["delegate", "receipts", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "cannot read" in result.output


@pytest.mark.parametrize("path", ["relative.log", '/a"b', "/a\nb", "/a$b", "|/bin/sh"])
def test_a_path_that_the_server_would_misread_is_refused(app: Flask, path: str) -> None:
    runner = app.test_cli_runner()
    for command in ("apache-config", "nginx-config"):
        result = runner.invoke(args=["delegate", command, "--receipts", path])
        assert result.exit_code == 2
        assert "use an absolute path" in result.output
