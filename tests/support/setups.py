"""A page's set-up, run as printed: its files are written and its commands run, in their order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .paths import PROJECT
from .roots import WHEELS

DELIVERED = "Ten more than last year.\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a command, and captures what it prints."""

_BLOCK = re.compile(r"```(\w+)\n(.*?)```|^((?:    [^\n]*\n)+)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A code block of a page.

    :param path: the file that it is written to; empty: it is commands.
    """

    text: str
    path: str = ""


def page(name: str) -> str:
    """Return a page of the set-ups."""
    return (PROJECT / f"docs/extension/setups/{name}.md").read_text()


def steps(text: str, *headings: str) -> Iterator[Step]:
    """Yield the steps below some headings of a page, up to the next one of any level."""
    parts = re.split(r"^#+ (.*)\n", text, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    for heading in headings:
        yield from _steps(sections[heading])


def _steps(section: str) -> Iterator[Step]:
    for found in _BLOCK.finditer(section):
        language, fenced, indented = found.groups()
        if indented:
            yield Step(re.sub("^    ", "", indented, flags=re.MULTILINE))
        elif language == "sh":
            yield Step(fenced)
        else:
            named = re.findall(r"Write `([^`]+)`", section[: found.start()])
            assert named, f"no file is named before: {fenced}"
            yield Step(fenced, named[-1])


class Terminal:
    """A terminal: what one block exports, and where it goes, the next one finds.

    :param first: what it begins with, such as ``cd /srv``.
    :param state: the path of a file of its own.
    """

    def __init__(self, run: Run, first: str, state: str) -> None:
        self._run, self._state = run, state
        self._must(f"echo '{first}' >{state}")

    def do(self, step: Step) -> None:
        """Write the step's file, or run its commands, each of which has to succeed."""
        if step.path:
            self._must(f"{self.script('')}cat >{step.path} <<'END'\n{step.text}END\n")
        else:
            save = f'{{ export -p; echo "umask $(umask); cd $PWD"; }} >{self._state}'
            self._must(f"{self.script(step.text)}{save}")

    def script(self, text: str) -> str:
        """Return what a shell has to run to go on with a text."""
        return f". {self._state}\n{text}"

    def _must(self, script: str) -> None:
        done = self._run("sh", "-ec", script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def with_build_backend(folder: Path) -> Path:
    """Fill a folder with what pip installs the extension from, where it has no index."""
    shutil.copytree(WHEELS, folder, dirs_exist_ok=True)
    pip("download", "--only-binary=:all:", "--dest", folder, "hatchling")
    return folder


def pip(*words: str | Path) -> None:
    """Run pip, which has to succeed."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], check=True)


def assert_delivers(run: Run, url: str, files: str) -> str:
    """Sign in, follow the link, and return the header of the report's answer.

    :param files: the area's folder, for a report whose name needs a locale.
    """
    copied = run("sh", "-c", f"cp -p {files}/reports/a.txt {files}/reports/Übersicht.txt")
    assert copied.returncode == 0, copied.stderr
    assert _curl(run, f"{url}/reports/a.txt")[0].startswith("HTTP/1.1 403")
    head, page = _curl(run, f"{url}/sign-in")
    assert '<a href="/reports/a.txt">' in page
    (cookie,) = re.findall(r"^Set-Cookie: ([^;]*)", head, re.MULTILINE)
    for name in ("%C3%9Cbersicht.txt", "a.txt"):
        head, body = _curl(run, "--cookie", cookie, f"{url}/reports/{name}")
        assert head.startswith("HTTP/1.1 200"), name
        assert body == DELIVERED
    assert 'Content-Disposition: attachment; filename="a.txt"' in head
    return head


def _curl(run: Run, *words: str) -> tuple[str, str]:
    """Return the header and the body of an answer."""
    done = run("curl", "--silent", "--show-error", "--include", *words)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    return head, body
