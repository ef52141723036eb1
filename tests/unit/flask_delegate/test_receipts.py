from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_delegate.receipts import (
    APACHE_FORMAT,
    LIGHTTPD_FORMAT,
    NGINX_FORMAT,
    Receipt,
    follow,
    parse,
    read,
)
from tests.support.receipts import line


def parsed(**changed: str) -> Receipt:
    receipt = parse(line(**changed))
    assert receipt
    return receipt


def test_a_line_is_read() -> None:
    assert parsed(status="206", range='"bytes 8-15/16"', body="8", length="8") == Receipt(
        id="0123456789abcdef",
        time=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        method="GET",
        status=206,
        sent=8,
        part=(8, 15, 16),
        outcome="completed",
    )


APACHE = """\
%{DELEGATE_ID}e 0123456789abcdef
%{sec}t 1700000000
%{DELEGATE_METHOD}e GET
%>s 206
%H HTTP/1.1
%X +
%B 8
%O 400
%{Content-Length}o 8
\\"%{Content-Range}o\\" "bytes 8-15/16"
"""
NGINX = """\
$arg_id 0123456789abcdef
$msec 1700000000.000
$request_method GET
$status 206
$request_completion OK
$body_bytes_sent 8
$sent_http_content_length 8
$bytes_sent 400
"$sent_http_content_range" "bytes 8-15/16"
"""


LIGHTTPD = """\
%{X-Flask-Delegate-Id}o 0123456789abcdef
%{sec}t 1700000000
%m GET
%s 206
%X +
%B 8
%O 400
%{Content-Length}o 8
"%{Content-Range}o" "bytes 8-15/16"
"""


@pytest.mark.parametrize(
    ("log_format", "values"),
    [(APACHE_FORMAT, APACHE), (NGINX_FORMAT, NGINX), (LIGHTTPD_FORMAT, LIGHTTPD)],
)
def test_what_a_server_is_told_to_write_can_be_read(log_format: str, values: str) -> None:
    for variable, _, value in (one.partition(" ") for one in values.splitlines()):
        assert log_format.count(variable) == 1
        log_format = log_format.replace(variable, value)
    assert parse(log_format) == parsed(status="206", range='"bytes 8-15/16"', body="8", length="8")
    assert log_format.endswith('"bytes 8-15/16"')
    assert log_format.startswith("flask-delegate id=")


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
        ({"protocol": "HTTP/2.0", "end": "X", "range": '"-" file=shrunk'}, "cut short"),
        ({"protocol": "HTTP/2.0", "end": "X", "body": "0", "sent": "0"}, "cut short"),
        ({"protocol": "HTTP/2.0", "end": "X", "method": "HEAD"}, "completed"),
        ({"end": ""}, "cut short"),
        ({"end": "?"}, "unknown"),
        # A file, disk or store that broke off.
        ({"end": "-", "sent": "16"}, "cut short"),
        ({"end": "+", "sent": "0"}, "cut short"),
        ({"end": "OK", "body": "15"}, "cut short"),
        ({"end": "+", "body": "15"}, "cut short"),
        ({"end": "+", "range": '"-" file=shrunk'}, "unknown"),
        ({"end": "OK", "length": "-"}, "unknown"),
        ({"end": "OK", "body": "0", "length": "0"}, "completed"),
        ({"end": "OK", "method": "HEAD", "body": "0"}, "completed"),
        ({"status": "304", "body": "0", "length": "-"}, "completed"),
        ({"status": "206", "body": "8", "length": "9"}, "cut short"),
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
    assert parsed(method="HEAD").sent == 0


def test_a_line_of_an_older_format_does_not_say_what_was_announced() -> None:
    receipt = parse(line().replace(" length=16", ""))
    assert receipt
    assert receipt.outcome == "unknown"


@pytest.mark.parametrize("other", ["", "GET / HTTP/1.1", line(identity="-"), line()[:18]])
def test_other_lines_are_passed_over(other: str) -> None:
    assert parse(other) is None


BAD = [
    line(identity="a/b"),
    line(status="2xx"),
    line(time="9" * 12),
    line(time="-1"),
    line(sent="9" * 19),
    line(body=""),
    line(body="-"),
    line()[:40],
]


@pytest.mark.parametrize("bad", BAD)
def test_a_receipt_that_cannot_be_read_is_said_to_be_so(bad: str) -> None:
    with pytest.raises(ValueError, match="not a readable receipt: 'flask-delegate id="):
        parse(bad)


def test_the_last_second_that_can_be_written_can_be_read() -> None:
    assert parsed(time="9" * 11).time.year == 5138


def test_a_line_that_broke_off_takes_nothing_from_the_next() -> None:
    receipt = parse(line("a" * 16)[:-2] + line("b" * 16))
    assert receipt
    assert receipt.id == "b" * 16


def test_a_receipt_may_stand_inside_a_longer_line() -> None:
    receipt = parse(f"host web1: {line()} trailing")
    assert receipt
    assert receipt.id == "0123456789abcdef"


def entry(**changed: Any) -> str:
    """Write an entry of Caddy's access log."""
    headers = {"Content-Length": ["16"], "Server": ["Caddy"]}
    values = {
        "level": "info",
        "ts": 1700000000.25,
        "logger": "http.log.access.flask_delegate",
        "msg": "handled request",
        "request": {"proto": "HTTP/2.0", "method": "GET", "host": "x"},
        "size": 16,
        "status": 200,
        "resp_headers": headers,
        "flask_delegate": "0123456789abcdef",
    }
    return json.dumps({**values, **changed})


RANGE = {"Content-Length": ["8"], "Content-Range": ["bytes 8-15/16"]}
HEAD = {"request": {"method": "HEAD"}, "size": 0}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"size": 9}, {"body": "9"}),
        ({"size": 0}, {"body": "0", "sent": "1"}),
        (
            {"status": 206, "size": 8, "resp_headers": RANGE},
            {"status": "206", "body": "8", "length": "8", "range": '"bytes 8-15/16"'},
        ),
        ({"status": 304, "size": 0, "resp_headers": {}}, {"status": "304"}),
        (HEAD, {"method": "HEAD"}),
        ({"resp_headers": {}}, {"length": "-"}),
        ({"status": 404, "size": 0}, {"status": "404", "body": "0"}),
        ({"status": 416, "resp_headers": {"Content-Range": ["bytes */16"]}}, {"status": "416"}),
    ],
)
def test_what_caddy_writes_is_read(changed: dict[str, Any], expected: dict[str, str]) -> None:
    assert parse(entry(**changed)) == parsed(**{"end": "OK", **expected})


def test_what_a_client_wrote_into_caddys_log_is_no_receipt() -> None:
    request = {"method": "GET", "host": line(), "headers": {"X": [line()]}, "flask_delegate": "x"}
    forged = json.loads(entry(request=request))
    assert parse(json.dumps(forged)) == parse(entry())
    del forged["flask_delegate"]
    assert parse(json.dumps(forged)) is None
    for other in ("{", "{}", "{" + line(), '{"flask_delegate"', "[" * 9):
        assert parse(other) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"flask_delegate": "a/b"},
        {"flask_delegate": None},
        {"ts": "yesterday"},
        {"size": "16"},
        {"status": None},
        {"request": None},
        {"resp_headers": {"Content-Length": ["x"]}},
    ],
)
def test_a_receipt_of_caddys_that_cannot_be_read_is_said_to_be_so(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a readable receipt: 'flask-delegate id="):
        parse(entry(**bad))


def test_a_log_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{line('a' * 16)}\n{line('b' * 16)}\n{line('c' * 16)}")
    assert [receipt.id[0] for receipt in read(log)] == ["a", "b"]


@pytest.mark.parametrize("follows", [False, True])
def test_a_bad_line_is_skipped_and_logged_once(
    follows: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log"
    log.write_bytes("\n".join(["\0\xff", *BAD, line("b" * 16), ""]).encode("latin-1"))
    (found,) = next(follow(log))[0] if follows else read(log)
    assert found.id == "b" * 16
    assert len(caplog.messages) == len(BAD)
    assert {record.name for record in caplog.records} == {"flask_delegate"}
    for message in caplog.messages:
        assert message.startswith("skipped a line: not a readable receipt: 'flask-delegate id=")


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
        problem = "control characters" if "\n" in path else "use an absolute path"
        assert problem in result.output
