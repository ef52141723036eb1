"""Checks of an area's object store: what it answers to the doctor itself."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

from ...areas import Area
from ...exceptions import StoreUnavailable
from ...stores import client
from ...stores.store import CONNECT, IDLE, Store
from ..finding import Finding, failure, ok, skipped, warning
from ..probe import Case
from ..route import PREFIX

_SLOW = 1  # seconds
_SKEW = 60  # seconds between two clocks; stores refuse from 900 on
_MOST = 64 * 1024  # bytes of an answer that are read
_NO_ANSWER = "the store does not answer; see store-reach"
_ELSEWHERE = "Let only this site's hosts reach it: a firewall, or an address of its own network."


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def code(self) -> str:
        """The store's own word for an error."""
        found = re.search(r"<Code>([A-Za-z.]{1,60})</Code>", self.body)
        return found[1] if found else ""


def _ask(store: Store, key: str, *extra: tuple[str, str], signed: bool = True) -> _Answer | None:
    """Return the store's answer, or none if it gives none."""
    try:
        answer = client.ask(store, "GET", key, {}, extra=extra, signed=signed)
        with answer:
            body = client.read(answer, _MOST, store, key)
    except StoreUnavailable:
        return None
    return _Answer(answer.status, dict(answer.getheaders()), body.decode("utf-8", "replace"))


def _nothing() -> str:
    """Return a key that no object has."""
    return PREFIX + secrets.token_hex(16)


def reach(_case: Case, area: Area) -> Finding:
    """Ask for an object that is not there."""
    store = _store(area)
    began = time.monotonic()
    try:
        client.ask(store, "GET", _nothing(), {}).close()
    except StoreUnavailable as error:
        return failure(
            "store-reach",
            f"{store.endpoint}: {error.reason}",
            "No file of this area can be sent.",
            "Start the store, and see that endpoint, certificate and firewall fit.",
        )
    seconds = time.monotonic() - began
    if seconds > _SLOW:
        return warning(
            "store-reach",
            f"{store.endpoint} took {seconds:.1f} s for an object that is not there.",
            f"Each download waits that long before it begins, and after {CONNECT} s to"
            f" connect or {IDLE} s of silence it fails.",
            "See what the store is busy with.",
        )
    return ok("store-reach", f"{store.endpoint} answers, in {seconds * 1000:.0f} ms")


def keys(_case: Case, area: Area) -> Finding:
    """Look at how the store takes a signature."""
    answer = _ask(_store(area), _nothing())
    if answer is None:
        return skipped("store-keys", _NO_ANSWER)
    if answer.status == 404 and answer.code != "NoSuchBucket":
        return ok("store-keys", "the store accepts the keys")
    reasons = {
        "NoSuchBucket": ("there is no such bucket", "Create the bucket, or correct its name."),
        "InvalidAccessKeyId": ("the store does not know the key's id", "Set the right keys."),
        "SignatureDoesNotMatch": (
            "the signature does not fit",
            "Set the right keys; or 'host' and 'region' to what the store takes itself for.",
        ),
        "RequestTimeTooSkewed": ("its clock differs", "Set both clocks by NTP."),
        "AccessDenied": (
            "the keys may not read, or not see what is not there",
            "Allow the keys s3:GetObject and s3:ListBucket for the bucket.",
        ),
    }
    said, fix = reasons.get(answer.code, ("", "See the store's log."))
    seen = f"the store answers a signed request with {answer.status} {answer.code}".rstrip()
    why = "No file of this area can be sent."
    return failure("store-keys", f"{seen}{said and f': {said}'}.", why, fix)


def clock(_case: Case, area: Area) -> Finding:
    """Compare the store's clock with this one."""
    answer = _ask(_store(area), _nothing())
    try:
        date = parsedate_to_datetime(answer.headers["Date"] if answer else "").timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return skipped("store-clock", "the store does not say what time it is")
    skew = abs(date - time.time())
    if skew <= _SKEW:
        return ok("store-clock", f"differs by {skew:.0f} s")
    return failure(
        "store-clock",
        f"the store's clock and this one differ by {skew:.0f} s.",
        "A signature is valid for a minute from now: the store refuses it, or takes it for longer.",
        "Set both clocks by NTP.",
    )


def public(_case: Case, area: Area) -> Finding:
    """Ask without a signature."""
    store = _store(area)
    asked = {"an object": _ask(store, _nothing(), signed=False)}
    asked["its list"] = _ask(store, "", ("list-type", "2"), ("max-keys", "1"), signed=False)
    if None in asked.values():
        return skipped("store-public", _NO_ANSWER)
    # Whoever may not read is not told whether there is something.
    open_ = [what for what, answer in asked.items() if answer and answer.status in (200, 404)]
    if not open_:
        return ok("store-public", "the bucket refuses whoever has no keys")
    return failure(
        "store-public",
        f"the bucket {store.bucket!r} answers {' and '.join(open_)} to everybody, without keys.",
        "Whoever reaches the store and guesses a key has the file, whatever the application says.",
        "Remove the bucket's policy, its public list and the store's anonymous identity.",
    )


def outside(_case: Case, area: Area) -> Finding:
    """Look for other addresses at which the store can be reached."""
    store = _store(area)
    host, port = store.address
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return skipped("store-outside", f"{host} has no address here")
    addresses = {ip_address(str(one).partition("%")[0]) for one in found}
    shown = ", ".join(sorted(map(str, addresses)))
    if any(one.is_global for one in addresses):
        if store.is_encrypted:
            return ok("store-outside", f"{shown} is public, and asked by TLS; its keys guard it")
        why = "Keys are not sent, but everybody on the way reads the files, and can try the store."
        seen = f"{shown} is a public address, and asked without TLS."
        return failure("store-outside", seen, why, f"Use https. {_ELSEWHERE}")
    if not all(one.is_loopback for one in addresses):
        fix = f"From outside, try: curl -i {store.endpoint}/"
        seen = f"{shown} is private; from here it cannot be seen who else reaches it"
        return skipped("store-outside", seen, fix=fix)
    beyond = [one for one in _own_addresses() if _listens(one, port)]
    if not beyond:
        return ok("store-outside", f"it listens at {shown} only")
    return warning(
        "store-outside",
        f"the store also answers at {', '.join(beyond)}.",
        "Who reaches that address can try keys, and may use a fault of the store.",
        _ELSEWHERE,
    )


def _own_addresses() -> Iterator[str]:
    """Yield this machine's addresses towards other networks; nothing is sent."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            yield str(probe.getsockname()[0])


def _listens(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def versioning(_case: Case, area: Area) -> Finding:
    """Ask whether deleted and replaced objects are kept for a while."""
    answer = _ask(_store(area), "", ("versioning", ""))
    if answer is None or answer.status != 200:
        seen = _NO_ANSWER if answer is None else f"the store answers with {answer.status}"
        return skipped("store-versioning", seen)
    if "<Status>Enabled</Status>" in answer.body:
        return ok("store-versioning", "the bucket keeps what is deleted or replaced")
    return warning(
        "store-versioning",
        f"the bucket {_store(area).bucket!r} does not keep versions.",
        "What is deleted or replaced by mistake is gone, and a backup of the database alone cannot"
        " bring it back.",
        "Enable versioning (PutBucketVersioning), with a rule that ends old versions after some"
        " days; or keep copies elsewhere.",
    )


def _store(area: Area) -> Store:
    if area.store is None:
        raise TypeError(f"area {area.name!r} does not lie in a store")
    return area.store


CHECKS = (reach, keys, clock, public, outside, versioning)
