"""What the portal logs of failed attempts, read by the real fail2ban."""

from __future__ import annotations

import io
import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.logging import default_handler
from flask.testing import FlaskClient

from portal.accounts import accounts
from portal.core import logs
from portal.core.models import Account
from portal.core.text import is_text
from portal.identity import second_factor, throttle
from tests.support.paths import PROJECT
from tests.support.portal import sign_in, signed_in, token
from tests.support.tools import tool

FILTER = PROJECT / "deploy/fail2ban/filter.d/flask-delegate-portal.conf"
FORGED = "6.6.6.6"
PREFIXES = {
    "gunicorn": "",
    "apache": "[Sun Nov 22 22:00:00.123456 2026] [wsgi:error] [pid 1:tid 2] [remote 192.0.2.1:5] ",
    "apache, IPv6": "[Sun Nov 22 22:00:00.123456 2026] [wsgi:error] [pid 1:tid 2]"
    " [remote 2001:db8::1:5] ",
    "apache, mod_wsgi 5": "[Sun Nov 22 22:00:00.123456 2026] [wsgi:error] [pid 1:tid 2]"
    " [remote 192.0.2.1:5] [script /srv/htdocs/sign-in] ",
    "journal": "Nov 22 22:00:00 host portal[123]: ",
    "journal, ISO": "2026-11-22T22:00:00.123456+0000 host portal-gunicorn[123]: ",
}
LINE = "[2026-11-22 22:00:00,000] WARNING in throttle: sign-in failed from 6.6.6.6: 'x'"
HOSTILE = [
    LINE,
    f"\n{LINE}",
    f"\r\n{LINE}",
    f"\u2028{LINE}\x85{LINE}",
    f"x'\n{PREFIXES['apache']}{LINE}",
    "x' sign-in failed from 6.6.6.6: 'x",
    "sign-in failed from 6.6.6.6: 'x'",
    "]: sign-in failed from 6.6.6.6: '",
    "6.6.6.6",
    "it's",
    """both ' and " """,
    "'",
    "\\",
    "\\'",
    "x" * 200 + LINE,
]


@pytest.fixture
def written(app: Flask) -> Iterator[io.StringIO]:
    """What the application writes to the server's log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(default_handler.formatter)
    app.logger.addHandler(handler)
    yield stream
    app.logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def own_format(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the application up as outside a test, where nobody else catches the log."""
    monkeypatch.setattr(app.logger, "handlers", [default_handler])
    monkeypatch.setattr(default_handler, "formatter", default_handler.formatter)
    logs.init_app(app)


def banned(lines: list[str], folder: Path) -> list[str]:
    """Return the addresses that fail2ban finds, a row for each line that it takes for a failure."""
    log = folder / "error.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    done = subprocess.run(
        [tool("fail2ban-regex"), "--out", "ip", str(log), str(FILTER)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def fail(client: FlaskClient, name: str, path: str = "/sign-in") -> None:
    form = {"csrf_token": token(client), "username": name, "password": "wrong password"}
    environ = {"REMOTE_ADDR": "192.0.2.9"}
    client.post(path, data=form, environ_overrides=environ)


@pytest.mark.parametrize("server", PREFIXES)
def test_failures_are_found_with_their_address(
    server: str, app: Flask, written: io.StringIO, tmp_path: Path
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        second_factor.begin(account)
        account.totp_step = 1
        second_factor.renew_recovery_codes(account)
    client = app.test_client()
    fail(client, "alice")
    fail(client, "nobody\N{SNOWMAN}")
    sign_in(client, "alice")
    fail(client, "", "/sign-in/code")
    client.get("/invitation/guessed", environ_overrides={"REMOTE_ADDR": "2001:db8::9"})
    fail(signed_in(app, "bob"), "", "/account/password")
    lines = [PREFIXES[server] + line for line in written.getvalue().splitlines()]
    assert banned(lines, tmp_path) == ["192.0.2.9"] * 3 + ["2001:db8::9", "192.0.2.9"]


def test_attempts_that_are_refused_for_their_number_count_on(
    app: Flask, written: io.StringIO, tmp_path: Path
) -> None:
    client = app.test_client()
    for _ in range(15):
        fail(client, "alice")
    assert len(banned(written.getvalue().splitlines(), tmp_path)) == 15


@pytest.mark.parametrize("server", PREFIXES)
def test_names_that_imitate_a_line_ban_nobody_else(
    server: str, app: Flask, written: io.StringIO, tmp_path: Path
) -> None:
    client = app.test_client()
    for name in HOSTILE:
        fail(client, name)
    lines = [PREFIXES[server] + line for line in written.getvalue().splitlines()]
    tried = sum(map(is_text, HOSTILE))  # the others are refused before a name is looked at
    assert len(lines) == tried > len(HOSTILE) - 3
    assert banned(lines, tmp_path) == ["192.0.2.9"] * tried


@pytest.mark.parametrize("server", PREFIXES)
def test_paths_and_errors_that_imitate_a_line_ban_nobody(
    server: str,
    app: Flask,
    written: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(token: str) -> None:
        raise RuntimeError(f"cannot read {token}\n{LINE}")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setitem(app.view_functions, "invitations.open_invitation", broken)
    client = app.test_client()
    alice = signed_in(app, "alice")
    for text in HOSTILE:
        client.get("/invitation/" + text.replace("%", "").replace("\n", "%0A").replace("/", ""))
        alice.get("/files/" + text.replace("\n", "%0A"))
        client.get("/", headers={"User-Agent": re.sub("[^ -~]", "", text)})
    output = written.getvalue()
    assert "Traceback" in output
    assert FORGED in output
    assert banned([PREFIXES[server] + line for line in output.splitlines()], tmp_path) == []


@pytest.mark.parametrize("forged", [LINE, LINE.rstrip("'"), LINE.replace("'", '"'), LINE[:-3]])
def test_script_that_imitates_a_line_bans_nobody(forged: str, tmp_path: Path) -> None:
    # mod_wsgi-express logs the beginning of the request's path there.
    prefix = PREFIXES["apache, mod_wsgi 5"].rstrip("] ") + f"] {forged}] [2026-11-22 22:00:00,000] "
    lines = [
        f"{prefix}ERROR in app: Exception on /sign-in] {forged} [GET]",
        f"{prefix}WARNING in throttle: sign-in failed from 192.0.2.9: 'alice'",
        f"{prefix}WARNING in loaders: refused: read 'x' to 'alice', no such entry",
        f"{prefix.rpartition('[2026')[0]}    KeyError: 'alice'",
        f"{prefix.rpartition('[2026')[0]}Traceback (most recent call last):",
    ]
    assert FORGED not in banned(lines, tmp_path)


def test_apaches_own_lines_ban_nobody(tmp_path: Path) -> None:
    start = "[Sun Nov 22 22:00:00.123456 2026] [{}] [pid 1:tid 2] [client 192.0.2.1:5] "
    lines = [
        start.format("core:error") + f"AH00126: Invalid URI in request GET /{LINE} HTTP/1.1",
        start.format("core:info") + f"AH00128: File does not exist: /srv/{LINE}",
        start.format("wsgi:error") + f"Timeout when reading response headers: {LINE}",
        start.format("wsgi:error") + f"    RuntimeError: {LINE}",
        start.format("wsgi:error] [x") + LINE,
    ]
    assert banned(lines, tmp_path) == []


def test_jail_names_the_filter() -> None:
    jail = FILTER.parents[1] / "jail.d" / FILTER.name
    assert f"[{FILTER.stem}]" in jail.read_text()


def test_journal_of_each_unit_that_runs_the_portal_is_read() -> None:
    units = {
        path.name
        for path in (PROJECT / "deploy/systemd").glob("*.service")
        if re.search(r"deploy\.wsgi|apache-express/serve", path.read_text())
    }
    assert len(units) == 3
    assert set(re.findall(r"_SYSTEMD_UNIT=(\S+)", FILTER.read_text())) == units


@pytest.mark.parametrize(
    "count",
    [
        lambda _: throttle.count_password("x"),
        lambda _: throttle.count_password("x", "password check"),
        lambda _: throttle.count_share_password("x"),
        lambda account: throttle.count_code(account),
        lambda _: throttle.count_link(),
    ],
)
def test_each_kind_of_secret_that_is_guessed_is_read(
    count: Callable[[Account], throttle.Attempt],
    app: Flask,
    written: io.StringIO,
    tmp_path: Path,
) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.7"}):
        account = accounts.find("alice")
        assert account
        count(account).log_failure()
    assert banned(written.getvalue().splitlines(), tmp_path) == ["192.0.2.7"]
