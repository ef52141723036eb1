"""Apache's configuration files, read for what leads to an area's files.

Nothing is run: the directives of all files are listed, also those under an ``<IfDefine>`` or
``<IfModule>`` that Apache would skip.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..areas import Area, lies_within, overlap

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_APACHES = re.compile(
    r"(?:script)?alias(?:match)?|define|documentroot|includeoptional|loadmodule|require"
    r"|server(?:name|root)|wsgi\w+"
)
"""Directives that no other server's configuration has; nginx has an alias, but in braces."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One line of a configuration.

    :param name: in lower case.
    :param sections: the sections around it, outermost first: lower-case name and argument.
    :param host: which virtual host it stands in, a number from 1; 0 outside of any.
    :param place: file and line.
    """

    name: str
    words: tuple[str, ...]
    sections: tuple[tuple[str, str], ...]
    host: int
    place: str


class Configuration:
    """The directives of a configuration, and of what it includes.

    :param file: the main file.
    :raises ValueError: if a file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.server_root = file, str(file.resolve().parent)
        self.directives: list[Directive] = []
        self.addresses: dict[int, str] = {}  # of virtual hosts
        self._variables = dict(os.environ)
        # Lower-case name, argument and virtual host of those that are open, outermost first.
        self._sections: list[tuple[str, str, int]] = []
        self._files: list[Path] = []  # the one being read, and those that include it
        self._read(file)

    def is_apaches(self) -> bool:
        """Return whether it is one of Apache, as its sections and directives show."""
        outside = [one for one in self.directives if not one.sections]
        if any(word.endswith("{") for one in outside for word in (one.name, *one.words)):
            return False
        return any(one.sections or _APACHES.fullmatch(one.name) for one in self.directives)

    def named(self, *names: str) -> list[Directive]:
        """Return the directives that have one of the names, and arguments."""
        return [one for one in self.directives if one.name in names and one.words]

    def names(self, host: int) -> list[str]:
        """Return a virtual host's names."""
        return [
            re.sub(r"^https?://|:\d+$", "", word)
            for directive in self.named("servername", "serveralias")
            if directive.host == host
            for word in directive.words
        ]

    def port(self, host: int) -> int | None:
        """Return the port of a virtual host's address, if it has one."""
        port = self.addresses.get(host, "").rpartition(":")[2]
        return int(port) if port.isdigit() and 0 < int(port) < 65536 else None

    def modules(self) -> set[str]:
        """Return the modules that are loaded, without ``_module``."""
        return {one.words[0].removesuffix("_module") for one in self.named("loadmodule")}

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        self._files.append(path)
        pending = ""
        for number, line in enumerate(text.splitlines(), 1):
            pending += line.strip()
            if pending.endswith("\\"):
                pending = pending[:-1] + " "
                continue
            words, pending = pending, ""
            if words and not words.startswith("#"):
                self._take(words, f"{path}:{number}")
        self._files.pop()

    def _take(self, line: str, place: str) -> None:
        line = _VARIABLE.sub(lambda found: self._variables.get(found[1], found[0]), line)
        host = self._sections[-1][2] if self._sections else 0
        if line.startswith("</"):
            del self._sections[-1:]
        elif line.startswith("<"):
            name, _, argument = line[1:].rstrip(">").partition(" ")
            if name.lower() == "virtualhost":
                host = len(self.addresses) + 1
                self.addresses[host] = argument.strip()
            self._sections.append((name.lower(), argument.strip(" \t\"'"), host))
        else:
            name, *words = [one or two or three for one, two, three in _WORD.findall(line)]
            around = tuple((kind, argument) for kind, argument, _ in self._sections)
            self._add(Directive(name.lower(), tuple(words), around, host, place))

    def _add(self, directive: Directive) -> None:
        self.directives.append(directive)
        match directive.name, directive.words:
            case (("include" | "includeoptional"), (pattern, *_)):
                for file in self._included(pattern):
                    if file not in self._files:
                        self._read(file)
            case "define", (variable, *value):
                self._variables[variable] = "".join(value[:1])
            case "serverroot", (folder, *_):
                self.server_root = folder

    def _included(self, pattern: str) -> Iterator[Path]:
        found = sorted(glob.glob(str(Path(self.server_root, pattern))))  # noqa: PTH207 -- absolute
        for path in map(Path, found):
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            yield from filter(Path.is_file, files)


@dataclass(frozen=True, slots=True)
class Way:
    """Something in the configuration that leads to an area's files.

    :param directive: which one.
    :param url: where the folder begins in the URL space, with a slash at the end.
    :param below: the area's folder relative to the way's, with a slash at the end, or nothing; to
        be added to the URL.
    :param is_guarded: whether the area's guard covers it.
    """

    directive: Directive
    url: str
    below: str
    is_guarded: bool


def ways(configuration: Configuration, area: Area, tokens: Collection[str]) -> Iterator[Way]:
    """Yield what leads to an area's files, the area's own alias excepted."""
    # The virtual hosts that have the area's guard on its folder; 0 covers all of them.
    guarded = {
        one.host
        for one in configuration.named("require")
        if ("directory", f"{area.root}/") in one.sections
        and any(token in text for kind, text in one.sections if kind == "if" for token in tokens)
    }
    for directive in configuration.directives:
        for url, folder in _leads(configuration, directive):
            real = os.path.realpath(folder)
            if not overlap(area.root, real):
                continue
            # Apache compares a <Directory> with the path's text, symbolic links and all.
            text = os.path.normpath(folder)
            is_guarded = overlap(area.root, text) and bool({0, directive.host} & guarded)
            if is_guarded and url in area.urls and text == area.root:
                continue
            below = os.path.relpath(area.root, real) + "/" if lies_within(area.root, real) else ""
            yield Way(directive, url, below.removeprefix("./"), is_guarded)


def _leads(configuration: Configuration, directive: Directive) -> Iterator[tuple[str, str]]:
    """Yield URL and folder of a directive that makes files reachable."""
    where = [argument for kind, argument in directive.sections if kind == "location"]
    match directive.name, directive.words:
        case "documentroot", (folder, *_):
            url = "/"
        case (("alias" | "scriptalias"), (url, folder)):
            pass
        case (("alias" | "scriptalias"), (folder,)) if where:
            url = where[-1]
        case (("aliasmatch" | "scriptaliasmatch"), (pattern, target)):
            # What stands before the first group or wildcard.
            url = re.split(r"[(\[.*+?]", pattern.removeprefix("^"))[0]
            folder = target.partition("$")[0]
        case _:
            return
    if folder:
        yield f"{url.removesuffix('/')}/", str(Path(configuration.server_root, folder))
