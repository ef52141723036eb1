"""Checks of the server's side: what is installed, mounted and configured."""

from __future__ import annotations

import os
import re
import stat
from functools import partial
from pathlib import Path

from ...areas import Area, lies_within
from ...configuration_file import WARNING, is_generated
from ...servers import server_of
from ...servers.apache import PRODUCT as APACHE
from ..apache_config import ways
from ..file_access import ENTER, READ, denied, steps
from ..finding import Finding, failure, ok, skipped, warning
from ..probe import Case
from ..requests.client import fetch, parse_url

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|gfs2|ocfs2|vboxsf|virtiofs|fuse\..*"
)
_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT = re.compile(r"^(?:\S+ ){4}(\S+) .*? - (\S+)", re.MULTILINE)
_ESCAPED = re.compile(r"\\([0-7]{3})")
_NO_CONFIG = partial(
    skipped, seen="the generated file was not named", fix="Name it with --config FILE."
)
_GENERATED = "made by 'flask delegate "
"""What stands at the head of what is generated, perhaps below something of the operator's."""
_NOT_APACHE = {
    "apache-modules": "it needs none of Apache's",
    "apache-paths": "only Apache's configuration is read",
    "other-paths": "--server-config was not given",
}
OLD_KEY = "was made with a key that is now in SECRET_KEY_FALLBACKS."
WHILE_OLD_KEY = "Files are handed off until that key is removed from there."


def backend(_case: Case, area: Area) -> Finding:
    """Look for the server that the backend is for."""
    server = server_of(area)
    if not server.software:
        return ok("backend", f"the backend {area.backend} needs nothing")
    if server.is_installed():
        return ok("backend", f"{area.backend}: {server.software} is installed")
    return warning(
        "backend",
        f"the backend is {area.backend}, and {server.software} was not found on this machine.",
        "Without it files are not handed off: they are streamed, or refused.",
        f"Install {server.software}, or set DELEGATE_BACKEND to what is there. If the server runs"
        " elsewhere, run the doctor with its URL.",
    )


def network(case: Case, area: Area) -> Finding:
    """Check the kind of file system."""
    try:
        kind = file_system(area.root, _MOUNTS.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return skipped("network", f"{_MOUNTS} cannot be read")
    if not _NETWORK.fullmatch(kind):
        return ok("network", f"the files are on {kind}")
    lines, text = server_of(area).sendfile_lines, _text(case)
    if text is not None and lines is not None and lines[1] in text:
        return ok("network", f"the files are on {kind}, and sendfile is off")
    return failure(
        "network",
        f"the files are on {kind}, a file system of a network, or one that works like it.",
        "With sendfile the server may send wrong or old bytes from there.",
        "Write the configuration again with --no-sendfile, and name it to the doctor with"
        " --config.",
    )


def file_system(folder: str, mountinfo: str) -> str:
    """Return the type of the file system that a folder is on.

    :param mountinfo: what proc(5) describes as ``/proc/pid/mountinfo``.
    """
    best, kind = "", "an unknown file system"
    for escaped, its_kind in _MOUNT.findall(mountinfo):
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), escaped)
        # Of two mounts on one point, the later one hides the earlier.
        if lies_within(folder, point) and len(point) >= len(best):
            best, kind = point, its_kind
    return kind


def _text(case: Case) -> str | None:
    """Return the generated file's text, if the file that was named is one."""
    if case.config is None:
        return None
    text = case.config.read_text(encoding="utf-8", errors="surrogateescape")
    return text if _GENERATED in text else None


def config(case: Case, area: Area) -> Finding:
    """Compare the generated file with what would be generated now."""
    server, text = server_of(area), _text(case)
    if server.command is None:
        return skipped("config", f"the backend {area.backend} needs no configuration")
    if case.config is None:
        return _NO_CONFIG("config")
    if text is None:
        return failure(
            "config",
            f"{case.config} is no file that 'flask delegate {server.command}' wrote.",
            "Only a generated file can be compared with the settings.",
            "Name the generated file with --config; the server's own is named with --apache-config"
            " or --server-config.",
        )
    fix = (
        f"flask delegate {server.command} --output {case.config}, with the options that it was"
        " written with, and restart the server."
    )
    if not is_generated(case.config):
        fix = (
            f"Replace the rules in {case.config} by what 'flask delegate {server.command}' prints,"
            " and restart the server."
        )
    fault, *old = [server.fault(text, area, keys) for keys in case.state.keys[area.name]]
    if not fault:
        return _unreadable(case, case.config, area) or ok(
            "config", f"{case.config} fits the settings"
        )
    if "" in old:
        return warning("config", f"{case.config} {OLD_KEY}", WHILE_OLD_KEY, fix)
    return failure(
        "config",
        f"{case.config} {fault}.",
        "With an outdated configuration files are streamed or refused; with an altered one the"
        " application relies on rules that are not there.",
        fix,
    )


def _unreadable(case: Case, path: Path, area: Area) -> Finding | None:
    """Return a failure if the server reads the file as a user who cannot."""
    server, account = server_of(area), case.account
    *folders, real = steps(os.path.realpath(path))
    needs = [*((folder, ENTER) for folder in folders), (real, READ)]
    if server.reads_as_root or not denied(account, needs):
        return None
    return failure(
        "config",
        f"{account.name} cannot read {path}.",
        f"{server.product} reads it as its own user, not as root: it does not start, or keeps its"
        " old configuration.",
        f"{_closing(case, path, area)} If {server.product} runs as another user, name it with"
        " --user.",
    )


def _closing(case: Case, path: Path, area: Area) -> str:
    """Return how to let nobody but the server read the file."""
    if server_of(area).reads_as_root:
        return f"chmod 600 {path}, and chown it to root, or to the user who starts the server."
    return f"chown root:{case.account.gid} {path}; chmod 640 {path}."


def config_secret(case: Case, area: Area) -> Finding:
    """Check who can read the generated file."""
    path, text = case.config, _text(case)
    if path is None or text is None:
        return _NO_CONFIG("config-secret")
    mode, is_secret = path.stat().st_mode, WARNING in text
    if not mode & (stat.S_IWOTH | (stat.S_IROTH if is_secret else 0)):
        return ok("config-secret", f"{path} has mode {mode & 0o7777:o}")
    may = "read or change" if is_secret else "change"
    seen = f"everybody on this machine may {may} {path} (mode {mode & 0o7777:o})."
    why = "It decides which files are sent, and to whom."
    if is_secret:
        why = "It holds the token that opens the files to a hand-off."
    return failure("config-secret", seen, why, _closing(case, path, area))


def sendfile(case: Case, area: Area) -> Finding:
    """Look for sendfile in the generated file."""
    lines, text = server_of(area).sendfile_lines, _text(case)
    if text is None:
        return _NO_CONFIG("sendfile")
    if lines is None:
        fix = "Look: strace -f -e trace=sendfile -p PID of a worker, during a download."
        return skipped("sendfile", f"{case.config} does not say for {area.backend}", fix=fix)
    if lines[0] in text:
        seen = f"on in {case.config}; whether the kernel does it cannot be seen from outside"
        return ok("sendfile", seen)
    seen = f"off in {case.config}."
    why = "Each slow download holds a thread of the server, which copies every byte."
    fix = "If the files are on a local file system, write it again without --no-sendfile."
    return warning("sendfile", seen, why, fix)


def is_sent_by_apache(area: Area) -> bool:
    """Return whether Apache, whose configuration the doctor can read, sends the area's files."""
    return server_of(area).product == APACHE


def unread(check: str, area: Area) -> Finding:
    """Say why the configuration of the area's server was not read."""
    if not is_sent_by_apache(area):
        return skipped(check, f"the backend is {area.backend}; {_NOT_APACHE[check]}")
    fix = "Name its main file with --apache-config FILE."
    return skipped(check, "Apache's configuration was not named", fix=fix)


def apache_modules(case: Case, area: Area) -> Finding:
    """Compare what the rules need with what is loaded."""
    if case.apache is None or not is_sent_by_apache(area):
        return unread("apache-modules", area)
    missing = sorted(set(server_of(area).modules_for(area)) - case.apache.modules())
    if not missing:
        return ok("apache-modules", f"{case.apache.file} loads all of them")
    seen = f"{case.apache.file} does not load {', '.join(f'mod_{name}' for name in missing)}."
    why = "Apache does not start, or ignores the rules that need them."
    fix = f"On Debian and Ubuntu: a2enmod {' '.join(missing)}; then restart Apache."
    return failure("apache-modules", seen, why, fix)


def apache_paths(case: Case, area: Area) -> Finding:
    """Look for what leads to the files besides the area's own alias."""
    if case.apache is None:
        return unread("apache-paths", area)
    found = list(ways(case.apache, area, case.tokens(area)))
    if not found and not is_sent_by_apache(area):
        return unread("apache-paths", area)
    if not found:
        seen = f"in {case.apache.file} nothing but the area's own alias leads to the files"
        return ok("apache-paths", seen)
    unguarded = [way for way in found if not way.is_guarded]
    way = (unguarded or found)[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    report = failure if unguarded else warning
    guard = "past the guard" if unguarded else "as well; the guard covers it"
    return report(
        "apache-paths",
        f"{way.directive.name} for {way.url} in {way.directive.place}{more} leads to {area.root},"
        f" {guard}.",
        "Each further way to the files needs a guard that fits it. One inside a virtual host does"
        " not cover the others, and one on a folder does not cover an alias through a symbolic"
        " link.",
        "Remove it, or include the generated file at server level, and name folders by their real"
        " path.",
    )


def admin_api(case: Case, area: Area) -> Finding:
    """Ask the server's administration for its configuration, as any user of this machine can."""
    address = server_of(area).admin_address()
    if not address:
        return skipped("admin-api", f"the backend {area.backend} has none")
    try:
        reply = fetch(parse_url(f"http://{address}/"), "/config/")
    except OSError:
        return ok("admin-api", f"nothing answers at {address}")
    except ValueError:
        return skipped("admin-api", f"{address} is no address that the doctor can ask")
    if not any(token.encode() in reply.body for token in case.tokens(area)):
        return ok("admin-api", f"what answers at {address} does not show the area's token")
    return failure(
        "admin-api",
        f"{reply.url} shows the area's token to every user of this machine.",
        "Who has it and can answer behind this proxy has any file of the area sent; and who reaches"
        " the address changes the server's configuration.",
        "Write 'admin off' into the Caddyfile's global options, at its head, and restart Caddy.",
    )


CHECKS = (backend, config, config_secret, apache_modules, admin_api)
FOLDER_CHECKS = (network, sendfile, apache_paths)
"""What there is to see only where the server opens files."""
