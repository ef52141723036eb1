"""One person, or one program, keeps nobody else from pages and downloads.

``FAULTS=all`` tries all of it, as ``scripts/test faults`` does; else one of each kind.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest

from deploy import sizing
from tests.support.portal_process import (
    Run,
    processes_of,
    shared_folder,
    signed_in,
    started,
    wait_for,
)
from tests.support.processes import memory_of
from tests.support.unread import FORM, Clients, address, prepare, rules
from tests.support.visitors import Visitor

WHOLE = os.environ.get("FAULTS") == "all"
SEED = os.environ.get("FAULTS_SEED", "1")
PATIENCE = 8.0
"""Seconds a page may take: 0.1 on a quiet machine, and 20 and more where it waits for somebody."""
CLIENTS = 50
RULES = rules() if WHOLE else ["/activity.csv"]
SHAPES = ("read nothing", "read a byte a second", "hang up")

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with shared_folder() as folder, started(folder / "data", "--demo") as run:
        prepare(run.data, _signed_in(run, "alice"))
        yield run


@pytest.fixture
def bob(run: Run) -> Visitor:
    """Sign in whom nobody is to stop; others are signed in already where they attack."""
    return _signed_in(run, "bob")


_VISITORS: dict[tuple[int, str], Visitor] = {}


def _signed_in(run: Run, name: str) -> Visitor:
    if (run.port, name) not in _VISITORS:
        _VISITORS[run.port, name] = signed_in(run, name)
    return _VISITORS[run.port, name]


def seconds_of(visitor: Visitor, path: str) -> float:
    began = time.monotonic()
    assert visitor.ask(path)[0].status == 200
    return time.monotonic() - began


def assert_undisturbed(run: Run, bob: Visitor, seconds: float) -> None:
    """Check that the other person's pages come meanwhile, and that memory is as planned."""
    file, until = min(bob.files()), time.monotonic() + seconds
    while time.monotonic() < until:
        for visitor, path in ((bob, "/"), (bob, file), (Visitor(run.port), "/sign-in")):
            assert seconds_of(visitor, path) < PATIENCE
        time.sleep(0.2)
    machine = sizing.Machine.this()
    planned = machine.processes * sizing._PYTHON + sizing._UPLOADS + sizing._THUMBNAILS
    planned += (sizing.EXPECTED + sizing.OTHERS) * sizing._PER_CLIENT["run"]
    assert memory_of(set(processes_of(run))) < planned


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_readers_stop_nobody(run: Run, bob: Visitor, rule: str, shape: str) -> None:
    name = "admin" if rule.startswith(("/accounts", "/invitations")) else "alice"
    attacker, path = _signed_in(run, name), address(rule, run.data, name)
    with Clients(run.port, CLIENTS) as clients:
        clients.ask(path, attacker.cookies, times=1 if shape == "read a byte a second" else 20)
        if shape == "read a byte a second":
            clients.read_slowly()
        if shape == "hang up":
            clients.close()
        assert_undisturbed(run, bob, 4)


@pytest.mark.parametrize("what", ["zip", "hash"])
def test_work_of_many_at_once_stops_nobody(run: Run, bob: Visitor, what: str) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(CLIENTS):
            if what == "zip":
                alice = _signed_in(run, "alice")
                path = address("/folders/<public_id>/zip", run.data, "alice")
                pool.submit(Visitor(run.port, alice.cookies).ask, path)
            else:
                form = {"username": f"nobody {number}", "password": "whatever it was"}
                pool.submit(_try_to_sign_in, run.port, form)
        assert_undisturbed(run, bob, 4)


def _try_to_sign_in(port: int, form: dict[str, str]) -> None:
    visitor = Visitor(port)
    form |= {"csrf_token": visitor.token("/sign-in")}
    visitor.ask("/sign-in", urlencode(form).encode(), content_type=FORM)


def test_two_hundred_readers_at_once_are_all_answered(run: Run, bob: Visitor) -> None:
    def ask(_: int) -> int:
        return Visitor(run.port, bob.cookies).ask("/")[0].status

    with ThreadPoolExecutor(200) as pool:
        assert set(pool.map(ask, range(600 if WHOLE else 200))) == {200}


def test_who_locks_the_database_stops_no_reader(run: Run, bob: Visitor) -> None:
    bob.ask("/activity")  # what waits is brought in
    file, before = min(bob.files()), _downloads(run.data)
    token = bob.token("/")
    folder = address("/folders/<public_id>/folders", run.data, "bob")
    until = time.monotonic() + (30 if WHOLE else 7)
    with locked(run.data), ThreadPoolExecutor(9) as pool:
        form = urlencode({"csrf_token": token, "name": "Refused"}).encode()
        writing = pool.submit(bob.ask, folder, form, content_type=FORM)
        times = list(pool.map(lambda _: seconds_of(bob, file), range(40)))
        times += [seconds_of(bob, path) for path in ("/", "/activity")]
        times += [seconds_of(Visitor(run.port), "/sign-in")]
        assert max(times) < PATIENCE
        response, page = writing.result()
        assert response.status == 503
        assert response.headers["Retry-After"] == "60"
        assert b"Nothing was changed" in page
        time.sleep(max(0, until - time.monotonic()))
    bob.ask("/activity")
    after = _downloads(run.data)
    assert len(after) - len(before) == 40
    assert len(set(after)) == len(after)
    # And the log of the web server says how each ended.
    wait_for(lambda: set(after) <= _receipts(run.data))


def _downloads(data: Path) -> list[str]:
    rows = "SELECT handoff FROM activity WHERE action = 'download' AND handoff IS NOT NULL"
    with closing(sqlite3.connect(data / "portal.db")) as database:
        return [handoff for (handoff,) in database.execute(rows)]


def _receipts(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "portal.db")) as database:
        return {handoff for (handoff,) in database.execute("SELECT handoff FROM receipt")}


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Keep everybody from writing the database."""
    with closing(sqlite3.connect(data / "portal.db", timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("number", range(25 if WHOLE else 1))
def test_what_was_recorded_outlives_its_process_once(number: int, tmp_path: Path) -> None:
    rules, data = Random(f"{SEED} {number}"), tmp_path.resolve() / "data"  # noqa: S311
    environment = {**os.environ, "PORTAL_DATA": str(data)}
    portal = [sys.executable, "-m", "flask", "--app", "portal", "portal"]
    subprocess.run([*portal, "upgrade"], env=environment, check=True)
    with (tmp_path / "said").open("wb") as said:
        words = [sys.executable, "-u", "-m", "tests.support.recorder"]
        recorders = [
            subprocess.Popen([*words, name], env=environment, stdout=said, stderr=said)
            for name in ("a", "b", "c", "d")
        ]
        while b"c 1\n" not in (tmp_path / "said").read_bytes():
            time.sleep(0.01)
        for recorder in recorders:
            with locked(data):
                time.sleep(rules.uniform(0, 0.2))
                if rules.random() < 0.5:
                    recorder.kill()
            time.sleep(rules.uniform(0, 0.2))
            recorder.kill()
            recorder.wait()
    acknowledged = (tmp_path / "said").read_text().splitlines()
    subprocess.run([*portal, "cleanup"], env=environment, check=True)
    with closing(sqlite3.connect(data / "portal.db")) as database:
        rows = database.execute("SELECT detail FROM activity ORDER BY id")
        recorded = [detail for (detail,) in rows]
    assert len(recorded) == len(set(recorded))
    for name in ("a", "b", "c", "d"):
        mine = [detail for detail in recorded if detail.startswith(name)]
        told = [detail for detail in acknowledged if detail.startswith(name)]
        # What was recorded last may be there without having been told.
        assert mine in ([f"{name} {n}" for n in range(len(told) + more)] for more in (0, 1))
