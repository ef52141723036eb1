"""Several people are invited at once: a link for each, all or none."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.accounts import accounts, invitations, invited_names
from portal.core.database import db
from portal.core.models import Account, Activity, OneTimeLink, Role, hash_token
from tests.support.portal import PASSWORD, REDIRECT, signed_in, token

TWELVE = [f"Person {number}" for number in range(12)]


@pytest.fixture
def root(app: Flask) -> FlaskClient:
    with app.app_context():
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
    return signed_in(app, "root")


def invite(root: FlaskClient, names: str, **more: str) -> TestResponse:
    form = {"csrf_token": token(root), "names": names, "days": "7", **more}
    return root.post("/invitations/several", data=form)


def stored(app: Flask) -> list[OneTimeLink]:
    with app.app_context():
        return list(db.session.scalars(select(OneTimeLink).order_by(OneTimeLink.id)).all())


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Dora\nErik\r\n\n  Fay  Lee \n", ["Dora", "Erik", "Fay Lee"]),
        ("Sørensen, Lars\nSammy Davis, Jr.", ["Sørensen, Lars", "Sammy Davis, Jr."]),
        ("Paul\tSmith\n\tDora\t\t", ["Paul Smith", "Dora"]),
        (
            "\"Müller, Jana\"\n'Erik'\n„Fay Lee“\nO'Neill",
            ["Müller, Jana", "Erik", "Fay Lee", "O'Neill"],
        ),
        (
            'Müller, Jens <jens@a.example>\n"Doe, Dora" <dora@a.example>',
            ["Müller, Jens", "Doe, Dora"],
        ),
        ("Doe, Dora <d@a.example>; Lee, Fay <f@a.example>,", ["Doe, Dora", "Lee, Fay"]),
        ("Dora Doe\tdora@a.example\nerik@a.example, Erik", ["Dora Doe", "Erik"]),
        ('Lee\t"Fay"\t<fay@a.example>', ['Lee "Fay"']),
        ("dora@a.example, Erik, fay@a.example", ["dora@a.example, Erik, fay@a.example"]),
        ("dora@a.example; erik@b.example,fay@c.example", ["dora", "erik", "fay"]),
        ("dora@a.example erik@b.example", ["dora", "erik"]),
        ('Dora Doe <dora@a.example>; "Erik E." <erik@b.example>', ["Dora Doe", "Erik E."]),
        ("<dora@a.example>,\nerik@b.example", ["dora", "erik"]),
        (" ,;\n", []),
    ],
)
def test_names_are_read_as_people_paste_them(written: str, names: list[str]) -> None:
    assert [one.name for one in invited_names.read(written)] == names


def test_each_gets_a_link_of_their_own_that_works_once(app: Flask, root: FlaskClient) -> None:
    answer = invite(root, "\n".join(TWELVE), quota="0.5", days="3")
    assert answer.status_code == REDIRECT
    page = root.get(answer.location).text
    addresses = re.findall(r'value="(http://localhost/invitation/[\w-]{32})"', page)
    links = stored(app)
    assert [link.token_hash for link in links] == [
        hash_token(address.rpartition("/")[2]) for address in addresses
    ]
    assert len({*addresses}) == 12
    assert [(link.proposed_name, link.note) for link in links] == [(one, one) for one in TWELVE]
    assert {(link.role, link.quota) for link in links} == {(Role.MEMBER, 2**29)}
    assert {(link.expires_at - link.created_at).days for link in links} <= {2, 3}
    listed = re.search(r'<textarea[^>]*id="all"[^>]*>([^<]+)</textarea>', page)
    lines = [f"{name}\t{address}" for name, address in zip(TWELVE, addresses, strict=True)]
    assert listed
    assert unescape(listed[1]).split("\n") == lines
    saved = re.search(r'href="data:text/csv;charset=utf-8,([^"]+)"', page)
    assert saved
    rows = list(csv.reader(io.StringIO(unquote(unescape(saved[1])).lstrip("\ufeff"))))
    assert rows == [["name", "link"], *(line.split("\t") for line in lines)]
    with app.app_context():
        done = select(Activity.detail).where(Activity.action == "change account")
        said = [f"an invitation for {name}" for name in TWELVE]
        assert db.session.scalars(done.order_by(Activity.id)).all() == said
    # A reload shows, and creates, nothing.
    again = root.get(answer.location)
    assert again.status_code == REDIRECT
    assert len(stored(app)) == 12

    guest = app.test_client()
    asked = guest.get(addresses[3], follow_redirects=True).text
    assert 'value="Person 3"' in asked
    form = {"csrf_token": token(guest, "/invitation"), "username": "Fay", "again": "calm otters 7"}
    guest.post("/invitation", data={**form, "new_password": "calm otters 7"})
    with app.app_context():
        fay = db.session.scalars(select(Account).where(Account.name == "Fay")).one()
        assert fay.quota == 2**29
    assert len(stored(app)) == 11
    assert guest.get(addresses[3], follow_redirects=True).status_code == 410


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("", "Enter the names"),
        ("Dora\n\nalice", "Line 3: there is an account"),
        ("Dora\n\u0430lice", "Line 2: there is an account"),  # with a Cyrillic letter
        ("Dora\nErik\nDORA", "is in line 1, too"),
        (f"Dora\n{'x' * 65}", "Line 2: "),
        ("Dora\n\u200b\u2800", "Line 2: "),
        ("\n".join(f"Person {number}" for number in range(101)), "Invite at most 100 at once"),
    ],
)
def test_nobody_is_invited_while_a_name_is_wrong(
    names: str, said: str, app: Flask, root: FlaskClient
) -> None:
    answer = invite(root, names)
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert said in page
    assert all(name in page for name in names.split("\n") if name.isprintable())
    assert stored(app) == []


def test_all_problems_are_said_at_once_as_far_as_there_is_room(root: FlaskClient) -> None:
    page = unescape(invite(root, "\n".join(["alice", "bob", *("alice",) * 6, "Dora"])).text)
    assert page.count("there is an account") == 5
    assert "3 more." in page


def test_a_hundred_fit_into_the_cookie_with_the_longest_names(
    app: Flask, root: FlaskClient
) -> None:
    names = [f"{number:03}{'é' * 61}" for number in range(100)]
    answer = invite(root, "\n".join(names))
    cookies = answer.headers.getlist("Set-Cookie")
    assert max(map(len, cookies)) < 2000
    assert len(stored(app)) == 100
    page = root.get(answer.location)
    assert all(name in page.text for name in names)
    assert len(page.data) < 160 * 1024


def test_links_that_were_used_or_revoked_meanwhile_are_left_out(
    app: Flask, root: FlaskClient
) -> None:
    answer = invite(root, "Dora\nErik")
    with app.app_context():
        invitations.revoke_invitation(stored(app)[0].public_id)
    page = root.get(answer.location).text
    assert "Erik" in page
    assert "Dora" not in page


def test_only_administrators_invite_several(app: Flask, alice: FlaskClient) -> None:
    form = {"csrf_token": token(alice), "names": "Dora", "days": "7"}
    assert alice.post("/invitations/several", data=form).status_code == 403
    assert alice.get("/invitations/several").status_code == 403
    assert alice.get("/invitations/several/created").status_code == 403
    assert stored(app) == []


def test_nobody_is_invited_while_the_right_is_taken(
    app: Flask, root: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = invitations.create_invitations

    def late(*args: object) -> str:
        with app.app_context():
            accounts.create("second", PASSWORD, Role.ADMINISTRATOR)
            me = accounts.find("root")
            assert me
            accounts.set_role(me, Role.MEMBER)
        return really(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(invitations, "create_invitations", late)
    assert invite(root, "Dora").status_code == 403
    assert stored(app) == []
