from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.accounts import accounts
from portal.core.database import db
from portal.core.models import Account, RecoveryCode
from portal.identity import second_factor, throttle
from portal.web.account import sign_in as auth
from tests.support.portal import PASSWORD, REDIRECT, sign_in, signed_in, token

STEP = 30


class Phone:
    """An authenticator application, with the recovery codes beside it."""

    def __init__(self, secret: str, codes: list[str]) -> None:
        self.totp = pyotp.TOTP(secret)
        self.codes = codes

    def code(self, later: int = 0) -> str:
        """Show the code of so many seconds later."""
        return self.totp.at(datetime.fromtimestamp(time.time() + later, UTC))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still, and seconds that a test lets pass."""
    now = [float(int(time.time()) // STEP * STEP + 3)]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(second_factor, "now", lambda: datetime.fromtimestamp(now[0], UTC))
    return now


def find(name: str = "alice") -> Account:
    account = accounts.find(name)
    assert account
    return account


@pytest.fixture
def phone(app: Flask, clock: list[float]) -> Phone:
    with app.app_context():
        account = find()
        second_factor.begin(account)
        secret = account.totp_secret
        assert secret
        codes = second_factor.confirm(account, pyotp.TOTP(secret).at(int(clock[0])))
        assert codes
    clock[0] += STEP
    return Phone(secret, list(codes))


def give_code(client: FlaskClient, **fields: str) -> int:
    form = {"csrf_token": token(client), **fields}
    return client.post("/sign-in/code", data=form).status_code


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def test_password_and_code_sign_in_and_go_on(anonymous: FlaskClient, phone: Phone) -> None:
    response = sign_in(anonymous, "alice", next="/account?x=1")
    assert response.location == "/sign-in/code"
    assert not is_signed_in(anonymous)
    assert "Enter the code" in anonymous.get("/sign-in/code").text
    form = {"csrf_token": token(anonymous), "code": phone.code()}
    assert anonymous.post("/sign-in/code", data=form).location == "/account?x=1"
    assert is_signed_in(anonymous)


def test_code_alone_does_not_sign_in(anonymous: FlaskClient, phone: Phone) -> None:
    assert give_code(anonymous, code=phone.code()) == REDIRECT
    assert not is_signed_in(anonymous)


def test_wrong_password_looks_the_same_with_and_without_a_second_factor(
    anonymous: FlaskClient, phone: Phone
) -> None:
    del phone
    pages = [sign_in(anonymous, name, "wrong password") for name in ("alice", "bob")]
    texts = [re.sub('value="[^"]*"', "", page.text) for page in pages]
    assert texts[0] == texts[1]
    assert [page.status_code for page in pages] == [422, 422]


@pytest.mark.parametrize(
    ("later", "accepted"), [(-60, 422), (-30, 422), (0, REDIRECT), (30, REDIRECT), (60, 422)]
)
def test_code_may_be_one_step_off_and_not_before_the_last_one(
    later: int, accepted: int, anonymous: FlaskClient, phone: Phone
) -> None:
    # The step before now is the one whose code switched the second factor on.
    sign_in(anonymous, "alice")
    assert give_code(anonymous, code=phone.code(later)) == accepted


def test_code_of_a_slow_clock_is_accepted(
    anonymous: FlaskClient, phone: Phone, clock: list[float]
) -> None:
    clock[0] += STEP
    sign_in(anonymous, "alice")
    assert give_code(anonymous, code=phone.code(-STEP)) == REDIRECT


def test_code_works_once(app: Flask, phone: Phone) -> None:
    code = phone.code()
    for expected in (REDIRECT, 422):
        client = app.test_client()
        sign_in(client, "alice")
        assert give_code(client, code=code) == expected


def test_code_sent_twice_at_once_is_accepted_once(app: Flask, phone: Phone) -> None:
    answers, code = [], phone.code()
    start = threading.Barrier(4)

    def try_code() -> None:
        with app.app_context():
            account = find()
            start.wait()
            answers.append(second_factor.check(account, code))

    threads = [threading.Thread(target=try_code) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "0" * 5000])
def test_what_is_no_code_is_refused(code: str, anonymous: FlaskClient, phone: Phone) -> None:
    del phone
    sign_in(anonymous, "alice")
    assert give_code(anonymous, code=code) == 422


def test_codes_are_throttled_even_if_the_password_is_given_again(
    app: Flask, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    answers = []
    for _ in range(throttle.CODE.amount + 1):
        client = app.test_client()
        sign_in(client, "alice")
        answers.append(give_code(client, code="000000"))
    assert answers == [422] * throttle.CODE.amount + [429]
    assert caplog.messages[-1] == "second factor failed from 127.0.0.1: 'alice'"
    assert give_code(client, code=phone.code()) == 429
    assert give_code(client, recovery_code=phone.codes[0]) == 429


def test_password_is_forgotten_after_five_minutes(
    anonymous: FlaskClient, phone: Phone, clock: list[float]
) -> None:
    sign_in(anonymous, "alice")
    clock[0] += auth._PATIENCE + 1
    assert give_code(anonymous, code=phone.code()) == REDIRECT
    assert not is_signed_in(anonymous)


def _change_password(account: Account) -> None:
    accounts.set_password(account, "other calm otters")


def _choose_another_secret(account: Account) -> None:
    second_factor.switch_off(account)
    second_factor.begin(account)
    account.totp_step = 1
    db.session.commit()


@pytest.mark.parametrize(
    "change", [_change_password, accounts.deactivate, accounts.delete, _choose_another_secret]
)
def test_password_given_before_a_change_counts_no_more(
    change: Callable[[Account], None], app: Flask, anonymous: FlaskClient, phone: Phone
) -> None:
    sign_in(anonymous, "alice")
    with app.app_context():
        change(find())
        account = accounts.find("alice")
        secret = account.totp_secret if account else None
    code = pyotp.TOTP(secret).at(int(time.time())) if secret else phone.code()
    assert give_code(anonymous, code=code) == REDIRECT
    assert not is_signed_in(anonymous)


def test_recovery_code_works_once_however_it_is_typed(app: Flask, phone: Phone) -> None:
    typed = phone.codes[0].upper().replace("-", " ")
    for code, expected in ((typed, REDIRECT), (phone.codes[0], 422), (phone.codes[1], REDIRECT)):
        client = app.test_client()
        sign_in(client, "alice")
        assert give_code(client, recovery_code=code) == expected
        page = client.get("/account")
        assert page.status_code == (200 if expected == REDIRECT else REDIRECT)
    assert "You have 8 recovery codes left" in page.text


def test_recovery_code_of_somebody_else_does_not_work(
    app: Flask, anonymous: FlaskClient, phone: Phone
) -> None:
    with app.app_context():
        bob = find("bob")
        second_factor.begin(bob)
        bob.totp_step = 1
        codes = second_factor.renew_recovery_codes(bob)
    sign_in(anonymous, "alice")
    assert give_code(anonymous, recovery_code=codes[0]) == 422
    assert give_code(anonymous, recovery_code=phone.codes[0]) == REDIRECT


def test_recovery_codes_are_not_in_the_database(app: Flask, phone: Phone) -> None:
    with app.app_context():
        hashes = db.session.scalars(select(RecoveryCode.code_hash)).all()
    assert len(hashes) == len(set(phone.codes)) == second_factor.RECOVERY_CODES
    assert not set(hashes) & {*phone.codes, *(code.replace("-", "") for code in phone.codes)}


# Switching it on and off, on the pages.


def post(client: FlaskClient, action: str, **fields: str) -> tuple[int, str]:
    form = {"csrf_token": token(client), **fields}
    response = client.post(f"/account/second-factor{action}", data=form)
    return response.status_code, response.text


def shown_codes(client: FlaskClient) -> list[str]:
    page = client.get("/account/second-factor/recovery-codes").text
    return re.findall(r"<code>(\w{4}-\w{4}-\w{4}-\w{4})</code>", page)


def test_it_is_switched_on_with_the_first_right_code(
    alice: FlaskClient, app: Flask, clock: list[float]
) -> None:
    assert post(alice, "/begin", password=PASSWORD)[0] == REDIRECT
    picture = alice.get("/account/second-factor/qr.svg")
    assert picture.mimetype == "image/svg+xml"
    assert picture.headers["Cache-Control"] == "no-store"
    page = alice.get("/account/second-factor").text
    shown = re.search(r'<code class="secret">([A-Z2-7 ]+)</code>', page)
    assert shown
    totp = pyotp.TOTP(shown[1].replace(" ", ""))

    assert post(alice, "/confirm", code="000000")[0] == 422
    signed_in(app, "alice")  # with the password alone, as it is not on yet
    assert post(alice, "/confirm", code=totp.at(int(clock[0])))[0] == REDIRECT
    codes = shown_codes(alice)
    assert len(codes) == second_factor.RECOVERY_CODES
    # Neither the secret nor the codes are shown again.
    assert alice.get("/account/second-factor/qr.svg").status_code == 404
    page = alice.get("/account/second-factor").text
    assert shown[1] not in page
    assert codes[0] not in page
    assert sign_in(app.test_client(), "alice").location == "/sign-in/code"


def test_secret_never_reaches_the_cookie(alice: FlaskClient, app: Flask) -> None:
    post(alice, "/begin", password=PASSWORD)
    alice.get("/account/second-factor")
    with app.app_context():
        secret = find().totp_secret
    with alice.session_transaction() as session:
        assert secret
        assert secret not in str(dict(session))


@pytest.mark.parametrize("action", ["/begin", "/recovery-codes", "/off"])
def test_changes_need_the_present_password(
    action: str, app: Flask, alice: FlaskClient, request: pytest.FixtureRequest
) -> None:
    if action != "/begin":
        request.getfixturevalue("phone")
    with app.app_context():
        before = find().totp_secret
    for password in ("wrong password", ""):
        fields = {"password": password, "off_password": password}
        assert post(alice, action, **fields)[0] == 422
    with app.app_context():
        assert find().totp_secret == before


def test_beginning_again_does_not_replace_a_secret_that_is_in_use(
    app: Flask, alice: FlaskClient, phone: Phone
) -> None:
    assert post(alice, "/begin", password=PASSWORD)[0] == REDIRECT
    with app.app_context():
        assert find().totp_secret == phone.totp.secret
        assert find().has_second_factor


def test_new_recovery_codes_replace_the_old_ones(
    app: Flask, alice: FlaskClient, phone: Phone
) -> None:
    assert post(alice, "/recovery-codes", password=PASSWORD)[0] == REDIRECT
    assert len(shown_codes(alice)) == 10
    client = app.test_client()
    sign_in(client, "alice")
    assert give_code(client, recovery_code=phone.codes[0]) == 422


def test_it_is_switched_off_with_the_password(app: Flask, alice: FlaskClient, phone: Phone) -> None:
    del phone
    assert post(alice, "/off", off_password=PASSWORD)[0] == REDIRECT
    signed_in(app, "alice")
    with app.app_context():
        assert second_factor.recovery_codes_left(find().id) == 0


def test_secret_that_was_confirmed_in_another_tab_stays(
    app: Flask, alice: FlaskClient, clock: list[float]
) -> None:
    post(alice, "/begin", password=PASSWORD)
    with app.app_context():
        late = find()
        secret = late.totp_secret
        assert secret
        with app.app_context():
            assert second_factor.confirm(find(), pyotp.TOTP(secret).at(int(clock[0])))
        assert not late.has_second_factor  # as far as it was read
        second_factor.begin(late)
    with app.app_context():
        assert find().totp_secret == secret
        assert find().has_second_factor


def test_wrong_first_code_is_logged(alice: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    post(alice, "/begin", password=PASSWORD)
    assert post(alice, "/confirm", code="000000")[0] == 422
    assert caplog.messages[-1] == "second factor failed from 127.0.0.1: 'alice'"
