"""Two hosts that share PostgreSQL, a bucket and nothing else, behind nginx, under load.

Nothing that was acknowledged is lost, whatever happens to one of them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from flask_delegate.testing.apache import free_port
from portal import create_app
from portal.accounts import accounts
from portal.core import database
from portal.core.database import db
from portal.core.models import Activity, StoredFile
from portal.tus.headers import CONTENT_TYPE
from tests.support import postgresql
from tests.support.portal import PASSWORD
from tests.support.servers import PASSED_ON, nginx_in_front, process
from tests.support.sites import new_site
from tests.support.stores import RunningStore, seaweedfs
from tests.support.visitors import Visitor

PEOPLE = 4
_NEXT = "proxy_connect_timeout 2s;"


@dataclass
class Host:
    """A host: gunicorn with a portal, and a data folder of its own."""

    port: int
    stack: ExitStack
    leader: int = 0

    def kill(self, how: signal.Signals) -> None:
        """Kill all of its processes, or ask the first one to end them."""
        if how == signal.SIGKILL:
            os.killpg(self.leader, how)
        else:
            os.kill(self.leader, how)


@dataclass
class Cluster:
    """All of it.

    :param port: nginx's.
    """

    port: int
    hosts: list[Host]
    store: RunningStore
    server: postgresql.Server
    app: Flask


@dataclass
class Sent:
    """What people have sent, and how it was answered."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    signed_out: int = 0


@contextmanager
def cluster(folder: Path, count: int = 2) -> Iterator[Cluster]:
    """Start it: with so many hosts."""
    with ExitStack() as stack:
        (folder / "store").mkdir()
        store = stack.enter_context(seaweedfs(folder / "store"))
        server = stack.enter_context(postgresql.running())
        server.execute("CREATE DATABASE hosts")
        settings = settings_of(folder, store, server.url("hosts"))
        app = create_app({**settings, "DATA": str(folder / "own")})
        with app.app_context():
            database.upgrade()
            for number in range(PEOPLE):
                accounts.create(f"person{number}", PASSWORD)
            db.session.close()
            db.engine.dispose()
        hosts = [host(stack, folder / f"host{number}", settings) for number in range(count)]
        site = stack.enter_context(new_site())
        include = configuration(app)
        upstream = "".join(f"server 127.0.0.1:{one.port};" for one in hosts)
        pages = f"{PASSED_ON} location / {{{{ {_NEXT} proxy_pass http://hosts; }}}}"
        http = f"access_log off; client_max_body_size 0; upstream hosts {{ {upstream} }}"
        front = nginx_in_front(site, 0, include, http=http, locations=pages)
        yield Cluster(stack.enter_context(front), hosts, store, server, app)


def settings_of(folder: Path, store: RunningStore, url: str) -> dict[str, Any]:
    for name, text in (
        ("keys.toml", f'key_id = "{store.access_key}"\nsecret = "{store.secret_key}"\n'),
        ("secret_key", secrets.token_hex()),
    ):
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
    return {
        "DATABASE": url,
        "SECRET_KEY_FILE": str(folder / "secret_key"),
        "STORE": {"endpoint": store.endpoint, "bucket": store.bucket},
        "STORE_KEYS_FILE": str(folder / "keys.toml"),
        "DELEGATE_BACKEND": "nginx",
        "SESSION_COOKIE_SECURE": False,
        "PROXIES": 0,
    }


def host(stack: ExitStack, data: Path, settings: dict[str, Any]) -> Host:
    """Start a host; each has but its own folder."""
    port = free_port()
    data.mkdir()
    own = {**settings, "DATA": str(data / "data")}
    (data / "wsgi.py").write_text(f"from portal import create_app\napp = create_app({own!r})\n")
    words = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "6"]
    words += ["--pythonpath", f"{data},{Path.cwd()}", "--pid", f"{data}/pid", "wsgi:app"]
    stack.enter_context(process([sys.executable, *words], port, data, data / "output"))
    return Host(port, stack, int((data / "pid").read_text()))


def configuration(app: Flask) -> str:
    done = app.test_cli_runner().invoke(args=["delegate", "nginx-config"])
    assert done.exit_code == 0, done.output
    return done.output


def people(cluster: Cluster, until: threading.Event) -> tuple[Sent, list[threading.Thread]]:
    """Have people upload files and open pages until then, by one session each."""
    sent = Sent()
    visitors = [Visitor(cluster.port) for _ in range(PEOPLE)]
    for number, visitor in enumerate(visitors):
        visitor.sign_in(f"person{number}", PASSWORD)
    threads = [
        threading.Thread(target=work, args=(visitor, number, sent, until))
        for number, visitor in enumerate(visitors)
    ]
    for thread in threads:
        thread.start()
    return sent, threads


def work(visitor: Visitor, number: int, sent: Sent, until: threading.Event) -> None:
    rules, count = random.Random(number), 0  # noqa: S311
    while not until.is_set():
        count += 1
        name = f"{number}-{count}.bin"
        content = rules.randbytes(rules.choice([1_000, 30_000, 300_000]))
        try:
            action, token = page_of(visitor, sent)
            if count % 3 == 0:
                answer = send_in_pieces(visitor, token, name, content)
            else:
                answer = send(visitor, action, token, name, content)
        except (OSError, AssertionError) as error:
            sent.refused.append(f"{name}: {error!r}"[:200])
            time.sleep(0.05)
        else:
            if answer in (204, 302, 303):
                sent.acknowledged[name] = hashlib.sha256(content).hexdigest()
            else:
                sent.refused.append(f"{name}: {answer}")


def page_of(visitor: Visitor, sent: Sent) -> tuple[str, str]:
    response, page = visitor.ask("/")
    if response.status in (302, 303):
        sent.signed_out += 1
    assert response.status == 200, response.status
    action = re.search(rb'action="(/uploads/folders/[^"/]+)"', page)
    token = re.search(rb'name="csrf_token" value="([^"]+)"', page)
    assert action
    assert token
    return action[1].decode(), token[1].decode()


def send_in_pieces(visitor: Visitor, token: str, name: str, content: bytes) -> int:
    """Send a file by tus, in three pieces; go on after whatever happens to one of them."""
    coded = base64.b64encode(name.encode()).decode()
    length = {"Upload-Length": str(len(content)), "Upload-Metadata": f"filename {coded}"}
    answer = tus(visitor, "POST", "/uploads/", token, b"", **length)
    assert answer.status == 201, answer.status
    url = urlsplit(answer.headers["Location"]).path
    offset, deadline = 0, time.monotonic() + 30
    while time.monotonic() < deadline:
        piece = content[offset : offset + len(content) // 3 + 1]
        try:
            place = {"Upload-Offset": str(offset), "Content-Type": CONTENT_TYPE}
            answer = tus(visitor, "PATCH", url, token, piece, **place)
            if answer.status != 204:
                answer = tus(visitor, "HEAD", url, token, b"")
                assert answer.status in (200, 204, 409, 423, 503, 502), answer.status
        except OSError:
            time.sleep(0.1)
            continue
        offset = int(answer.headers.get("Upload-Offset", offset))
        if offset == len(content):
            return 204
        time.sleep(0.01)
    return 0


def tus(
    visitor: Visitor, method: str, path: str, token: str, body: bytes, **fields: str
) -> HTTPResponse:
    cookies = "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())
    headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": token, "Cookie": cookies, **fields}
    connection = HTTPConnection("127.0.0.1", visitor.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer


def send(visitor: Visitor, action: str, token: str, name: str, content: bytes) -> int:
    boundary = "a-boundary-of-the-tests"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n'
        f"{token}\r\n--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body += content + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    response, _ = visitor.ask(action, body, content_type=kind)
    return response.status


def check_nothing_is_lost(cluster: Cluster, sent: Sent) -> None:
    """Compare what was acknowledged with rows, objects and downloads."""
    with cluster.app.app_context():
        rows = db.session.execute(
            select(
                StoredFile.name, StoredFile.sha256, StoredFile.storage_key, StoredFile.public_id
            ).where(StoredFile.is_file)
        ).all()
        recorded = db.session.scalars(
            select(Activity.name).where(Activity.action == "upload")
        ).all()
        db.session.close()
        db.engine.dispose()
    found = {row.name: row for row in rows}
    assert len(found) == len(rows)
    assert set(sent.acknowledged) <= set(found)
    # What was stored as the host was killed, nobody was told of, and it is recorded, too.
    assert sorted(recorded) == sorted(found)
    listed = cluster.store.client.get_paginator("list_objects_v2")
    kept = {
        one["Key"].rpartition("/")[2]
        for page in listed.paginate(Bucket=cluster.store.bucket)
        for one in page.get("Contents", ())
    }
    assert {row.storage_key for row in rows} <= kept
    visitors: dict[str, Visitor] = {}
    for name, sha256 in sent.acknowledged.items():
        assert found[name].sha256 == sha256
        person = f"person{name.partition('-')[0]}"
        if person not in visitors:
            visitors[person] = Visitor(cluster.port)
            visitors[person].sign_in(person, PASSWORD)
        response, content = visitors[person].ask(f"/files/{found[name].public_id}")
        assert response.status == 200
        assert hashlib.sha256(content).hexdigest() == sha256


def kill_a_host(cluster: Cluster) -> None:
    cluster.hosts[0].kill(signal.SIGKILL)


def end_a_host(cluster: Cluster) -> None:
    cluster.hosts[0].kill(signal.SIGTERM)


def restart_the_database(cluster: Cluster) -> None:
    cluster.server.stop(signal.SIGINT)
    cluster.server.start()


def freeze_the_store(cluster: Cluster) -> None:
    cluster.store.freeze()
    time.sleep(3)
    cluster.store.thaw()


@pytest.mark.parametrize(
    ("happens", "most_refused"),
    [
        (kill_a_host, 2 * PEOPLE),
        (end_a_host, PEOPLE),
        (restart_the_database, None),
        (freeze_the_store, 0),
    ],
)
def test_nothing_acknowledged_is_lost(
    happens: Callable[[Cluster], None], most_refused: int | None, tmp_path: Path
) -> None:
    until = threading.Event()
    with cluster(tmp_path.resolve()) as running:
        sent, threads = people(running, until)
        time.sleep(4)
        before = len(sent.acknowledged)
        happens(running)
        time.sleep(5)
        until.set()
        for thread in threads:
            thread.join()
        assert before > 10
        assert len(sent.acknowledged) > before + 10  # it went on
        assert sent.signed_out == 0
        assert any(
            int(name.partition("-")[2].partition(".")[0]) % 3 == 0 for name in sent.acknowledged
        )
        if most_refused is not None:
            assert len(sent.refused) <= most_refused, sent.refused
        check_nothing_is_lost(running, sent)
