"""A portal whose disk fails at each write of each operation in turn, as a process of its own.

Run as ``python -m tests.faults.failing FOLDER FAULT STEP`` with faults.c preloaded. It fails the
first write of an operation, then the one STEP later, and so on until there are no more. It prints a
line of JSON for each: the operation, the number of the write, what was answered, and what is wrong.
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import multiprocessing
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from flask import Flask

from portal import cli
from portal.accounts import accounts
from portal.core import database
from portal.identity import passwords
from tests.support.portal import cheap_hasher

from .application import check_application, open_portal, sender
from .journal import File
from .person import NoAnswerError, Person
from .work import go_on

FAULTS = {
    "full": (1 | 2, errno.ENOSPC, True),
    "no inodes": (2, errno.ENOSPC, True),
    "fails once": (1 | 2 | 4 | 8, errno.EIO, False),
    "fails": (1 | 2 | 4 | 8, errno.EIO, True),
    "read-only": (1 | 2 | 4 | 8, errno.EROFS, True),
}
"""For each: the kinds of calls in faults.c, their error, and whether it lasts."""
_LIBRARY = ctypes.CDLL(None)


def prepare(app: Flask) -> tuple[Person, dict[str, File]]:
    """Create a person with a file of each kind."""
    with app.app_context():
        database.upgrade()
        accounts.create("alice", "correct horse")
    alice = Person("alice", "correct horse", sender(app))
    alice.sign_in()
    alice.create_folder("Letters")
    files = {"live": alice.upload(10_001), "trashed": alice.upload(20_001)}
    alice.trash(files["trashed"])
    for name in ("begun", "nearly finished"):
        files[name] = alice.begin(100_001)
        alice.continue_upload(files[name], 50_001)
    return alice, files


def operations(
    app: Flask, alice: Person, files: Mapping[str, File]
) -> dict[str, Callable[[], object]]:
    """Return what a person or an administrator can do that writes."""
    return {
        "sign in": alice.sign_in,
        "create folder": lambda: alice.create_folder("Pictures"),
        "upload": lambda: alice.upload(70_001) and None,
        "upload group": lambda: alice.upload_group(10_001, 0, 20_001) and None,
        "begin": lambda: alice.begin(70_001) and None,
        "piece": lambda: alice.continue_upload(files["begun"], 10_001),
        "last piece": lambda: alice.continue_upload(files["nearly finished"], 100_001),
        "rename": lambda: alice.rename(files["live"]),
        "move": lambda: alice.move(files["live"], "Letters"),
        "trash": lambda: alice.trash(files["live"]),
        "restore": lambda: alice.restore(files["trashed"]),
        "delete": lambda: alice.delete(files["trashed"]),
        "empty trash": alice.empty_trash,
        "trash --empty": lambda: _empty_by_command(app, alice),
        "cleanup": lambda: _run(app, "cleanup"),
        "check --repair": lambda: _run(app, "check", "--repair"),
    }


def main(folder: Path, fault: str, step: int) -> None:
    """Try each operation with each write."""
    logging.disable()
    passwords.hasher = cheap_hasher()
    data, template = folder / "data", folder / "template"
    data.mkdir(mode=0o700)
    with open_portal(data) as app:
        alice, files = prepare(app)
    data.rename(template)
    for name, do in operations(app, alice, files).items():
        call, has_failed = 1, True
        while has_failed:  # what has failed may have ended the operation, so there may be more
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(template, data)
            receiver, sent = multiprocessing.Pipe(duplex=False)
            child = multiprocessing.get_context("fork").Process(
                target=_try, args=(sent, app, alice, do, (*FAULTS[fault], call))
            )
            child.start()
            sent.close()
            made, said, wrong = receiver.recv()
            child.join()
            print(json.dumps([name, call, said, wrong]), flush=True)  # noqa: T201
            has_failed, call = made >= call, call + step


def _try(
    sent: Connection,
    app: Flask,
    alice: Person,
    do: Callable[[], object],
    fault: tuple[int, int, bool, int],
) -> None:
    said, wrong = "", ""
    kinds, error, lasts, call = fault
    alice.page("/trash")  # a portal at work has its database open
    alice.answers.clear()
    _LIBRARY.faults_arm(os.fsencode(app.config["DATA"]), kinds, error, call, lasts)
    try:
        said = str(do() or "")
    except (NoAnswerError, AssertionError) as failure:
        said = str(failure)
    except BaseException:
        wrong = traceback.format_exc()
    made = _LIBRARY.faults_disarm()
    said = f"{alice.answers} {said}"[:300]
    if error == errno.ENOSPC and any(status == 500 for _, status in alice.answers):
        wrong += "the answer does not say that the disk is full"
    try:
        check_application(app, [alice])
        go_on(alice)
    except BaseException:
        wrong += traceback.format_exc()
    sent.send((made, said, wrong))
    sent.close()
    os._exit(0)  # with nothing of its parent's


def _run(app: Flask, *words: str) -> str:
    done = app.test_cli_runner().invoke(cli.portal, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return f"{done.exit_code} {done.output}"


def _empty_by_command(app: Flask, alice: Person) -> str:
    changes = [
        file.change(lambda state: None if state and state.is_trashed else state)
        for file in alice.files.values()
    ]
    said = _run(app, "trash", "--empty", "alice")
    if said.startswith("0 "):
        for change in changes:
            change.acknowledge()
    return said


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
