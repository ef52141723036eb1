"""Small and large files, in every way."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.support.clients import get
from tests.support.processes import daemons_on, memory_of
from tests.support.sites import new_site

from .load import bytes_per_second, requests_per_second
from .results import Table
from .servers import LARGE, SMALL, alternatives, fill, in_a_folder, nginx_signs, ours

MIB = 1024**2


def downloads(*, rounds: int, seconds: float, large: int) -> Iterator[Table]:
    """Measure both, each round one alternative after the other.

    :param large: bytes of the large file.
    """
    small_table = Table(
        "small file",
        "Requests a second for a file of 1 kB, on 8 connections. A hand-off costs the application's"
        " own work; a signed URL does not wake Python at all.",
        "requests/s",
        baseline="Apache, static",
        ours="handed off",
        targets={"django-sendfile2": 1.1, "nginx, gunicorn": 1.0},
    )
    large_table = Table(
        "large file",
        f"MB a second of a file of {large // MIB} MiB, on 2 connections. What Python reads and"
        " writes itself is limited by its threads; what is handed off is not.",
        "MB/s",
        baseline="Apache, static",
        ours="handed off",
        targets={"Apache, static": 0.98},
    )
    growth = 0
    with alternatives(large) as ways:
        daemons = daemons_on(urlsplit(ways["handed off"].url).port or 0)
        for _ in range(rounds):
            for way in ways.values():
                small_table.add(way.name, requests_per_second(way.of(SMALL), seconds))
                if way.name != "an empty Flask view":
                    before = memory_of(daemons)
                    large_table.add(way.name, bytes_per_second(way.of(LARGE), seconds) / 1e6)
                    if way.name == large_table.ours:
                        growth = max(growth, memory_of(daemons) - before)
    met = "met" if growth <= MIB else "NOT MET"
    large_table.notes.append(
        f"{met}: while a file was handed off, Python's processes grew by {growth / MIB:.1f} MiB,"
        " the target ≤ 1 MiB"
    )
    yield from (small_table, large_table)


def signed_urls(*, rounds: int, seconds: float) -> Iterator[Table]:
    """Compare what a server verifies by itself with the same file, served to everybody."""
    for product, started, target in (("Apache", ours, 0.85), ("nginx", nginx_signs, None)):
        static, by_url, by_cookie = f"{product}, static", "signed URL", "signed folder"
        table = Table(
            f"signed URLs and folders, {product}",
            "Requests a second for a file of 1 kB, on 8 connections: served to everybody, by a URL"
            f" that {product} verifies by itself, and in a folder by a cookie.",
            "requests/s",
            baseline=static,
            ours=by_url,
            targets={static: target} if target else {},
        )
        with new_site() as site:
            fill(site, 0)
            with started(site) as port:
                base = f"http://127.0.0.1:{port}"
                signed = get(port, f"/sign/{SMALL}").body.decode()
                url, cookies = in_a_folder(port)
                for _ in range(rounds):
                    table.add(static, requests_per_second(f"{base}/static/{SMALL}", seconds))
                    table.add(by_url, requests_per_second(base + signed, seconds))
                    held = {"Cookie": cookies}
                    table.add(by_cookie, requests_per_second(url, seconds, headers=held))
        yield table
