"""Error pages: in the portal's layout, in words, with what to do."""

from __future__ import annotations

from flask import Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .extensions import CSRFError
from .formats import human_size
from .storage import StorageFullError

_WORDS = {
    400: ("Bad request", "The portal could not read what was sent. Go back and try again."),
    403: ("Not allowed", "You may not do this."),
    404: ("Not found", "There is nothing at this address, or it is not yours."),
    405: ("Not possible here", "This address does not take that kind of request."),
    413: ("Too large", "What was sent is larger than the portal takes."),
    500: (
        "Something went wrong",
        "The portal has made a note of it. Try again in a while; if it stays like this,"
        " tell whoever runs the portal.",
    ),
    507: (
        "No room left",
        "The portal's disk is full, and the upload was not kept. Delete files that you no longer"
        " need, or tell whoever runs the portal.",
    ),
}


def init_app(app: Flask) -> None:
    """Register the error pages."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(StorageFullError, _storage_full)


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
    limit = human_size(request.max_content_length or 0)
    parts = current_app.config["MAX_FORM_PARTS"] - 1  # one is the form's token
    text = (
        f"The limit is {limit} and {parts} files at once, and nothing was kept."
        " Upload fewer files at a time, or make the file smaller."
    )
    return _page(413, "Too large", text), 413


def _storage_full(error: StorageFullError) -> ResponseReturnValue:
    current_app.logger.error("an upload was refused: %s", error.__cause__)
    return _page(507, *_WORDS[507]), 507


def _page(code: int, title: str, text: str) -> str:
    # After an unexpected error, the database may not be there to ask who is signed in.
    return render_template("error.html", title=title, text=text, anonymous=code == 500)


def _kept_headers(error: HTTPException) -> list[tuple[str, str]]:
    """Keep what belongs to a status, such as Allow to 405, but not the type of another page."""
    return [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
