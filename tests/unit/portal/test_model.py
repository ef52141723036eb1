"""The portal beside a model of it: many steps of several people, compared after each."""

from __future__ import annotations

import os

import pytest
from jinja2 import FileSystemBytecodeCache

from tests.support.model.portals import drive, in_this_process

STEPS = int(os.environ.get("MODEL_STEPS", "1000"))


@pytest.mark.timeout(24 * 60 * 60)
def test_portal_does_what_its_model_does(compiled_templates: FileSystemBytecodeCache) -> None:
    done = drive(lambda: in_this_process(compiled_templates), STEPS, 100)
    print(dict(done))  # noqa: T201  (what a long run has done)
    assert done["steps"] >= STEPS * 0.9
