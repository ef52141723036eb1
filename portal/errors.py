"""Error pages: in the portal's layout, in words, with what to do."""

from __future__ import annotations

from flask import Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from flask_delegate import FileRefused

from . import database
from .extensions import CSRFError
from .formats import human_size
from .storage import ContentLostError, StorageFullError
from .uploads import takes_files

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
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(ContentLostError, _content_lost)
    app.register_error_handler(FileRefused, _content_lost)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    title, text = _WORDS.get(code, (error.name, error.description or ""))
    return _page(code, title, text), code, _kept_headers(error)


def _csrf_error(_error: CSRFError) -> ResponseReturnValue:
    text = (
        "The form did not come from a page of your present session, so nothing was done."
        " Go back, reload the page, and send the form again."
    )
    return _page(400, "The form has expired", text), 400


def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    if not takes_files():
        return _page(413, *_WORDS[413]), 413
    limit = human_size(current_app.config["MAX_CONTENT_LENGTH"])
    parts = current_app.config["MAX_FORM_PARTS"] - 1  # one is the form's token
    text = (
        f"The limit is {limit} and {parts} files at once, and nothing was kept."
        " Upload fewer files at a time, or make the file smaller."
    )
    return _page(413, "Too large", text), 413


def _storage_full(error: StorageFullError) -> ResponseReturnValue:
    current_app.logger.error("the disk is full: %s", error.__cause__ or error)
    return _page(507, *_WORDS[507]), 507


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


def _page(code: int, title: str, text: str) -> str:
    # After such an error, the database may not be there to ask who is signed in.
    anonymous = code in {500, 507}
    return render_template("error.html", title=title, text=text, anonymous=anonymous)


def _kept_headers(error: HTTPException) -> list[tuple[str, str]]:
    """Keep what belongs to a status, such as Allow to 405, but not the type of another page."""
    return [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
