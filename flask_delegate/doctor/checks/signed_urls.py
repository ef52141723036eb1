"""Checks of an area's signed URLs: good ones are served, and no other in any spelling."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ...handoff import describe
from ...resolve import resolve
from ...servers import signing
from .. import route as probes
from ..finding import Finding, failure, ok, skipped
from ..requests.client import answer_to, fetch
from ..requests.spelling import Attack, targets
from .delivery import Visit

_LIFE = 60  # seconds
_BROWSER = "0" * 32


def signed_urls(visit: Visit) -> Iterator[Finding]:
    """Ask for the probe file by good and bad URLs."""
    area = visit.area
    if not area.signed_url:
        yield skipped("signed-url", "DELEGATE_SIGNED_URL is not set", area=area.name)
        return
    end = int(time.time()) + _LIFE
    good, bound = url(visit, end), url(visit, end, browser=_BROWSER)
    answers = {
        "a good URL": fetch(visit.target, good),
        "one that is bound to a browser": fetch(
            visit.target, bound, headers={"Cookie": f"{signing.COOKIE}={_BROWSER}"}
        ),
    }
    wrong = [
        f"{name}: {reply.status}"
        for name, reply in answers.items()
        if reply.status != 200 or reply.body != visit.probe.content
    ]
    if wrong:
        yield failure(
            "signed-url",
            f"the server does not serve what was signed ({', '.join(wrong)}).",
            "Pages show broken pictures.",
            "Write the server's configuration anew and restart it; look for rules that change the"
            " query, or the header " + signing.TIME_HEADER + ".",
            area.name,
        )
    else:
        yield ok("signed-url", "the server serves what was signed", area.name)
    yield _forgeries(visit, good, bound)


def url(visit: Visit, end: int, key: str | None = None, browser: str = "") -> str:
    """Sign the probe file's URL."""
    delivery = describe(
        probes.handoff(visit.area.name, visit.probe.name),
        resolve(visit.area.root, visit.probe.name),
    )
    own = visit.case.state.mark(visit.area).signing_key
    return signing.sign(delivery, visit.area, key or own, end, browser)


def _forgeries(visit: Visit, good: str, bound: str) -> Finding:
    now = int(time.time())
    query = good.partition("?")[2]
    bad = {
        "expired": url(visit, now - 1).partition("?")[2],
        "made with another key": url(visit, now + _LIFE, "0" * 32).partition("?")[2],
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
            answer = answer_to(visit.target, Attack(spelled).to(visit.target.host_header))
            made += 1
            if answer is not None and visit.probe.marker in answer:
                got.append(kind)
    if got:
        return failure(
            "signed-url-forged",
            f"{len(got)} of {made} requests that nobody signed got the file: {sorted(set(got))}.",
            "Whoever guesses a file's name can have it, for ever.",
            "Write the server's configuration anew and restart it; take away other rules for"
            f" {prefix} and the area's folder.",
            visit.area.name,
        )
    return ok("signed-url-forged", f"none of {made} bad requests got the file", visit.area.name)
