"""Whatever a call to send_file says: with the hand-off, clients get what they got without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.clients import Reply
from tests.support.examples import OLD
from tests.support.python_servers import GUNICORN, streaming
from tests.support.running import Running
from tests.support.servers import SERVERS
from tests.support.sites import new_site

APPLICATION = """
import json, os
from flask import Flask, request, send_file
from flask_delegate import Delegate

app = Flask("calls", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)
application = app


@app.route("/call", methods=["GET", "POST"])
def call():
    said = json.loads(request.args["said"])
    path = os.path.join(SITE_ROOT, said["file"])
    if said["opened"]:
        file = open(path, "rb")
        file.seek(said["opened"] - 1)
        path = file
    response = send_file(path, **said["options"])
    response.status_code = said.get("status") or response.status_code
    for name, value in said["headers"]:
        add = response.headers.add if name in ("Set-Cookie", "Vary") else response.headers.set
        add(name, value)
    if said["closing"]:
        response.call_on_close(lambda: None)
    return response
"""
NOTING = """
from flask_delegate import file_delegated


@file_delegated.connect
def note(app, **details):
    with open(HANDED_OFF, "a") as file:
        file.write("x")
"""
FILES = {
    "report.txt": b"private content\n",
    "page.html": b"<script>1</script>",
    "a.tar.gz": b"\x1f\x8b compressed",
    "empty.txt": b"",
    "deep/\xe9 50%?#.bin": bytes(range(256)) * 300,
}
OUTSIDE = b"outside\n" * 9
SIZES = {name: len(content) for name, content in FILES.items()}
SIZES |= {"outside": len(OUTSIDE), "linked": len(FILES["report.txt"])}
# Of headers with control characters, servers make errors of their own.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20) | st.sampled_from(
    ["../x", 'a"b;c=d', "x\r\ny", "100%", "日本.pdf", "."]
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "as_attachment": st.booleans(),
        "download_name": NAMES,
        "mimetype": st.sampled_from(["text/html", "image/svg+xml", "a/b; c=d", "x"]),
        "conditional": st.booleans(),
        "etag": st.booleans() | st.sampled_from(["own", 'o"wn']),
        "max_age": st.sampled_from([0, 60, -1, 10**12]),
        "last_modified": st.sampled_from([0, 10**9]),
    },
)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("X-Frame-Options", "DENY"),
            ("X-Frame-Options", "SAMEORIGIN"),
            ("X-Other", "1"),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", "sandbox"),
            ("Content-Encoding", "gzip"),
            ("Content-Disposition", "attachment"),
            ("Vary", "Cookie"),
            ("Vary", "X-Other"),
            ("Set-Cookie", "a=b"),
            ("Content-Type", "text/x-second"),
            ("Repr-Digest", "sha-256=:AAAA:"),
            ("X-Content-Type-Options", "nosniff"),
        ]
    ),
    max_size=2,
)
CALLS = st.fixed_dictionaries(
    {
        "file": st.sampled_from([*FILES, "outside", "linked"]),
        "opened": st.sampled_from([0, 0, 0, 1, 5]),
        "options": OPTIONS,
        "status": st.sampled_from([None, None, None, 200, 206, 404]),
        "headers": HEADERS,
        "closing": st.sampled_from([False, False, False, True]),
    }
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "Range": st.sampled_from(
            ["bytes=0-0", "bytes=3-", "bytes=-2", "bytes=1-2,4-", "x", "bytes=99999-"]
        ),
        "If-None-Match": st.sampled_from(["*", '"x"']),
        "If-Match": st.sampled_from(["*", '"x"']),
        "If-Range": st.sampled_from(['"x"', "Thu, 01 Jan 2026 00:00:00 GMT"]),
        "If-Modified-Since": st.sampled_from(["Thu, 01 Jan 1998 00:00:00 GMT"]),
    },
)
WHOLE: dict[str, Any] = {
    "file": "a.tar.gz",
    "opened": 0,
    "options": {"download_name": "x", "conditional": False},
    "status": None,
    "headers": [],
    "closing": False,
}
"""A call that sends all of the file, whatever part is asked for."""
SAME = ("Content-Type", "Content-Disposition", "Content-Encoding", "Content-Security-Policy")
MORE = ("Set-Cookie", "X-Other", "X-Frame-Options", "Repr-Digest")


@dataclass
class Pair:
    before: Running
    after: Running
    log: Path
    """Has a letter for each file that was handed off."""


@pytest.fixture(
    scope="module", params=["mod_wsgi-daemon", "scgi", "nginx-gunicorn", "xsendfile-proxy"]
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with new_site(DELEGATE_HEADERS={"X-Frame-Options": "DENY"}) as site, ExitStack() as stack:
        for name, content in FILES.items():
            site.write(name, content)
        (site.folder / "outside").write_bytes(OUTSIDE)
        (site.root / "outside").symlink_to(site.folder / "outside")
        (site.root / "linked").symlink_to(site.root / "report.txt")
        site.application = APPLICATION
        before = stack.enter_context(streaming(*GUNICORN)(site))
        site.settings["DELEGATE_SEND_FILE"] = True
        log = site.folder / "handed-off"
        log.touch()
        log.chmod(0o666)
        noting = f"HANDED_OFF = {str(log)!r}\n{NOTING}"
        site.application = OLD + APPLICATION + noting
        yield Pair(before, stack.enter_context(SERVERS[request.param](site)), log)
        assert log.stat().st_size > 20


def _ask(server: Running, target: str, **request: Any) -> Reply | None:
    """Return the answer; none for a length that is wrong, as of an open file, behind its end."""
    try:
        return server.get(target, **request)
    except (IncompleteRead, ValueError):
        return None


def _facts(reply: Reply, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: reply.headers.get_all(name) for name in names}


def test_calls_are_answered_as_before(pair: Pair) -> None:
    @settings(
        max_examples=300,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],  # each try asks two servers
    )
    @example(WHOLE, {"Range": "bytes=99999-"}, "GET")
    @given(CALLS, REQUESTS, st.sampled_from(["GET", "GET", "HEAD", "POST"]))
    def compare(said: dict[str, Any], headers: dict[str, str], method: str) -> None:
        if said["file"] == "empty.txt":  # parts of it differ: docs/extension/servers.md
            said["opened"] = 0
            headers.pop("Range", None)
        target = f"/call?said={quote(json.dumps(said))}"
        before = _ask(pair.before, target, method=method, headers=headers)
        count = pair.log.stat().st_size
        after = _ask(pair.after, target, method=method, headers=headers)
        is_handed_off = pair.log.stat().st_size > count
        if before is None or after is None:
            assert not before
            assert not after
        elif not _is_up_to_the_server(said, headers, before, after):
            _check_same(headers, before, after, is_handed_off=is_handed_off)

    compare()


def _is_up_to_the_server(
    said: dict[str, Any], headers: dict[str, str], before: Reply, after: Reply
) -> bool:
    """Return whether the answers may differ, and check that they do so within bounds."""
    if before.status == 500:  # such as a header that none may send
        assert after.status == 500
        return True
    if before.status == after.status and after.status in (304, 412):
        return True
    others = {"If-Match", "If-None-Match", "If-Range"}
    others |= {"If-Modified-Since"} if "last_modified" in said["options"] else set()
    if others & headers.keys() and after.status != before.status:
        # The condition is about another validator, or the server reads it differently.
        assert after.status in (200, 206, 304, 412, 416)
        if "multipart" not in after.headers.get("Content-Type", ""):
            assert after.status >= 400 or len(after.body) <= SIZES[said["file"]]
        return True
    return False


def _check_same(
    headers: dict[str, str], before: Reply, after: Reply, *, is_handed_off: bool
) -> None:
    if not is_handed_off:
        # Of a whole answer that comes at once, Apache in front makes parts by itself.
        if "Range" not in headers or before.status != 200 or after.status not in (206, 416):
            assert (after.status, after.body) == (before.status, before.body)
            said = (*SAME, *MORE, "ETag")
            assert _facts(after, said) == _facts(before, said)
        return
    assert after.status >= 400 or "private" in after["Cache-Control"]
    assert (after.status, after.body) == (before.status, before.body)
    assert _facts(after, SAME) == {
        **_facts(before, SAME),
        # Without a name there is none before; "inline" says the same.
        "Content-Disposition": before.headers.get_all("Content-Disposition") or ["inline"],
    }
    for name in MORE:
        if name != "X-Frame-Options":
            assert after.headers.get_all(name) == before.headers.get_all(name), name
