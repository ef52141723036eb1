"""Checks of settings, folders and files, without a server."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ... import areas
from ...areas import DEFAULT_AREA, Area, lies_within
from ...servers import server_of
from ..file_access import ENTER, READ, Account, denied, find_account, steps
from ..finding import Finding, failure, ok, skipped, warning
from ..probe import Case

_PACKAGE = Path(__file__).resolve().parents[2]
_SAMPLE = 1000  # files that are looked at
_SHOWN = 3
_SHORT = 16  # characters of a key
_SENT_BY_PYTHON = "Python sends the files, and the application's user is not known"


def settings(case: Case) -> Finding:
    """Check what the extension could not refuse."""
    secret = (*case.state.settings.secrets, None)[0]
    if secret is not None and len(secret) < _SHORT:
        return failure(
            "settings",
            f"SECRET_KEY has {len(secret)} bytes.",
            "The token that opens the files, and all sessions, are derived from it; a short key"
            " can be guessed.",
            "Set it to the output of python -c 'import secrets; print(secrets.token_hex())', and"
            " write the server's configuration again.",
        )
    if case.app.debug:
        seen = "debug mode is on."
        why = "Error pages show code, and may run it, for everybody."
        fix = "Leave out --debug and FLASK_DEBUG where others reach the server."
        return warning("settings", seen, why, fix)
    number = len(case.state.settings.areas)
    return ok("settings", f"complete; {number} {'area' if number == 1 else 'areas'}")


def interpreter(case: Case) -> Finding:
    """Check that the user that runs Python can read it and the code."""
    if not any(server_of(area).runs_python for area in case.areas):
        return skipped("interpreter", "another server than the web server runs the application")
    binary = os.path.realpath(sys.executable)
    code = os.path.realpath(case.app.root_path)
    places = [binary, os.path.realpath(sys.prefix), str(_PACKAGE), code]
    needs = [(step, ENTER) for place in places for step in steps(place)]
    needs += [(place, READ) for place in places[1:]]
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
    """Return the user of the first daemon process group that names one, or the web server's."""
    return _daemons_user(case) or case.account


def _daemons_user(case: Case) -> Account | None:
    for directive in case.apache.named("wsgidaemonprocess") if case.apache else ():
        for word in directive.words:
            with suppress(ValueError):
                if word.startswith("user="):
                    return find_account(word.removeprefix("user=").strip("'\""))
    return None


def _opens_files(case: Case, area: Area) -> Account | None:
    """Return the user that opens the files to send them, if it is known.

    Where Python does, it is the application's. Ordinary users run the doctor as that.
    """
    if server_of(area).header is not None:
        return case.account
    return _daemons_user(case) or (find_account(None) if os.geteuid() else None)


def root(_case: Case, area: Area) -> Finding:
    """Look for folders that everybody may change."""
    for folder in steps(area.root):
        mode = Path(folder).stat().st_mode
        if mode & stat.S_IWOTH and (folder == area.root or not mode & stat.S_ISVTX):
            seen = f"everybody on this machine may write to {folder} (mode {mode & 0o7777:o})."
            why = "Anybody can put files there, or replace this folder with another."
            fix = f"chmod o-w {folder}"
            return failure("root", seen, why, fix)
    return ok("root", f"{area.root} is not open to other users' changes")


def root_link(case: Case, area: Area) -> Finding:
    """Compare the configured folder with its real path."""
    config = case.app.config
    default = {"root": config["DELEGATE_ROOT"]}
    given = os.fspath({DEFAULT_AREA: default, **config["DELEGATE_AREAS"]}[area.name]["root"])
    if os.path.normpath(given) == area.root:
        return ok("root-link", "given by its real path")
    return warning(
        "root-link",
        f"{given} leads through a symbolic link to {area.root}.",
        "The link is followed once, at start-up, and the guard is on its target. After it is"
        " changed, the old files are served until a restart, and none handed off without a new"
        " configuration. An Alias of the server through the link bypasses the guard.",
        f"Write {area.root} into the settings, or write the configuration again and restart after"
        " each change of the link.",
    )


def permissions(case: Case, area: Area) -> Finding:
    """Check that the user that opens the files may enter the folder and those above it."""
    account = _opens_files(case, area)
    if account is None:
        return skipped("permissions", _SENT_BY_PYTHON)
    lacking = denied(account, [(folder, ENTER) for folder in steps(area.root)])
    if not lacking:
        return ok("permissions", f"{account.name} may enter all of {area.root}")
    return failure(
        "permissions",
        f"{account.name} {_described(lacking)}.",
        "The files are sent as that user: every download is a 403 or 404.",
        f"setfacl -m u:{account.name}:x {lacking[0][0]} (or chgrp and chmod g+x); if the"
        " server runs as another user, name it with --user.",
    )


def files(case: Case, area: Area) -> Finding:
    """Check that a sample of the files can be read."""
    account = _opens_files(case, area)
    if account is None:
        return skipped("files", _SENT_BY_PYTHON)
    found = _sample(area)
    others = [path for path in found if not path.is_symlink()]
    lacking = denied(account, [(str(path), ENTER if path.is_dir() else READ) for path in others])
    if not lacking:
        return ok("files", f"{len(found)} looked at; all can be read")
    user = account.name
    return failure(
        "files",
        f"of {len(found)} files and folders, {user} {_described(lacking)}.",
        "What that user cannot read cannot be sent.",
        f"Have them written readable for {user}, by a common group or a default access list:"
        f" setfacl -R -m u:{user}:rX -m d:u:{user}:rX {area.root}",
    )


def links(_case: Case, area: Area) -> Finding:
    """Look for symbolic links in a sample of the files."""
    found = _sample(area)
    some = [path for path in found if path.is_symlink()]
    if not some:
        return ok("links", f"none in {len(found)} looked at")
    return warning(
        "links",
        f"{len(some)} symbolic links, such as {some[0]}.",
        "The extension follows those that stay in the area; the web server follows the real"
        " path only. A link that leaves the area is refused.",
        "Put the files themselves there.",
    )


def _sample(area: Area) -> list[Path]:
    return list(islice(Path(area.root).rglob("*"), _SAMPLE))


def overlap(case: Case, area: Area) -> Finding:
    """Compare with what is public, and with the code."""
    fix = "Keep private files in a separate folder."
    for owner in (case.app, *case.app.blueprints.values()):
        folder = owner.static_folder
        if folder and areas.overlap(area.root, os.path.realpath(folder)):
            seen = f"{area.root} overlaps the static folder of {owner.name!r}, {folder}."
            return failure("overlap", seen, "Flask serves that folder to everybody.", fix)
    code = os.path.realpath(case.app.root_path)
    if lies_within(code, area.root):
        seen = f"the application's code, {code}, lies in {area.root}."
        why = "Whoever may name a file can read the code, and whoever may store one can change it."
        return failure("overlap", seen, why, fix)
    return ok("overlap", "shares no folder with static files or code")


def _described(lacking: list[tuple[str, str]]) -> str:
    verbs = {READ: "cannot read", ENTER: "may not enter or run"}
    some = ", ".join(f"{verbs[right]} {path}" for path, right in lacking[:_SHOWN])
    more = len(lacking) - _SHOWN
    return some + (f", and {more} more" if more > 0 else "")


CHECKS = (root, root_link, permissions, files, links, overlap)
