"""Power cuts under a portal at work: nothing that was acknowledged is lost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from tests.support.portal_process import shared_folder, started

from .application import check_application, open_portal
from .conftest import SEED, WHOLE
from .disks import Disk
from .failing import prepare
from .person import Person
from .server import people_of
from .work import at_work, copy_of, finish_uploads, go_on

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

CUTS = 25 if WHOLE else 2


@pytest.mark.parametrize("options", ["data=writeback,nodelalloc", "data=ordered"][: 1 + WHOLE])
def test_what_was_acknowledged_outlives_a_power_cut(options: str) -> None:
    rules = Random(f"{SEED} {options}")  # noqa: S311
    cuts = []
    with shared_folder() as folder, ExitStack() as stack:
        disk = Disk(folder, options)
        stack.enter_context(disk.mounted())
        with started(disk.folder / "data", "--demo") as run:
            people = people_of(run)
            with at_work(people, rules):
                for _ in range(CUTS):
                    disk.commit_every(rules.choice([1, 3, 10, 100]))
                    time.sleep(rules.uniform(0.5, 3))
                    before = time.monotonic()
                    clone = disk.cut_power()
                    cuts.append((clone, before, time.monotonic(), copy_of(people)))
        for clone, before, until, known in cuts:
            with disk.after_cut(clone) as found:
                check_after_cut(found / "data", known, (before, until), rules)


@pytest.mark.parametrize("options", ["data=writeback,nodelalloc", "data=ordered"])
def test_each_acknowledged_piece_outlives_a_power_cut(options: str) -> None:
    """Also where ext4 has written down what there was of the upload before."""
    with shared_folder() as folder:
        disk = Disk(folder, options)
        with disk.mounted():
            disk.commit_every(1)
            (data := disk.folder / "data").mkdir(mode=0o700)
            with open_portal(data) as app:
                alice, _ = prepare(app)
                file = alice.begin(90_001)
                for pieces in (1, 2):
                    alice.continue_upload(file, 30_000)
                    if pieces == 1:
                        time.sleep(2.5)
                clone, known = disk.cut_power(), copy_of([alice])
            with disk.after_cut(clone) as found, open_portal(found / "data") as app:
                check_application(app, known)
                assert known[0].arrived(known[0].files[file.number]) == 60_000


def check_after_cut(
    data: Path, people: list[Person], cut: tuple[float, float], rules: Random
) -> None:
    with open_portal(data) as app:
        check_application(app, people, *cut)
        for person in people:
            finish_uploads(person, rules)
        go_on(rules.choice(people))
        check_application(app, people)
