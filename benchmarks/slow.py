"""Thousands of slow downloads at once: does a page still answer, and what does each take."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from statistics import quantiles

from tests.live.apache import new_site
from tests.live.client import get

from .machine import memory_of, session_of
from .results import Table
from .servers import LARGE, fill, ours

_SIZE = 64 * 1024**2
_CLIENTS = 2  # processes
_PORTS = 20_000  # connections from one address: there are no more ports
_RATE = 512  # bytes that a client reads, twice a second


@dataclass(frozen=True)
class _Crowd:
    """Slow clients: how many, of which server."""

    port: int
    path: str
    count: int
    address: str


def slow_downloads(*, counts: list[int], pages: int) -> Iterator[Table]:
    """Measure a page beside more and more of them.

    :param counts: how many slow downloads, in rising order.
    :param pages: requests for the page at each.
    """
    _raise_limit(max(counts) + 1000)
    table = Table(
        "slow downloads",
        "Milliseconds for an empty page at the 99th percentile, beside so many downloads of a"
        " kilobyte a second each, over HTTP/1.1 without TLS. Apache's threads and Python's"
        " stay free.",
        "ms",
        baseline="none",
        ours=f"{max(counts):,}",
        less_is_better=True,
    )
    with new_site() as site:
        fill(site, _SIZE)
        # Connections that wait to be written to need file descriptors, and no threads.
        with ours(site) as port:
            table.add("none", _page(port, pages))
            for count in counts:
                with _crowd(port, count) as started:
                    server = _server_processes(port)
                    before = memory_of(server)
                    table.add(f"{count:,}", _page(port, pages))
                    table.notes.append(
                        f"{started:,} of {count:,} downloads had begun; all of the server's"
                        f" processes together take {before / 1024**2:,.0f} MiB"
                    )
    worst = table.rows[f"{max(counts):,}"][0]
    met = "met" if worst <= 20 else "NOT MET"
    table.notes.append(f"{met}: the page takes {worst:.1f} ms, the target ≤ 20 ms")
    yield table


def _raise_limit(wanted: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < wanted:
        raise SystemExit(f"{wanted} connections need more file descriptors than {hard}: ulimit -n")


def _page(port: int, requests: int) -> float:
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        assert get(port, "/empty").status == 200
        times.append((time.perf_counter() - start) * 1000)
    return quantiles(times, n=100)[98]


def _server_processes(port: int) -> list[int]:
    """List the processes of the server that listens on a port."""
    shown = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    first = int(shown.stdout.partition("pid=")[2].partition(",")[0])
    return session_of(os.getsid(first))


@contextmanager
def _crowd(port: int, count: int) -> Iterator[int]:
    """Have clients download slowly, until the end of the block; give how many have begun."""
    stop, share = multiprocessing.Event(), count // _CLIENTS
    begun = multiprocessing.Value("i", 0)
    crowds = [
        _Crowd(port, f"/handoff/{LARGE}", share, f"127.0.0.{number + 2}")
        for number in range(_CLIENTS)
    ]
    processes = [
        multiprocessing.Process(target=_be_slow, args=(crowd, begun, stop)) for crowd in crowds
    ]
    for process in processes:
        process.start()
    try:
        deadline = time.monotonic() + 120
        while begun.value < share * _CLIENTS and time.monotonic() < deadline:
            time.sleep(0.2)
        yield begun.value
    finally:
        stop.set()
        for process in processes:
            process.join(20)
            process.kill()


def _be_slow(crowd: _Crowd, begun: object, stop: Event) -> None:
    asyncio.run(_download(crowd, begun, stop))


async def _download(crowd: _Crowd, begun: object, stop: Event) -> None:
    gate = asyncio.Semaphore(200)  # of connections that are being made
    tasks = [asyncio.create_task(_one(crowd, begun, gate)) for _ in range(crowd.count)]
    while not stop.is_set():
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()


async def _one(crowd: _Crowd, begun: object, gate: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with gate:
            client.bind((crowd.address, 0))
            await loop.sock_connect(client, ("127.0.0.1", crowd.port))
            request = f"GET {crowd.path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await loop.sock_sendall(client, request.encode())
            if not (await loop.sock_recv(client, _RATE)).startswith(b"HTTP/1.1 200"):
                return
        with begun.get_lock():  # type: ignore[attr-defined]
            begun.value += 1  # type: ignore[attr-defined]
        while await loop.sock_recv(client, _RATE):
            await asyncio.sleep(0.5)
