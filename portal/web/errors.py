"""Error pages: in the portal's layout, in words, with what to do."""

from __future__ import annotations

from math import ceil

from flask import Flask, Response, current_app, render_template, request
from flask.typing import ResponseReturnValue
from limits.errors import StorageError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from flask_delegate import FileRefused
from portal.core import database
from portal.files.entries import GoneError
from portal.files.quota import QuotaExceededError
from portal.files.uploads import takes_files
from portal.files.zips import BusyError
from portal.identity.current_user import current_account
from portal.identity.throttle import TooManyAttemptsError
from portal.storage.disk import ContentLostError, OverAllowanceError, StorageFullError

from .csrf import CSRFError
from .filters import human_size

_WORDS = {
    400: ("Bad request", "The portal could not read what was sent. Go back and try again."),
    403: ("Not allowed", "You may not do this."),
    404: ("Not found", "There is nothing at this address, or it is not yours."),
    405: ("Not possible here", "This address does not take that kind of request."),
    413: ("Too large", "What was sent is longer than this form takes, so nothing was done."),
    500: (
        "Something went wrong",
        "The portal has made a note of it. Try again in a while; if it stays like this,"
        " tell whoever runs the portal.",
    ),
    507: (
        "No room left",
        "The portal's disk is full, so this could not be done. Delete files that you no longer"
        " need, or tell whoever runs the portal.",
    ),
}


def init_app(app: Flask) -> None:
    """Register the error pages."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(StorageFullError, _storage_full)
    app.register_error_handler(TooManyAttemptsError, _too_many_attempts)
    app.register_error_handler(StorageError, _attempts_not_counted)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(QuotaExceededError, _over_quota)
    app.register_error_handler(OverAllowanceError, _over_allowance)
    app.register_error_handler(GoneError, _gone)
    app.register_error_handler(ObjectDeletedError, _deleted_meanwhile)
    app.register_error_handler(BusyError, _busy)
    app.register_error_handler(ContentLostError, _content_lost)
    app.register_error_handler(FileRefused, _content_lost)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    title, text = _WORDS.get(code, (error.name, error.description or ""))
    if _is_for_program() and type(error).description != error.description:
        text = error.description or ""  # it was written where it was raised
    return _page(code, title, text), code, _kept_headers(error)


def _csrf_error(_error: CSRFError) -> ResponseReturnValue:
    text = (
        "The form did not come from a page of your present session, so nothing was done."
        " Go back, reload the page, and send the form again."
    )
    return _page(400, "The form has expired", text), 400


def _too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    if _is_for_program():
        return _http_error(error)
    if not takes_files():
        return _page(413, *_WORDS[413]), 413
    limit = human_size(current_app.config["MAX_CONTENT_LENGTH"])
    parts = current_app.config["MAX_FORM_PARTS"] - 1  # one is the form's token
    text = (
        f"The limit is {limit} and {parts} files at once, and nothing was kept."
        " Upload fewer files at a time, or make the file smaller."
    )
    return _page(413, "Too large", text), 413


def _over_quota(error: QuotaExceededError) -> ResponseReturnValue:
    text = (
        f"You may have {human_size(error.quota)}, and {human_size(error.used)} of it are used, the"
        " trash included. So this could not be kept whole. Delete files that you no longer need and"
        " empty the trash, or ask whoever runs the portal for more."
    )
    return _page(413, "Not enough of your storage left", text), 413


def _over_allowance(_error: OverAllowanceError) -> ResponseReturnValue:
    return _over_quota(QuotaExceededError.of(current_account()))


def _gone(_error: GoneError) -> ResponseReturnValue:
    return _page(404, *_WORDS[404]), 404


def _deleted_meanwhile(_error: ObjectDeletedError) -> ResponseReturnValue:
    # Perhaps the account that asks, so that the page must not look for it.
    return _page(404, *_WORDS[404], anonymous=True), 404


def _busy(_error: BusyError) -> ResponseReturnValue:
    text = (
        "As many ZIPs as the portal makes at once are being made. Try again in a minute, or"
        " download the files one by one."
    )
    return _page(503, "Not possible just now", text, anonymous=False), 503, {"Retry-After": "60"}


def _storage_full(error: StorageFullError) -> ResponseReturnValue:
    current_app.logger.error("the disk is full: %s", error.__cause__ or error)
    return _page(507, *_WORDS[507]), 507


def _too_many_attempts(error: TooManyAttemptsError) -> ResponseReturnValue:
    minutes = ceil(error.retry_after / 60)
    text = (
        "There were too many attempts that failed, for this name or from your network."
        f" Try again in {minutes} minute{'' if minutes == 1 else 's'}."
    )
    headers = {"Retry-After": str(error.retry_after)}
    return _page(429, "Too many attempts", text), 429, headers


def _attempts_not_counted(error: StorageError) -> ResponseReturnValue:
    # Who could go on trying without being counted would find any password.
    current_app.logger.error("attempts to sign in cannot be counted: %s", error.storage_error)
    text = (
        "The portal cannot count attempts to sign in, so it lets nobody try. Try again in a while;"
        " if it stays like this, tell whoever runs the portal."
    )
    return _page(503, "Not possible just now", text), 503


def _database_error(error: OperationalError) -> ResponseReturnValue:
    if not database.is_full(error):
        raise error
    current_app.logger.error("the disk is full: %s", error.orig)
    return _page(507, *_WORDS[507]), 507


def _content_lost(error: ContentLostError | FileRefused) -> ResponseReturnValue:
    # Only somebody who may have the file gets here, so that its loss may be told.
    public_id = (request.view_args or {}).get("public_id")
    current_app.logger.error("the content of %.100r is lost: %r", public_id, error)
    text = (
        "The portal knows this file, but its content is missing or damaged."
        " Tell whoever runs the portal."
    )
    return _page(500, "This file is lost", text), 500


def _is_for_program() -> bool:
    """Tell whether a program asked that uploads in pieces; it shows the text itself."""
    return request.blueprint == "tus"


def _page(code: int, title: str, text: str, anonymous: bool | None = None) -> str | Response:
    if _is_for_program():
        return Response(f"{text}\n", mimetype="text/plain")
    # After such an error, the database may not be there to ask who is signed in.
    anonymous = code >= 500 if anonymous is None else anonymous
    return render_template("error.html", title=title, text=text, anonymous=anonymous)


def _kept_headers(error: HTTPException) -> list[tuple[str, str]]:
    """Keep what belongs to a status, such as Allow to 405, but not the type of another page."""
    return [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
