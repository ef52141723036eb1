"""The portal beside a model of it: many steps of several people, compared after each."""

from __future__ import annotations

import os
from collections import Counter
from typing import ClassVar

import pytest
from jinja2 import FileSystemBytecodeCache

from tests.support.model.machine import Machine
from tests.support.model.portals import drive, in_this_process

STEPS = int(os.environ.get("MODEL_STEPS", "1000"))


@pytest.mark.timeout(24 * 60 * 60)
def test_portal_does_what_its_model_does(compiled_templates: FileSystemBytecodeCache) -> None:
    done = drive(lambda: in_this_process(compiled_templates), STEPS, 100)
    print(dict(done))  # noqa: T201  (what a long run has done)
    assert done["steps"] >= STEPS * 0.9


def test_empty_file_is_stored_where_the_quota_is_exceeded(
    compiled_templates: FileSystemBytecodeCache,
) -> None:
    """It needs no room: neither by a form nor by tus, which left an unfinished upload behind."""

    class Here(Machine):
        open = staticmethod(lambda: in_this_process(compiled_templates))
        done: ClassVar[Counter[str]] = Counter()

    machine = Here()
    machine.begin()
    machine.made = 1
    machine.manage(0, 0, "quota")
    assert machine.world.quota("ada") == 0 < machine.world.used("ada")
    machine.upload(0, 0, [("a.txt", 0)])
    machine.begin_upload(0, 0, "b", 0, "", 0)
    machine.compare()
    machine.teardown()
