"""A process that records without a pause, and prints what it has recorded.

Run as ``python -u -m tests.support.recorder NAME``.
"""

from __future__ import annotations

import sys
from itertools import count

from portal import create_app
from portal.activity.record import record


def main() -> None:
    with create_app().app_context():
        for number in count():
            detail = f"{sys.argv[1]} {number}"
            record("archive", detail=detail)
            sys.stdout.write(f"{detail}\n")


if __name__ == "__main__":
    main()
