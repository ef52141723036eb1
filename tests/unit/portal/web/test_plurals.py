"""One of each thing, on every page: no page has a plural after 1."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

import portal
from portal.accounts import accounts, invitations
from portal.core.database import db
from portal.core.models import Account, FileRequest, Folder, RecoveryCode, Role, Share
from portal.core.text import counted
from portal.files import entries, trash
from portal.sharing import limits, links
from tests.support import catalogues
from tests.support.portal import PASSWORD, prepare, signed_in
from tests.support.stored import root, store
from tests.support.tus import Tus

SOURCES = Path(portal.__file__).parent
ONE = re.compile(r"(?<![\w.,:/-])(?:\d+ of )?1 (?:(?:more|unfinished|recovery) )*([a-z]+s)\b")
NO_PLURAL = {"has", "is", "was"}
TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]+>", re.DOTALL)
BY_HAND = re.compile(r"""\bs["']? if |else ["']e?s["']|\(s\)""")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0, "file"), "0 files"),
        ((1, "file"), "1 file"),
        ((2, "more file"), "2 more files"),
    ],
)
def test_number_of_things_in_words(given: tuple[int, str], words: str) -> None:
    assert counted(*given) == words


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(TRASH_DAYS=1, MAX_FORM_PARTS=2, ARCHIVE_ENTRIES=1)
    prepare(app)
    return app


def fill() -> list[str]:
    """Give root one of each thing, and return the addresses of pages that show them."""
    folder = entries.place(Folder(name="One"), root("root"))
    file = store("root", "a.txt")
    trash.put([store("root", "old.txt")])
    entries.move([file], folder)
    limited, token = links.create(Share, folder, download_limit=1)
    links.create(Share, file)
    for share in db.session.scalars(select(Share)).all():
        assert limits.count_download(share)
    limited.download_limit = None
    request = links.create(FileRequest, folder, file_limit=1, size_limit=1)[1]
    links.create(Share, folder, download_limit=1)
    links.create(FileRequest, folder, file_limit=1)
    invitations.create_invitation(Role.MEMBER, None, "")
    account_id = root("root").owner_id
    db.session.commit()
    pages = ["/", f"/folders/{folder.public_id}", "/search?q=a.txt", "/trash", "/links"]
    pages += [f"/move?entry={file.public_id}&entry={folder.public_id}", "/account", "/accounts"]
    pages += [f"/entries/{file.public_id}", f"/entries/{folder.public_id}", "/unfinished"]
    pages += [f"/accounts/{account_id}", f"/accounts/{account_id}/delete", "/account/second-factor"]
    return [*pages, "/activity", "/invitations", f"/s/{token}", f"/r/{request}"]


def test_no_page_has_a_plural_after_one(app: Flask) -> None:
    with app.app_context():
        for one in db.session.scalars(select(Account)).all():
            accounts.delete(one)
        accounts.create("root", PASSWORD, Role.ADMINISTRATOR)
        addresses = fill()
    client = signed_in(app, "root")
    Tus(client).begin(1, name="part.txt")
    with app.app_context():
        account = accounts.find("root")
        assert account
        account.totp_secret, account.totp_step = "A" * 32, 1
        db.session.add(RecoveryCode(account_id=account.id, code_hash="x" * 64))
        db.session.commit()
    said = ""
    for address in addresses:
        page = client.get(address, follow_redirects=True)
        assert page.status_code == 200, address
        text = " ".join(TAGS.sub(" ", page.text).split())
        assert set(ONE.findall(text)) <= NO_PLURAL, (address, text)
        said += f"{address}: {text}\n"
    for words in ("1 item", "1 day", "1 download", "0 of 1 download", "0 of 1 file", "1 account"):
        assert words in said, said
    for words in ("1 unfinished upload", "1 recovery code", "1 device", "1 more file", "1 byte"):
        assert words in said, said


def test_texts_have_a_form_for_one() -> None:
    texts = [message.id for message in catalogues.in_code() if message.id]
    for text in texts:
        if isinstance(text, str):
            assert "%(num)s" not in text, "use ngettext"
        else:
            singular = text[0].replace("%(num)s", "1")
            assert set(ONE.findall(singular)) <= NO_PLURAL, text
    assert ("%(num)s file", "%(num)s files") in texts


def test_nothing_forms_plurals_by_hand() -> None:
    for path in [*SOURCES.rglob("*.py"), *SOURCES.rglob("templates/**/*.html")]:
        if path != SOURCES / "core" / "text.py":  # for what is in English, such as logs
            assert not BY_HAND.findall(path.read_text()), path
