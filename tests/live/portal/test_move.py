"""Files are moved into a real store and back behind real servers, while people work.

The web server keeps one configuration from the first state to the last.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from flask_delegate.testing.apache import free_port
from portal import create_app
from portal.core.database import db
from portal.core.models import StoredFile
from portal.storage.content import current_storage
from tests.support.nginxes import nginx_in_front
from tests.support.portal import PASSWORD, prepare
from tests.support.sites import DAEMON_USER, Site, express, new_site
from tests.support.stored import store as store_file
from tests.support.stores import RunningStore, seaweedfs
from tests.support.visitors import Visitor
from tests.support.working import at_work

TO, FROM = "to-store", "from-store"
RULES = random.Random(7)  # noqa: S311
SENT = {f"file{number}.bin": RULES.randbytes(1000 + number * 2_000) for number in range(29)}
SENT["large.bin"] = RULES.randbytes(9 * 2**20)  # two parts


@dataclass
class Portal:
    """A portal whose settings change, and its store."""

    site: Site
    store: RunningStore
    stored: dict[str, Any]
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.site.folder / "data"

    def settings(self, way: str | None, *, is_stored: bool = True) -> dict[str, Any]:
        """Return the settings of a state of the move."""
        own = {"DATA": str(self.data), "SESSION_COOKIE_SECURE": False, **self.site.settings}
        return {**own, **(self.stored if is_stored else {}), "STORE_MOVING": way}

    @contextmanager
    def app(self, way: str | None, *, is_stored: bool = True) -> Iterator[Flask]:
        """Create the application in this process, for as long as the block lasts."""
        app = create_app(self.settings(way, is_stored=is_stored))
        with app.app_context():
            yield app
            db.session.close()
            db.engine.dispose()
        if "portal.still" in app.extensions:
            app.extensions["portal.still"]()

    def script(self, way: str | None, *, is_stored: bool = True) -> None:
        settings = self.settings(way, is_stored=is_stored)
        text = f"from portal import create_app\napp = create_app({settings!r})\n"
        (self.site.app / "wsgi.py").write_text(text)

    @contextmanager
    def served(self, way: str | None, *, is_stored: bool = True) -> Iterator[None]:
        """Answer with a state of the move, in threads of this process."""
        self.script(way, is_stored=is_stored)
        with self.app(way, is_stored=is_stored) as app:
            server = make_server("127.0.0.1", self.port, app, threaded=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()
                server.server_close()

    def command(self, way: str, *options: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "flask", "--app", "wsgi", "portal", f"move-{way}", *options]
        return subprocess.Popen(
            words, cwd=self.site.app, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def on_disk(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.data / "files").glob("??/*")}

    def in_bucket(self) -> dict[str, bytes]:
        listed = self.store.client.list_objects_v2(Bucket=self.store.bucket).get("Contents", [])
        get, bucket = self.store.client.get_object, self.store.bucket
        return {
            one["Key"].rpartition("/")[2]: get(Bucket=bucket, Key=one["Key"])["Body"].read()
            for one in listed
        }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with seaweedfs(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def portal(store: RunningStore, tmp_path: Path, cheap_hashing: None) -> Iterator[Portal]:
    del cheap_hashing
    with new_site() as site:
        keys = site.folder / "keys.toml"
        keys.touch(0o600)
        keys.write_text(f'key_id = "{store.access_key}"\nsecret = "{store.secret_key}"\n')
        place = {"endpoint": store.endpoint, "bucket": store.bucket, "prefix": f"{tmp_path.name}/"}
        made = Portal(site, store, {"STORE": place, "STORE_KEYS_FILE": str(keys)})
        made.data.mkdir(0o711)
        for name in ("files", "incoming"):
            (made.data / name).mkdir()
            if DAEMON_USER:
                shutil.chown(made.data / name, group=DAEMON_USER)
        (made.data / "files").chmod(0o2750)
        (made.data / "incoming").chmod(0o2700)
        with made.app(None, is_stored=False) as app:
            prepare(app)
            for name, content in SENT.items():
                store_file("alice", name, content)
        yield made
        for one in store.client.list_objects_v2(Bucket=store.bucket).get("Contents", []):
            store.delete(one["Key"])


def configuration(portal: Portal, server: str) -> str:
    """Write the web server's configuration as one does before the portal is restarted."""
    portal.script(TO)
    words = [sys.executable, "-m", "flask", "--app", "wsgi", "delegate", f"{server}-config"]
    return subprocess.run(
        words, cwd=portal.site.app, text=True, check=True, stdout=subprocess.PIPE
    ).stdout


@dataclass
class Work:
    """What people do at once, and what they should find."""

    port: int
    wanted: dict[str, bytes]
    ids: dict[str, str]
    wrong: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def during(self, count: int = 2) -> Iterator[None]:
        with at_work([self._person] * count):
            yield
        assert self.wrong == []

    def _person(self, until: threading.Event) -> None:
        visitor = Visitor(self.port)
        try:
            visitor.sign_in("alice", PASSWORD)
            while not until.is_set():
                for act in (self._upload, self._download, self._download, self._delete):
                    act(visitor)
                    time.sleep(0.1)
                    with self.lock:
                        self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        except BaseException as error:
            self.wrong.append(repr(error))
            raise

    def _upload(self, visitor: Visitor) -> None:
        name, content = f"{os.urandom(8).hex()}.bin", os.urandom(2_000)
        boundary = "a-boundary-of-the-tests"
        _, page = visitor.ask("/")
        action = re.search(rb'action="(/uploads/folders/[^"/]+)"', page)
        token = re.search(rb'name="csrf_token" value="([^"]+)"', page)
        assert action
        assert token
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n'
            f"{token[1].decode()}\r\n--{boundary}\r\nContent-Disposition: form-data;"
            f' name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'
        ).encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        answer, _ = visitor.ask(action[1].decode(), body, content_type=kind)
        assert answer.status in (302, 303), answer.status
        _, page = visitor.ask(f"/?{urlencode({'sort': 'time', 'direction': 'descending'})}")
        found = re.search(rf'href="/files/([^"/]+)[^"]*"[^>]* title="{name}"'.encode(), page)
        with self.lock:
            self.wanted[name] = content
            if found:
                self.ids[name] = found[1].decode()

    def _download(self, visitor: Visitor) -> None:
        with self.lock:
            name = random.choice([one for one in self.ids if one in self.wanted])  # noqa: S311
            wanted, public_id = self.wanted[name], self.ids[name]
        answer, content = visitor.ask(f"/files/{public_id}")
        if answer.status != 404 or name in self.wanted:
            assert (answer.status, len(content)) == (200, len(wanted)), name
            assert hashlib.sha256(content).digest() == hashlib.sha256(wanted).digest()

    def _delete(self, visitor: Visitor) -> None:
        """Delete for good."""
        with self.lock:
            most = [one for one in self.ids if one in self.wanted and one != "large.bin"]
            name = random.choice(most)  # noqa: S311
            public_id = self.ids.pop(name)
            del self.wanted[name]
        answer, _ = visitor.send("/", to="/selection/trash", entry=public_id)
        assert answer.status in (302, 303)
        answer, _ = visitor.send(f"/trash/{public_id}/delete")
        assert answer.status in (302, 303), answer.status


def kill_halfway(portal: Portal, way: str) -> None:
    """Kill the command in the middle of its work, and see what it has left."""
    note, seen = portal.data / "moving.key", set[str]()
    started = portal.command(way, "--wait", "1")
    while len(seen) < 12:
        assert started.poll() is None, started.communicate()[0]
        if note.exists():
            seen.add(note.read_text())
        time.sleep(0.0005)
    started.kill()
    started.communicate()
    assert note.exists()


def check_same(portal: Portal, work: Work, way: str) -> None:
    """Whatever people should have is there once, at the new place; and nothing else is."""
    with portal.app(way):
        rows = db.session.execute(
            select(StoredFile.name, StoredFile.storage_key, StoredFile.sha256)
        ).all()
    old, new = portal.on_disk(), portal.in_bucket()
    old, new = (old, new) if way == TO else (new, old)
    assert old == {}
    assert {row.name for row in rows} == set(work.wanted)
    assert {row.storage_key for row in rows} == set(new)
    for row in rows:
        content = new[row.storage_key]
        assert content == work.wanted[row.name]
        assert row.sha256 == hashlib.sha256(content).hexdigest()


def test_files_move_there_and_back_while_people_work(portal: Portal) -> None:
    portal.site.settings["DELEGATE_BACKEND"] = "nginx"
    include = configuration(portal, "nginx")
    with portal.app(None, is_stored=False):
        found = db.session.scalars(select(StoredFile)).all()
        ids = {one.name: one.public_id for one in found}
        path = current_storage().path
        paths = {one.name: (one.public_id, path(one.storage_key)) for one in found}
    with nginx_in_front(portal.site, portal.port, include) as port:
        work = Work(port, dict(SENT), ids)
        # Under the configuration of the move, nothing is moved yet.
        with portal.served(None, is_stored=False):
            check_downloads(port, dict(list(paths.items())[:2]))
        with portal.served(TO), work.during():
            kill_halfway(portal, TO)
            ended = portal.command(TO, "--wait", "1")
            said, _ = ended.communicate()
            assert ended.returncode == 0, said
        check_same(portal, work, TO)
        with portal.served(None), work.during():
            time.sleep(0.3)
        check_same(portal, work, TO)
        with portal.served(FROM), work.during():
            kill_halfway(portal, FROM)
            ended = portal.command(FROM, "--wait", "1")
            said, _ = ended.communicate()
            assert ended.returncode == 0, said
        check_same(portal, work, FROM)
        with portal.served(None, is_stored=False), work.during():
            time.sleep(0.3)
    assert min(work.done.values()) > 10


def test_apache_sends_files_from_either_place(portal: Portal) -> None:
    """Half of them are in the store, and nobody gets one without the portal."""
    with portal.app(TO) as app:
        include, ids = configuration(portal, "apache"), {}
        storage = app.extensions["portal.storage"]
        for number, one in enumerate(db.session.scalars(select(StoredFile)).all()):
            ids[one.name] = (one.public_id, storage.path(one.storage_key))
            if number % 2:
                with storage.disk.open(one.storage_key) as content:
                    storage.bucket.put(one.storage_key, content, one.size, one.sha256)
                storage.disk.delete(one.storage_key)
    if DAEMON_USER:
        for path in (portal.data, *portal.data.rglob("*"), portal.site.folder / "keys.toml"):
            shutil.chown(path, DAEMON_USER, DAEMON_USER)
    settings = portal.settings(TO)
    script = f"from portal import create_app\napplication = create_app({settings!r})\n"
    with express(portal.site, script, include=include) as server:
        check_downloads(server.port, ids)


def check_downloads(port: int, ids: dict[str, tuple[str, str]]) -> None:
    """Check that each file comes as it is, in whole and in part, and from the portal alone."""
    alice = Visitor(port)
    alice.sign_in("alice", PASSWORD)
    for name, (public_id, path) in ids.items():
        answer, content = alice.ask(f"/files/{public_id}")
        assert (answer.status, content == SENT[name]) == (200, True)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        answer, content = alice.ask(f"/files/{public_id}", range="bytes=10-19")
        assert (answer.status, content) == (206, SENT[name][10:20])
        for area in ("private", "stored", "signed"):
            assert alice.ask(f"/{area}/{path}")[0].status in (403, 404)


@pytest.mark.parametrize("name", ["file20.bin", "large.bin"])
def test_what_is_damaged_on_the_way_is_not_put_into_the_bucket(portal: Portal, name: str) -> None:
    """Nor is what was put of it before that was seen."""
    with portal.app(TO) as app:
        storage = app.extensions["portal.storage"]
        file = db.session.scalars(select(StoredFile).where(StoredFile.name == name)).one()
        with (portal.data / "files" / storage.path(file.storage_key)).open("r+b") as content:
            content.seek(-1, os.SEEK_END)
            content.write(bytes([SENT[name][-1] ^ 1]))
        said = app.test_cli_runner().invoke(args=["portal", "move-to-store", "--wait", "0"])
        assert said.exit_code == 1
        assert f"({file.storage_key}) is not what was uploaded" in said.output
        assert list(portal.on_disk()) == [file.storage_key]
        stored = portal.in_bucket()
        assert len(stored) == len(SENT) - 1
        assert file.storage_key not in stored
    parts = portal.store.client.list_multipart_uploads(Bucket=portal.store.bucket)
    assert parts.get("Uploads", []) == []


def test_parts_of_a_killed_command_leave_the_bucket(portal: Portal) -> None:
    with portal.app(TO) as app:
        storage = app.extensions["portal.storage"]
        file = db.session.scalars(select(StoredFile).where(StoredFile.name == "large.bin")).one()
        place = storage.bucket._at(storage.path(file.storage_key))
        portal.store.client.create_multipart_upload(**place)
        (portal.data / "moving.key").write_text(file.storage_key)
        said = app.test_cli_runner().invoke(args=["portal", "move-to-store", "--wait", "0"])
        assert said.exit_code == 0
    parts = portal.store.client.list_multipart_uploads(Bucket=portal.store.bucket)
    assert parts.get("Uploads", []) == []
    assert len(portal.in_bucket()) == len(SENT)
