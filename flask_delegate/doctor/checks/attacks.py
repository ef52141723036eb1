"""The attacks, made. One succeeds if the probe's random content is in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from urllib.parse import quote

from ..apache_config import Configuration, ways
from ..finding import Finding, failure, ok, skipped, warning
from ..probe import Probe, Visit
from ..requests import http2
from ..requests.families import FAMILIES, LISTINGS, Attack, Family, requests, spell
from .server import is_sent_by_apache, unread

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
    """Ask for the file by the other ways that Apache's configuration names."""
    apache = visit.case.apache
    if apache is None:
        return unread("other-paths", visit.area)
    tries = list(_elsewhere(visit, apache))
    got = [where for one in tries if (where := _reached(*one))]
    if got:
        return failure(
            "other-paths",
            f"the probe file was delivered: {'; '.join(got[:_SHOWN])}.",
            "The guard on one path is worth nothing while another one leads to the same file.",
            "Remove that Alias or DocumentRoot, or include the generated file at server level,"
            " where its guard covers every virtual host. Name the folder by its real path.",
        )
    if not is_sent_by_apache(visit.area):
        return unread("other-paths", visit.area)
    return ok("other-paths", f"none of {len(tries)} other ways in {apache.file} leads to the file")


def _elsewhere(visit: Visit, apache: Configuration) -> Iterator[tuple[Visit, str, str, str]]:
    """Yield where to ask, under which host name, for what, and which directive is behind it."""
    target, area = visit.target, visit.area
    for way in ways(apache, area, visit.case.tokens(area)):
        host = way.directive.host
        at = replace(visit, target=replace(target, port=apache.port(host) or target.port))
        path = quote(way.url + way.below + visit.probe.name)
        names = apache.names(host) or [target.host_header]
        for name, root, url in product(names, target.roots, (path, f"/{path}")):
            yield at, name, root + url, f" by {way.directive.name} in {way.directive.place}"
    for host in apache.addresses:
        for name, root in product(apache.names(host), target.roots):
            yield visit, name, root + area.url + visit.probe.name, ""


def _reached(visit: Visit, name: str, url: str, by: str) -> str:
    """Return where the file was delivered, if it was."""
    with suppress(OSError, UnicodeEncodeError):
        answer = visit.attack(Attack(url.encode(), headers={"Host": name}))
        if answer is not None and visit.probe.marker in answer:
            return f"http://{name}{url.replace(visit.probe.name, 'NAME')}{by}"
    return ""
