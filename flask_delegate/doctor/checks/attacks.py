"""The attacks, made. One succeeds if the probe's random content is in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import quote

from ..apache_config import Configuration, ways
from ..finding import Finding, failure, ok, skipped, warning
from ..probe import Probe, Visit
from ..requests import http2
from ..requests.families import FAMILIES, LISTINGS, Attack, Family, requests, spell
from .server import is_sent_by_apache, unread

_PATH = re.compile(
    r"""(?:^|(?<=[\s"'=^~@(]))/(?:(?!\.[*+?])[^\s"'{}()\[\];,*+?\\$|^])*""", re.MULTILINE
)
"""A path in a configuration, up to what is special in a regular expression."""
_SHOWN = 3
_SILENCES = 3  # unanswered requests of a family, after which the rest is not tried
_FIX = (
    "Let the server load what 'flask delegate apache-config' or 'nginx-config' writes, at server"
    " level, as the only rules for this URL and this folder; remove other Alias, Require and If"
    " rules for them; restart."
)


def attacks(visit: Visit) -> Iterator[Finding]:
    """Send the direct requests of each family."""
    for family in FAMILIES:
        yield _attack(family, visit)


def _attack(family: Family, visit: Visit) -> Finding:
    check = f"attack-{family.name}"
    got, made, silent = [], 0, 0
    for root, attack in product(
        visit.target.roots, requests(family, visit.area.url, visit.probe.name)
    ):
        answer = visit.attack(attack.below(root))
        if attack.version == http2.VERSION and not http2.is_spoken(answer or b""):
            return skipped(check, "the server does not speak HTTP/2 here")
        made += 1
        if answer is None:
            silent += 1
        elif visit.probe.marker in answer:
            got.append(_described(attack.below(root), visit.probe))
        if silent >= _SILENCES:
            break
    if got:
        some = ", ".join(got[:_SHOWN]) + (", …" if len(got) > _SHOWN else "")
        seen = f"{len(got)} of {made} direct requests got the probe file: {some}."
        return failure(check, seen, family.why, _FIX)
    if silent:
        seen = f"{silent} of {made} requests were not answered; the others were refused."
        why = f"The former could not be checked. {family.why}"
        fix = "Run the doctor again when the server has less to do."
        return warning(check, seen, why, fix)
    return ok(check, f"none of {made} direct requests got the file")


def _described(attack: Attack, probe: Probe) -> str:
    target = attack.target.decode("latin-1").replace(probe.name, "NAME")
    headers = "".join(f" with {name}: {value}" for name, value in attack.headers.items())
    version = "" if attack.version == "HTTP/1.1" else f" {attack.version}"
    return f"{attack.method} {ascii(target)[1:-1]}{version}{headers}"


def listings(visit: Visit) -> Finding:
    """Ask for the area's folder."""
    spelled = [spell(template, visit.area.url, "") for template in LISTINGS.split()]
    asked = [root.encode() + target for root in visit.target.roots for target in spelled]
    showing = [
        target.decode("latin-1")
        for target in asked
        if visit.probe.name.encode() in (visit.attack(Attack(target)) or b"")
    ]
    if showing:
        seen = f"the folder's content is shown: {', '.join(showing[:_SHOWN])}."
        why = "The names of private files reveal a lot, and make the files easy to ask for."
        fix = "Options -Indexes, autoindex off; " + _FIX
        return failure("listing", seen, why, fix)
    return ok("listing", f"none of {len(asked)} spellings shows the folder")


def other_paths(visit: Visit) -> Finding:
    """Ask for the file by the other ways that the server's configuration names."""
    case = visit.case
    tries = [*_by_apache(visit, case.apache)] if case.apache else []
    tries += _by_any_path(visit, case.server_config) if case.server_config else []
    answers = [(where, answer) for one in tries for where, answer in _asked(*one)]
    got = [where for where, answer in answers if visit.probe.marker in answer]
    if got:
        return failure(
            "other-paths",
            f"the probe file was delivered: {'; '.join(got[:_SHOWN])}.",
            "The guard on one path is worth nothing while another one leads to the same file.",
            "Remove what leads there: Alias, DocumentRoot, alias, root, file_server; or include the"
            " generated file at server level, where its guard covers every virtual host of Apache."
            " Name the folder by its real path.",
        )
    if not case.server_config and not (case.apache and is_sent_by_apache(visit.area)):
        return unread("other-paths", visit.area)
    if not tries:
        return ok("other-paths", "the configuration names no other way to the files")
    if not answers:
        return skipped("other-paths", f"none of {len(tries)} other URLs was answered")
    return ok("other-paths", f"none of {len(answers)} other URLs in the configuration has the file")


Try = tuple[Visit, str, str]
"""Where to ask, for what URL, and what is said of the directive behind it."""


def _by_apache(visit: Visit, apache: Configuration) -> Iterator[Try]:
    """Yield the ways that Apache's configuration names, under each name and by TLS and not."""
    target, area = visit.target, visit.area
    for way in ways(apache, area, visit.case.tokens(area)):
        host = way.directive.host
        port = apache.port(host) or target.port
        schemes = [target.scheme] if port == target.port else ["http", "https"]
        path = quote(way.url + way.below + visit.probe.name)
        names: list[str | None] = [*apache.names(host)] or [target.name]
        for scheme, name in product(schemes, names):
            at = replace(target, scheme=scheme, port=port, name=name, verify=False)
            for root, url in product(target.roots, (path, f"/{path}")):
                by = f" by {way.directive.name} in {way.directive.place}"
                yield replace(visit, target=at), root + url, by
    for host in apache.addresses:
        for name, root in product(apache.names(host), target.roots):
            at = replace(target, name=name, verify=False)
            yield replace(visit, target=at), root + area.url + visit.probe.name, ""


def _by_any_path(visit: Visit, file: Path) -> Iterator[Try]:
    """Yield what the file may be reached by, below each path that a configuration has.

    Whatever the configuration's language, it names the URL; which folder that leads to need not be
    known: it is the area's, or one above it.
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    urls = dict.fromkeys(["/", *(f"{found.rstrip('/')}/" for found in _PATH.findall(text))])
    folders = visit.area.root.strip("/").split("/")
    belows = ["/".join([*folders[number:], ""]) for number in range(len(folders) + 1)]
    for url, below, root in product(urls, belows, visit.target.roots):
        yield visit, root + quote(url + below + visit.probe.name), f" by {file}"


def _asked(visit: Visit, url: str, by: str) -> Iterator[tuple[str, bytes]]:
    """Ask, and yield where, and the answer, if there is one."""
    with suppress(OSError, UnicodeEncodeError):
        answer = visit.attack(Attack(url.encode()))
        if answer:
            where = visit.target.url(url).replace(visit.probe.name, "NAME")
            yield f"{where}{by}", answer
