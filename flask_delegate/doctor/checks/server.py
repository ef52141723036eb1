"""Checks of the server's side: what is installed, mounted and configured."""

from __future__ import annotations

import importlib.util
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ...areas import Area, lies_within
from ...server import apache, xsendfile
from ...servers.handshake import Mark
from ..apache_config import ways
from ..case import Case
from ..finding import Finding, failure, ok, skipped, warning

_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|gfs2|ocfs2|vboxsf|virtiofs|fuse\..*"
)
_MOUNTS = Path("/proc/self/mountinfo")
_COMMANDS = {"nginx": "nginx-config"}
_ESCAPED = re.compile(r"\\([0-7]{3})")


def backend(_case: Case, area: Area) -> Iterator[Finding]:
    """Look for the server that the backend is for."""
    wanted = {
        "mod_wsgi": ("mod_wsgi", _has_module("wsgi") or bool(importlib.util.find_spec("mod_wsgi"))),
        "nginx": ("nginx", shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")),
        "xsendfile": ("mod_xsendfile", _has_module("xsendfile")),
    }
    name, there = wanted.get(area.backend, ("", True))
    if area.backend == "auto":
        name, there = wanted["mod_wsgi"]
    if not name:
        yield ok("backend", "the backend stream needs nothing", area.name)
    elif there:
        yield ok("backend", f"{area.backend}: {name} is installed", area.name)
    else:
        yield warning(
            "backend",
            f"the backend is {area.backend}, and {name} was not found on this machine.",
            "Without it files are not handed off: they are streamed, or refused.",
            f"Install {name}, or set DELEGATE_BACKEND to what is there. If the server runs"
            " elsewhere, give the doctor its URL.",
            area.name,
        )


def _has_module(name: str) -> bool:
    return any(Path(folder, f"mod_{name}.so").exists() for folder in _MODULES)


def network(case: Case, area: Area) -> Iterator[Finding]:
    """Look at the kind of file system."""
    try:
        kind = file_system(area.root, _MOUNTS.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        yield skipped("network", f"{_MOUNTS} cannot be read", area=area.name)
        return
    if not _NETWORK.fullmatch(kind):
        yield ok("network", f"the files are on {kind}", area.name)
        return
    text = _text(case.config)
    if text is not None and re.search(r"EnableSendfile Off|sendfile off;", text):
        yield ok("network", f"the files are on {kind}, and sendfile is off", area.name)
        return
    yield failure(
        "network",
        f"the files are on {kind}, a file system of a network, or one that works like it.",
        "With sendfile the server may send wrong or old bytes from there.",
        "Write the configuration again with --no-sendfile, and give it to the doctor as --config.",
        area.name,
    )


def file_system(folder: str, mountinfo: str) -> str:
    """Find the type of the file system that a folder is on.

    :param mountinfo: what proc(5) describes as ``/proc/pid/mountinfo``.
    """
    best, kind = "", "an unknown file system"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, types = before.split(), after.split()
        if len(fields) < 5 or not types:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        # Of two mounts on one point, the later one hides the earlier.
        if lies_within(folder, point) and len(point) >= len(best):
            best, kind = point, types[0]
    return kind


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def config(case: Case, area: Area) -> Iterator[Finding]:
    """Compare the generated file with what would be generated now."""
    if case.config is None:
        reason = "the generated file was not named"
        fix = "Give it with --config FILE."
        yield from (
            skipped(name, reason, fix, area.name)
            for name in ("config", "config-secret", "sendfile")
        )
        return
    text = _text(case.config)
    if text is None:
        yield failure(
            "config",
            f"{case.config} cannot be read.",
            "Whether it fits the settings cannot be told.",
            "Run the doctor as root, or as the file's owner.",
            area.name,
        )
        return
    yield _current(case, area, text)
    yield _secret(case.config, area)
    yield _sendfile(case.config, area, text)


def _current(case: Case, area: Area, text: str) -> Finding:
    if area.backend == "stream":
        return skipped("config", "the backend stream needs no configuration", area=area.name)
    command = _COMMANDS.get(area.backend, "apache-config")
    fix = (
        f"flask delegate {command} --output {case.config}, with the options that it was written"
        " with, and restart the server."
    )
    mark, *old = [_problem(area, mark, text) for mark in case.marks(area)]
    if not mark:
        return ok("config", f"{case.config} fits the settings", area.name)
    if "" in old:
        return warning(
            "config",
            f"{case.config} was made with a key that is in SECRET_KEY_FALLBACKS now.",
            "Files are handed off until that key is removed from there.",
            fix,
            area.name,
        )
    return failure(
        "config",
        f"{case.config} {mark}.",
        "With an outdated configuration files are streamed or refused; with an altered one the"
        " application relies on rules that are not there.",
        fix,
        area.name,
    )


def _problem(area: Area, mark: Mark, text: str) -> str:
    if mark.fingerprint not in text:
        return "was made for other settings, or by another version of Flask-Delegate"
    if area.backend != "xsendfile" and mark.token not in text:
        return "has lost the token of this area"
    if area.backend in ("auto", "mod_wsgi") and not _has_guard(text, area):
        return "shows the right fingerprint, but its rules were altered"
    return ""


def _has_guard(text: str, area: Area) -> bool:
    """Look for the parts without which the files lie open, outside of comments."""
    lines = [line.strip() for line in text.splitlines()]
    opening, closing = f'<Directory "{area.root}/">', f'<Location "{area.url}">'
    if opening not in lines or closing not in lines:
        return False
    folder, url = (lines[lines.index(start) :] for start in (opening, closing))
    folder = folder[: folder.index("</Directory>")] if "</Directory>" in folder else []
    url = url[: url.index("</Location>")] if "</Location>" in url else []
    grants = folder.count("Require all granted") + url.count("Require all granted")
    return grants == 1 and "Require all denied" in folder and "Require all denied" in url


def _secret(path: Path, area: Area) -> Finding:
    mode = path.stat().st_mode
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return ok("config-secret", f"{path} has mode {mode & 0o7777:o}", area.name)
    return failure(
        "config-secret",
        f"everybody on this machine may read or change {path} (mode {mode & 0o7777:o}).",
        "It holds the token that opens the files to a hand-off.",
        f"chmod 600 {path}, and chown it to root, or to the user who starts the server.",
        area.name,
    )


def _sendfile(path: Path, area: Area, text: str) -> Finding:
    check = "Look: strace -f -e trace=sendfile -p PID of a worker, during a download."
    if area.backend in ("xsendfile", "stream"):
        return skipped("sendfile", f"{path} does not say for {area.backend}", check, area.name)
    if re.search(r"EnableSendfile On|sendfile on;", text):
        seen = f"on in {path}; whether the kernel does it cannot be told from outside"
        return ok("sendfile", seen, area.name)
    return warning(
        "sendfile",
        f"off in {path}.",
        "Each slow download holds a thread of Apache, and every byte passes through its memory.",
        "If the files are on a local file system, write it again without --no-sendfile.",
        area.name,
    )


def apache_modules(case: Case, area: Area) -> Iterator[Finding]:
    """Compare what the rules need with what is loaded."""
    if case.apache is None or area.backend not in ("auto", "mod_wsgi", "xsendfile"):
        yield _no_apache("apache-modules", case, area)
        return
    needed = set(xsendfile.MODULES) if area.backend == "xsendfile" else {*apache.MODULES, "wsgi"}
    missing = sorted(needed - case.apache.modules())
    if not missing:
        yield ok("apache-modules", f"{case.apache.file} loads all of them", area.name)
        return
    yield failure(
        "apache-modules",
        f"{case.apache.file} does not load {', '.join(f'mod_{name}' for name in missing)}.",
        "Apache does not start, or ignores the rules that need them.",
        f"On Debian and Ubuntu: a2enmod {' '.join(missing)}; then restart Apache.",
        area.name,
    )


def apache_paths(case: Case, area: Area) -> Iterator[Finding]:
    """Look for what leads to the files besides the area's own alias."""
    if case.apache is None:
        yield _no_apache("apache-paths", case, area)
        return
    found = list(ways(case.apache, area, case.tokens(area)))
    unguarded = [way for way in found if not way.is_guarded]
    if not found:
        yield ok("apache-paths", "nothing but the area's own alias leads to the files", area.name)
        return
    way = (unguarded or found)[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    tell = failure if unguarded else warning
    guard = "past the guard" if unguarded else "as well; the guard covers it"
    yield tell(
        "apache-paths",
        f"{way.directive} for {way.url} in {way.place}{more} leads to {area.root}, {guard}.",
        "Each further way to the files needs a guard that fits it. One inside a virtual host does"
        " not cover the others, and one on a folder not an alias through a symbolic link.",
        "Take it away, or include the generated file at server level, and name folders by their"
        " real path.",
        area.name,
    )


def _no_apache(check: str, case: Case, area: Area) -> Finding:
    if case.apache is not None:
        return skipped(check, f"the backend is {area.backend}", area=area.name)
    reason = "Apache's configuration was not named"
    return skipped(check, reason, "Give its main file with --apache-config FILE.", area.name)
