"""Thousands of slow downloads at once: does a page still answer, and what does each take."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from multiprocessing.synchronize import Event
from statistics import quantiles
from typing import Any

from tests.support.clients import request_over_http2
from tests.support.processes import memory_of, server_on
from tests.support.running import HOST
from tests.support.sites import Site, new_site

from .machine import aborted_for_memory
from .results import Table
from .servers import LARGE, fill, ours_at, ours_behind_nginx

_SIZE = 64 * 1024**2
_EACH = 12_000
"""Connections of a client process, which has an address of its own: for each there is a port."""
_PIECE = 2048
"""Bytes that a client reads at a time."""
_PAUSE = 2.0
"""Seconds before the next: a kilobyte a second."""
_PATIENCE = 180
"""Seconds in which all downloads have to begin."""

Start = Callable[[Site, int], AbstractContextManager[int]]


@dataclass(frozen=True)
class Way:
    """How slow clients are connected.

    :param name: in the results.
    :param start: the server for so many of them; gives its port.
    """

    name: str
    start: Start
    tls: bool = False
    http2: bool = False


WAYS = {
    "plain": Way("HTTP/1.1 without TLS, Apache", ours_at),
    "tls": Way("TLS in Apache", lambda site, most: ours_at(site, most, tls=True), tls=True),
    "tls-nginx": Way("TLS in nginx in front of gunicorn", ours_behind_nginx, tls=True),
    "http2": Way("HTTP/2 in Apache", lambda site, most: ours_at(site, most, tls=True), True, True),
    "http2-nginx": Way("HTTP/2 in nginx in front of gunicorn", ours_behind_nginx, True, True),
}


@dataclass
class _Crowd:
    """Slow clients of one process, which makes the context."""

    way: Way
    port: int
    count: int
    address: str
    context: ssl.SSLContext | None = None


def slow_downloads(
    way: Way, *, counts: Sequence[int], pages: int, most: float | None = 20
) -> Iterator[Table]:
    """Measure a page beside more and more of them, until they cannot begin any more.

    :param counts: how many slow downloads, in rising order.
    :param pages: requests for the page at each.
    :param most: milliseconds that the page may take, if that is to be judged.
    """
    _raise_limit()
    table = Table(
        f"slow downloads, {way.name}",
        "Milliseconds for an empty page at the 99th percentile, on a connection of its own, beside"
        " so many downloads of a kilobyte a second each; and the memory of the web server's"
        " processes.",
        "ms",
        baseline="none",
        ours=f"{max(counts):,}",
        less_is_better=True,
    )
    with new_site() as site:
        fill(site, _SIZE)
        for count in counts:
            # For each count afresh: what a server has once taken, it keeps.
            with way.start(site, count) as port:
                if not _measure(way, port, count, pages, table):
                    break
    _judge(table, most)
    yield table


def _measure(way: Way, port: int, count: int, pages: int, table: Table) -> bool:
    """Add a row, unless not all could begin: then tell why."""
    none = _page(way, port, pages)  # which also has all code loaded
    table.rows.setdefault("none", [none])
    idle, aborted = memory_of(server_on(port)), aborted_for_memory()
    with _crowd(way, port, count) as (begun, why):
        if begun < count:
            if aborted_for_memory() > aborted:
                why = "the kernel had no more memory for TCP (net.ipv4.tcp_mem)"
            table.notes.append(f"{begun:,} of {count:,} downloads began: {why}")
            return False
        table.add(f"{count:,}", _page(way, port, pages))
        more = memory_of(server_on(port)) - idle
    table.notes.append(
        f"{count:,} downloads take {more / 1024**2:,.0f} MiB beside the {idle / 1024**2:,.0f} MiB"
        f" of the idle server: {more / count / 1024:.0f} KiB each"
    )
    return True


def _judge(table: Table, most: float | None) -> None:
    table.ours = list(table.rows)[-1]
    for name, (milliseconds,) in list(table.rows.items())[1:]:
        if most is not None:
            met = "met" if milliseconds <= most else "NOT MET"
            table.notes.append(
                f"{met}: beside {name} the page takes {milliseconds:.1f} ms, the target ≤ {most:g}"
                " ms"
            )


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _page(way: Way, port: int, requests: int) -> float:
    context = _context(http2=False) if way.tls else None
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        status = _ask(port, context)
        times.append((time.perf_counter() - start) * 1000)
        if status != 200:
            raise RuntimeError(f"the page answered {status}")
    return quantiles(times, n=100)[98]


def _ask(port: int, context: ssl.SSLContext | None) -> int:
    """Ask for the page on a connection of its own, over HTTP/1.1, and return the status."""
    request = f"GET /empty HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    with context.wrap_socket(plain, server_hostname=HOST) if context else plain as connection:
        connection.sendall(request.encode())
        response = HTTPResponse(connection)
        response.begin()
        response.read()
        return response.status


@contextmanager
def _crowd(way: Way, port: int, count: int) -> Iterator[tuple[int, str]]:
    """Have clients download slowly, until the end of the block.

    Gives how many have begun, and what kept the next one from it.
    """
    number = max(2, -(-count // _EACH))
    shares = [count // number + (index < count % number) for index in range(number)]
    stop = multiprocessing.Event()
    begun = multiprocessing.Value("i", 0)
    errors: multiprocessing.Queue[str] = multiprocessing.Queue()
    crowds = [_Crowd(way, port, share, f"127.0.0.{2 + n}") for n, share in enumerate(shares)]
    processes = [
        multiprocessing.Process(target=_be_slow, args=(crowd, begun, errors, stop))
        for crowd in crowds
    ]
    for process in processes:
        process.start()
    try:
        deadline = time.monotonic() + _PATIENCE
        while begun.value < count and errors.empty() and time.monotonic() < deadline:
            time.sleep(0.2)
        why = "the rest had no answer" if errors.empty() else errors.get()
        time.sleep(_PAUSE)  # until those that came last are at the pace of all
        yield begun.value, why
    finally:
        stop.set()
        for process in processes:
            process.join(20)
            process.kill()


def _be_slow(crowd: _Crowd, begun: Any, errors: Any, stop: Event) -> None:
    asyncio.run(_download_all(crowd, begun, errors, stop))


async def _download_all(crowd: _Crowd, begun: Any, errors: Any, stop: Event) -> None:
    crowd.context = _context(http2=crowd.way.http2) if crowd.way.tls else None
    gate = asyncio.Semaphore(50)  # of connections that are being made

    async def download() -> None:
        try:
            await _download(crowd, begun, gate)
        except (OSError, EOFError) as error:
            errors.put(f"{type(error).__name__}: {error}")

    tasks = [asyncio.create_task(download()) for _ in range(crowd.count)]
    while not stop.is_set():
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()


async def _download(crowd: _Crowd, begun: Any, gate: asyncio.Semaphore) -> None:
    async with gate:
        reader, writer = await _connect(crowd)
        writer.write(_request(crowd.way))
        first = await reader.readexactly(_PIECE)
        if b"200" not in first and not crowd.way.http2:
            raise OSError(first[:60].decode(errors="replace"))
    with begun.get_lock():
        begun.value += 1
    while True:
        await asyncio.sleep(_PAUSE)
        if crowd.way.http2:
            writer.write(_MORE)
        await reader.readexactly(_PIECE)


async def _connect(crowd: _Crowd) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.socket()
    client.setblocking(False)
    # What the kernel takes ahead of a slow reader is no more than with a slow line.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.bind((crowd.address, 0))
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", crowd.port))
    name = HOST if crowd.context else None
    return await asyncio.open_connection(
        sock=client, limit=_PIECE, ssl=crowd.context, server_hostname=name
    )


def _context(*, http2: bool) -> ssl.SSLContext:
    """Trust any certificate: which it is does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if http2:
        context.set_alpn_protocols(["h2"])
    return context


def _request(way: Way) -> bytes:
    path = f"/handoff/{LARGE}"
    if way.http2:
        return request_over_http2(path, host=HOST, window=2 * _PIECE)[1]
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _window_update(stream: int) -> bytes:
    """Allow the server another piece: RFC 9113, section 6.9."""
    return b"\x00\x00\x04\x08\x00" + stream.to_bytes(4, "big") + _PIECE.to_bytes(4, "big")


_MORE = _window_update(0) + _window_update(1)
