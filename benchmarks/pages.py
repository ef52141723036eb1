"""The portal's pages: how many a second, and how long one takes beside people who use it."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random
from statistics import quantiles
from unittest.mock import patch

from portal.identity import passwords
from tests.support.browser.stored import rows
from tests.support.portal import cheap_hasher
from tests.support.portal_process import Run, processes_of
from tests.support.processes import memory_of
from tests.support.sites import new_site
from tests.support.statements import statements_of_pages
from tests.support.visitors import Visitor

from .load import requests_per_second
from .people import cookie_of, fill_folder, portal
from .results import Table
from .servers import fill, ours
from .uploads import send

MIB = 1024**2
BROWSING, UPLOADING = 50, 10
_THINKING = (2.0, 6.0)
"""Seconds between two pages of one person."""
_CHOOSING = (1.0, 3.0)
"""Seconds between two uploads of one person."""


def portal_pages(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Compare pages of the portal with an empty Flask view."""
    table = Table(
        "pages",
        "Pages a second, on 8 connections: an empty Flask view, and pages of the portal.",
        "pages/s",
        baseline="an empty Flask view",
        ours="folder of 100 files",
        targets={"an empty Flask view": 0.06},
    )
    with new_site() as site, portal() as (run, alice):
        fill(site, 0)
        paths = {
            table.ours: f"/folders/{fill_folder(run, 100)}",
            "search": "/search?q=file",
            "activity": "/activity",
            "links": "/links",
            "account": "/account",
        }
        with ours(site) as port:
            for _ in range(rounds):
                empty = requests_per_second(f"http://127.0.0.1:{port}/empty", seconds)
                table.add(table.baseline, empty)
                for name, path in paths.items():
                    url = f"http://127.0.0.1:{run.port}{path}"
                    table.add(name, requests_per_second(url, seconds, headers=cookie_of(alice)))
    table.notes.append(f"statements of a page with 100 rows: {_statements()}")
    yield table


def _statements() -> str:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(passwords, "hasher", cheap_hasher()),
    ):
        counted = statements_of_pages(Path(folder).resolve() / "data", 100)
    return ", ".join(f"{name} {len(asked)}" for name, asked in counted.items())


def portal_busy(*, seconds: float) -> Iterator[Table]:
    """Compare the time of a page beside people who use the portal with that of an idle one.

    :param seconds: of use.
    """
    table = Table(
        "busy portal",
        f"Milliseconds for the page of a folder of 100 files, on a connection of its own: idle, and"
        f" for {seconds:,.0f} s beside {BROWSING} people who open a page or download a file every"
        f" {_THINKING[0]:.0f} to {_THINKING[1]:.0f} s, and {UPLOADING} who upload 1 MiB every"
        f" {_CHOOSING[0]:.0f} to {_CHOOSING[1]:.0f} s.",
        "ms",
        baseline="idle, median",
        ours="busy, 99th percentile",
        targets={"idle, median": 5},
        less_is_better=True,
    )
    with portal() as (run, alice):
        page = f"/folders/{fill_folder(run, 100)}"
        processes = processes_of(run)
        for _ in range(20):  # each process has loaded and compiled all by then
            _seconds_of(alice, page)
        idle = sorted(_seconds_of(alice, page) for _ in range(200))
        before = memory_of(processes)
        table.add("idle, median", 1000 * idle[100])
        table.add("idle, 99th percentile", 1000 * idle[197])
        busy = []
        with _people(run, alice, page) as answers:
            time.sleep(max(_THINKING))  # everybody has come by then
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                busy.append(_seconds_of(alice, page))
                time.sleep(0.05)
            after = memory_of(processes)
        table.add("busy, median", 1000 * quantiles(busy, n=100)[49])
        table.add("busy, 99th percentile", 1000 * quantiles(busy, n=100)[98])
    table.notes.append(
        f"{len(busy):,} pages were timed; the others had {answers.value:,} answers. Memory of all"
        f" processes: {before / MIB:.0f} MiB idle, {after / MIB:.0f} MiB at the end."
    )
    yield table


def _seconds_of(visitor: Visitor, path: str) -> float:
    began = time.perf_counter()
    answer, _ = visitor.ask(path)
    assert answer.status == 200
    return time.perf_counter() - began


@contextmanager
def _people(run: Run, alice: Visitor, page: str) -> Iterator[Synchronized[int]]:
    """Have people use the portal, and count their answers in the end.

    They have a process of their own: in this one, the page that is timed would wait for theirs.
    """
    context = get_context("fork")
    ended, answers = context.Event(), context.Value("i", 0)

    def use() -> None:
        over = threading.Event()
        with ThreadPoolExecutor(BROWSING + UPLOADING) as pool:
            people = [pool.submit(_browse, run, alice, page, n, over) for n in range(BROWSING)]
            people += [pool.submit(_upload, run, alice, n, over) for n in range(UPLOADING)]
            ended.wait()
            over.set()
        answers.value = sum(person.result() for person in people)

    process = context.Process(target=use)
    process.start()
    try:
        yield answers
    finally:
        ended.set()
        process.join()
    if process.exitcode:
        raise RuntimeError("not everybody had the answers that they wanted")


def _browse(run: Run, alice: Visitor, page: str, number: int, ended: threading.Event) -> int:
    rules, visitor = Random(number), Visitor(run.port, dict(alice.cookies))  # noqa: S311
    paths = ["/", page, "/activity", "/links", "/search?q=file", *visitor.files()]
    answers = 0
    while not ended.wait(rules.uniform(*_THINKING)):
        answer, _ = visitor.ask(rules.choice(paths))
        assert answer.status == 200, answer.status
        answers += 1
    return answers


def _upload(run: Run, alice: Visitor, number: int, ended: threading.Event) -> int:
    rules, visitor = Random(number), Visitor(run.port, dict(alice.cookies))  # noqa: S311
    answers = 0
    while not ended.wait(rules.uniform(*_CHOOSING)):
        name = f"{secrets.token_hex(8)}.bin"
        send(run, visitor, MIB, called=name)
        ((public_id,),) = rows(run, "SELECT public_id FROM entry WHERE name = ?", name)
        # Else the quota would be full some day.
        visitor.send("/", to="/selection/trash", entry=public_id)
        answer, _ = visitor.send("/trash", to=f"/trash/{public_id}/delete")
        assert answer.status in {302, 303}, answer.status
        answers += 7
    return answers
