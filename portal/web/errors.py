"""Error pages: what is wrong, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import Any

from flask import Flask, Response, current_app, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from limits.errors import StorageError
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm.exc import ObjectDeletedError
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    SecurityError,
)

from flask_delegate import FileRefused, StoreUnavailable
from portal.activity.record import NotRecordedError
from portal.core import database, starting
from portal.core.language import gettext, lazy_gettext, ngettext
from portal.files import unfinished
from portal.files.entries import GoneError
from portal.files.quota import QuotaExceededError
from portal.files.uploads import announced_size, takes_files
from portal.identity.current_user import current_account, signed_in_account
from portal.identity.throttle import TooManyAttemptsError
from portal.sharing.visitor import has_entered_any
from portal.storage.base import ContentLostError, StoreAwayError
from portal.storage.incoming import OverAllowanceError, StorageFullError

from . import stale_forms
from .account import sign_in
from .csrf import ForeignOriginError, lacks_cookie
from .edge import FieldTooLongError, UnusableTextError
from .filters import human_limit, human_need, human_size
from .flashes import list_names, shorten
from .next_page import next_page, page_of_form
from .places import BusyError

_TOO_LARGE, _DISK_FULL = lazy_gettext("Too large"), lazy_gettext("Disk full")
_WORDS = {
    400: (
        lazy_gettext("Bad request"),
        lazy_gettext("The portal could not read the request. Go back and try again."),
    ),
    403: (lazy_gettext("Not allowed"), lazy_gettext("Only administrators can open this page.")),
    404: (
        lazy_gettext("Not found"),
        lazy_gettext("There is nothing at this address, or it is not yours."),
    ),
    405: (
        lazy_gettext("Method not allowed"),
        lazy_gettext("This address does not accept this kind of request."),
    ),
    413: (
        _TOO_LARGE,
        lazy_gettext("The request is larger than this form accepts. Nothing was changed."),
    ),
    500: (
        lazy_gettext("Something went wrong"),
        lazy_gettext(
            "The error was logged. Try again later. If it happens again, tell whoever runs the"
            " portal."
        ),
    ),
    507: (
        _DISK_FULL,
        lazy_gettext(
            "The portal's disk is full. Delete files that you no longer need, empty the trash and"
            " delete versions there, or tell whoever runs the portal."
        ),
    ),
}
_FULL_FOR_VISITORS = lazy_gettext(
    "The portal's disk is full. Tell whoever sent you the link. Try again later."
)
_FOR_VISITORS = {"upload_page", "share_page"}
_SIGN_IN = {"auth.sign_in", "auth.enter_code"}
"""Forms that are shown anew where they have expired."""
_BUSY = lazy_gettext(
    "The portal is busy with something else. Nothing was changed. Try again in a minute."
)
_IN_DOUBT = lazy_gettext(
    "The database has not answered, so the portal does not know whether this was done. Look in a"
    " minute before you try again."
)
_UNCHECKED = {"static", "health.healthz"}
"""Endpoints that answer also while a database could not be checked."""


def init_app(app: Flask) -> None:
    """Register the error pages, and the one that stands for all others until a start is over."""
    app.before_request(_refuse_unchecked)
    for error, handler in _HANDLERS.items():
        app.register_error_handler(error, handler)


def _refuse_unchecked() -> ResponseReturnValue | None:
    if request.endpoint in _UNCHECKED or starting.is_checked():
        return None
    return _try_later(_BUSY)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    title, text = _WORDS.get(code, (error.name, error.description or ""))
    if _is_for_program() and type(error).description != error.description:
        text = error.description or ""  # written for this error
    # Headers that belong to a status, such as Allow to 405, but not the type of Werkzeug's page.
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return _page(code, title, text, headers=headers)


def _too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    if _is_for_program() or not takes_files():
        return _http_error(error)
    limit = human_limit(current_app.config["MAX_CONTENT_LENGTH"])
    files = current_app.config["MAX_FORM_PARTS"] - 1  # one is the form's token
    text = ngettext(
        "The limit is %(limit)s and %(num)s file at once. No file was stored. Upload fewer or"
        " smaller files.",
        "The limit is %(limit)s and %(num)s files at once. No file was stored. Upload fewer or"
        " smaller files.",
        files,
        limit=limit,
    )
    return _page(413, _TOO_LARGE, text)


def _over_quota(error: QuotaExceededError) -> ResponseReturnValue:
    limit, *cure = _cure(error)
    sent = list(_sent(error))
    # The tray has shown what was sent, so the limit comes first there.
    said = [limit, *sent, *cure] if _is_for_program() else [*sent, limit, *cure]
    return _page(413, gettext("Quota exceeded"), " ".join(said))


def _cure(error: QuotaExceededError) -> Iterator[str]:
    """Return which limit refused an upload, and what makes room; to delete is not always enough."""
    usage = error.usage
    used, quota = human_size(usage.used), human_limit(usage.quota)
    if error.is_beyond_all:
        yield gettext(
            "This needs more than all the space that your account has: %(quota)s. Send less, or"
            " ask an administrator for more.",
            quota=quota,
        )
    elif usage.waiting:
        names = list_names([one.name for one in unfinished.of_owner(error.account)])
        yield gettext(
            "You have used %(used)s of your %(quota)s, including the trash, versions and"
            " %(waiting)s for what is not uploaded completely (%(names)s).",
            used=used,
            quota=quota,
            waiting=human_size(usage.waiting),
            names=names,
        )
        yield gettext(
            "Delete files that you no longer need, empty the trash and delete versions there,"
            " cancel unfinished uploads, or ask an administrator for more."
        )
    else:
        yield gettext(
            "You have used %(used)s of your %(quota)s, including the trash and versions.",
            used=used,
            quota=quota,
        )
        yield gettext(
            "Delete files that you no longer need, empty the trash and delete versions there, or"
            " ask an administrator for more."
        )


def _sent(error: QuotaExceededError) -> Iterator[str]:
    """Return how much room there is, and what became of what a plain form sent.

    The tray shows that by itself.
    """
    size, room = request.content_length, human_limit(error.usage.free)
    if _is_for_program():
        yield gettext("There is room for %(room)s.", room=room)
        return
    if size:
        sent = human_need(size)
        yield gettext("You sent %(sent)s, and there is room for %(room)s.", sent=sent, room=room)
    else:
        yield gettext("There is room for %(room)s.", room=room)
    yield gettext("The rest was not stored.") if error.stored else gettext("Nothing was stored.")


def _not_written(error: DBAPIError) -> ResponseReturnValue:
    if database.is_full(error):
        return _disk_full(error)
    if not database.is_away(error):
        raise error
    current_app.logger.warning("the database is locked or away: %s", error.orig)
    return _try_later(_IN_DOUBT if database.is_in_doubt(error) else _BUSY)


def _not_storable(error: DataError) -> ResponseReturnValue:
    # What a database cannot hold, such as a number that is too large, was in the request.
    current_app.logger.warning("refused by the database: %s", error.orig)
    return _page(400, anonymous=True)


def _disk_full(error: StorageFullError | DBAPIError) -> ResponseReturnValue:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    current_app.logger.error("the disk is full: %s", cause)
    if request.blueprint in _FOR_VISITORS or (_is_for_program() and "_user_id" not in session):
        return _page(507, _DISK_FULL, _FULL_FOR_VISITORS)
    return _page(507)


def _too_many_attempts(error: TooManyAttemptsError) -> ResponseReturnValue:
    minutes = ceil(error.retry_after / 60)
    by_link = ngettext(
        "Too many attempts have failed for this link or from your network. Try again in %(num)s"
        " minute.",
        "Too many attempts have failed for this link or from your network. Try again in %(num)s"
        " minutes.",
        minutes,
    )
    by_name = ngettext(
        "Too many attempts have failed for this name or from your network. Try again in %(num)s"
        " minute.",
        "Too many attempts have failed for this name or from your network. Try again in %(num)s"
        " minutes.",
        minutes,
    )
    return _page(
        429,
        gettext("Too many attempts"),
        by_link if request.blueprint in _FOR_VISITORS else by_name,
        headers={"Retry-After": str(error.retry_after)},
    )


def _attempts_not_counted(error: StorageError) -> ResponseReturnValue:
    # Attempts that are not counted would let anybody guess any password.
    current_app.logger.error("attempts to sign in cannot be counted: %s", error.storage_error)
    text = gettext(
        "The portal cannot limit attempts to sign in, so it accepts none. Try again later. If it"
        " happens again, tell whoever runs the portal."
    )
    return _try_later(text)


def _try_later(text: str, *, anonymous: bool = True) -> ResponseReturnValue:
    return _page(
        503, gettext("Try again later"), text, anonymous=anonymous, headers={"Retry-After": "60"}
    )


def _store_away(error: StoreAwayError | StoreUnavailable) -> ResponseReturnValue:
    current_app.logger.error("the store of the files: %s", error)
    text = gettext(
        "The portal cannot reach the store of its files now. Nothing was changed. Try again in a"
        " minute. If it happens again, tell whoever runs the portal."
    )
    return _try_later(text, anonymous=False)


def _content_lost(error: ContentLostError | FileRefused) -> ResponseReturnValue:
    # Only who may read the file gets here, so the page may say that it existed.
    public_id = (request.view_args or {}).get("public_id")
    current_app.logger.error("the content of %.100r is lost: %r", public_id, error)
    text = gettext("Its content is missing or damaged. Tell whoever runs the portal.")
    return _page(500, gettext("File lost"), text)


def _gone(error: GoneError) -> ResponseReturnValue:
    name = shorten(error.name)
    if request.blueprint == "trash":
        text = gettext(
            "It is not in the trash any more: it was restored or deleted permanently, perhaps in"
            " another tab."
        )
    elif name:
        text = gettext(
            "%(name)s is not here any more: it was moved to the trash or deleted, perhaps in"
            " another tab.",
            name=name,
        )
    else:
        text = gettext(
            "What you selected is not here any more: it was moved to the trash or deleted, perhaps"
            " in another tab."
        )
    return _page(404, gettext("Not here any more"), text, back=_way_back(error))


def _way_back(error: GoneError) -> str | None:
    """Return the page to go on with: of the form, or the folder that something was in."""
    if request.blueprint == "trash":
        return url_for("trash.show")
    if asked := next_page(""):
        return asked
    if error.folder:
        return url_for("folders.show", public_id=error.folder)
    page = page_of_form()
    return None if page == request.path else page


def _expired(_error: CSRFError) -> ResponseReturnValue:
    if lacks_cookie():
        text = gettext(
            "The portal's cookie is for HTTPS only, and this form came by HTTP, so nothing was"
            " changed. Open the portal by https://. If you did, the proxy in front of it hides"
            " that: have it send X-Forwarded-Proto, and set PORTAL_PROXIES."
        )
        return _page(400, gettext("No session"), text)
    if _is_for_program():
        text = gettext(
            "The token belongs to another session. Ask for the present one, and try again."
        )
        return _page(400, gettext("Another session"), text)
    if request.endpoint not in _SIGN_IN:
        return stale_forms.answer()
    if current_app.config["SESSION_COOKIE_NAME"] not in request.cookies:
        text = gettext(
            "The browser sent no cookie of the portal, so you are not signed in. Go back and reload"
            " the page. If it happens again, allow cookies for this address."
        )
        return _page(400, gettext("No session"), text)
    return sign_in.show_anew()


def _unknown_host(_error: SecurityError) -> ResponseReturnValue:
    # Nothing has an address at this host, so no page can link to anything.
    text = "The portal is not known by this host name. Add it to PORTAL_TRUSTED_HOSTS if it is."
    return Response(f"{text}\n", mimetype="text/plain", status=400)


_HANDLERS: dict[type[Exception], Callable[[Any], ResponseReturnValue]] = {
    HTTPException: _http_error,
    # Nobody is there to read a page, and a thousand may hang up at the same moment.
    ClientDisconnected: lambda _: Response(status=400),
    ForeignOriginError: lambda error: _page(
        400, gettext("The form comes from elsewhere"), error.description
    ),
    CSRFError: _expired,
    SecurityError: _unknown_host,
    UnusableTextError: lambda error: _page(400, gettext("Bad request"), error.description),
    FieldTooLongError: lambda error: _page(413, _TOO_LARGE, error.description),
    RequestEntityTooLarge: _too_large,
    QuotaExceededError: _over_quota,
    OverAllowanceError: lambda _: _over_quota(
        QuotaExceededError(current_account(), announced_size())
    ),
    GoneError: _gone,
    # It may be the account of this session, so the page must not look for it.
    ObjectDeletedError: lambda _: _page(404, anonymous=True),
    BusyError: lambda _: _try_later(
        gettext(
            "The portal is sending as many ZIPs and other long answers as it can, or as many of"
            " yours as it may. Try again in a minute, or when one of yours has ended. Files can be"
            " downloaded one by one meanwhile."
        ),
        anonymous=False,
    ),
    NotRecordedError: lambda _: _try_later(
        gettext(
            "The portal cannot record downloads now, so it allows none. Try again in a minute. If"
            " it happens again, tell whoever runs the portal."
        )
    ),
    StorageFullError: _disk_full,
    **dict.fromkeys(database.AWAY, _not_written),
    DataError: _not_storable,
    TooManyAttemptsError: _too_many_attempts,
    StorageError: _attempts_not_counted,
    ContentLostError: _content_lost,
    StoreAwayError: _store_away,
    StoreUnavailable: _store_away,
    FileRefused: _content_lost,
}


def _is_for_program() -> bool:
    """Return whether a program or script sent the request, which shows the text itself."""
    return request.blueprint in {"tus", "group_uploads"}


def _page(
    code: int,
    title: str = "",
    text: str = "",
    *,
    anonymous: bool | None = None,
    headers: Mapping[str, str] | None = None,
    back: str | None = None,
) -> ResponseReturnValue:
    """Return the page of an error, with the usual words of its status if none are given.

    :param back: a page to go back to.
    """
    title, text = (title, text) if title else _WORDS[code]
    if _is_for_program():
        return Response(f"{text}\n", mimetype="text/plain"), code, headers or {}
    # After a server error, the database may not be there to ask who is signed in.
    anonymous = code >= 500 if anonymous is None else anonymous
    if not anonymous:
        signed_in_account()  # who decides which language the page is in
    values = {"title": title, "text": text, "anonymous": anonymous, "has_files": not _is_visitor()}
    return render_template("error.html", back=back, **values), code, headers or {}


def _is_visitor() -> bool:
    """Return whether a visitor reads the page, by a link; the database may not be there to ask."""
    by_link = request.blueprint in _FOR_VISITORS or has_entered_any()
    return by_link and "_user_id" not in session
