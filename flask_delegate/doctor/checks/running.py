"""Checks of a running server, by a probe file in each area."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from ...areas import Area
from ...servers import AUTO, server_of
from ..finding import Finding, about, failure, ok, skipped, warning
from ..probe import Case, Visit, probe_file
from ..requests.client import Reply, Target, fetch
from ..route import REPORT
from .attacks import attacks, listings, other_paths
from .delivery import delivery
from .inherited import inherited
from .refusals import EVERYWHERE, IN_FRONT, SAME_KEY, described, reason
from .server import OLD_KEY, WHILE_OLD_KEY
from .signed_folders import signed_folders
from .signed_urls import signed_urls


def examine(case: Case, target: Target) -> Iterator[Finding]:
    """Run all checks of a running server."""
    try:
        reply = fetch(target, target.path)
    except OSError as error:
        yield _unreachable(target, error)
        return
    yield ok("reach", f"{target.host_header} answers, with {reply.status}")
    if not case.app.secret_key:
        yield skipped("probe", "there is no SECRET_KEY to sign with", fix="Set SECRET_KEY.")
        return
    for area in case.areas:
        yield from about(area, _examine_area(case, area, target, reply))


def _unreachable(target: Target, error: OSError) -> Finding:
    seen = f"{target.url(target.path)} does not answer: {error}."
    why = "A server that does not answer cannot be checked."
    fix = (
        "Start it; its error log says why it does not, such as a mod_wsgi that was built for"
        " another Python. Or give the URL at which this machine reaches the application's root."
    )
    if isinstance(error, ssl.SSLCertVerificationError):
        why = "It answers, with a certificate that is not valid here for that name."
        fix = "Name the host that it is for by --host, or accept it by --insecure."
    elif isinstance(error, ssl.SSLError) and (plain := _by_plain_http(target)):
        why = "The server speaks plain HTTP at that port, not TLS."
        fix = f"Give the doctor {plain}, or the port at which it speaks TLS."
    return failure("reach", seen, why, fix)


def _by_plain_http(target: Target) -> str:
    """Return the URL at which the server answers without TLS, if it does."""
    plain = replace(target, scheme="http")
    with suppress(OSError):
        fetch(plain, target.path)
        return plain.url(target.path)
    return ""


def _examine_area(case: Case, area: Area, target: Target, root: Reply) -> Iterator[Finding]:
    try:
        with probe_file(area) as probe:
            yield ok("probe-file", f"created in {area.root}")
            visit = Visit(case, area, target, probe)
            try:
                yield from _application(visit, root)
                yield from attacks(visit)
                yield listings(visit)
                yield other_paths(visit)
            except OSError as error:
                seen = f"the server stopped answering: {error}."
                why = "The checks that follow could not be made."
                fix = "Look into its error log, and run the doctor again."
                yield failure("reach", seen, why, fix)
    except OSError as error:
        who = f"user id {os.geteuid()}"
        cure = "Run it as a user who may write there, such as the application's."
        if area.store is not None:
            who = "the doctor"
            cure = (
                "Run it with keys that may write and delete there:"
                f' FLASK_DELEGATE_STORE_KEYS=\'{{"{area.name}": ["key id", "secret"]}}\'.'
            )
        yield failure(
            "probe-file",
            f"{who} cannot create a file in {area.root}: {error.strerror or error}.",
            "Without its own file the doctor cannot try the server.",
            cure,
        )


def _application(visit: Visit, root: Reply) -> Iterator[Finding]:
    reply = visit.ask(REPORT)
    report = _read_report(reply)
    if report is None:
        yield _elsewhere(visit) or _unknown(reply, root)
        return
    yield ok("probe", "the application knows the doctor's token")
    yield _agreement(visit, report)
    yield _prefix(visit.target, report)
    yield _daemon_mode(visit.area, report["process_group"])
    yield _guard(visit.area, report)
    if (yield from delivery(visit, report["probe"])):
        yield from inherited(visit, report.get("encoding", "utf-8"))
    yield from signed_urls(visit, report)
    yield from signed_folders(visit, report)


def _read_report(reply: Reply) -> dict[str, Any] | None:
    with suppress(ValueError):
        report = json.loads(reply.body)
        if reply.status == 200 and isinstance(report, dict) and "outer_prefix" in report:
            return report
    return None


def _elsewhere(visit: Visit) -> Finding | None:
    """Return a failure if the application is at the host's root, or at a folder of the path."""
    for path in visit.target.roots[:-1]:
        above = replace(visit, target=replace(visit.target, path=f"{path}/"))
        if _read_report(above.ask(REPORT)) is not None:
            given, right = (one.target.url(one.target.path) for one in (visit, above))
            return failure(
                "probe",
                f"{given} is not the application's root: the application answers at {right}.",
                "The doctor asks for its own URLs below the root, and elsewhere gets what the"
                " application says of a page that it does not know, or refuses.",
                f"Give the doctor {right}.",
            )
    return None


def _unknown(reply: Reply, root: Reply) -> Finding:
    everywhere = EVERYWHERE.get(reply.status) if reply.status == root.status else None
    why, fix = everywhere or reason(reply, IN_FRONT)
    seen = f"{described(reply)}: the doctor's token is not known there. The root: {root.status}."
    return failure("probe", seen, why, fix)


def _agreement(visit: Visit, there: Mapping[str, Any]) -> Finding:
    here = {name: getattr(visit.area, name) for name in ("root", "url", "backend")}
    differing = [
        f"{name}: {there[name]!r} there, {value!r} here"
        for name, value in here.items()
        if there[name] != value
    ]
    keys, *_ = visit.case.state.keys[visit.area.name]
    if not differing and there["fingerprint"] != keys.fingerprint:
        differing = ["the rules for the area (DELEGATE_HEADERS, or Flask-Delegate's version)"]
    if not differing:
        return ok("agreement", "the server's settings are those that the doctor sees")
    return failure(
        "agreement",
        f"the running application differs: {'; '.join(differing)}.",
        "It runs with old settings, or with an old target of a symbolic link; a configuration that"
        " is written now does not fit it.",
        f"Restart the server, or: {SAME_KEY}",
    )


def _prefix(target: Target, report: Mapping[str, Any]) -> Finding:
    here, there = unquote(target.path), f"{report['mount'].rstrip('/')}/"
    if here == there:
        return ok("prefix", f"the application's own URLs begin with {here}, too")
    return warning(
        "prefix",
        f"the application is at {here}, but takes itself to be at {there}.",
        "Its links, redirects and signed URLs lead elsewhere.",
        f"Have the proxy send X-Forwarded-Prefix: {here.rstrip('/') or '/'}, and set"
        " app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1). Or have it pass the whole path on to"
        " an application that is mounted there (WSGIScriptAlias, --mount-point, SCRIPT_NAME).",
    )


def _daemon_mode(area: Area, group: str | None) -> Finding:
    if not server_of(area).needs_daemon_mode:
        return skipped("daemon-mode", f"the backend {area.backend} does not need it")
    if group:
        return ok("daemon-mode", f"mod_wsgi's process group {group!r}")
    why = "Only a daemon process can have Apache send a file in its place."
    if group is None:
        tell = warning if area.backend == AUTO else failure
        seen = "the application does not run under mod_wsgi."
        why = f"{why} Python streams the files, or they are refused."
        fix = "Serve it with mod_wsgi, or set DELEGATE_BACKEND to what fits the server."
        return tell("daemon-mode", seen, why, fix)
    seen = "mod_wsgi runs in embedded mode."
    why = f"{why} Embedded, each download holds a thread of Apache and Python."
    fix = "Use WSGIDaemonProcess and WSGIProcessGroup, or leave out --embedded-mode."
    return failure("daemon-mode", seen, why, fix)


def _guard(area: Area, report: Mapping[str, Any]) -> Finding:
    if server_of(area).command is None:
        return skipped("guard", f"the backend {area.backend} needs none")
    if area.backend == AUTO and report["process_group"] is None:
        return skipped("guard", "there is no server that could have one")
    if report["problem"] is None:
        return ok("guard", "the server shows the fingerprint of the present rules")
    if report["old_key"]:
        seen = f"the server's configuration {OLD_KEY}"
        return warning("guard", seen, WHILE_OLD_KEY, report["cure"])
    return failure(
        "guard",
        report["problem"],
        "The application does not hand off without its guard: it streams the files, or refuses"
        " them. Files may also lie open, if other rules made them reachable.",
        report["cure"],
    )
