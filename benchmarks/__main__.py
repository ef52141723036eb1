"""``scripts/bench``: see its ``--help``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from . import machine
from .copyparty import beside_copyparty
from .downloads import downloads, signed_urls
from .hosts import growing_hosts, hosts
from .import_time import import_time
from .millions import millions
from .own_time import own_time
from .pages import portal_busy, portal_pages
from .people import portal_download, portal_list
from .results import Table
from .scgi import hostile_frames, scgi
from .slow import WAYS, slow_downloads
from .stores import slow_from_a_store, stores
from .thumbnails import thumbnails
from .tray import portal_tray
from .uploads import portal_upload

MIB = 1024**2
Experiment = Callable[[], Iterator[Table]]
_ASKED_FOR = {"stores", "slow-stores", "hosts", "growing-hosts", "millions", "thumbnails"}
_ASKED_FOR |= {"scgi", "scgi-frames"}
"""Which a quick run leaves out unless they are named: stores and databases take time to start,
photos to be made, and SCGI is among the downloads as well."""


def experiments(*, quick: bool) -> dict[str, Experiment]:
    """List what can be measured; a quick run has fewer and shorter rounds, and smaller files."""
    rounds, seconds = (2, 1.0) if quick else (5, 2.0)

    def slow(name: str) -> Experiment:
        most = [1000, 10_000, 40_000, 80_000] if name == "plain" else [2000, 10_000]
        counts = [1000] if quick else most
        return partial(slow_downloads, WAYS[name], counts=counts, pages=200 if quick else 500)

    return {
        "own-time": lambda: own_time(rounds=rounds, requests=500 if quick else 5000),
        "import-time": lambda: import_time(starts=10 if quick else 30),
        "downloads": lambda: downloads(
            rounds=rounds, seconds=seconds, large=(100 if quick else 1024) * MIB
        ),
        "signed-urls": lambda: signed_urls(rounds=rounds, seconds=seconds),
        "scgi": lambda: scgi(rounds=3 * rounds, seconds=seconds / 2, large=100 * MIB),
        "scgi-frames": lambda: hostile_frames(count=20_000 if quick else 1_000_000, seed=rounds),
        "portal-download": lambda: portal_download(rounds=rounds, seconds=seconds),
        "portal-list": lambda: portal_list(
            rounds=rounds, seconds=seconds, files=10_000 if quick else 100_000
        ),
        "portal-pages": lambda: portal_pages(rounds=rounds, seconds=seconds),
        "portal-busy": lambda: portal_busy(seconds=20 if quick else 3600),
        "portal-tray": lambda: portal_tray(rounds=1, files=300 if quick else 5000),
        "portal-upload": lambda: portal_upload(rounds=rounds, size=(256 if quick else 1024) * MIB),
        "copyparty": lambda: beside_copyparty(
            rounds=rounds, seconds=seconds, large=100 * MIB, files=1000
        ),
        **{f"slow-{name}": slow(name) for name in WAYS},
        "stores": lambda: stores(
            rounds=rounds, seconds=seconds, large=(128 if quick else 1024) * MIB
        ),
        "hosts": lambda: hosts(rounds=rounds, seconds=seconds),
        "growing-hosts": lambda: growing_hosts(rounds=rounds, seconds=2 * seconds),
        "millions": lambda: millions(entries=(1 if quick else 10) * 1_000_000, times=50),
        "thumbnails": lambda: thumbnails(rounds=1 if quick else 3, photos=50 if quick else 500),
        "slow-stores": lambda: slow_from_a_store(count=1000, pages=200 if quick else 500),
    }


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within five minutes")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("build/bench"),
        help="write results.json there (default: %(default)s)",
    )
    parser.add_argument(
        "experiment", nargs="*", choices=[[], *experiments(quick=True)], help="only these"
    )
    given = parser.parse_args()
    made = experiments(quick=given.quick)
    tables = []
    print(f"# Measured on {datetime.now(UTC):%Y-%m-%d}\n")
    measured_on = machine.describe()
    print("\n".join(f"- {name}: {value}" for name, value in measured_on.items()), "\n")
    all_of_them = [name for name in made if not (given.quick and name in _ASKED_FOR)]
    for name in given.experiment or all_of_them:
        for table in made[name]():
            print(table.text(), flush=True)
            tables.append(table)
            write(given.output, measured_on, tables)


def write(folder: Path, measured_on: Mapping[str, str], tables: list[Table]) -> None:
    """Write what was measured, for programs."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": measured_on, "tables": [table.as_json() for table in tables]}
    (folder / "results.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
