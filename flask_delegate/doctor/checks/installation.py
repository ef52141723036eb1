"""Checks of settings, folders and files, without a server."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ...areas import Area, lies_within
from ...config import DEFAULT_AREA
from ..case import Case
from ..file_access import ENTER, READ, Account, denied, find_account, parents
from ..finding import Finding, failure, ok, skipped, warning
from .server import apache_modules, apache_paths, backend, config, network

_SAMPLE = 1000  # files that are looked at
_SHOWN = 3
_SHORT = 16  # characters of a key


def examine(case: Case) -> Iterator[Finding]:
    """Make all checks."""
    yield settings(case)
    yield interpreter(case)
    checks: tuple[Callable[[Case, Area], Iterable[Finding]], ...] = (
        root,
        root_link,
        permissions,
        files,
        overlap,
        backend,
        network,
        config,
        apache_modules,
        apache_paths,
    )
    for area in case.areas:
        for check in checks:
            yield from check(case, area)


def settings(case: Case) -> Finding:
    """Look at what the extension could not refuse."""
    secret = (*case.state.settings.secrets, None)[0]
    if secret is not None and len(secret) < _SHORT:
        return failure(
            "settings",
            f"SECRET_KEY has {len(secret)} bytes.",
            "The token that opens the files, and all sessions, are derived from it; a short key"
            " can be found by trying.",
            "Set it to the output of python -c 'import secrets; print(secrets.token_hex())', and"
            " write the server's configuration again.",
        )
    if case.app.debug:
        return warning(
            "settings",
            "debug mode is on.",
            "Error pages show code, and may run it, for everybody.",
            "Leave out --debug and FLASK_DEBUG where others reach the server.",
        )
    number = len(case.state.settings.areas)
    return ok("settings", f"complete; {number} {'area' if number == 1 else 'areas'}")


def interpreter(case: Case) -> Finding:
    """Look at Python and the code with the eyes of the user that runs them."""
    if all(area.backend in ("nginx", "stream") for area in case.areas):
        return skipped("interpreter", "another server than the web server runs the application")
    binary = os.path.realpath(sys.executable)
    package = str(Path(__file__).resolve().parents[2])
    places = [binary, os.path.realpath(sys.prefix), package, os.path.realpath(case.app.root_path)]
    needs = [(parent, ENTER) for place in places for parent in parents(place)]
    needs += [(binary, ENTER), *((place, READ) for place in places[1:])]
    account = _runs_python(case)
    lacking = denied(account, list(dict.fromkeys(needs)))
    if not lacking:
        return ok("interpreter", f"{account.name} can read {binary} and the code")
    return failure(
        "interpreter",
        f"{account.name} {_described(lacking)}.",
        "The server's Python processes run as that user: they die, and every page is an error.",
        "Use an interpreter and a folder for the code that this user can read (not under /root),"
        " or name the right user with --user.",
    )


def _runs_python(case: Case) -> Account:
    """Give the user of the first daemon process group that names one, or the web server's."""
    for directive in case.apache.directives if case.apache else ():
        if directive.name == "wsgidaemonprocess":
            for word in directive.words:
                with suppress(KeyError):
                    if word.startswith("user="):
                        return find_account(word.removeprefix("user=").strip("'\""))
    return case.account


def root(_case: Case, area: Area) -> Iterator[Finding]:
    """Look for folders that anybody may change."""
    for folder in [*parents(area.root), area.root]:
        mode = Path(folder).stat().st_mode
        is_open = bool(mode & stat.S_IWOTH)
        if is_open and (folder == area.root or not mode & stat.S_ISVTX):
            yield failure(
                "root",
                f"everybody on this machine may write to {folder} (mode {mode & 0o7777:o}).",
                "Anybody can put files there, or another folder in this one's place.",
                f"chmod o-w {folder}",
                area.name,
            )
            return
    yield ok("root", f"{area.root} is not open to other users' changes", area.name)


def root_link(case: Case, area: Area) -> Iterator[Finding]:
    """Compare the folder as it was written with the folder as it is."""
    default = area.name == DEFAULT_AREA
    entry = {} if default else case.app.config["DELEGATE_AREAS"][area.name]
    given = os.fspath(case.app.config["DELEGATE_ROOT"] if default else entry["root"])
    if os.path.normpath(given) == area.root:
        yield ok("root-link", "given by its real path", area.name)
        return
    yield warning(
        "root-link",
        f"{given} leads through a symbolic link to {area.root}.",
        "The link is followed once, at start-up, and the guard stands on what it led to. After it"
        " is changed, the old files are served until a restart, and none handed off without a new"
        " configuration. An Alias of the server through the link goes past the guard.",
        f"Write {area.root} into the settings, or write the configuration again and restart after"
        " each change of the link.",
        area.name,
    )


def permissions(case: Case, area: Area) -> Iterator[Finding]:
    """Look at the folder and those above it with the eyes of the web server's user."""
    needs = [(folder, ENTER) for folder in [*parents(area.root), area.root]]
    lacking = denied(case.account, needs)
    if not lacking:
        yield ok("permissions", f"{case.account.name} may enter all of {area.root}", area.name)
        return
    folder = lacking[0][0]
    yield failure(
        "permissions",
        f"{case.account.name} {_described(lacking)}.",
        "The web server sends the files as that user: every download is a 403 or 404.",
        f"setfacl -m u:{case.account.name}:x {folder} (or chgrp and chmod g+x); if the server runs"
        " as another user, name it with --user.",
        area.name,
    )


def files(case: Case, area: Area) -> Iterator[Finding]:
    """Look at some of the files."""
    found = list(islice(_walk(area.root), _SAMPLE))
    links = [path for path in found if Path(path).is_symlink()]
    needs = [(path, ENTER if Path(path).is_dir() else READ) for path in found if path not in links]
    lacking = denied(case.account, needs)
    if lacking:
        yield failure(
            "files",
            f"of {len(found)} files and folders, {case.account.name} {_described(lacking)}.",
            "The web server cannot send what its user cannot read.",
            f"Have them written readable for {case.account.name}, by a common group or a default"
            f" access list: setfacl -R -m u:{case.account.name}:rX -m d:u:{case.account.name}:rX"
            f" {area.root}",
            area.name,
        )
    elif links:
        yield warning(
            "files",
            f"{len(links)} symbolic links, such as {links[0]}.",
            "The extension follows those that stay in the area; the web server follows the real"
            " path only. A link that leaves the area is refused.",
            "Put the files themselves there.",
            area.name,
        )
    else:
        yield ok("files", f"{len(found)} looked at; all can be read", area.name)


def _walk(top: str) -> Iterator[str]:
    for folder, names, leaves in os.walk(top):
        for name in sorted([*names, *leaves]):
            yield f"{folder}/{name}"


def overlap(case: Case, area: Area) -> Iterator[Finding]:
    """Compare with what is public, and with the code."""
    public: dict[str, str | None] = {
        f"the static folder of the blueprint {name!r}": blueprint.static_folder
        for name, blueprint in case.app.blueprints.items()
        if blueprint.static_folder
    }
    public["the application's static folder"] = case.app.static_folder
    for what, folder in public.items():
        if folder and _meet(area.root, os.path.realpath(folder)):
            yield failure(
                "overlap",
                f"{area.root} overlaps {what}, {folder}.",
                "Flask serves that folder to everybody.",
                "Keep private files in a folder of their own.",
                area.name,
            )
            return
    code = os.path.realpath(case.app.root_path)
    if lies_within(code, area.root):
        yield failure(
            "overlap",
            f"the application's code, {code}, lies in {area.root}.",
            "Whoever may name a file can have the code, and whoever may store one can change it.",
            "Keep private files in a folder of their own.",
            area.name,
        )
        return
    yield ok("overlap", "shares no folder with static files or code", area.name)


def _meet(one: str, other: str) -> bool:
    return lies_within(one, other) or lies_within(other, one)


def _described(lacking: list[tuple[str, str]]) -> str:
    verbs = {READ: "cannot read", ENTER: "may not enter or run"}
    some = ", ".join(f"{verbs[right]} {path}" for path, right in lacking[:_SHOWN])
    more = len(lacking) - _SHOWN
    return some + (f", and {more} more" if more > 0 else "")
