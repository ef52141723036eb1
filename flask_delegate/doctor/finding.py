"""What a check reports, and the list of all checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from ..areas import Area
from .requests.families import FAMILIES

_SHORTEST = 8  # characters of a secret


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


OFFLINE: Mapping[str, str] = {
    "settings": "`SECRET_KEY` is long enough, and debug mode is off.",
    "root": "Only those who should can write to the area's folder and the folders above it.",
    "root-link": "The area's folder is given by its real path, without symbolic links.",
    "permissions": "The web server's user may enter the area's folder and each one above it.",
    "files": "That user can read the files (a sample), and there are no symbolic links.",
    "overlap": "No area shares a folder with static files, or with the application's code.",
    "backend": "The server that the area's backend needs is installed here.",
    "interpreter": (
        "The user that runs the application can read the interpreter and the code: the web"
        " server's, or the one that `WSGIDaemonProcess` names in `--apache-config`."
    ),
    "network": "The files are on a local file system, or sendfile is off.",
    "config": "With `--config`: the file was made for the present settings, and is unaltered.",
    "config-secret": "With `--config`: others cannot read the file, which holds the token.",
    "sendfile": "With `--config`: sendfile is on for the area.",
    "apache-modules": "With `--apache-config`: Apache loads the modules that the area needs.",
    "apache-paths": (
        "With `--apache-config`: no `Alias` or `DocumentRoot`, of any virtual host, leads to"
        " the files past the guard."
    ),
}
LIVE: Mapping[str, str] = {
    "probe-file": "The doctor can put its probe file into the area.",
    "reach": "The server answers.",
    "probe": "The application that answers is this one, with this `SECRET_KEY`.",
    "agreement": "It runs with the settings that the doctor sees.",
    "daemon-mode": "mod_wsgi runs in daemon mode.",
    "guard": "The server shows the fingerprint of the area's present rules.",
    "handoff": "The probe file arrives, with its name, type and policies.",
    "head": "HEAD gives the length, and no content.",
    "range": "A range arrives, also with `If-Range`.",
    "conditional": "The ETag is strong, and an unchanged file is answered with 304.",
    "signed-url": "With `DELEGATE_SIGNED_URL`: Apache serves what was signed.",
    "signed-url-forged": (
        "Nor does it serve what is expired, altered, unsigned, made with another key or for"
        " another browser, in any spelling."
    ),
    "listing": "No spelling of the area's URL shows what is in the folder.",
    "other-paths": (
        "With `--apache-config`: the probe file cannot be had through the other virtual hosts,"
        " aliases and document roots that the configuration names."
    ),
}
ATTACKS = {f"attack-{family.name}": f"{family.title} {family.why}" for family in FAMILIES}
CHECKS: Mapping[str, str] = {**OFFLINE, **LIVE, **ATTACKS}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    :param check: its name, a key of :data:`CHECKS`.
    :param level: how it came out.
    :param seen: what was seen; for a check that was skipped, the reason.
    :param why: why it matters.
    :param fix: what to do.
    :param area: the area that it is about, if any.
    """

    check: str
    level: Level = field(kw_only=True)
    seen: str
    why: str = ""
    fix: str = ""
    area: str | None = None

    def __post_init__(self) -> None:
        if self.check not in CHECKS:
            raise ValueError(f"there is no check {self.check!r}")


ok = partial(Finding, level=Level.OK)
skipped = partial(Finding, level=Level.SKIPPED)
warning = partial(Finding, level=Level.WARNING)
failure = partial(Finding, level=Level.FAILURE)


def about(area: Area, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Add the area's name."""
    for finding in findings:
        yield replace(finding, area=area.name)


def without(secrets: Iterable[str], finding: Finding) -> Finding:
    """Remove secrets from what a finding says; shorter ones would be found in any text."""
    seen, fix = finding.seen, finding.fix
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            seen, fix = seen.replace(secret, "[secret]"), fix.replace(secret, "[secret]")
    return replace(finding, seen=seen, fix=fix)
