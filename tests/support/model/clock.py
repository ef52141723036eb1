"""The clock of the model, which the portal in this process believes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from portal.core.models import base

_NOON = 2_200_000_000 // 86_400 * 86_400 + 43_200


class Clock:
    """The seconds since 1970. They stand still during a step, so that each step can be repeated."""

    def __init__(self) -> None:
        self.now: float = _NOON

    def time(self) -> float:
        return self.now


class RealClock(Clock):
    """The clock of this machine, for a portal in another process."""

    def __init__(self) -> None:
        pass

    @property
    def now(self) -> float:
        return time.time()

    @now.setter
    def now(self, _value: float) -> None:
        pass


@contextmanager
def believed(clock: Clock) -> Iterator[None]:
    """Have the portal believe a clock."""

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(clock.now, tz or UTC)

    with patch.object(base, "datetime", Datetime), patch.object(time, "time", clock.time):
        yield
