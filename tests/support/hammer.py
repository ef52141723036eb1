"""A process that uploads and deletes without a pause, until its input ends.

Run as ``python -m tests.support.hammer OWNER``; prints how many files it deleted.
"""

from __future__ import annotations

import os
import random
import sys
import threading

from portal import create_app
from portal.core.database import db
from portal.core.models import StoredFile
from portal.files import trash

from .stored import store


def main() -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    app, mine, deleted = create_app(), list[int](), 0
    while not ended.is_set():
        with app.app_context():
            mine.append(store(sys.argv[1], "a.bin", os.urandom(random.randrange(50_000))).id)  # noqa: S311
            if len(mine) > 10:
                stored = db.session.get_one(StoredFile, mine.pop(random.randrange(10)))  # noqa: S311
                trash.put([stored])
                trash.purge(stored)
                deleted += 1
    sys.stdout.write(f"{deleted}\n")


if __name__ == "__main__":
    main()
