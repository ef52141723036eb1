from __future__ import annotations

import time
import unicodedata

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from portal.accounts import accounts
from portal.core.database import db
from portal.identity import passwords
from portal.identity.passwords import PasswordError
from tests.support.portal import PASSWORD, REDIRECT, sign_in, token

WORDS = "seven calm otters "


@pytest.mark.parametrize(
    "password", ["p1 zq-8vk.", WORDS, WORDS * 50, "ein Zaun aus Käse", "密码够长也够奇怪吗朋友"]
)
def test_good_password_is_taken(password: str) -> None:
    passwords.check_new(password, "alice")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("q8.zK-2x!", "at least 10"),
        ("", "at least 10"),
        (WORDS * 57, "at most 1024"),
        ("1234567890", "easy to guess"),
        ("qwertyuiop", "easy to guess"),
        ("Password123", "easy to guess"),
        ("P@ssw0rd!!", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("featherstone", "easy to guess"),
        ("FeatherStone1", "easy to guess"),
        ("featherstonefeatherstone", "easy to guess"),
        ("enotsrehtaef", "easy to guess"),
        ("featherstone2026", "easy to guess"),
    ],
)
def test_password_that_is_tried_first_is_refused(password: str, reason: str) -> None:
    with pytest.raises(PasswordError, match=reason):
        passwords.check_new(password, "Featherstone")


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("dora2026dora", "dora"),
        ("2026dora2026", "Dora"),
        ("d0ra2026D0ra", "dora"),
        ("dora2026arod", "dora"),
        ("dora-2026-dora", "dora"),
        ("dora!2026!dora", "dora"),
        ("Dora#1985#D0ra", "dora"),
        ("!2026!dora!!", "dora"),
        ("dora_?2026?_", "dora"),
        ("dora!!!!!!dora", "dora"),
        ("dora dora dora", "dora"),
        ("dora2026smith", "Dora Smith"),
        ("dora.smith.1987", "dora.smith"),
        ("döra2026döra", "döra"),
        ("dora2026dora", "Döra"),
    ],
)
def test_name_adds_nothing_to_a_password(password: str, name: str) -> None:
    with pytest.raises(PasswordError, match="easy to guess"):
        passwords.check_new(password, name)
    passwords.check_new(password, "carl")
    passwords.check_new(f"{password} calm otters", name)


def test_part_of_a_long_name_is_no_password() -> None:
    with pytest.raises(PasswordError):
        passwords.check_new("featherstone", "Bob Featherstone")


@pytest.mark.parametrize("length", [1023, 1024])
def test_estimate_of_a_long_password_does_not_keep_the_server_busy(length: int) -> None:
    passwords.check_new((WORDS * 60)[:length], "alice")


@pytest.mark.parametrize("letters", ["4@8({[<369|1!$50+7%2", "|1!7+({[<4@$569", "4(36915078%2"])
@pytest.mark.parametrize("length", [20, 32, 72, 1024])
def test_estimate_of_a_hostile_password_does_not_keep_the_server_busy(
    letters: str, length: int
) -> None:
    passwords.check_new("a first password", "alice")  # which reads the lists
    began = time.process_time()
    passwords.check_new((letters * 60)[:length], "alice")
    assert time.process_time() - began < 0.2


def test_older_password_that_is_too_short_for_a_new_one_signs_in_and_is_rehashed(
    app: Flask, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        account.password_hash = passwords.hasher.hash("12345678")
        db.session.commit()
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", stronger)
    assert sign_in(anonymous, "alice", "12345678").status_code == REDIRECT
    with app.app_context():
        account = accounts.find("alice")
        assert account
        assert "m=16,t=2" in account.password_hash


COMPOSED, APART = (unicodedata.normalize(form, "süße Grüße") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("typed", [COMPOSED, APART])
@pytest.mark.parametrize("before", [COMPOSED, APART])
def test_password_is_right_however_its_letters_are_composed(
    before: str, typed: str, app: Flask, anonymous: FlaskClient
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        account.password_hash = passwords.hasher.hash(before)  # as earlier versions did
        db.session.commit()
    assert sign_in(anonymous, "alice", typed + "x").status_code == 422
    assert sign_in(anonymous, "alice", typed).status_code == REDIRECT
    with app.app_context():
        account = accounts.find("alice")
        assert account
        assert passwords.hasher.verify(account.password_hash, COMPOSED)


def test_new_hash_is_of_composed_letters() -> None:
    for typed in (COMPOSED, APART):
        assert passwords.hasher.verify(passwords.hash_password(typed), COMPOSED)


@pytest.mark.parametrize("typed", ["wrong password", "wröng password", "wro\u0308ng password"])
def test_unknown_account_takes_as_many_hashes_as_a_known_one(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for stored in (passwords.hash_password("right password"), None):
        seen: list[str] = []
        passwords.dummy_hash()

        def is_hash_of(_hash: str | None, password: str, seen: list[str] = seen) -> bool:
            seen.append(password)
            return False

        monkeypatch.setattr(passwords, "_is_hash_of", is_hash_of)
        assert not passwords.verify(stored, typed)
        counts.append(len(seen))
        monkeypatch.undo()
    assert counts[0] == counts[1] <= 2


def test_current_password_is_no_new_one(alice: FlaskClient) -> None:
    form = {"csrf_token": token(alice), "password": PASSWORD}
    form |= {"new_password": PASSWORD, "again": PASSWORD}
    response = alice.post("/account/password", data=form)
    assert response.status_code == 422
    assert "This is the current password. Choose another one." in response.text
