"""Generated files: made once, found again, never under the same name, within limits."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate import NotGenerated, PathRefused, file_delegated, send_via_apache
from flask_delegate.generated import send_generated
from flask_delegate.receipts import Receipt
from flask_delegate.resolve import GENERATED, resolve_folder
from flask_delegate.spool import Generated, Spool
from flask_delegate.spool_receipts import Sent, clean, merged
from tests.support.extension import Factory, behind_apache, refused
from tests.support.paths import PROJECT
from tests.support.receipts import line

KIB = 1024


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 64 * KIB, 0)


def write(content: bytes = b"content") -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


def names(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir() if path.name != "lock")


def content(spool: Spool, made: Generated) -> bytes:
    return (spool.folder / made.name).read_bytes()


def age(spool: Spool, made: Generated, seconds: float) -> None:
    """Let it have been used so long ago."""
    path = spool.folder / made.name
    os.utime(path, ns=(time.time_ns() - int(seconds * 1e9), path.stat().st_mtime_ns))


def test_a_file_is_made_once_for_each_key(spool: Spool) -> None:
    made = spool.get("a", write(b"first"), lasts=60)
    again = spool.get("a", write(b"second"), lasts=60)
    other = spool.get("b", write(b"other"), lasts=60)
    assert (again.name, content(spool, again), content(spool, other)) == (
        made.name,
        b"first",
        b"other",
    )
    assert len(names(spool)) == 2
    assert "first" not in made.name


def test_no_name_is_used_twice(spool: Spool) -> None:
    found = set()
    for number in range(20):
        made = spool.get("a", write(b"%d" % number), lasts=60)
        found.add(made.name)
        assert content(spool, made) == b"%d" % number
        (spool.folder / made.name).unlink()
    assert len(found) == 20


def test_its_date_is_certain_and_use_does_not_change_it(spool: Spool) -> None:
    # Apache compares the date with the request's, which began before the file was written.
    asked = time.time()
    made = spool.get("a", lambda _: time.sleep(1.5), lasts=60)
    path = spool.folder / made.name
    before = path.stat().st_mtime_ns
    assert 60 < asked - before / 1e9 <= 120.1
    age(spool, made, 1000)
    spool.get("a", write(), lasts=60)
    assert path.stat().st_mtime_ns == before
    assert time.time() - path.stat().st_atime < 10


def test_an_expired_file_is_made_anew_and_stays_while_a_server_may_open_it(spool: Spool) -> None:
    made = spool.get("a", write(b"old"), lasts=0)
    new = spool.get("a", write(b"new"), lasts=60)
    assert content(spool, new) == b"new"
    assert made.name in names(spool)
    age(spool, made, 61)
    assert [one.name for one in spool.clean()] == [made.name]
    assert names(spool) == [new.name]


def _closed(file: BinaryIO) -> None:
    with io.TextIOWrapper(file, "utf-8") as text:
        csv.writer(text).writerow(["a", "b"])


def _forgotten(file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, "utf-8")
    text.write("a,b\r\n")
    warnings.simplefilter("ignore", ResourceWarning)


def _sought(file: BinaryIO) -> None:
    file.write(b"?,b\r\n")
    file.seek(0)
    assert file.read(1) == b"?"
    file.seek(0)
    file.write(b"a")


@pytest.mark.parametrize("writer", [_closed, _forgotten, _sought])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_writers_may_do_with_the_file_what_they_like(
    spool: Spool, writer: Callable[[BinaryIO], None]
) -> None:
    assert content(spool, spool.get("a", writer, lasts=60)) == b"a,b\r\n"


def test_an_archive_can_be_written(spool: Spool) -> None:
    def writer(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x", "y")

    made = spool.get("a", writer, lasts=60)
    assert zipfile.ZipFile(spool.folder / made.name).read("x") == b"y"


def test_a_writer_that_fails_leaves_nothing(spool: Spool) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyError("missing")

    with pytest.raises(KeyError):
        spool.get("a", fail, lasts=60)
    assert names(spool) == []
    assert content(spool, spool.get("a", write(), lasts=60)) == b"content"


def _hole(file: BinaryIO) -> None:
    file.seek(100 * KIB)
    file.write(b"x")


def _stretched(file: BinaryIO) -> None:
    file.truncate(100 * KIB)


def _quiet(file: BinaryIO) -> None:
    try:
        for _ in range(100):
            file.write(bytes(KIB))
            file.flush()
    except NotGenerated:
        pass


@pytest.mark.parametrize("writer", [write(bytes(65 * KIB)), _hole, _stretched, _quiet])
@pytest.mark.parametrize("most", [None, 10 * KIB])
def test_limits_hold(spool: Spool, writer: Callable[[BinaryIO], object], most: int | None) -> None:
    with pytest.raises(NotGenerated):
        spool.get("a", writer, lasts=60, most=most)
    assert names(spool) == []


def test_the_limit_is_for_all_files_together_and_what_expired_makes_room(spool: Spool) -> None:
    first = spool.get("a", write(bytes(40 * KIB)), lasts=1)
    with pytest.raises(NotGenerated, match="DELEGATE_GENERATED_LIMIT"):
        spool.get("b", write(bytes(40 * KIB)), lasts=60)
    assert spool.get("b", write(bytes(24 * KIB)), lasts=60).size == 24 * KIB
    age(spool, first, 100)
    time.sleep(1.1)
    assert spool.get("c", write(bytes(40 * KIB)), lasts=60).size == 40 * KIB


def test_the_disk_is_not_filled(spool: Spool) -> None:
    with pytest.raises(NotGenerated):
        replace(spool, free=2**62).get("a", write(), lasts=60)


def test_many_at_once_make_one_file(spool: Spool) -> None:
    made: list[int] = []

    def writer(file: BinaryIO) -> None:
        made.append(1)
        time.sleep(0.3)
        file.write(b"content")

    with ThreadPoolExecutor(20) as pool:
        found = {
            one.name for one in pool.map(lambda _: spool.get("a", writer, lasts=60), range(20))
        }
    assert (len(found), len(made)) == (1, 1)


def test_who_waits_too_long_is_told(spool: Spool) -> None:
    begun, end = threading.Event(), threading.Event()

    def slow(_: BinaryIO) -> None:
        begun.set()
        end.wait(30)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(spool.get, "a", slow, lasts=60)
        assert begun.wait(30)
        with pytest.raises(NotGenerated, match="still writing"):
            spool.get("a", write(), lasts=60, patience=0.2)
        assert spool.clean() == []
        assert len(names(spool)) == 1
        end.set()
        assert writing.result().size == 0


KILLED = """
import sys, time
from pathlib import Path
from flask_delegate.spool import Spool

def write(file):
    file.write(bytes(1000))
    file.flush()
    print("begun", flush=True)
    time.sleep(100)

Spool(Path(sys.argv[1]), 10**6, 0).get("a", write, lasts=60)
"""


@pytest.mark.parametrize("cleaned", [False, True])
def test_what_a_crash_leaves_is_cleaned(spool: Spool, *, cleaned: bool) -> None:
    command = [sys.executable, "-c", KILLED, str(spool.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT) as writing:
        assert writing.stdout
        assert writing.stdout.readline() == b"begun\n"
        with pytest.raises(NotGenerated, match="still writing"):
            spool.get("a", write(), lasts=60, patience=0)
        assert len(names(spool)) == 1
        writing.send_signal(signal.SIGKILL)
    (left,) = names(spool)
    assert (spool.folder / left).stat().st_size == 1000
    if cleaned:
        assert spool.clean() == []
        assert names(spool) == []
    made = spool.get("b" if cleaned else "a", write(), lasts=60)
    assert names(spool) == [made.name]


# What was sent.


def receipt(made: Generated, **changed: Any) -> Receipt:
    values: dict[str, Any] = {"method": "GET", "status": 200, "sent": made.size, "part": None}
    values |= {"outcome": "completed", "time": datetime.now(UTC), **changed}
    return Receipt(id=f"{made.tag}12345678", **values)


FILE = Generated("n", "k", 0, "tag_tag-", 100, 0)


@pytest.mark.parametrize(
    ("receipts", "complete"),
    [
        ([{}], True),
        ([{"sent": 40, "outcome": "cut short"}], False),
        ([{"sent": 40, "outcome": "cut short"}, {"status": 206, "part": (30, 99, 100)}], True),
        ([{"status": 206, "part": (30, 99, 100)}], False),
        ([{"status": 206, "part": (50, 99, 100)}, {"status": 206, "part": (0, 49, 100)}], True),
        ([{"status": 206, "part": (51, 99, 100)}, {"status": 206, "part": (0, 49, 100)}], False),
        ([{"status": 206, "part": (0, 99, 100), "sent": 99, "outcome": "cut short"}], False),
        ([{"status": 206, "part": None}], False),
        ([{"status": 304, "sent": 0}], False),
        ([{"method": "HEAD", "sent": 0}], False),
        ([{"outcome": "unknown"}], False),
        ([{"outcome": "failed", "status": 416}], False),
    ],
)
def test_a_file_is_sent_when_all_of_it_was(
    receipts: list[dict[str, Any]], *, complete: bool
) -> None:
    sent = Sent()
    for changed in receipts:
        sent.add([receipt(FILE, **changed)], [FILE])
    assert (FILE.tag in sent.complete) == complete


def test_receipts_of_others_count_for_nothing() -> None:
    sent = Sent()
    sent.add([receipt(replace(FILE, tag="other..."))], [FILE])
    assert (sent.complete, sent.parts) == ({}, {})
    sent.add([receipt(FILE)], [FILE])
    sent.add([], [])
    assert (sent.complete, sent.parts) == ({}, {})


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10))))
def test_spans_are_joined(pairs: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in pairs]
    found = merged(spans)
    covered = {number for first, end in spans for number in range(first, end)}
    assert {number for first, end in found for number in range(first, end)} == covered
    assert all(one[1] < other[0] for one, other in pairwise(found))


def _log(path: Path, made: Generated, **changed: str) -> None:
    with path.open("a") as log:
        values = {"body": str(made.size), "length": str(made.size), "time": f"{time.time():.0f}"}
        log.write(
            line(identity=f"{made.tag}12345678", **{**values, "sent": "9999", **changed}) + "\n"
        )


def test_a_file_goes_some_time_after_it_was_sent_and_used(spool: Spool, tmp_path: Path) -> None:
    log, made = tmp_path / "log", spool.get("a", write(), lasts=600)
    other = spool.get("b", write(), lasts=600)
    for made_one in (made, other):
        age(spool, made_one, 400)
    _log(log, made, time=f"{time.time() - 400:.0f}")
    _log(log, other, end="X", sent="3")
    assert clean(spool, log, keep=500) == []
    assert spool.get("a", write(), lasts=600).name == made.name
    assert clean(spool, log, keep=300) == []  # it was used again
    age(spool, made, 301)
    # The receipt was read before; what it says is kept.
    log.unlink()
    assert [one.name for one in clean(spool, log, keep=300)] == [made.name]
    assert other.name in names(spool)


def test_what_is_kept_may_be_damaged(spool: Spool, tmp_path: Path) -> None:
    made = spool.get("a", write(), lasts=600)
    wrong = '{"parts": {}, "position": {"a": "x"}, "complete": {"b": []}}'
    for text in (
        "",
        "[]",
        "{}",
        wrong,
        '{"parts": 1}',
        '{"parts": {"a": [1]}, "position": {}, "complete": {}}',
    ):
        (spool.folder / "state.json").write_text(text)
        assert clean(spool, tmp_path / "log", keep=0) == []
    assert content(spool, made) == b"content"


def test_nothing_is_done_where_nothing_was_made(spool: Spool, tmp_path: Path) -> None:
    assert clean(spool, tmp_path / "log", keep=0) == clean(spool, None, keep=0) == []
    assert not spool.folder.exists()


# In an application.


def serve(app: Flask, **options: Any) -> None:
    def view() -> Any:
        return send_generated(
            write(b"x" * 1000), **{"key": "a", "download_name": "a.csv"} | options
        )

    app.add_url_rule("/file", "file", view)


def test_it_is_handed_off_with_an_id_that_names_it(app: Flask, root: Path) -> None:
    serve(app, as_attachment=True)
    heard: list[Any] = []

    def hear(_: Flask, delivery: Any, backend: str) -> None:
        heard.append((delivery, backend))

    with file_delegated.connected_to(hear, app):
        for _ in range(2):
            location = behind_apache(app).get("/file").headers["Location"]
    (made,) = [path for path in (root / GENERATED).iterdir() if path.name != "lock"]
    (first, _), (second, backend) = heard
    assert backend == "mod_wsgi"
    assert first.id[:8] == second.id[:8] == made.name.split(".")[2][:8]
    assert first.id != second.id
    assert len(first.id) == 16
    assert location.startswith(f"/private/{GENERATED}/{made.name}?")
    assert "attachment" in location
    assert "a.csv" in location
    response = app.test_client().get("/file", headers={"Range": "bytes=990-"})
    assert (response.status_code, response.data) == (206, b"x" * 10)


def test_nothing_else_leads_to_a_generated_file(app: Flask, root: Path) -> None:
    """Who knows a name, such as from a listing, is not who it was made for."""
    serve(app)
    app.get("/any/<path:path>")(send_via_apache)
    client = behind_apache(app)
    assert client.get("/file").status_code == 200
    (made,) = Spool(root / GENERATED, 0, 0).files()
    (root / "link").symlink_to(GENERATED)
    (root / "above" / "below").mkdir(parents=True)
    (root / GENERATED).rename(root / "above" / GENERATED)
    (root / GENERATED).symlink_to(Path("above", GENERATED))
    for folder in (
        GENERATED,
        f"above/{GENERATED}",
        "link",
        f"./{GENERATED}",
        f"above/./{GENERATED}",
    ):
        for name in (made.name, "lock"):
            assert client.get(f"/any/{folder}/{name}").status_code == 404
        with app.test_request_context(), pytest.raises(PathRefused, match="send_generated"):
            resolve_folder(str(root), folder)
    (root / "a.txt").write_bytes(b"a")
    assert client.get("/any/a.txt").status_code == 200


def test_without_room_the_answer_is_503(make_app: Factory) -> None:
    for settings, options in (
        ({"DELEGATE_GENERATED_LIMIT": 999}, {}),
        ({"DELEGATE_GENERATED_FREE": 2**62}, {}),
        ({}, {"limit": 999}),
    ):
        app = make_app(**settings)
        serve(app, key=str(settings), **options)
        response = app.test_client().get("/file")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize(
    "wrong",
    [
        {"download_name": None},
        {"expires_in": 0},
        {"expires_in": 10**9},
        {"max_age": -1},
        {"limit": -1},
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    app: Flask, root: Path, wrong: dict[str, Any]
) -> None:
    serve(app, **wrong)
    app.testing = True
    with pytest.raises(ValueError, match=r"must be|needs"):
        app.test_client().get("/file")
    assert not (root / GENERATED).exists()


def test_wrong_settings_are_refused(root: Path) -> None:
    for key in ("DELEGATE_GENERATED_LIMIT", "DELEGATE_GENERATED_FREE"):
        for value in (-1, "10 GB", None, True):
            assert refused(SECRET_KEY="x", DELEGATE_ROOT=root, **{key: value}).key == key


def test_the_command_cleans(
    app: Flask, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(app)
    behind_apache(app).get("/file")
    runner, log = app.test_cli_runner(), tmp_path / "log"
    arguments = ["delegate", "clean-generated", str(log), "--keep", "0"]
    missing = runner.invoke(args=arguments)
    assert (missing.exit_code, missing.output) == (1, f"Error: {log}: No such file or directory\n")
    log.write_text("not a folder")
    inside = runner.invoke(args=["delegate", "clean-generated", str(log / "log")])
    assert (inside.exit_code, inside.output) == (1, f"Error: {log / 'log'}: Not a directory\n")
    log.write_text("")
    assert runner.invoke(args=arguments).output == "default: 0 files deleted, 0 bytes.\n"
    (made,) = Spool(root / GENERATED, 0, 0).files()
    _log(log, made, time=f"{time.time() - 9:.0f}")
    time.sleep(0.01)
    assert runner.invoke(args=arguments).output == "default: 1 files deleted, 1000 bytes.\n"
    assert list(Spool(root / GENERATED, 0, 0).files()) == []
    assert runner.invoke(args=["delegate", "clean-generated"]).exit_code == 0
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    result = runner.invoke(args=arguments)
    assert (result.exit_code, "Run the command as that user" in result.output) == (1, True)
    monkeypatch.undo()
    log.unlink()
    log.mkdir()
    result = runner.invoke(args=arguments)
    assert (result.exit_code, "Is a directory" in result.output) == (1, True)
