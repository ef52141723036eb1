"""Attempts to guess a secret are counted before it is checked, for all processes together."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from portal.core.models import Account
from portal.core.setting_checks import SettingError
from portal.identity import passwords, throttle, throttle_database, throttle_store
from portal.identity.throttle import Attempt, TooManyAttemptsError, network_of, password_counters
from tests.support import postgresql
from tests.support.portal import PASSWORD, prepare, sign_in, signed_in, token

HERE = "192.0.2.1"
FOR_ACCOUNT = throttle.ACCOUNT_FROM_NETWORK.amount
FOR_NETWORK = throttle.NETWORK.amount


def open_store(path: Path) -> Storage:
    if address := postgresql.url_for(path.parent):
        address = address.replace("postgresql:", "postgresql+psycopg:")
        engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
        uri = f"{throttle_database.SCHEME}:"
        found = storage_from_string(uri, wrap_exceptions=True, engine=engine)  # type: ignore[arg-type]
        assert isinstance(found, Storage)
        return found
    found = storage_from_string(f"{throttle_store.SCHEME}:{path}", wrap_exceptions=True)
    assert isinstance(found, Storage)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if postgresql.SERVER:
        postgresql.create(tmp_path, postgresql.MIGRATED)
    return tmp_path / "throttle.db"


@pytest.fixture
def store(path: Path) -> Storage:
    return open_store(path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def attempt_of(store: Storage, name: str, address: str = HERE) -> Attempt:
    counters = password_counters(name, network_of(address))
    return Attempt(store, counters, "sign-in", name, address)


def refused(store: Storage, name: str, address: str = HERE) -> bool:
    try:
        attempt_of(store, name, address).count()
    except TooManyAttemptsError:
        return True
    return False


def test_account_is_closed_to_a_network_after_too_many_failures(store: Storage) -> None:
    assert [refused(store, "alice") for _ in range(FOR_ACCOUNT + 1)] == [False] * FOR_ACCOUNT + [
        True
    ]
    assert not refused(store, "bob")
    assert not refused(store, "alice", "192.0.2.2")


@pytest.mark.parametrize("name", ["ALICE", " alice", "ａｌｉｃｅ"])  # noqa: RUF001
def test_other_spellings_count_for_the_same_account(name: str, store: Storage) -> None:
    for _ in range(FOR_ACCOUNT):
        refused(store, name)
    assert refused(store, "alice")


def test_account_is_closed_to_everybody_who_guesses_from_many_networks(store: Storage) -> None:
    answers = [
        refused(store, "alice", f"2001:db8:{number:x}::1")
        for number in range(throttle.ACCOUNT.amount + 1)
    ]
    assert answers.index(True) == throttle.ACCOUNT.amount


def test_network_is_closed_after_too_many_failures_whatever_the_names(store: Storage) -> None:
    answers = [refused(store, f"name {number}") for number in range(FOR_NETWORK + 1)]
    assert answers.index(True) == FOR_NETWORK


def test_success_resets_the_account_and_leaves_other_failures_to_the_network(
    store: Storage,
) -> None:
    for number in range(FOR_NETWORK - 1):
        refused(store, f"name {number}")
    for _ in range(3):  # each would be one too many, if successes counted
        attempt = attempt_of(store, "alice")
        attempt.count()
        attempt.succeeded()
    assert not refused(store, "alice")
    assert refused(store, "alice")


def test_right_code_leaves_the_wrong_ones_of_others_to_the_network(app: Flask) -> None:
    def guess(number: int) -> Attempt:
        return throttle.count_code(Account(id=number, name="somebody"))

    with app.test_request_context(environ_base={"REMOTE_ADDR": HERE}):
        for number in range(FOR_NETWORK - 1):
            guess(number)
        guess(1000).succeeded()
        guess(1001)  # the last that is allowed
        with pytest.raises(TooManyAttemptsError):
            guess(1002)


def test_attempts_are_possible_again_after_the_time_that_was_told(
    store: Storage, clock: list[float]
) -> None:
    for _ in range(FOR_ACCOUNT):
        refused(store, "alice")
    clock[0] += 100
    with pytest.raises(TooManyAttemptsError) as caught:
        attempt_of(store, "alice").count()
    assert caught.value.retry_after == 15 * 60 - 100
    clock[0] += caught.value.retry_after - 1
    assert refused(store, "alice")
    clock[0] += 1
    assert not refused(store, "alice")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("192.0.2.1, 192.0.2.2", "unknown"),
        ("evil", "unknown"),
    ],
)
def test_network_is_an_ipv4_address_or_half_an_ipv6_one(address: str, network: str) -> None:
    assert network_of(address) == network


def _count_many(path: Path, times: int) -> int:
    store = open_store(path)
    return sum(not refused(store, "alice") for _ in range(times))


def test_processes_share_the_limit(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, context) as pool:
        allowed = list(pool.map(_count_many, [path] * 4, [FOR_ACCOUNT] * 4))
    assert sum(allowed) == FOR_ACCOUNT


@pytest.mark.sqlite("its file")
def test_counters_are_for_their_owner_alone_and_do_not_pile_up(
    path: Path, store: Storage, clock: list[float]
) -> None:
    for number in range(5):
        refused(store, f"name {number}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    clock[0] += 2 * 60 * 60
    refused(store, "alice")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (3,)
    connection.close()
    assert store.check()
    assert store.reset() == 3


@pytest.mark.sqlite("its file")
def test_store_that_is_damaged_is_made_anew(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    assert not refused(open_store(path), "alice")


@pytest.mark.sqlite("its file")
def test_store_that_cannot_be_written_refuses(path: Path, store: Storage) -> None:
    path.unlink()
    path.mkdir()
    assert not store.check()
    with pytest.raises(StorageError):
        refused(store, "alice")


# The same, in the application.


def test_sign_in_is_refused_before_the_password_is_hashed(
    anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(FOR_ACCOUNT):
        assert sign_in(anonymous, "alice", "wrong password").status_code == 422
    monkeypatch.setattr(passwords, "hasher", None)  # whoever uses it fails
    response = sign_in(anonymous, "alice")
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 15 * 60
    assert "Try again in 15 minutes" in response.text
    assert caplog.messages[-1] == "sign-in failed from 127.0.0.1: 'alice'"


def test_unknown_account_is_closed_like_one_that_there_is(anonymous: FlaskClient) -> None:
    answers = {
        name: [sign_in(anonymous, name, "wrong password").status_code for _ in range(12)]
        for name in ("alice", "nobody")
    }
    assert answers["alice"] == answers["nobody"]
    assert answers["alice"][-1] == 429


def test_success_opens_the_account_again(anonymous: FlaskClient, app: Flask) -> None:
    for _ in range(3):
        for _ in range(FOR_ACCOUNT - 1):
            sign_in(anonymous, "alice", "wrong password")
        signed_in(app, "alice")


def test_present_password_is_throttled(alice: FlaskClient) -> None:
    form = {"csrf_token": token(alice), "password": "wrong password"}
    answers = [alice.post("/account/password", data=form).status_code for _ in range(12)]
    assert answers == [422] * FOR_ACCOUNT + [429] * 2


def test_guessed_links_are_throttled(anonymous: FlaskClient) -> None:
    answers = []
    for number in range(throttle.LINK.amount + 1):
        answers.append(anonymous.get(f"/invitation/guess-{number}").status_code)
        assert anonymous.get("/invitation").status_code == 410
    assert answers == [302] * throttle.LINK.amount + [429]


@pytest.mark.parametrize("hops", [0, 1])
def test_forwarded_address_counts_only_behind_a_proxy(
    hops: int, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROXIES=hops)
    prepare(app)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = "203.0.113.1"
    form = {"csrf_token": token(client), "username": "alice", "password": "wrong password"}
    answers = []
    for number in range(FOR_ACCOUNT + 2):
        # What a client itself sends stands before what the proxy adds.
        headers = {"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.{number}"}
        answers.append(client.post("/sign-in", data=form, headers=headers).status_code)
    assert (429 in answers) is (hops == 0)
    address = "203.0.113.0" if hops else "127.0.0.1"
    assert f"sign-in failed from {address}: 'alice'" in caplog.messages


def test_forwarded_nonsense_is_no_address(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROXIES=1)
    prepare(app)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = "203.0.113.1"
    form = {"csrf_token": token(client), "username": "alice", "password": "wrong password"}
    for number in range(FOR_ACCOUNT + 1):
        headers = {"X-Forwarded-For": f"203.0.113.1: 'x{number}'"}
        response = client.post("/sign-in", data=form, headers=headers)
    assert response.status_code == 429
    assert caplog.messages[-1] == "sign-in failed from unknown: 'alice'"


@pytest.mark.sqlite("its file")
def test_nobody_signs_in_while_attempts_cannot_be_counted(
    data: Path, anonymous: FlaskClient, alice: FlaskClient
) -> None:
    (data / "throttle.db").unlink()
    (data / "throttle.db").mkdir()
    response = sign_in(anonymous, "alice", PASSWORD)
    assert response.status_code == 503
    assert "Try again later" in response.text
    assert alice.get("/").status_code == 200


@pytest.mark.parametrize(
    "uri", ["nonsense", "unknown://:secret@x", "memory://", "redis://:secret@[x", 5]
)
def test_store_that_there_is_not_is_a_setting_error(
    uri: object, make_app: Callable[..., Flask]
) -> None:
    with pytest.raises(SettingError, match="PORTAL_THROTTLE_STORE") as caught:
        make_app(THROTTLE_STORE=uri)
    assert "secret" not in str(caught.value)


@pytest.mark.sqlite("its file")
def test_counters_lie_in_the_data_folder(app: Flask, data: Path) -> None:
    assert app.config["THROTTLE_STORE"] is None
    assert stat.S_IMODE((data / "throttle.db").stat().st_mode) == 0o600


def test_no_account_shares_its_counters_with_a_link(app: Flask) -> None:
    with app.test_request_context():
        for _ in range(FOR_ACCOUNT):
            throttle.count_share_password("abc")
        throttle.count_password("share abc")
        with pytest.raises(throttle.TooManyAttemptsError):
            throttle.count_share_password("abc")
