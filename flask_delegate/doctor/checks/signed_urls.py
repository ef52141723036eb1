"""Checks of an area's signed URLs: valid ones are served, and no other in any spelling."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ...servers import server_of, signing
from ..finding import Finding, failure, ok, skipped
from ..probe import Visit
from ..requests.client import fetch
from ..requests.families import Attack, targets
from .refusals import described

_LIFE = 60  # seconds
_BROWSER = "0" * 32
WRITE = (
    "Write the server's configuration again and restart it; look for rules that change the query,"
    f" or, with Apache, the header {signing.TIME_HEADER}."
)
FORWARD = (
    "Have what stands in front of the server pass this URL on to it. If that shows all of Apache's"
    " URLs below a path, it has to send that path as X-Forwarded-Prefix, and the application needs"
    " app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)."
)


def signed_urls(visit: Visit, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Ask for the probe file by valid and invalid URLs.

    :param report: what the application says of itself.
    """
    if not visit.area.signed_url:
        yield skipped("signed-url", "DELEGATE_SIGNED_URL is not set")
        return
    end = int(time.time()) + _LIFE
    good, bound = _url(visit, end), _url(visit, end, browser=_BROWSER)
    root = report["outer_prefix"]
    cookies = [f"{signing.COOKIE}={_BROWSER}", visit.target.headers.get("Cookie", "")]
    cookie = {"Cookie": "; ".join(filter(None, cookies))}
    answers = {
        "a valid URL": fetch(visit.target, root + good),
        "one that is bound to a browser": fetch(visit.target, root + bound, headers=cookie),
    }
    wrong = {
        name: reply
        for name, reply in answers.items()
        if reply.status != 200 or reply.body != visit.probe.content
    }
    if wrong:
        # The server's own rules answer with 403, if they are there.
        is_refused = report["problem"] or 403 in {reply.status for reply in wrong.values()}
        said = "; ".join(f"{name}: {described(reply)}" for name, reply in wrong.items())
        yield failure(
            "signed-url",
            f"the server does not serve what was signed. {said}.",
            "Pages show broken pictures.",
            WRITE if is_refused else FORWARD,
        )
    else:
        yield ok("signed-url", "the server serves what was signed")
    yield _forgeries(visit, root, good, bound)


def _url(visit: Visit, end: int, key: str | None = None, browser: str = "") -> str:
    own = visit.case.state.keys[visit.area.name][0].signing_key
    mac = partial(server_of(visit.area).mac, key or own)
    return signing.sign(visit.delivery(), mac, end, browser)


def _forgeries(visit: Visit, root: str, good: str, bound: str) -> Finding:
    now = int(time.time())
    query = good.partition("?")[2]
    bad = {
        "expired": _url(visit, now - 1).partition("?")[2],
        "made with another key": _url(visit, now + _LIFE, "0" * 32).partition("?")[2],
        "with a longer life": query.replace("e=1", "e=2", 1),
        "with another type": query.replace("ct=", "ct=x", 1),
        "without a signature": query.partition("&s=")[0],
        "of another browser": bound.partition("?")[2],
        "empty": "",
    }
    prefix = str(visit.area.signed_url)
    got, made = [], 0
    for kind, forged in bad.items():
        for target in targets(prefix, visit.probe.name):
            spelled = target if b"?" in target else target + f"?{forged}".encode()
            made += 1
            if visit.probe.marker in (visit.attack(Attack(spelled).below(root)) or b""):
                got.append(kind)
    if got:
        return failure(
            "signed-url-forged",
            f"{len(got)} of {made} requests that nobody signed got the file: {sorted(set(got))}.",
            "Whoever guesses a file's name can have it, for ever.",
            "Write the server's configuration again and restart it; remove other rules for"
            f" {prefix} and the area's folder.",
        )
    return ok("signed-url-forged", f"none of {made} bad requests got the file")
