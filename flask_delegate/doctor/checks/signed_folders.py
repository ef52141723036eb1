"""Checks of an area's signed folders: a cookie opens its own, and no other cookie does."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ...servers import server_of, signing
from ...servers.signed import folders
from ..finding import Finding, failure, ok, skipped
from ..places import place_of
from ..probe import Visit
from ..requests.client import fetch
from ..requests.families import Attack, targets
from ..route import PREFIX
from .refusals import described
from .signed_urls import FORWARD, WRITE

_LIFE = 60  # seconds
_BROWSER = "0" * 32
_FILE = "segment.ts"
_UPWARDS = ("../", "%2e%2e/", "..%2f", "%2e%2e%2f", "..//", "..;/", "x/../../", "./../", "..%5c")


def signed_folders(visit: Visit, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Ask for a file of a folder with valid and invalid cookies, and for its neighbours.

    :param report: what the application says of itself.
    """
    if not visit.area.signed_url:
        yield skipped("signed-folder", "DELEGATE_SIGNED_URL is not set")
        return
    folder, place = f"{PREFIX}{secrets.token_hex(16)}", place_of(visit.area)
    content = secrets.token_hex(16).encode()
    root = report["outer_prefix"]
    url = f"{root}{visit.area.signed_url}{folder}/{_FILE}"
    try:
        place.put(f"{folder}/{_FILE}", content)
        reply = fetch(visit.target, url, headers=_with(visit, _cookies(visit, folder)))
        if (reply.status, reply.body) == (200, content):
            yield ok("signed-folder", "a cookie opens its folder")
        else:
            is_refused = report["problem"] or reply.status == 403
            yield failure(
                "signed-folder",
                f"a cookie does not open its folder. {described(reply)}.",
                "Films and pages of pictures that it is for do not appear.",
                WRITE if is_refused else FORWARD,
            )
        yield _forgeries(visit, root, folder, content)
    finally:
        place.delete(folder)


def _forgeries(visit: Visit, root: str, folder: str, content: bytes) -> Finding:
    own, prefix = _cookies(visit, folder), str(visit.area.signed_url)
    bad = {
        "expired": _cookies(visit, folder, end=-1),
        "made with another key": _cookies(visit, folder, key="0" * 32),
        "of another folder": _cookies(visit, folder[:-1]),
        "of another browser": own.replace(_BROWSER, "1" * 32),
        "with a longer life": own.replace("=1", "=2", 1),
        "none": "",
    }
    # The probe file is beside the folder.
    beside = [
        f"{prefix}{folder}/{upwards}{visit.probe.name}".encode() for upwards in _UPWARDS
    ] + targets(prefix, visit.probe.name)
    asked = [("of a neighbour", target, own, visit.probe.marker) for target in beside]
    inside = targets(f"{prefix}{folder}/", _FILE)
    asked += [(kind, target, cookie, content) for kind, cookie in bad.items() for target in inside]
    got = []
    for kind, target, cookies, marker in asked:
        attack = Attack(target, headers=_with(visit, cookies)).below(root)
        if marker in (visit.attack(attack) or b""):
            got.append(kind)
    if got:
        return failure(
            "signed-folder-forged",
            f"{len(got)} of {len(asked)} requests with a cookie that does not open a file got it:"
            f" {sorted(set(got))}.",
            "Whoever has a cookie for one folder can have others, or keep it for ever.",
            "Write the server's configuration again and restart it; remove other rules for"
            f" {prefix} and the area's folder.",
        )
    return ok("signed-folder-forged", f"none of {len(asked)} bad requests got a file")


def _cookies(visit: Visit, folder: str, *, end: int = _LIFE, key: str = "") -> str:
    area = visit.area
    mac = partial(server_of(area).mac, key or visit.case.state.keys[area.name][0].signing_key)
    path = folders.unquoted(str(area.signed_url), folder)
    value = folders.value(path, mac, int(time.time()) + end, _BROWSER)
    return f"{signing.COOKIE}={_BROWSER}; {folders.COOKIE}{folders.depth_of(folder)}={value}"


def _with(visit: Visit, cookies: str) -> dict[str, str]:
    own = visit.target.headers.get("Cookie", "")
    return {"Cookie": "; ".join(filter(None, [cookies, own]))}
