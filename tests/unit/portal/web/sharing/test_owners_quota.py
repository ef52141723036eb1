"""What visitors send by links without limits, and the quota of whose links they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from portal.core.database import db
from portal.core.models import Account, Upload
from tests.support.portal import links, upload
from tests.support.tus import Sender

QUOTA = 20_000
Ask = Callable[..., str]


def limit(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(Account).values(quota=QUOTA))
        db.session.commit()


def parts(data: Path) -> int:
    """Return the bytes of all that has arrived."""
    return sum(path.stat().st_size for path in (data / "incoming/parts").glob("*"))


def arrived(app: Flask) -> int:
    """Return the bytes that are counted of it."""
    with app.app_context():
        return sum(db.session.scalars(select(Upload.arrived)))


def test_visitors_together_send_no_more_than_the_quota(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask, data: Path
) -> None:
    limit(app)
    address = ask()
    senders = [Sender(app, address) for _ in range(4)]
    urls = [sender.begin(19_000, filename=str(n)) for n, sender in enumerate(senders)]
    upload(alice, "before.txt", b"x" * 500)  # what they have announced takes nothing from her
    answers = [sender.add(url, 0, b"x" * 18_000) for sender, url in zip(senders, urls, strict=True)]
    assert [answer.status_code for answer in answers] == [204, 413, 413, 413]
    assert "alice does not have enough space for this." in answers[1].text
    assert (parts(data), arrived(app)) == (18_000, 18_000)
    assert senders[0].add(urls[0], 18_000, b"x" * 1000).status_code == 204
    assert senders[1].offset(urls[1]) == 0
    assert set(links(alice, inbox)) == {"0"}
    upload(alice, "after.txt", b"x" * 500)
    assert "after.txt" in links(alice)


def test_visitors_at_the_same_moment_send_no_more_than_the_quota(
    app: Flask, ask: Ask, data: Path
) -> None:
    limit(app)
    address = ask()
    first, second = Sender(app, address), Sender(app, address)
    slow, fast = first.begin(15_000), second.begin(15_000)

    class Slow:
        """A body during whose first read the other's arrives."""

        def __init__(self) -> None:
            self.left = io.BytesIO(b"x" * 12_000)

        def read(self, size: int = -1, /) -> bytes:
            if not self.left.tell():
                assert second.add(fast, 0, b"y" * 12_000).status_code == 204
            return self.left.read(size)

    length = {"Upload_Offset": "0", "Content-Length": "12000"}
    answer = first.send("PATCH", slow, Slow(), **length)
    assert answer.status_code == 413
    assert (parts(data), arrived(app)) == (12_000, 12_000)
    assert first.offset(slow) == 0
    assert second.add(fast, 12_000, b"y" * 3000).status_code == 204
    assert first.add(first.begin(5000), 0, b"x" * 5000).status_code == 204  # what is left
    assert parts(data) == 0


def test_empty_file_is_stored_where_the_quota_is_exceeded(
    app: Flask, alice: FlaskClient, inbox: str, ask: Ask
) -> None:
    upload(alice, "large.txt", b"x" * 100)
    sender = Sender(app, ask())
    url = sender.begin(0, filename="empty")
    with app.app_context():
        db.session.execute(update(Account).values(quota=10))
        db.session.commit()
    again = sender.begin(0, filename="empty, too")
    assert url != again
    form = {"csrf_token": sender.token, "file": (io.BytesIO(b""), "by the form")}
    sender.client.post(sender.page.replace("/requested/", "/uploads/requested/"), data=form)
    assert set(links(alice, inbox)) == {"empty", "empty, too", "by the form"}
