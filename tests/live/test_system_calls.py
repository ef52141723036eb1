"""What a hand-off asks of the kernel, counted by strace: each call may wait for a disk."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tools import tool

PROGRAM = """
import os
import sys

from flask import Flask

from flask_delegate import Delegate, Handoff, delegated
from flask_delegate.servers.handshake import environ_key

root, path = sys.argv[1:]
app = Flask("counted", static_folder=None)
app.config.update(SECRET_KEY="a secret for the tests only", DELEGATE_ROOT=root)
Delegate(app)
app.add_url_rule("/empty", "empty", lambda: "")
app.add_url_rule("/handoff", "handoff", delegated(lambda: True)(lambda: Handoff(path)))
fingerprint = app.extensions["delegate"].keys["default"][0].fingerprint
environ = {"mod_wsgi.process_group": "portal", environ_key(fingerprint): "/private/"}


def ask(target):
    response = app.test_client().get(target, environ_overrides=environ)
    assert response.status_code == 200, response.data
    return response


assert ask("/handoff").headers["Location"].startswith("/private/")
for target in ("/empty", "/handoff"):
    ask(target)
    os.path.exists(f"/begin{target}")
    ask(target)
    os.path.exists(f"/end{target}")
"""


def calls(output: str, target: str) -> list[str]:
    """List what was called between the two marks."""
    lines = re.findall(r"^(?:\d+ +)?(\w+)\((.*)$", output, re.MULTILINE)
    texts = [f"{name}({rest}" for name, rest in lines]
    begin = max(index for index, text in enumerate(texts) if f'"/begin{target}"' in text)
    end = next(index for index, text in enumerate(texts) if f'"/end{target}"' in text)
    # The memory allocator's own are not the request's.
    own = re.compile("brk|mmap|munmap|madvise")
    return [text for text in texts[begin + 1 : end] if not own.match(text)]


@pytest.mark.parametrize("path", ["report.txt", "a/b/report.txt"])
def test_a_handoff_costs_a_call_for_each_component_and_two(tmp_path: Path, path: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    strace = (tool("strace"), "-f", "-o", "/dev/stderr")
    command = [*strace, sys.executable, "-c", PROGRAM, str(tmp_path), path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    empty, handoff = calls(done.stderr, "/empty"), calls(done.stderr, "/handoff")
    components = path.count("/") + 1
    assert len(handoff) - len(empty) == components + 2, handoff
    assert sum(str(tmp_path) in call for call in handoff) == components + 1, handoff
