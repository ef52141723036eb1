"""Apache's configuration files, read for what leads to an area's files.

Nothing is run: the directives of all files are listed, also those under an ``<IfDefine>`` or
``<IfModule>`` that Apache would skip.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..areas import Area, lies_within

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_BUILT_IN = frozenset({"core", "so", "http", "log_config", "logio", "version", "unixd", "watchdog"})


class ConfigurationUnreadable(Exception):
    """A configuration file cannot be read."""


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


@dataclass(slots=True)
class Configuration:
    """The directives of a configuration.

    :param file: where reading began.
    :param addresses: of each virtual host, by number.
    """

    file: Path
    directives: list[Directive] = field(default_factory=list)
    addresses: dict[int, str] = field(default_factory=dict)
    server_root: str = ""

    def names(self, host: int) -> list[str]:
        """Return a virtual host's names."""
        return [
            re.sub(r"^https?://|:\d+$", "", word)
            for directive in self.directives
            if directive.host == host and directive.name in ("servername", "serveralias")
            for word in directive.words
        ]

    def port(self, host: int) -> int | None:
        """Return the port of a virtual host's address, if it has one."""
        port = self.addresses.get(host, "").rpartition(":")[2]
        return int(port) if port.isdigit() and 0 < int(port) < 65536 else None

    def modules(self) -> set[str]:
        """Return the modules that are loaded, or built in, without ``_module``."""
        loaded = {
            directive.words[0].removesuffix("_module")
            for directive in self.directives
            if directive.name == "loadmodule" and directive.words
        }
        return loaded | _BUILT_IN


@dataclass(frozen=True, slots=True)
class Way:
    """Something in the configuration that leads to an area's files.

    :param url: where the folder begins in the URL space, with a slash at the end.
    :param below: the area's folder relative to the way's, with a slash at the end, or nothing; to
        be added to the URL.
    :param host: see :class:`Directive`.
    :param place: file and line.
    :param is_guarded: whether the area's guard covers it.
    """

    url: str
    below: str
    host: int
    directive: str
    place: str
    is_guarded: bool


def read(path: Path) -> Configuration:
    """Read a configuration and what it includes.

    :raises ConfigurationUnreadable: if a file cannot be read.
    """
    reader = _Reader(Configuration(path, server_root=str(path.resolve().parent)))
    reader.read(path)
    return reader.found


@dataclass(slots=True)
class _Reader:
    found: Configuration
    variables: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    # Lower-case name, argument and virtual host of those that are open, outermost first.
    sections: list[tuple[str, str, int]] = field(default_factory=list)
    # The file being read, and those that include it.
    files: list[Path] = field(default_factory=list)

    def read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise ConfigurationUnreadable(f"{path}: {error.strerror}") from error
        self.files.append(path)
        pending = ""
        for number, line in enumerate(text.splitlines(), 1):
            pending += line.strip()
            if pending.endswith("\\"):
                pending = pending[:-1] + " "
                continue
            words, pending = pending, ""
            if words and not words.startswith("#"):
                self._take(words, f"{path}:{number}")
        self.files.pop()

    def _take(self, line: str, place: str) -> None:
        line = _VARIABLE.sub(lambda found: self.variables.get(found[1], found[0]), line)
        host = self.sections[-1][2] if self.sections else 0
        if line.startswith("</"):
            del self.sections[-1:]
        elif line.startswith("<"):
            name, _, argument = line[1:].rstrip(">").partition(" ")
            if name.lower() == "virtualhost":
                host = len(self.found.addresses) + 1
                self.found.addresses[host] = argument.strip()
            self.sections.append((name.lower(), _unquoted(argument), host))
        else:
            name, *words = [one or two or three for one, two, three in _WORD.findall(line)]
            self._directive(name.lower(), words, host, place)

    def _directive(self, name: str, words: list[str], host: int, place: str) -> None:
        if name in ("include", "includeoptional") and words:
            for file in self._included(words[0]):
                if file not in self.files:
                    self.read(file)
            return
        if name == "define" and words:
            self.variables[words[0]] = words[1] if len(words) > 1 else ""
        if name == "serverroot" and words:
            self.found.server_root = words[0]
        around = tuple((kind, argument) for kind, argument, _ in self.sections)
        self.found.directives.append(Directive(name, tuple(words), around, host, place))

    def _included(self, pattern: str) -> list[Path]:
        found = sorted(glob.glob(str(Path(self.found.server_root, pattern))))  # noqa: PTH207 -- absolute
        files = []
        for path in map(Path, found):
            files += sorted(path.rglob("*")) if path.is_dir() else [path]
        return [path for path in files if path.is_file()]


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def guarded_hosts(configuration: Configuration, area: Area, tokens: Collection[str]) -> set[int]:
    """Return the virtual hosts that have the area's guard on its folder; 0 covers all of them."""
    return {
        directive.host
        for directive in configuration.directives
        if directive.name == "require"
        and ("directory", f"{area.root}/") in directive.sections
        and any(
            token in argument
            for kind, argument in directive.sections
            if kind == "if"
            for token in tokens
        )
    }


def ways(configuration: Configuration, area: Area, tokens: Collection[str]) -> Iterator[Way]:
    """Yield what leads to an area's files, the area's own alias excepted."""
    hosts = guarded_hosts(configuration, area, tokens)
    for directive in configuration.directives:
        for url, folder in _leads(configuration, directive):
            real = os.path.realpath(folder)
            if not (lies_within(area.root, real) or lies_within(real, area.root)):
                continue
            # Apache compares a <Directory> with the path's text, symbolic links and all.
            text = os.path.normpath(folder)
            is_plain = lies_within(area.root, text) or lies_within(text, area.root)
            is_guarded = is_plain and bool({0, directive.host} & hosts)
            if is_guarded and url in area.urls and text == area.root:
                continue
            below = os.path.relpath(area.root, real) + "/" if lies_within(area.root, real) else ""
            below = "" if below == "./" else below
            yield Way(url, below, directive.host, directive.name, directive.place, is_guarded)


def _leads(configuration: Configuration, directive: Directive) -> Iterator[tuple[str, str]]:
    """Yield URL and folder of a directive that makes files reachable."""
    words = directive.words
    where = [argument for kind, argument in directive.sections if kind == "location"]
    folder = url = ""
    if directive.name == "documentroot" and words:
        url, folder = "/", words[0]
    elif directive.name in ("alias", "scriptalias") and len(words) == 2:
        url, folder = words
    elif directive.name in ("alias", "scriptalias") and len(words) == 1 and where:
        url, folder = where[-1], words[0]
    elif directive.name in ("aliasmatch", "scriptaliasmatch") and len(words) == 2:
        # What stands before the first group or wildcard.
        url = re.split(r"[(\[.*+?]", words[0].removeprefix("^"))[0]
        folder = words[1].partition("$")[0]
    if folder:
        absolute = str(Path(configuration.server_root, folder))
        yield (url if url.endswith("/") else f"{url}/"), absolute
