"""Apache's configuration files, read for what leads to an area's files.

Nothing is run: the directives of all files are listed, those under an ``<IfDefine>`` or
``<IfModule>`` included, whether Apache would take them or not.
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
    variables: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    server_root: str = ""

    def names(self, host: int) -> list[str]:
        """List a virtual host's names."""
        return [
            re.sub(r"^https?://|:\d+$", "", word)
            for directive in self.directives
            if directive.host == host and directive.name in ("servername", "serveralias")
            for word in directive.words
        ]

    def port(self, host: int) -> int | None:
        """Give the port of a virtual host's address, if it has one."""
        port = self.addresses.get(host, "").rpartition(":")[2]
        return int(port) if port.isdigit() and 0 < int(port) < 65536 else None

    def modules(self) -> set[str]:
        """List what is loaded, or built in, without ``_module``."""
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
    configuration = Configuration(path, server_root=str(path.resolve().parent))
    _read(configuration, path, [], ())
    return configuration


def _read(
    into: Configuration, path: Path, sections: list[tuple[str, str, int]], above: tuple[Path, ...]
) -> None:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigurationUnreadable(f"{path}: {error.strerror}") from error
    above = (*above, path)
    pending = ""
    for number, line in enumerate(text.splitlines(), 1):
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        words, pending = pending, ""
        if words and not words.startswith("#"):
            _take(into, words, f"{path}:{number}", sections, above)


def _take(
    into: Configuration,
    line: str,
    place: str,
    sections: list[tuple[str, str, int]],
    above: tuple[Path, ...],
) -> None:
    line = _VARIABLE.sub(lambda found: into.variables.get(found[1], found[0]), line)
    if line.startswith("</"):
        del sections[-1:]
    elif line.startswith("<"):
        name, _, argument = line[1:].rstrip(">").partition(" ")
        host = sections[-1][2] if sections else 0
        if name.lower() == "virtualhost":
            host = len(into.addresses) + 1
            into.addresses[host] = argument.strip()
        sections.append((name.lower(), _unquoted(argument), host))
    else:
        _directive(into, line, place, sections, above)


def _directive(
    into: Configuration,
    line: str,
    place: str,
    sections: list[tuple[str, str, int]],
    above: tuple[Path, ...],
) -> None:
    name, *words = [one or two or three for one, two, three in _WORD.findall(line)]
    name = name.lower()
    if name in ("include", "includeoptional") and words:
        for found in _included(into, words[0]):
            if found not in above:
                _read(into, found, sections, above)
        return
    if name == "define" and words:
        into.variables[words[0]] = words[1] if len(words) > 1 else ""
    if name == "serverroot" and words:
        into.server_root = words[0]
    around = tuple((kind, argument) for kind, argument, _ in sections)
    host = sections[-1][2] if sections else 0
    into.directives.append(Directive(name, tuple(words), around, host, place))


def _included(into: Configuration, pattern: str) -> list[Path]:
    found = sorted(glob.glob(str(Path(into.server_root, pattern))))  # noqa: PTH207 -- absolute
    files = []
    for path in map(Path, found):
        files += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [path for path in files if path.is_file()]


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def guarded_hosts(configuration: Configuration, area: Area, tokens: Collection[str]) -> set[int]:
    """Tell which virtual hosts have the area's guard on its folder; 0 covers all of them."""
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
    """List what leads to an area's files, the area's own alias excepted."""
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
    """Give URL and folder of a directive that makes files reachable."""
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
