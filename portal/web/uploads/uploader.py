"""Who sends an upload in pieces, and what they may do: a member, or a visitor by a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from flask import abort, request

from portal.core.language import gettext, lazy_gettext
from portal.core.models import Account, FileRequest, Folder, Upload
from portal.files import entries, names
from portal.files.entries import GoneError
from portal.files.policy import may
from portal.files.quota import QuotaExceededError
from portal.identity.current_user import current_account, signed_in_account
from portal.sharing import arrivals, visitor
from portal.sharing.room import LimitReachedError, TooManyError
from portal.sharing.status import Status, status_of
from portal.tus import uploads
from portal.tus.uploads import Visit
from portal.web.loaders import entry_of, find_entry
from portal.web.sharing.link_entry import find_entered
from portal.web.sharing.upload_page import explain

GONE = lazy_gettext("This upload does not exist any more. Start it again.")
IN_TRASH = lazy_gettext(
    "The folder is in the trash. Restore it, and then retry: what has arrived is kept."
)
_NOT_ENTERED = lazy_gettext("Open the link that you were sent again, and then retry.")
_NOT_ACCEPTED = lazy_gettext("Open the link again and accept the terms, and then retry.")
_NO_NAME = lazy_gettext("Open the link again and enter your name, and then retry.")


class Target(NamedTuple):
    """Where an upload goes, whose it will be, and by whom it comes if that is a visitor."""

    account: Account
    folder: Folder
    visit: Visit | None


def target_of(metadata: Mapping[str, str]) -> Target:
    """Return the target that a client names in its metadata, or abort."""
    if link_id := metadata.get("request"):
        wanted = find_entered(FileRequest, link_id) or abort(404, _NOT_ENTERED)
        _check_visit(wanted)
        return Target(wanted.owner, wanted.folder, Visit(wanted, visitor.visitor_id()))
    check_signed_in()
    account = current_account()
    if folder_id := metadata.get("folder"):
        return Target(account, find_entry(Folder, folder_id, "add") or _refuse(folder_id), None)
    return Target(account, entries.root_folder(account.id), None)


def upload_or_404(public_id: str, *, cancels: bool = False) -> Upload:
    """Return the upload that this request may go on with, or abort.

    :param cancels: to cancel it, which its owner may always do.
    """
    upload = uploads.find(public_id)
    if upload and _is_visitors(upload):
        if not (cancels or upload.finished_at or upload.request is None):
            _check_visit(upload.request)
        return upload
    if signed_in_account() is None and _is_of_another_visitor(upload):
        abort(404, GONE)
    check_signed_in()
    if upload is None or upload.owner_id != current_account().id:
        abort(404, GONE)
    if cancels or upload.finished_at:
        return upload
    if upload.request_id:
        abort(404, GONE)
    return upload if may(current_account(), "add", upload.folder) else abort(403, IN_TRASH)


def check_signed_in() -> None:
    """Abort with 401 unless somebody is signed in: whom the page shows, where it says so.

    What another account may not see, it would take for gone, and forget how far it was.
    """
    account, page_of = signed_in_account(), unquote(request.headers.get("X-Account", ""))
    if account is None:
        abort(401, gettext("You are signed out. Sign in again, and then resume the upload."))
    if page_of not in {"", account.name}:
        said = gettext(
            "%(name)s is signed in now. Sign in as %(other)s, and then resume.",
            name=account.name,
            other=page_of,
        )
        abort(401, said)


def refuse_visitor(
    link: FileRequest, error: LimitReachedError | QuotaExceededError | GoneError | TooManyError
) -> NoReturn:
    """Abort with what a visitor may know of a limit, or of a link that has ended meanwhile."""
    _check_open(link)
    if isinstance(error, GoneError):  # the folder is back by now
        raise error
    if isinstance(error, TooManyError):
        said = gettext("Too many others are sending by this link now. Try again in an hour.")
        abort(429, said)
    abort(413, explain(link, error))


def other_path(wanted: Sequence[str], stored: Sequence[str]) -> str:
    """Return the path that a file or folder got, or "" if that is the one that was wanted."""
    is_there = len(wanted) == len(stored)  # folders may have been moved since
    return "" if not is_there or all(map(names.is_kept, wanted, stored)) else "/".join(stored)


def _refuse(folder_id: str) -> NoReturn:
    """Abort as a folder is in the trash, or seems not to exist."""
    mine = entry_of(current_account().id, folder_id)
    if mine and mine.trash_id:
        abort(403, IN_TRASH)
    abort(404)


def _is_visitors(upload: Upload) -> bool:
    """Return whether this visitor began an upload, by a link that they have entered."""
    link = upload.request
    return link is not None and visitor.has_entered(link) and upload.visitor == visitor.visitor_id()


def _is_of_another_visitor(upload: Upload | None) -> bool:
    """Return whether a visitor asks for an upload of another one, or of their own lost cookie."""
    if upload is None:
        return visitor.has_entered_any()
    return upload.request is not None and visitor.has_entered(upload.request)


def _check_visit(link: FileRequest) -> None:
    _check_open(link)
    if not visitor.has_accepted(link):
        abort(403, _NOT_ACCEPTED)
    try:
        arrivals.check_name(link, visitor.visitor_id())
    except arrivals.NameMissingError:
        abort(403, _NO_NAME)


def _check_open(link: FileRequest) -> None:
    if status_of(link) not in {Status.OPEN, Status.USED_UP}:
        said = gettext(
            "This link does not work any more. Ask %(owner)s for another one.",
            owner=link.owner.name,
        )
        abort(410, said)
