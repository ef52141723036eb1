"""Many small files, by the portal's page in a browser and by copyparty's client."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.browser.portal import Portal, chromium, opened
from tests.support.browser.stored import rows
from tests.support.portal_process import Run, shared_folder

from .copyparty import copyparty
from .people import portal
from .results import Table

_SIZE = 10_000
"""Bytes of each of many small files."""


def portal_tray(*, rounds: int, files: int) -> Iterator[Table]:
    """Compare the tray with copyparty's client, for a folder of many small files.

    :param files: how many.
    """
    table = Table(
        "many files",
        f"Files a second of a folder of {files:,} files of {_SIZE // 1000} kB: by the"
        " portal's page in Chromium, where each file is on the disk before it is done; and by"
        " copyparty's own client, whose server syncs nothing.",
        "files/s",
        baseline="copyparty's client",
        ours="portal",
        targets={"copyparty's client": 0.5},
    )
    with copyparty(0, 0) as other, portal() as (run, _), chromium() as browser:
        for number in range(rounds):
            with opened(run, browser) as people, shared_folder() as folder:
                many = folder / f"Many {number}"
                many.mkdir()
                for name in range(files):
                    (many / f"{name:05}.bin").write_bytes(secrets.token_bytes(_SIZE))
                table.add("portal", files / _by_tray(people, many, files))
                table.add("copyparty's client", files / _by_client(other, many))
    yield table


def _by_tray(people: Portal, folder: Path, files: int) -> float:
    page = people.sign_in("alice")
    before = _stored(people.run)
    began = time.perf_counter()
    page.get_by_label("Folder from this device").set_input_files(folder)
    while _stored(people.run) < before + files:
        assert time.perf_counter() - began < 900
        time.sleep(0.1)
    return time.perf_counter() - began


def _stored(run: Run) -> int:
    ((count,),) = rows(run, "SELECT count(*) FROM entry WHERE is_file")
    return int(count)


def _by_client(url: str, folder: Path) -> float:
    began = time.perf_counter()
    client = [sys.executable, "-m", "copyparty.web.a.u2c", f"{url}/", str(folder)]
    subprocess.run(client, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began
