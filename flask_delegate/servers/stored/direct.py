"""The application asks the store by itself, and passes on what comes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from ...delivery import Delivery
from ...exceptions import StoreUnavailable
from ...stores.objects import StoredObject
from .. import conditions
from ..base import describing_response
from . import query

if TYPE_CHECKING:
    from http.client import HTTPResponse

NOT_KEPT = (
    *("Cache-Control", "Content-Disposition", "Content-Security-Policy", "Content-Type"),
    *("Expires", "Vary", "X-Content-Type-Options"),
    *("Access-Control-Allow-Credentials", "Access-Control-Allow-Headers"),
    *("Access-Control-Allow-Methods", "Access-Control-Allow-Origin"),
    *("Access-Control-Expose-Headers", "Access-Control-Max-Age", "Accept-CH", "Age", "Alt-Svc"),
    *("CF-RAY", "Clear-Site-Data", "Content-Digest", "Content-Language", "Content-Location"),
    *("Content-Security-Policy-Report-Only", "Critical-CH", "Digest"),
    *("Link", "Location", "NEL"),
    *("Permissions-Policy", "Pragma", "Public-Key-Pins", "Referrer-Policy", "Refresh"),
    *(
        "Report-To",
        "Repr-Digest",
        "Reporting-Endpoints",
        "Server",
        "Server-Timing",
        "Service-Worker-Allowed",
    ),
    *("Set-Cookie", "Set-Cookie2", "SourceMap", "Status", "Strict-Transport-Security"),
    *("Timing-Allow-Origin", "Via", "WWW-Authenticate", "X-Cache", "X-Frame-Options"),
    *("X-Accel-Buffering", "X-Accel-Charset", "X-Accel-Expires", "X-Accel-Limit-Rate"),
    *("X-Accel-Redirect", "X-Lighttpd-Send-File", "X-Sendfile"),
    *("X-Amz-Bucket-Region", "X-Amz-Cf-Id", "X-Amz-Cf-Pop", "X-Amz-Checksum-Crc32"),
    *("X-Amz-Checksum-Crc32c", "X-Amz-Checksum-Crc64nvme", "X-Amz-Checksum-Sha1"),
    *("X-Amz-Checksum-Sha256", "X-Amz-Checksum-Type", "X-Amz-Copy-Source"),
    *("X-Amz-Delete-Marker", "X-Amz-Expiration", "X-Amz-Id-2", "X-Amz-Meta-Mtime"),
    *("X-Amz-Meta-S3cmd-Attrs", "X-Amz-Missing-Meta", "X-Amz-Mp-Parts-Count"),
    *("X-Amz-Object-Lock-Legal-Hold", "X-Amz-Object-Lock-Mode"),
    *("X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Replication-Status"),
    *("X-Amz-Request-Charged", "X-Amz-Request-Id", "X-Amz-Restore"),
    *("X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"),
    *("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled",),
    *("X-Amz-Server-Side-Encryption-Customer-Algorithm",),
    *("X-Amz-Server-Side-Encryption-Customer-Key-MD5", "X-Amz-Storage-Class"),
    *("X-Amz-Tagging-Count", "X-Amz-Version-Id", "X-Amz-Website-Redirect-Location"),
    *("Seaweed-X-Amz-Etag", "Seaweed-X-Amz-Owner", "X-Container-Meta-Bucket"),
    *("X-GUploader-UploadID", "X-Minio-Deployment-Id", "X-Openstack-Request-Id"),
    *("X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Rgw-Object-Type"),
    *("X-Seaweedfs-Owner", "X-Timestamp", "X-Trans-Id"),
)
"""Headers of a store's answers that are not for clients. Servers know no other way than names."""

_KEPT = ("Content-Encoding", "Content-Range", "ETag", "Last-Modified")
_PASSED = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Unmodified-Since", "Range")
_heads = BoundedSemaphore(2)
_PIECE = 64 * 1024  # bytes read at once
_BY_TAG = {"If-Match", "If-None-Match"}
_DELIVERED = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED}


def respond(file: StoredObject, delivery: Delivery, environ: WSGIEnvironment) -> Response:
    """Return an object's content, or what conditions and ranges make of it.

    :raises FileMissing: if the store does not have it.
    :raises StoreUnavailable: if the store does not answer as it should.
    :raises werkzeug.exceptions.PreconditionFailed: as the name says.
    :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: as the name says.
    """
    headers = _passed(file, environ)
    method = "HEAD" if environ["REQUEST_METHOD"] == "HEAD" else "GET"
    if method == "HEAD" and file.size is not None and file.etag and not headers.keys() - _BY_TAG:
        return _described(file, delivery, environ)
    # Who has no area in a store need not load TLS.
    from ...stores import client

    with _asking(file, method):
        answer = client.ask(file.store, method, file.relative, headers)
    try:
        _check(answer, file)
    except BaseException:
        answer.close()
        raise
    response = describing_response(delivery)
    response.status_code = answer.status
    for name in _KEPT:
        if value := answer.getheader(name):
            response.headers[name] = value
    response.headers["Accept-Ranges"] = "bytes"
    if (length := _length(answer)) is not None:
        response.headers["Content-Length"] = str(length)
    if method == "HEAD" or answer.status == HTTPStatus.NOT_MODIFIED:
        answer.close()
        return response
    if "mod_wsgi.version" in environ:
        # Apache does not notice that a body is too short. The connection's end shows it.
        response.headers["Connection"] = "close"
    response.direct_passthrough = True  # no hook may read it into memory
    response.response = ClosingIterator(_read(answer, file), answer.close)
    return response


@contextmanager
def _asking(file: StoredObject, method: str) -> Iterator[None]:
    """Let a few wait for a store that is slow with what nobody downloads: pages need threads."""
    if method != "HEAD":
        yield
    elif _heads.acquire(blocking=False):
        try:
            yield
        finally:
            _heads.release()
    else:
        raise StoreUnavailable(file.relative, file.root, "others wait for it already.")


def _described(file: StoredObject, delivery: Delivery, environ: WSGIEnvironment) -> Response:
    """Answer a ``HEAD`` by what the view knows of the object."""
    current = conditions.Validators(str(file.etag), 0, int(time.time()))
    response = describing_response(delivery)
    response.status_code = conditions.evaluate(environ, current)
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed
    response.headers["ETag"] = current.etag
    response.headers["Accept-Ranges"] = "bytes"
    if response.status_code == HTTPStatus.OK:
        response.headers["Content-Length"] = str(file.size)
    return response


def _passed(file: StoredObject, environ: WSGIEnvironment) -> dict[str, str]:
    """Return the request's conditions and range, as the store is to have them."""
    found = {
        name: environ[key]
        for name in _PASSED
        if (key := f"HTTP_{name.upper().replace('-', '_')}") in environ
    }
    if query.must_be_whole(file, environ):
        found.pop("Range", None)
    for etag in query.must_be_same(file, environ):
        found["If-Match"] = etag
    return found


def _length(answer: HTTPResponse) -> int | None:
    """Return the length of the body that is announced; that of HEAD is only in the header."""
    told = answer.getheader("Content-Length", "")
    if answer.status == HTTPStatus.NOT_MODIFIED or answer.chunked:
        return None
    return int(told) if re.fullmatch("[0-9]{1,18}", told) else None


def _check(answer: HTTPResponse, file: StoredObject) -> None:
    status = answer.status
    if status in _DELIVERED:
        return
    if status == HTTPStatus.NOT_FOUND:
        raise file.missing("the store does not have it.")
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        found = re.fullmatch(r"bytes \*/(\d{1,19})", answer.getheader("Content-Range", ""))
        raise RequestedRangeNotSatisfiable(int(found[1]) if found else file.size)
    raise StoreUnavailable(file.relative, file.root, f"it answers with {status}.")


def _read(answer: HTTPResponse, file: StoredObject) -> Iterator[bytes]:
    """Yield a body; raise where it ends too early, so that the server ends the connection."""
    from ...stores import client

    # None: the answer's own form shows its end, as chunks do.
    left: int | None = answer.length
    while data := client.read(answer, _PIECE, file.store, file.relative):
        left = None if left is None else left - len(data)
        yield data
    if left:
        reason = f"its answer ended early: {left} bytes are missing."
        raise StoreUnavailable(file.relative, file.root, reason)
