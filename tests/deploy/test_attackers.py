"""Slow attackers, by slowhttptest in each of its modes: pages are there for everybody else."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from portal.web.headers import CONSTANT
from tests.support.containers import HOST, Container
from tests.support.installed import Installed
from tests.support.portal_process import wait_for
from tests.support.tools import tool

CONNECTIONS = 1000
SECONDS = 12
"""How long an attack takes; all connections are there after half of it."""
MODES = {
    "slow headers": "-H -i 5 -u {page}",
    "slow body of a form": "-B -i 5 -u {page}",
    "slow body of an upload": "-B -i 5 -u {upload}",
    "slow body of a page": "-B -i 5 -t GET -u {page}",
    "ranges": "-R -a 10 -b 3000 -j {cookie} -u {file}",
    "slow reading of a page": "-X -w 10 -y 20 -n 2 -z 10 -k 3 -u {page}",
    "slow reading of a file": "-X -w 10 -y 20 -n 2 -z 10 -k 3 -j {cookie} -u {file}",
}


@pytest.mark.parametrize("mode", MODES)
def test_a_slow_attacker_keeps_nobody_from_pages(installed: Installed, mode: str) -> None:
    container = installed.container
    site = f"https://{HOST}"
    targets = {
        "page": f"{site}/sign-in",
        "upload": f"{site}/uploads/",
        "file": site + installed.url,
        "cookie": shlex.quote(cookie(container)),
    }
    with attack(container, MODES[mode].format(**targets)):
        times = [seconds_of_a_page(container) for _ in range(SECONDS * 2)]
    assert max(times) < 1, times
    # This asks from the attacker's own address, which nginx limits for a moment longer.
    wait_for(lambda: installed.ask("/").status == 200)


def test_a_server_that_does_not_reach_the_portal_says_so_in_its_words(
    installed: Installed,
) -> None:
    with out_of_reach(installed):
        reply = installed.ask("/sign-in")
    assert reply.status in {502, 503}
    assert "The portal has too much to do now, or is being restarted." in reply.body
    assert reply.header("Retry-After") == "60"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Strict-Transport-Security") == "max-age=31536000"
    assert reply.header("Content-Security-Policy").startswith("default-src 'none'")
    for name, value in CONSTANT.items():
        assert reply.header(name) == value
    assert installed.ask("/").status == 200


@contextmanager
def out_of_reach(installed: Installed) -> Iterator[None]:
    """Take the portal from the web server, until the end of the block."""
    must = installed.container.must
    if installed.server in {"nginx", "xsendfile"}:
        must("systemctl", "stop", "portal-gunicorn.socket", "portal-gunicorn.service")
        yield
        must("systemctl", "start", "portal-gunicorn.socket")
    else:  # mod_wsgi tries to reach it for 15 s
        sockets = must("find", "/run", "-type", "s", "-name", "wsgi*.sock").split()
        assert sockets
        for one in sockets:
            must("mv", one, f"{one}.away")
        yield
        for one in sockets:
            must("mv", f"{one}.away", one)


@contextmanager
def attack(container: Container, words: str) -> Iterator[None]:
    """Attack from one address, until the end of the block."""
    tool("slowhttptest")  # which the container has from this machine
    # It tells every five seconds how many there were, and ends once the server has answered all.
    rate = CONNECTIONS * 2 // SECONDS
    command = f"stdbuf -oL slowhttptest -c {CONNECTIONS} -r {rate} -l 600 -p 5 {words}"
    begin = f"ulimit -n 4096; {command} >/root/attack 2>&1 & echo $!"
    (process,) = container.must("sh", "-c", begin).split()
    try:
        yield
    finally:
        container.run("kill", process)
    said = re.sub(r"\x1b\[[0-9;]*[mHJ]", "", container.must("cat", "/root/attack"))
    counts = re.findall(r"connected: +(\d+)\s+error: +\d+\s+closed: +(\d+)", said)
    assert max(sum(map(int, count)) for count in counts) > CONNECTIONS // 2, said


def seconds_of_a_page(container: Container) -> float:
    """Ask for a page from another address, on a connection of its own."""
    ask = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{time_total}"]
    ask += ["--interface", "127.0.0.9", "--insecure", "--max-time", "30"]
    status, seconds = container.must(*ask, f"https://{HOST}/sign-in").split()
    assert status == "200"
    time.sleep(0.5)
    return float(seconds)


def cookie(container: Container) -> str:
    """Return what alice's browser would send."""
    lines = container.must("cat", "/root/cookies").splitlines()
    fields = [line.split("\t") for line in lines if line.count("\t") == 6]
    return "; ".join(f"{name}={value}" for *_, name, value in fields)
