"""Objects of a store, through a web server and from the store itself; and slow downloads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.request import Request, urlopen

from flask_delegate.stores.sigv4 import StoreKeys
from flask_delegate.stores.store import Store
from tests.support.processes import memory_of
from tests.support.running import Running
from tests.support.sites import Site, new_site
from tests.support.store_area import SERVE, settings_for
from tests.support.stores import RunningStore, seaweedfs

from .load import bytes_per_second, requests_per_second
from .results import Table
from .servers import LARGE, SMALL, Alternative, ours_behind_nginx
from .slow import Way, slow_downloads

MIB = 1024**2
_ITSELF = "the store itself"
_DAY = 24 * 3600
_CONNECTIONS = 4
"""Fewer than Apache has to the store: it answers 503 to more."""


def stores(*, rounds: int, seconds: float, large: int) -> Iterator[Table]:
    """Measure a large and a small object, each round one way after the other, and a signature.

    :param large: bytes of the large object.
    """
    large_table = Table(
        "store, large object",
        f"MB a second of an object of {large // MIB} MiB in SeaweedFS on the same machine, on 2"
        " connections: from the store by a presigned URL, and through a web server.",
        "MB/s",
        baseline=_ITSELF,
        ours="nginx",
        targets={_ITSELF: 0.8},
    )
    small_table = Table(
        "store, small object",
        f"Requests a second for an object of 1 kB there, on {_CONNECTIONS} connections.",
        "requests/s",
        baseline=_ITSELF,
        ours="nginx",
    )
    with _ways(large) as ways:
        for _ in range(rounds):
            for name, way in ways.items():
                rate = requests_per_second(way.of(SMALL), seconds, connections=_CONNECTIONS)
                small_table.add(name, rate)
                large_table.add(name, bytes_per_second(way.of(LARGE), seconds) / 1e6)
    got = large_table.ratio("Apache", _ITSELF).value
    met = "met" if got >= 0.6 else "NOT MET"
    large_table.notes.append(f"{met}: Apache is {got:.2f} × {_ITSELF}, the target ≥ 0.6")
    small_table.notes.append(_signature())
    yield from (large_table, small_table)


def slow_from_a_store(*, count: int, pages: int) -> Iterator[Table]:
    """Measure a page beside slow downloads that nginx has from a store."""
    with _store(64 * MIB) as store:
        way = Way("from a store, by nginx", partial(_nginx_at, store), tls=True)
        for table in slow_downloads(way, counts=[count], pages=pages, most=None):
            beside, idle = table.rows[table.ours][0], table.rows["none"][0]
            met = "met" if beside <= 5 * idle else "NOT MET"
            table.notes.append(
                f"{met}: beside them the page takes {beside / idle:.1f} × what it takes alone,"
                " the target ≤ 5"
            )
            table.notes.append(f"the store takes {memory_of([store.pid]) / MIB:,.0f} MiB")
            yield table


@contextmanager
def _store(large: int) -> Iterator[RunningStore]:
    with TemporaryDirectory(prefix="store-") as folder, seaweedfs(Path(folder)) as store:
        store.put(SMALL, b"x" * 1023 + b"\n")
        _put_large(store, large)
        yield store


def _put_large(store: RunningStore, size: int) -> None:
    """Store an object piece by piece: a whole one would be in memory."""
    path, query = _seen(store).target("PUT", LARGE, expires=_DAY)
    pieces = (b"0123456789abcdef" * (MIB // 16) for _ in range(size // MIB))
    request = Request(  # noqa: S310 -- an address of this machine
        f"{store.endpoint}{path}?{query}", pieces, {"Content-Length": str(size)}, method="PUT"
    )
    with urlopen(request) as answer:  # noqa: S310
        answer.read()


def _seen(store: RunningStore) -> Store:
    keys = StoreKeys(store.access_key, store.secret_key)
    host = store.endpoint.partition("//")[2]
    return Store(store.endpoint, host, store.bucket, "", store.region, "", keys)


@contextmanager
def _ways(large: int) -> Iterator[dict[str, Alternative]]:
    """Start a store and the servers."""
    with ExitStack() as stack:
        store = stack.enter_context(_store(large))
        found: dict[str, Alternative] = {_ITSELF: _Presigned(_ITSELF, store.endpoint, _seen(store))}
        for server, name in (("nginx", "nginx"), ("apache", "Apache")):
            backend = {"backend": "nginx"} if server == "nginx" else {}
            site = stack.enter_context(new_site(**settings_for(store, **backend)))
            running: Running = stack.enter_context(SERVE[server](site, application=_APPLICATION))
            found[name] = Alternative(name, f"http://127.0.0.1:{running.port}/handoff/{{name}}")
        yield found


@dataclass(frozen=True)
class _Presigned(Alternative):
    """The store's own URLs."""

    store: Store

    def of(self, name: str) -> str:
        path, query = self.store.target("GET", name, expires=_DAY)
        return f"{self.url}{path}?{query}"


@contextmanager
def _nginx_at(store: RunningStore, site: Site, clients: int) -> Iterator[int]:
    site.settings |= settings_for(store, backend="nginx")
    with ours_behind_nginx(site, clients, application=_APPLICATION) as port:
        yield port


def _signature() -> str:
    keys = StoreKeys("a-key-of-20-letters.", "a secret of forty characters, as Amazon's")
    store = Store("http://10.0.0.5:8333", "10.0.0.5:8333", "files", "", "us-east-1", "", keys)
    extra = [("x-ct", "application/pdf"), ("x-cd", 'attachment; filename="report.pdf"')]
    extra += [("x-id", "0123456789abcdef"), ("x-k", "0" * 40)]
    times = []
    for number in range(5000):
        start = perf_counter()
        store.target("GET", f"folder/report-{number}.pdf", *extra)
        times.append((perf_counter() - start) * 1e6)
    took = median(times)
    met = "met" if took <= 80 else "NOT MET"
    return f"{met}: a signature takes {took:.0f} µs, the target ≤ 80 µs"


_APPLICATION = """
from flask import Flask

from flask_delegate import Delegate, delegated

app = application = Flask("stored", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)


@app.get("/")
@app.get("/empty")
def empty():
    return ""


@app.get("/handoff/<name>")
@delegated(lambda name: True, area="media")
def handoff(name):
    return name
"""
