"""The attacks, made. One is a success if the probe's random content is in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from ...areas import Area
from ..apache_config import Configuration, Way, ways
from ..case import Case
from ..finding import Finding, failure, ok, skipped, warning
from ..requests import http2
from ..requests.client import Target, answer_to
from ..requests.families import FAMILIES, LISTINGS, Family
from ..requests.spelling import Attack, requests, spell
from ..route import Probe

_SHOWN = 3
_SILENCES = 3  # unanswered requests of a family, after which the rest is not tried
_FIX = (
    "Let the server load what 'flask delegate apache-config' or 'nginx-config' writes, at server"
    " level, as the only rules for this URL and this folder; take away other Alias, Require and If"
    " rules for them; restart."
)


def assault(target: Target, area: Area, probe: Probe) -> Iterator[Finding]:
    """Make the direct requests of each family."""
    for family in FAMILIES:
        yield _attack(family, target, area, probe)


def _attack(family: Family, target: Target, area: Area, probe: Probe) -> Finding:
    check = f"attack-{family.name}"
    got, made, silent = [], 0, 0
    for attack in requests(family, area.url, probe.name):
        use_http2 = attack.version == http2.VERSION
        request = attack.to(target.host_header, target.scheme)
        answer = answer_to(target, request, use_http2=use_http2)
        if use_http2 and not http2.is_spoken(answer or b""):
            return skipped(check, "the server does not speak HTTP/2 here", area=area.name)
        made += 1
        if answer is None:
            silent += 1
        elif probe.marker in answer:
            got.append(_described(attack, probe))
        if silent >= _SILENCES:
            break
    if got:
        some = ", ".join(got[:_SHOWN]) + (", …" if len(got) > _SHOWN else "")
        seen = f"{len(got)} of {made} direct requests got the probe file: {some}."
        return failure(check, seen, family.why, _FIX, area.name)
    if silent:
        return warning(
            check,
            f"{silent} of {made} requests were left without an answer; the others were refused.",
            f"Nothing can be said of the former. {family.why}",
            "Run the doctor again when the server has less to do.",
            area.name,
        )
    return ok(check, f"none of {made} direct requests got the file", area.name)


def _described(attack: Attack, probe: Probe) -> str:
    target = attack.target.decode("latin-1").replace(probe.name, "NAME")
    told = "".join(f" with {name}: {value}" for name, value in attack.headers.items())
    version = "" if attack.version == "HTTP/1.1" else f" {attack.version}"
    return f"{attack.method} {ascii(target)[1:-1]}{version}{told}"


def listings(target: Target, area: Area, probe: Probe) -> Iterator[Finding]:
    """Ask for the area's folder."""
    showing = []
    for template in LISTINGS:
        spelled = spell(template, area.url, "")
        answer = answer_to(target, Attack(spelled).to(target.host_header))
        if answer is not None and probe.name.encode() in answer:
            showing.append(spelled.decode("latin-1"))
    if showing:
        yield failure(
            "listing",
            f"the folder's content is shown: {', '.join(showing[:_SHOWN])}.",
            "The names of private files tell a lot, and make the files easy to ask for.",
            "Options -Indexes, autoindex off; " + _FIX,
            area.name,
        )
    else:
        yield ok("listing", f"none of {len(LISTINGS)} spellings shows the folder", area.name)


def other_paths(case: Case, target: Target, area: Area, probe: Probe) -> Iterator[Finding]:
    """Ask for the file by the other ways that Apache's configuration names."""
    if case.apache is None:
        yield skipped(
            "other-paths",
            "which other virtual hosts and aliases there are cannot be told from outside",
            "Give the server's configuration with --apache-config.",
            area.name,
        )
        return
    tries = list(_elsewhere(case, case.apache, target, area, probe))
    got = [where for at, name, url, by in tries if (where := _reached(at, name, url, by, probe))]
    if got:
        yield failure(
            "other-paths",
            f"the probe file was given away: {'; '.join(got[:_SHOWN])}.",
            "The guard on one path is worth nothing while another one leads to the same file.",
            "Take that Alias or DocumentRoot away, or include the generated file at server level,"
            " where its guard covers every virtual host. Name the folder by its real path.",
            area.name,
        )
    else:
        yield ok("other-paths", f"none of {len(tries)} other ways gives the file", area.name)


def _elsewhere(
    case: Case, apache: Configuration, target: Target, area: Area, probe: Probe
) -> Iterator[tuple[Target, str, str, str]]:
    """List where to ask, under which host name, for what, and which directive is behind it."""
    for way in ways(apache, area, case.tokens(area)):
        at = target.at(apache.port(way.host) or target.port)
        for name in apache.names(way.host) or [target.host_header]:
            for url in _urls(way, probe):
                yield at, name, url, f" by {way.directive} in {way.place}"
    for host in apache.addresses:
        for name in apache.names(host):
            yield target, name, area.url + probe.name, ""


def _urls(way: Way, probe: Probe) -> tuple[str, ...]:
    path = quote(way.url + way.below + probe.name)
    return (path, f"/{path}")


def _reached(target: Target, name: str, url: str, by: str, probe: Probe) -> str:
    """Say where the file was had, if it was."""
    attack = Attack(url.encode(), headers={"Host": name})
    try:
        answer = answer_to(target, attack.raw)
    except (OSError, UnicodeEncodeError):
        return ""
    if answer is None or probe.marker not in answer:
        return ""
    return f"http://{name}{url.replace(probe.name, 'NAME')}{by}"
