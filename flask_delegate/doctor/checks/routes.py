"""What becomes of files that views send by Flask's ``send_file``, with ``DELEGATE_SEND_FILE``.

The code of a view shows whether it calls that. Whether a file is handed off depends on the file and
on the response, so each process of the application counts, and says why one was not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any

from flask import Flask

from ...state import HANDED_OFF
from ..finding import Finding, ok, skipped, warning
from ..probe import Case
from ..requests.client import Target, fetch
from ..route import NOBODY, ROUTE, ROUTES, make_token

_CALLS = {"send_file", "send_from_directory"}
_ASKED = 8
"""How often the application is asked: each of its processes knows what it did itself."""
_MOST = 200  # functions looked at, from one view on
_WHY = "Python sends such a file by itself, which holds a thread for the length of the download."
_ADVICE = {
    "outside": "Make its folder an area (DELEGATE_ROOT, DELEGATE_AREAS).",
    "header": "Set what is the same for every file by DELEGATE_HEADERS, or not on this response.",
    "cookie": "Set the cookie in another request.",
    "cache-control": "Pass max_age to send_file, and set no other cache policy.",
    "on-close": "Clean up later: the server opens the file after the response was closed.",
    "replaced": "Delete or replace the file later: the server opens it after the response.",
    "status": "Nothing to do: only answers with the status 200 are handed off.",
    "stream": "Choose a DELEGATE_BACKEND that hands off.",
}
_USUAL = "Nothing to do, if that is meant. Otherwise call send_via_apache in the view."
_SERVER = "See what the check 'guard' says."
_OF_THE_SERVER = re.compile(
    "embedded|not-loaded|other-server|other-settings|process-group|two-configurations"
)
_UNASKED = ("the running application knows what becomes of a file", "Give the doctor its URL.")
_UNANSWERED = ("the application does not answer the doctor", "See what the check 'probe' says.")
_UNSENT = ("none of its files was sent yet", "Fetch one, and run the doctor again.")
Seen = Mapping[str, tuple[int, str]]
"""Counts and last reasons, by kind."""


def examine(case: Case, target: Target | None) -> Iterator[Finding]:
    """Report on each route that calls ``send_file``, or has sent a file."""
    if not case.state.settings.send_file:
        return
    seen = None if target is None else _ask(case, target)
    unknown = _UNASKED if target is None else _UNANSWERED if seen is None else _UNSENT
    for endpoint, view in case.app.view_functions.items():
        found = (seen or {}).get(endpoint, {})
        if not _is_static(case.app, endpoint) and (found or calls_send_file(view)):
            yield from _findings(_title(case.app, endpoint), found, unknown)


def calls_send_file(view: object) -> bool:
    """Return whether a view calls it, itself or by functions of the application."""
    waiting, known = [view, *_methods(view)], set[int]()
    while waiting and len(known) < _MOST:
        found = waiting.pop()
        function = unwrap(found) if callable(found) else None
        if not isinstance(function, FunctionType) or id(function) in known:
            continue
        known.add(id(function))
        if function.__module__.partition(".")[0] in ("flask", "werkzeug"):
            continue
        names = set(_names(function.__code__))
        if names & _CALLS:
            return True
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
        waiting += [*cells, *(function.__globals__.get(name) for name in names)]
    return False


def _methods(view: object) -> Iterator[object]:
    """Yield the methods of a view's class, if it has one."""
    kind = getattr(view, "view_class", None)
    yield from (getattr(kind, name, None) for name in ("get", "post", "dispatch_request"))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_static(app: Flask, endpoint: str) -> bool:
    """Return whether an endpoint is Flask's own for files that everybody may have."""
    folder, _, name = endpoint.rpartition(".")
    return name == "static" and (not folder or folder in app.blueprints)


def _title(app: Flask, endpoint: str) -> str:
    rules = ", ".join(sorted({rule.rule for rule in app.url_map.iter_rules(endpoint)}))
    return f"{rules or 'no URL'} ({endpoint})"


def _ask(case: Case, target: Target) -> Mapping[str, Seen] | None:
    """Return what the processes that answer have counted, by endpoint; none if none answers."""
    processes: dict[int, Mapping[str, Seen]] = {}
    for _ in range(_ASKED if case.app.secret_key else 0):
        token = make_token(case.app, ROUTES, case.areas[0].name, NOBODY)
        with suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads(fetch(target, target.path.rstrip("/") + ROUTE + token).body)
            processes[told["process"]] = dict(told["routes"])
    total: dict[str, dict[str, tuple[int, str]]] = {}
    for routes in processes.values():
        for endpoint, kinds in routes.items():
            sums = total.setdefault(endpoint, {})
            for kind, (number, reason) in kinds.items():
                sums[kind] = (sums.get(kind, (0, ""))[0] + number, reason)
    return total if processes else None


def _findings(title: str, found: Seen, unknown: tuple[str, str]) -> Iterator[Finding]:
    """Yield a finding for each reason for which files of a route were streamed, or one."""
    if not found:
        yield skipped("send-file", f"{title} calls send_file; {unknown[0]}", fix=unknown[1])
        return
    handed_off = f"{title}: handed off {_times(found.get(HANDED_OFF, (0, ''))[0])}"
    others = {kind: what for kind, what in found.items() if kind != HANDED_OFF}
    if not others:
        yield ok("send-file", handed_off)
    for kind, (number, reason) in others.items():
        seen = f"{handed_off}; streamed {_times(number)}: {reason}"
        of_server = _OF_THE_SERVER.fullmatch(kind)
        advice = _SERVER if of_server else _ADVICE.get(kind, _USUAL)
        yield warning("send-file", seen, _WHY, advice)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
