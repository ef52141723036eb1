"""The object stores that other tests use: what they verify, and how they misbehave."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.clients import Reply, get
from tests.support.stores import RunningStore, misbehaving, seaweedfs, swift
from tests.support.stores.misbehaving import HOSTILE, HOSTILE_BODY, HOW

START: dict[str, Callable[[Path], AbstractContextManager[RunningStore]]] = {
    "seaweedfs": seaweedfs,
    "swift": swift,
}
KEY = "folder/report.txt"
CONTENT = b"0123456789" * 10
MARKED = {"x-id": "abc", "x-ct": "text/plain; charset=utf-8"}


@pytest.fixture(scope="module", params=START)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStore]:
    with START[request.param](tmp_path_factory.mktemp("store")) as running:
        running.put(KEY, CONTENT, "text/plain")
        yield running


def signed(
    store: RunningStore,
    key: str = KEY,
    *,
    expires: int = 60,
    query: dict[str, str] | None = None,
) -> str:
    """Sign a GET as a program without boto3's client would; return path and query."""
    path = "/" + quote(f"{store.bucket}/{key}", safe="/~")
    request = AWSRequest(method="GET", url=store.endpoint + path, params=query or {})
    credentials = Credentials(store.access_key, store.secret_key)
    S3SigV4QueryAuth(credentials, "s3", store.region, expires=expires).add_auth(request)
    return str(request.url).removeprefix(store.endpoint)


def presigned(store: RunningStore, key: str = KEY) -> str:
    asked = {"Bucket": store.bucket, "Key": key}
    return str(store.client.generate_presigned_url("get_object", Params=asked, ExpiresIn=60))


def fetch(store: RunningStore, target: str, **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return get(store.port, target, headers={"Host": f"127.0.0.1:{store.port}", **fields})


def received(port: int, target: str) -> tuple[bytes, str]:
    """Return what comes until half a second without anything, and how that ended."""
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        connection.sendall(request)
        try:
            while more := connection.recv(65536):
                answer += more
        except TimeoutError:
            return answer, "waiting"
    return answer, "closed"


def test_answers_to_a_presigned_url(store: RunningStore) -> None:
    with build_opener(ProxyHandler({})).open(presigned(store), timeout=30) as answer:
        assert answer.status == 200
        assert answer.read() == CONTENT
        assert answer.headers["Content-Type"] == "text/plain"


def test_put_returns_the_etag_and_delete_deletes(store: RunningStore) -> None:
    etag = store.put("gone.txt", b"soon gone")
    assert fetch(store, signed(store, "gone.txt"))["ETag"] == etag
    store.delete("gone.txt")
    assert fetch(store, signed(store, "gone.txt")).status == 404


def test_refuses_what_is_not_signed(store: RunningStore) -> None:
    reply = fetch(store, signed(store).partition("?")[0])
    # For Swift, what has no signature is not for its S3 API.
    assert reply.status in {400, 403}
    assert CONTENT not in reply.body


@pytest.mark.parametrize("part", ["X-Amz-Signature=", "X-Amz-Date=20", "folder/"])
def test_refuses_what_is_signed_wrongly(store: RunningStore, part: str) -> None:
    target = signed(store)
    start = target.index(part) + len(part)
    digit = "1" if target[start] == "0" else "0"
    reply = fetch(store, target[:start] + digit + target[start + 1 :])
    assert reply.status in {400, 403}
    assert CONTENT not in reply.body


def test_refuses_what_has_expired(store: RunningStore) -> None:
    target = signed(store, expires=1)
    time.sleep(2.1)
    assert fetch(store, target).status == 403


def test_sends_a_range(store: RunningStore) -> None:
    reply = fetch(store, signed(store), Range="bytes=5-14")
    assert reply.status == 206
    assert reply.body == CONTENT[5:15]
    assert reply["Content-Range"] == "bytes 5-14/100"


def test_refuses_a_range_behind_the_end(store: RunningStore) -> None:
    assert fetch(store, signed(store), Range="bytes=100-").status == 416


def test_knows_an_unchanged_object(store: RunningStore) -> None:
    etag = fetch(store, signed(store))["ETag"]
    reply = fetch(store, signed(store), If_None_Match=etag)
    assert reply.status == 304
    assert reply.body == b""


def test_refuses_a_change_that_the_client_does_not_know(store: RunningStore) -> None:
    assert fetch(store, signed(store), If_Match='"another"').status == 412


def test_ignores_parameters_that_it_does_not_know_if_they_are_signed(store: RunningStore) -> None:
    target = signed(store, query=MARKED)
    assert "text%2Fplain%3B%20charset%3Dutf-8" in target
    assert fetch(store, target).body == CONTENT
    assert fetch(store, target.replace("text%2Fplain", "text/plain")).body == CONTENT
    assert fetch(store, target.replace("x-id=abc", "x-id=abd")).status == 403
    assert fetch(store, signed(store) + "&x-id=abc").status == 403


@pytest.mark.parametrize(
    "key", ["a b+c.txt", "100%.txt", "what?e=1&s=2", "a;b#c", "Übersicht 日本"]
)
def test_keeps_awkward_keys(store: RunningStore, key: str) -> None:
    store.put(key, key.encode())
    assert fetch(store, signed(store, key)).body == key.encode()


@pytest.mark.parametrize("name", START)
def test_several_run_at_once_and_can_be_frozen_and_killed(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        stores = []
        for number in range(2):
            (tmp_path / str(number)).mkdir()
            stores.append(stack.enter_context(START[name](tmp_path / str(number))))
            stores[-1].put(KEY, str(number).encode())
        first, second = stores
        first.freeze()
        assert received(first.port, signed(first)) == (b"", "waiting")
        assert fetch(second, signed(second)).body == b"1"
        first.thaw()
        assert fetch(first, signed(first)).body == b"0"
        first.kill()
        with pytest.raises(ConnectionRefusedError):
            fetch(first, signed(first))


def test_each_bucket_has_room(store: RunningStore) -> None:
    for number in range(5):
        store.client.create_bucket(Bucket=f"other-{number}")
        store.client.put_object(Bucket=f"other-{number}", Key=KEY, Body=CONTENT)


def test_a_port_that_refuses() -> None:
    with misbehaving("refuses") as server, pytest.raises(ConnectionRefusedError):
        get(server.port, "/files/a")


@pytest.mark.parametrize(
    ("how", "length", "end"),
    [("silent", 0, "waiting"), ("stalls", 1000, "waiting"), ("cuts", 1000, "closed")],
)
def test_a_store_that_does_not_send_what_it_promises(how: str, length: int, end: str) -> None:
    with misbehaving(how) as server:
        answer, ended = received(server.port, "/files/a")
    assert len(answer.partition(b"\r\n\r\n")[2]) == length
    assert ended == end


@pytest.mark.parametrize("how", ["cuts", "garbage"])
def test_a_store_that_breaks_the_protocol(how: str) -> None:
    with misbehaving(how) as server, pytest.raises(HTTPException):
        get(server.port, "/files/a")


@pytest.mark.parametrize("how", [how for how in HOW if how.isdigit()])
def test_a_store_that_refuses_names_what_was_asked(how: str) -> None:
    with misbehaving(how) as server:
        reply = get(server.port, "/files/a%20b?x=1", headers={"X-Told": "this"})
        head = get(server.port, "/files/a", method="HEAD")
    assert (reply.status, head.status, head.body) == (int(how), int(how), b"")
    assert b"<BucketName>files</BucketName><Key>a b</Key>" in reply.body
    assert reply["x-amz-request-id"]
    assert [asked.line for asked in server.requests] == [
        "GET /files/a%20b?x=1 HTTP/1.1",
        "HEAD /files/a HTTP/1.1",
    ]
    assert ("x-told", "this") in server.requests[0].headers


def test_a_store_with_hostile_headers() -> None:
    with misbehaving("headers") as server:
        reply = get(server.port, "/files/a")
    assert reply.body == HOSTILE_BODY
    assert all(reply[name] == value for name, value in HOSTILE.items())


def test_a_misbehaviour_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="nods"), misbehaving("nods"):
        pass
