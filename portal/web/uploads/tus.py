"""Uploads in pieces, for programs: tus 1.0 with creation, creation-with-upload, expiration,
checksum and termination. Errors are a sentence of plain text, for the program to show.
"""  # noqa: D205

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import BinaryIO, cast
from urllib.parse import quote

from flask import Blueprint, Response, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.http import http_date

from portal.core.language import gettext
from portal.core.models import FileRequest, Upload
from portal.files import entries, quota, unfinished
from portal.files.uploads import LONGEST_FORM, UploadRequest
from portal.identity.current_user import signed_in_account
from portal.sharing import room, visitor
from portal.storage.incoming import OverAllowanceError
from portal.storage.parts import PartFile
from portal.tus import headers, pieces, uploads
from portal.tus.announced import Announced
from portal.tus.headers import Checksum
from portal.web.csrf import masked_token
from portal.web.filters import human_limit
from portal.web.forms import csrf

from . import answers
from .uploader import GONE, other_path, refuse_visitor, target_of, upload_or_404

tus = Blueprint("tus", __name__)

_OF_LIMITS = (
    *(room.LimitReachedError, room.TooManyError),
    *(quota.QuotaExceededError, entries.GoneError),
)
"""Errors of which a visitor hears something else."""
_LONGEST_NAME = 4096
"""Bytes of a header: web servers take 8 KiB for each, or for all of a response."""


for _error in answers.OF_ERRORS:
    tus.register_error_handler(_error, answers.of_error)


@tus.before_request
def check_version() -> None:
    """Refuse other versions of the protocol."""
    cast("UploadRequest", request).read_to_the_end()
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != headers.VERSION:
        abort(412, f"Uploads in pieces need the header Tus-Resumable: {headers.VERSION}.")


@tus.after_app_request
def tell_version(response: Response) -> Response:
    """Name the protocol's version on each answer to who speaks it."""
    if request.blueprint != tus.name and "Tus-Resumable" not in request.headers:
        return response
    response.headers["Tus-Resumable"] = headers.VERSION
    if request.method == "OPTIONS" or response.status_code == 412:
        response.headers["Tus-Version"] = headers.VERSION
    return response


@tus.route("/uploads/", methods=["OPTIONS"])
@tus.route("/uploads/<public_id>", methods=["OPTIONS"])
def describe(public_id: str = "") -> ResponseReturnValue:  # noqa: ARG001  (the same for each)
    """Return what is supported of the protocol, and the form's token of who may upload.

    A page that was loaded in another session, which has ended, needs a token of the present one,
    and whose that is.
    """
    algorithms = ",".join(headers.ALGORITHMS)
    said = {"Tus-Extension": headers.EXTENSIONS, "Tus-Checksum-Algorithm": algorithms}
    if (account := signed_in_account()) or visitor.has_entered_any():
        said["X-CSRFToken"] = masked_token()
    if account:
        said["X-Account"] = quote(account.name)
    return "", 204, said


# The form's token is in a header here. To look for it in the body would read the upload.
@tus.post("/uploads/")
@csrf.exempt  # type: ignore[untyped-decorator]
def create() -> ResponseReturnValue:
    """Create an upload, and take its first piece if that comes along."""
    encoded = request.headers.get("Upload-Metadata", "")
    metadata = headers.parse_metadata(encoded)
    target = target_of(metadata)
    _admit()
    length = headers.parse_number("Upload-Length", request.headers.get("Upload-Length"))
    _check_piece(length)  # before it has an upload
    announced = Announced(metadata.get("filename", ""), length, encoded)
    with _refusing(target.visit and target.visit.request):
        upload = uploads.create(target.account, target.folder, announced, target.visit)
    said = {"Location": url_for("tus.add", public_id=upload.public_id)}
    if upload.finished_at or length == 0 or _has_body():
        # Asked again after an answer that was lost, it has what came then.
        there = _arrived(upload)
        try:
            said["Upload-Offset"] = str(there) if there or not length else _take_piece(upload, 0)
        except pieces.FinishedError:
            said["Upload-Offset"] = str(length)
        except pieces.WrongChecksumError:
            uploads.remove(upload)  # the answer does not say where it is
            raise
    return "", 201, said | _expiry(upload) | _other_name(upload)


@tus.post("/uploads/folders/")
@csrf.exempt  # type: ignore[untyped-decorator]
def create_folders() -> ResponseReturnValue:
    """Create the folders of a ``relativePath`` that ends in a slash: those that hold no file.

    No upload would create them. By a link, one counts as a file.
    """
    encoded = request.headers.get("Upload-Metadata", "")
    target = target_of(headers.parse_metadata(encoded))
    _admit()
    link, path = target.visit and target.visit.request, headers.folders_of(encoded)
    with _refusing(link), room.counted(link, 0) if link else nullcontext():
        entries.make_path(target.folder, path)
    return "", 201, {} if link else _stored_name(path, entries.names_on(target.folder, path))


@tus.route("/uploads/<public_id>", methods=["PATCH"])
@csrf.exempt  # type: ignore[untyped-decorator]
def add(public_id: str) -> ResponseReturnValue:
    """Take the next piece."""
    upload = upload_or_404(public_id)
    _admit()
    start = headers.parse_number("Upload-Offset", request.headers.get("Upload-Offset"))
    if upload.finished_at:
        abort(409, answers.COMPLETE)
    said = {"Upload-Offset": _take_piece(upload, start)}
    return "", 204, said | _expiry(upload) | _other_name(upload)


# mod_wsgi may hand a HEAD on as a GET: see its WSGIMapHEADToGET.
@tus.get("/uploads/<public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Return how much has arrived."""
    upload = upload_or_404(public_id)
    said = {"Upload-Offset": str(_arrived(upload)), "Upload-Length": str(upload.size)} | _expiry(
        upload
    )
    if upload.client_metadata:
        said["Upload-Metadata"] = upload.client_metadata
    return "", 200, said | _other_name(upload)


@tus.delete("/uploads/<public_id>")
@csrf.exempt  # type: ignore[untyped-decorator]
def terminate(public_id: str) -> ResponseReturnValue:
    """Cancel an upload."""
    upload = upload_or_404(public_id, cancels=True)
    _admit()
    uploads.cancel(upload)
    return "", 204


def _admit() -> None:
    """Let only pages of the browser's own session change something, as for forms."""
    is_piece = request.method == "PATCH" or _has_body()
    if is_piece and request.mimetype != headers.CONTENT_TYPE:
        abort(415, f"Uploads in pieces need the header Content-Type: {headers.CONTENT_TYPE}.")
    most = int(current_app.config["MAX_CONTENT_LENGTH"])
    if (request.content_length or 0) > most:
        said = gettext(
            "A piece can have at most %(most)s. Send the file in smaller pieces.",
            most=human_limit(most),
        )
        abort(413, said)
    request.max_content_length = most + LONGEST_FORM
    csrf.protect()


def _has_body() -> bool:
    return bool(request.content_length or request.headers.get("Transfer-Encoding"))


@contextmanager
def _refusing(link: FileRequest | None) -> Iterator[None]:
    """Tell a visitor of a limit what a visitor may know of it."""
    try:
        yield
    except _OF_LIMITS as error:
        if link:
            refuse_visitor(link, error)
        raise


def _opened_or_404(upload: Upload) -> PartFile:
    try:
        return pieces.opened(upload)
    except FileNotFoundError:
        uploads.remove(upload)
        abort(404, GONE)


def _expiry(upload: Upload) -> dict[str, str]:
    """Return the header that says when an upload expires; none if it is complete."""
    return {} if upload.finished_at else {"Upload-Expires": http_date(unfinished.expiry(upload))}


def _other_name(upload: Upload) -> dict[str, str]:
    """Return the header that says where else a complete file is, or under which other name."""
    if upload.finished_at is None or upload.request_id:
        return {}
    filename = headers.parse_metadata(upload.client_metadata).get("filename", "")
    path = headers.folders_of(upload.client_metadata)
    stored = entries.names_on(upload.folder, path)
    return _stored_name([*path, filename], [*stored, upload.name])


def _stored_name(wanted: Sequence[str], stored: Sequence[str]) -> dict[str, str]:
    """Return the header that names a path, unless that is the one that was wanted; not to visitors.

    They would learn from a number in it what there is already.
    """
    path = other_path(wanted, stored)
    if len(quote(path)) > _LONGEST_NAME:
        path = f"…/{stored[-1]}"
    return {"Stored-Name": quote(path)} if path else {}


def _arrived(upload: Upload) -> int:
    """Return how many bytes have arrived; where that is all, the upload is complete then."""
    size = upload.size
    if upload.finished_at:
        return size
    try:
        if (acknowledged := pieces.acknowledged(upload)) is not None:
            return acknowledged
        with _opened_or_404(upload) as part:
            there = part.size
            # The request that brought the last piece may have been killed before its end.
            if there == size:
                _finish(upload, part)
    except pieces.FinishedError:
        return size
    return there


def _check_piece(size: int, start: int = 0) -> Checksum | None:
    """Check what the headers say of a piece, and return its checksum, if it has one."""
    if (request.content_length or 0) > size - start:
        answers.refuse_more(size)
    written = request.headers.get("Upload-Checksum")
    return headers.parse_checksum(written) if written else None


def _take_piece(upload: Upload, start: int) -> str:
    """Take what this request brings, and return how much is there then."""
    with _opened_or_404(upload) as part:
        # This comes first: after a lost connection, browsers may send a request again by
        # themselves.
        if start != part.size:
            raise pieces.WrongOffsetError
        checksum = _check_piece(upload.size, start)
        link, size = upload.request, upload.size
        try:
            with _refusing(link):
                pieces.check_room(upload, request.content_length or 0)  # much may have come since
                pieces.append(upload, part, cast("BinaryIO", request.stream), checksum)
        except OverAllowanceError:
            answers.refuse_more(size)
        there = part.size
        if there == upload.size:
            _finish(upload, part)
    return str(there)


def _finish(upload: Upload, part: PartFile) -> None:
    with _refusing(upload.request):
        pieces.finish(upload, part)
