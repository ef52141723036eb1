"""The portal beside a model of it: many steps of several people, compared after each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
from jinja2 import FileSystemBytecodeCache

from tests.support.model.machine import Machine
from tests.support.model.portals import drive, in_this_process
from tests.support.model.state import ALL
from tests.support.model.world import DAY, HOUR, UPLOAD_DAYS

pytestmark = pytest.mark.sqlite("the model reads its file past the portal")

STEPS = int(os.environ.get("MODEL_STEPS", "1000"))


@pytest.mark.timeout(24 * 60 * 60)
def test_portal_does_what_its_model_does(compiled_templates: FileSystemBytecodeCache) -> None:
    done = drive(lambda: in_this_process(compiled_templates), STEPS, 100)
    print(dict(done))  # noqa: T201  (what a long run has done)
    assert done["steps"] >= STEPS * 0.9


@pytest.fixture
def machine(compiled_templates: FileSystemBytecodeCache) -> Iterator[Machine]:
    class Here(Machine):
        open = staticmethod(lambda: in_this_process(compiled_templates))
        done: ClassVar[Counter[str]] = Counter()

    machine = Here()
    machine.begin()
    yield machine
    machine.teardown()


def test_empty_file_is_stored_where_the_quota_is_exceeded(machine: Machine) -> None:
    """It needs no room: neither by a form nor by tus, which left an unfinished upload behind."""
    machine.made = 1
    machine.manage(0, 0, "quota")
    assert machine.world.quota("ada") == 0 < machine.world.used("ada")
    machine.upload(0, 0, [("a.txt", 0)])
    machine.begin_upload(0, 0, "b", 0, "", 0)
    machine.compare()


def test_visitors_upload_in_pieces_does_what_its_model_does(machine: Machine) -> None:
    """Whatever its link, its folder, its owner and others do in the middle of it."""

    def go_on() -> None:
        machine.send_pieces(0, ["part", "nothing", "part"])
        machine.ask_for_upload(0, is_cancelled=False)
        machine.repeat_upload(0, 50, is_other=False)
        for upload in list(machine.world.uploads.values()):
            machine.try_upload(upload)
        machine.compare()

    world = machine.world
    machine.request_files(0, 0, limit=3, days=None, most=1024)
    link = world.links[-1]
    folder = world.items[link.item]
    for visitor in (0, 1):
        machine.visit(visitor, 0)
    machine.begin_by_link(0, [("b", 700, 50), ("a.txt", 100, 0), ("b", 300, 0)], "new")
    machine.repeat_upload(0, 0, is_other=True)
    assert len([one for one in world.uploads.values() if one.link is link]) == 3
    go_on()
    machine.change_link(0, 1, 300, "")
    go_on()
    machine.change_link(0, 3, 1024, "")
    machine.put_into_trash(0, 0, [world.inside(world.root("ada")).index(folder)], is_undone=False)
    assert folder.trashed
    go_on()
    machine.restore(0, world.trash("ada").index(folder))
    go_on()
    machine.cancel_listed(world.people["ada"].number, is_all=False)
    assert world.cancelled
    machine.repeat_upload(0, 0, is_other=False)
    go_on()
    machine.turn = 0
    machine.begin_after_a_pause(0, [("b", 1000, 9999), ("b", 0, 0)])
    assert link.size == 1000
    machine.change_link(0, None, 1024, "")
    machine.begin_by_link(0, [("b", ALL, 9999), ("b", 0, 0), ("b", ALL, 0)], "")
    assert link.size == 1024
    machine.compare()
    machine.change_link(0, None, None, "")
    machine.begin_by_link(0, [("b", 100, 0), ("b", 100, 50)], "")
    machine.change_link(0, link.used + 1, None, "")
    machine.send_pieces(0, ["rest"])
    assert link.used == link.limit
    machine.compare()
    machine.change_link(0, None, None, "")
    machine.begin_by_link(0, [("b", ALL, 50)], "")
    go_on()
    go_on()
    machine.upload(0, 0, [("a.txt", ALL)])
    go_on()
    machine.visitors[0].forget()
    machine.visit(0, 0)
    go_on()
    machine.revoke_link(0)
    go_on()
    machine.ask_for_upload(0, is_cancelled=True)
    machine.compare()


def test_cancelled_upload_is_told_as_that_where_there_is_no_room(machine: Machine) -> None:
    """Nothing is given up for it, and no limit is told that is not why it does not begin."""
    machine.request_files(0, 0, limit=3, days=None, most=1024)
    machine.visit(0, 0)
    machine.begin_by_link(0, [("b", 700, 50)], "new")
    begun = [one for one in machine.world.uploads.values() if one.link is machine.world.links[-1]]
    assert len(begun) == 1
    machine.ask_for_upload(0, is_cancelled=True)
    assert begun[0] in machine.world.cancelled
    machine.begin_by_link(0, [("b", 700, 0)], "new")  # which leaves no room for it
    machine.begin_as(machine.senders(begun[0])[0], replace(begun[0], arrived=0), 50)
    machine.compare()


def test_upload_expires_as_its_model_says(machine: Machine) -> None:
    for _ in range(UPLOAD_DAYS):
        machine.wait(DAY)
        machine.clean_up()
    machine.wait(DAY)
    while not any(map(machine.senders, machine.world.uploads.values())):
        machine.turn += 1
        machine.come_back()
    machine.ask_for_upload(0, is_cancelled=False)
    machine.send_pieces(0, ["rest"])
    machine.compare()
    assert machine.world.uploads
    machine.clean_up()
    machine.compare()
    assert not machine.world.uploads


def test_begun_downloads_end_with_their_shares(machine: Machine) -> None:
    visitor = machine.visitors[0]
    machine.wait(11 * HOUR)  # on the same day
    for days in (0, 20):
        machine.share(0, 0, limit=None, days=days, has_password=False)
        machine.visit(0, 0)
        machine.take(0, 0, 0, is_zip=False)
    assert [link.used for link in machine.world.links[-2:]] == [1, 1]
    machine.sign_in_and_out(0, 2)
    machine.compare_visits(visitor)
    machine.share(0, 0, limit=None, days=None, has_password=True)
    machine.visit(0, 0)
    machine.unlock(0, 0, is_right=True, times=1)
    machine.compare_visits(visitor)
    machine.change_link(0, None, None, "other")
    machine.compare_visits(visitor)
    machine.revoke_link(1)
    machine.wait(2 * HOUR)
    machine.try_ended(visitor)
    machine.compare()
