"""A portal whose clock is set while people work, as a process of its own.

Run as ``python -m tests.faults.clocks FOLDER`` with faults.c preloaded; prints what it tried.
"""

from __future__ import annotations

import ctypes
import json
import logging
import sys
from pathlib import Path

from portal import cli
from portal.identity import passwords
from tests.support.portal import cheap_hasher

from .application import check_application, open_portal
from .failing import prepare
from .work import check, go_on

STEPS = {"a year ahead": 365 * 86_400, "back": 0, "10 seconds back": -10, "right": 0}
"""Seconds that the clock is ahead."""
_LIBRARY = ctypes.CDLL(None)


def main(data: Path) -> None:
    """Set the clock, clean up as every day, look, and go on."""
    logging.disable()
    passwords.hasher = cheap_hasher()
    data.mkdir(mode=0o700)
    with open_portal(data) as app:
        alice, files = prepare(app)
        for name, ahead in STEPS.items():
            _LIBRARY.faults_shift(ctypes.c_long(ahead))
            if ahead < 0:
                check(alice)  # who was signed in still is
            alice.sign_in()
            done = app.test_cli_runner().invoke(cli.portal, ["cleanup"])
            assert done.exit_code == 0, done.output
            check_application(app, [alice])
            go_on(alice)
            assert files["live"].state
            assert files["trashed"].state
            for begun in ("begun", "nearly finished"):
                assert files[begun].upload, name
        while files["begun"].upload:
            alice.continue_upload(files["begun"], 30_001)
        check_application(app, [alice])
    print(json.dumps(list(STEPS)))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "data")
