"""Stored files in a bucket of an object store that speaks Amazon S3's protocol.

Files arrive on the local disk, and are put into the bucket when they are complete: with a checksum
that the store compares, and under a key that is never written twice. The web server fetches them
from there: see :mod:`flask_delegate.stores`.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from flask_delegate.stores.store import CONNECT, Store

from .base import Content, DamagedError, Kept, Storage, StoreAwayError
from .incoming import Incoming, IncomingFile, is_key
from .parts import Piece

_IDLE = 20
"""Seconds that the store may be silent."""
_TRIES = 2
_PIECE = 8 * 1024**2
"""Bytes of a part. A file of more comes in parts, each of which the store compares."""
_MOST_PARTS = 9_000  # S3 has 10,000
_TRIAL = 1.5
"""Seconds that the store may take for a trial."""
_HASTE = 5
"""Seconds that the store may take to delete: what stays is out of reach, and a check finds it."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_ASIDE, _PARTS = "unclaimed", "parts"
_lock = Lock()


@cache
def _session() -> boto3.session.Session:
    """Return what has read the descriptions of Amazon's services, which takes a while."""
    return boto3.session.Session()


class Bucket(Storage):
    """Files in a bucket.

    :param store: where it is.
    :param incoming: where files arrive.
    """

    def __init__(self, store: Store, incoming: Incoming) -> None:
        super().__init__(incoming)
        self._store = store

    def prepare(self) -> None:
        """Create the folder where files arrive, and delete what killed processes left there."""
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        self.remove_abandoned()

    def keep_all(self, incoming: Sequence[IncomingFile]) -> Sequence[str]:
        """See :class:`Storage`."""
        keys: list[str] = []
        try:
            for file in incoming:
                keys.append(secrets.token_hex(16))
                self._put(keys[-1], file)
        except BaseException:
            with suppress(StoreAwayError):  # which the others would wait for as long
                for key in keys:
                    self.delete(key)
            raise
        # Not before: it may be locked until it is closed.
        for file in incoming:
            file.discard()
        return keys

    def holds(self, key: str, size: int) -> bool:
        """Return that it is there: who sends it finds out."""
        del key, size
        return True

    def delete(self, key: str) -> None:
        """See :class:`Storage`."""
        self.delete_name(self.path(key))

    def finish_deletions(self) -> int:
        """Return none: a bucket that keeps versions needs nothing put off."""
        return 0

    def find(self, key: str) -> Kept | None:
        """See :class:`Storage`."""
        with _naming_absence():
            try:
                found = self._client.head_object(**self._at(self.path(key)))
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
        return Kept(found["ContentLength"], found["LastModified"].timestamp())

    def all_keys(self, unlisted: set[str] | None = None) -> Iterator[str]:
        """See :class:`Storage`."""
        del unlisted  # a bucket has no folders
        for name in self.names():
            key = name.rpartition("/")[2]
            if is_key(key) and name == self.path(key):
                yield key

    def names(self, start: str = "") -> Iterator[str]:
        """Yield the names of all objects that begin so, in order.

        :raises StoreAwayError: if the store does not answer.
        """
        pages = self._client.get_paginator("list_objects_v2")
        place = {"Bucket": self._store.bucket, "Prefix": f"{self._store.prefix}{start}"}
        with _naming_absence():
            for page in pages.paginate(**place):
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._store.prefix)

    def put_bytes(self, name: str, content: bytes) -> None:
        """Store an object by its name.

        :raises StoreAwayError: if the store does not take it.
        """
        checksum = _coded(hashlib.sha256(content).digest())
        with _naming_absence():
            self._client.put_object(**self._at(name), Body=content, ChecksumSHA256=checksum)

    def get_bytes(self, name: str) -> bytes | None:
        """Return an object by its name, or none if it is not there.

        :raises StoreAwayError: if the store does not answer.
        """
        with _naming_absence():
            try:
                return bytes(self._client.get_object(**self._at(name))["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise

    def delete_name(self, name: str) -> None:
        """Delete an object by its name, if it is there.

        :raises StoreAwayError: if the store does not answer.
        """
        with _naming_absence():
            self._hasty_client.delete_object(**self._at(name))

    @contextmanager
    def open(self, key: str) -> Iterator[_Reader]:
        """See :class:`Storage`."""
        with self._opened(self.path(key)) as reader:
            yield reader

    def set_aside(self, key: str) -> str:
        """See :class:`Storage`."""
        self._move(self.path(key), f"{_ASIDE}/{key}")
        return f"moved to {self._store.url}{_ASIDE}"

    @contextmanager
    def open_aside(self, key: str) -> Iterator[_Reader]:
        """See :class:`Storage`."""
        with self._opened(f"{_ASIDE}/{key}") as reader:
            yield reader

    def claim(self, key: str) -> str:
        """See :class:`Storage`."""
        self._move(f"{_ASIDE}/{key}", self.path(key))
        return f"moved back from {self._store.url}{_ASIDE}"

    def check(self) -> None:
        """See :class:`Storage`."""
        self.arriving.check()
        with _naming_absence():
            self._brief_client.head_bucket(Bucket=self._store.bucket)

    def put(self, key: str, source: Content, size: int, sha256: str) -> None:
        """Put content under its key, and see that it is there as a whole.

        The store compares the checksum of each part, and is told to keep the whole only if that has
        the hash.

        :raises DamagedError: if the content has another size or hash; it is not kept.
        :raises OSError: if it cannot be read.
        :raises StoreAwayError: if the store does not take it.
        """
        place = self._at(self.path(key))
        hashed = _Hashing(source, size, sha256)
        with _naming_absence():
            if size <= _PIECE:
                content = hashed.read(size + 1)
                hashed.check()
                checksum = _coded(bytes.fromhex(sha256))
                self._client.put_object(**place, Body=content, ChecksumSHA256=checksum)
            else:
                self._put_parts(place, hashed, max(_PIECE, -(-size // _MOST_PARTS)))
            found = self._client.head_object(**place)["ContentLength"]
        if found != size:
            raise StoreAwayError(f"the store has {found} of {size} bytes")

    def forget_parts(self, key: str) -> None:
        """Delete what a process that was killed has put of a file that came in parts.

        :raises StoreAwayError: if the store does not answer.
        """
        place = self._at(self.path(key))
        with _naming_absence():
            begun = self._client.list_multipart_uploads(Bucket=place["Bucket"], Prefix=place["Key"])
            for one in begun.get("Uploads", ()):
                self._client.abort_multipart_upload(**place, UploadId=one["UploadId"])

    def _put(self, key: str, file: IncomingFile) -> None:
        """Put a file into the bucket that has arrived."""
        with file.path.open("rb") as source:
            self.put(key, source, file.size, file.sha256)

    def _put_parts(self, place: dict[str, str], source: _Hashing, size: int) -> None:
        begun = self._client.create_multipart_upload(**place, ChecksumAlgorithm="SHA256")
        upload = {**place, "UploadId": begun["UploadId"]}
        parts: list[dict[str, Any]] = []
        try:
            while piece := source.read(size):
                number = len(parts) + 1
                checksum = _coded(hashlib.sha256(piece).digest())
                put = self._client.upload_part(
                    **upload, PartNumber=number, Body=piece, ChecksumSHA256=checksum
                )
                parts.append(
                    {"PartNumber": number, "ETag": put["ETag"], "ChecksumSHA256": checksum}
                )
            source.check()
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**upload)
            raise

    @contextmanager
    def _opened(self, name: str) -> Iterator[_Reader]:
        reader = _Reader(self._client, self._at(name))
        try:
            yield reader
        finally:
            reader.close()

    def _move(self, name: str, target: str) -> None:
        source = {"Bucket": self._store.bucket, "Key": f"{self._store.prefix}{name}"}
        with _naming_absence():
            self._client.copy_object(**self._at(target), CopySource=source)
            self._client.delete_object(**self._at(name))

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._store.bucket, "Key": f"{self._store.prefix}{name}"}

    @cached_property
    def _client(self) -> Any:
        return self._connected(CONNECT, _IDLE, _TRIES)

    @cached_property
    def _brief_client(self) -> Any:
        return self._connected(_TRIAL, _TRIAL, 1)

    @cached_property
    def _hasty_client(self) -> Any:
        return self._connected(CONNECT, _HASTE, 1)

    def _connected(self, connect: float, idle: float, tries: int) -> Any:
        keys = self._store.keys
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=connect,
            read_timeout=idle,
            retries={"total_max_attempts": tries, "mode": "standard"},
            max_pool_connections=32,
            # Checksums are those above; not every store knows the others.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies={},
        )
        with _lock:  # sessions are not for several threads
            return _session().client(
                "s3",
                endpoint_url=self._store.endpoint,
                region_name=self._store.region,
                aws_access_key_id=keys.key_id,
                aws_secret_access_key=keys.secret,
                aws_session_token=keys.session_token,
                verify=self._store.ca_file or None,
                config=config,
            )


def _name(key: str, piece: Piece) -> str:
    return f"{_PARTS}/{key}/{piece.start}-{piece.end}-{piece.nonce}"


class PieceMirror:
    """Pieces of unfinished uploads in a bucket.

    Two hosts may have stored pieces of the same place, where a client went on before the first gave
    up, or one that failed: only those count that the database has.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, key: str, descriptor: int, start: int, end: int) -> Iterator[Piece]:
        """See :class:`.parts.Mirror`."""
        while start < end and (content := os.pread(descriptor, min(_PIECE, end - start), start)):
            piece = Piece(start, start + len(content), secrets.token_hex(8))
            self._bucket.put_bytes(_name(key, piece), content)
            start = piece.end
            yield piece

    def listed(self, key: str, acknowledged: int) -> Sequence[Piece]:
        """See :class:`.parts.Mirror`."""
        found = self._bucket.get_bytes(f"{_PARTS}/{key}/at-{acknowledged}")
        return [Piece(*one) for one in json.loads(found)] if found else []

    def fetch(self, key: str, piece: Piece) -> bytes:
        """See :class:`.parts.Mirror`."""
        content = self._bucket.get_bytes(_name(key, piece))
        if content is None or len(content) != piece.end - piece.start:
            raise StoreAwayError(f"a piece of the upload {key} is missing")
        return content

    def forget(self, key: str) -> None:
        """See :class:`.parts.Mirror`."""
        for name in list(self._bucket.names(f"{_PARTS}/{key}/")):
            self._bucket.delete_name(name)

    def all_uploads(self) -> Iterator[str]:
        """See :class:`.parts.Mirror`."""
        last = ""
        for name in self._bucket.names(f"{_PARTS}/"):
            key = name.split("/")[1]
            if is_key(key) and key != last:
                last = key
                yield key


class _Hashing:
    """Content that is to have a size and a hash, and is read once."""

    def __init__(self, source: Content, size: int, sha256: str) -> None:
        self._source, self._size, self._sha256 = source, size, sha256
        self._hash, self._read = hashlib.sha256(), 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, or all that are left."""
        content = b""
        while more := self._source.read(size - len(content)):
            content += more
        self._hash.update(content)
        self._read += len(content)
        return content

    def check(self) -> None:
        """Check what was read, which is all of it.

        :raises DamagedError: if it is something else.
        """
        if (self._read, self._hash.hexdigest()) != (self._size, self._sha256):
            raise DamagedError


class _Reader:
    """A file's content. Where the connection breaks, it goes on by another one."""

    def __init__(self, client: Any, place: dict[str, str]) -> None:
        self._client, self._place = client, place
        self._position, self._etag = 0, ""
        self._body: Any = None
        with _as_os_error():
            self._begin()

    def read(self, size: int, /) -> bytes:
        """Return so many bytes or fewer, none at the end.

        :raises OSError: if they cannot be read.
        """
        with _as_os_error():
            try:
                data = self._body.read(size)
            except (BotoCoreError, HTTPError, OSError):
                self._begin()
                data = self._body.read(size)
        self._position += len(data)
        return bytes(data)

    def close(self) -> None:
        """End the connection, or keep it for the next one if all was read."""
        if self._body is not None:
            self._body.close()

    def _begin(self) -> None:
        """Ask for what was not yet read, and for nothing if that is not the same any more."""
        self.close()
        more = {"Range": f"bytes={self._position}-", "IfMatch": self._etag} if self._etag else {}
        answer = self._client.get_object(**self._place, **more)
        self._body, self._etag = answer["Body"], answer["ETag"]


def _coded(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


@contextmanager
def _naming_absence() -> Iterator[None]:
    """Raise :exc:`StoreAwayError` where the store does not do what it is asked for."""
    try:
        yield
    except (ClientError, BotoCoreError, HTTPError, KeyError) as error:
        # A KeyError: an answer that lacks what it has to say.
        raise StoreAwayError(_described(error)) from error


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise :exc:`OSError`, as a disk would."""
    try:
        yield
    except (ClientError, BotoCoreError, HTTPError) as error:
        is_missing = isinstance(error, ClientError) and error.response["Error"]["Code"] in _MISSING
        number = errno.ENOENT if is_missing else errno.EIO
        raise OSError(number, f"the store: {_described(error)}") from error


def _described(error: Exception) -> str:
    """Return what went wrong, without addresses that may hold a signature."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return f"it answers {error.operation_name} with {status} {error.response['Error']['Code']}"
    return f"it does not answer as it should ({type(error).__name__})"
