"""Several hosts with PostgreSQL and a bucket: beside one with SQLite, and as there are more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

from tests.support import cluster
from tests.support.portal_process import Run, processes_of
from tests.support.processes import memory_of
from tests.support.visitors import Visitor

from .load import requests_per_second
from .people import cookie_of, portal
from .results import Table
from .uploads import send

MIB = 1024**2
_ONE = "one host, SQLite"
_TWO = "two hosts, PostgreSQL, bucket"
_SHARE = 0.2
"""The part of a processor that each host may have, where it is counted how they grow."""
_PERIOD = 100_000  # microseconds
_CGROUP = Path("/sys/fs/cgroup")


def hosts(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Measure a list, a download and an upload: one host as scripts/run has it, and two."""
    tables = {
        "list": _table("hosts, list", "Requests a second for the list of files, on 8 connections."),
        "download": _table(
            "hosts, download",
            "Requests a second for a small file, recorded each time, on 8 connections.",
        ),
        "upload": _table(
            "hosts, upload", "Uploads of 1 kB a second by tus, of one person one by one."
        ),
    }
    with portal() as (one, alice), cluster.started() as two:
        other = Visitor(two.port)
        other.sign_in("alice", two.password("alice"))
        before = {_ONE: memory_of(processes_of(one)), _TWO: memory_of(processes_of(two))}
        for round_ in range(rounds):
            for name, run, visitor in ((_ONE, one, alice), (_TWO, two, other)):
                for what, path in (("list", "/"), ("download", min(visitor.files()))):
                    url = f"http://127.0.0.1:{run.port}{path}"
                    rate = requests_per_second(url, seconds, headers=cookie_of(visitor))
                    tables[what].add(name, rate)
                tables["upload"].add(name, _uploads_per_second(run, visitor, round_, seconds))
        after = {_ONE: memory_of(processes_of(one)), _TWO: memory_of(processes_of(two))}
    tables["list"].notes += [
        f"memory of {name}: {before[name] / MIB:,.0f} MiB idle, {after[name] / MIB:,.0f} MiB at the"
        " end, with all servers"
        for name in before
    ]
    yield from tables.values()


def growing_hosts(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Measure the list with 1, 2 and 4 hosts that may use a part of a processor each."""
    table = Table(
        "growing hosts",
        f"Requests a second for the list of files, on 8 connections, where each host may use"
        f" {_SHARE:.0%} of a processor; PostgreSQL, the store and nginx take what they need.",
        "requests/s",
        baseline="1 host",
        ours="4 hosts",
        targets={"1 host": 3},
    )
    for count in (1, 2, 4):
        name = f"{count} host{'s' if count > 1 else ''}"
        with cluster.started("--hosts", str(count)) as run, _limited(run, count):
            visitor = Visitor(run.port)
            visitor.sign_in("alice", run.password("alice"))
            url, headers = f"http://127.0.0.1:{run.port}/", cookie_of(visitor)
            requests_per_second(url, 1, headers=headers)  # all is loaded and compiled by then
            for _ in range(rounds):
                table.add(name, requests_per_second(url, seconds, headers=headers))
    yield table


def _table(name: str, meaning: str) -> Table:
    return Table(name, meaning, "requests/s", baseline=_ONE, ours=_TWO)


def _uploads_per_second(run: Run, visitor: Visitor, round_: int, seconds: float) -> float:
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        took, _ = send(run, visitor, 1000, called=f"{round_}-{len(times)}.txt")
        times.append(took)
    return 1 / quantiles(times, n=2)[0]


@contextmanager
def _limited(run: Run, count: int) -> Iterator[None]:
    """Let each host have its part of a processor, by a control group of its own."""
    assert isinstance(run, cluster.Cluster)
    with ExitStack() as stack:
        for number in range(1, count + 1):
            group = stack.enter_context(_group(f"bench-{os.getpid()}-{number}"))
            leader = run.pid(f"host{number}")
            children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
            for pid in (leader, *map(int, children)):
                (group / "cgroup.procs").write_text(str(pid))
        yield


@contextmanager
def _group(name: str) -> Iterator[Path]:
    is_second = (_CGROUP / "cgroup.controllers").exists()
    group = _CGROUP / name if is_second else _CGROUP / "cpu" / name
    group.mkdir()
    try:
        quota = int(_SHARE * _PERIOD)
        if is_second:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield group
    finally:
        # What is left in it goes where the group was.
        for pid in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()
