"""The portal behind the real Apache, beside the model of it."""

from __future__ import annotations

import os

import pytest

from tests.support.model.portals import behind_apache, drive

STEPS = int(os.environ.get("MODEL_STEPS", "0"))


@pytest.mark.timeout(24 * 60 * 60)
def test_portal_behind_apache_does_what_its_model_does() -> None:
    """With ``MODEL_STEPS`` alone it is long; else it only shows that it can be done."""
    steps = 200 if STEPS else 10
    assert drive(behind_apache, steps, steps)["steps"] >= steps
