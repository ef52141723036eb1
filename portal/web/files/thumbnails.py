"""Thumbnails on pages: where they are, and how they are handed over."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from flask import Blueprint, Flask, Response, request, url_for

from flask_delegate import Handoff, delegated
from portal.core.database import db
from portal.core.models import Share, StoredFile
from portal.files import thumbnails as made
from portal.files.thumbnail_maker import current_maker
from portal.files.thumbnails import Wanted
from portal.identity.current_user import require_sign_in, session_key
from portal.storage.content import current_storage
from portal.web.loaders import find_entry

thumbnails = Blueprint("thumbnails", __name__)

_KEPT = 30 * 24 * 60 * 60
"""Seconds for which a browser keeps one by an address that names its content."""
_SOON = "1"
"""Seconds after which a page may ask again."""


class Row(Protocol):
    """What a list has of an entry."""

    @property
    def public_id(self) -> str: ...  # noqa: D102
    @property
    def mimetype(self) -> str | None: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def storage_key(self) -> str | None: ...  # noqa: D102


def init_app(app: Flask) -> None:
    """Let templates ask whether and where an entry has a thumbnail."""
    app.add_template_test(has_thumbnail, "with_thumbnail")
    app.add_template_global(thumbnail_url)


def has_thumbnail(mimetype: str | None, size: int) -> bool:
    """Return whether it is worthwhile to show a thumbnail for a file; it may still have none."""
    return made.is_possible(mimetype, size) and current_maker().is_on


def thumbnail_url(entry: Row, share: Share | None = None) -> str | None:
    """Return the address of an entry's thumbnail; none for what has none.

    It names the content, so that browsers keep the picture for as long as they like.

    :param share: the link by which a visitor sees it.
    """
    if not (entry.storage_key and has_thumbnail(entry.mimetype, entry.size)):
        return None
    content = _name_of(entry.storage_key)
    if share:
        return url_for(
            "share_page.thumbnail",
            public_id=share.public_id,
            entry_id=entry.public_id,
            content=content,
        )
    return url_for("thumbnails.show", public_id=entry.public_id, content=content)


def find_wanted(public_id: str) -> Wanted | None:
    """Find the file whose thumbnail this request asks for, if it may have one."""
    if not current_maker().is_on:
        return None
    wanted = made.find_own(session_key(), public_id)
    if wanted is None:
        require_sign_in()
        file = find_entry(StoredFile, public_id, "read")
        return wanted_of(file) if file else None
    return wanted if wanted.is_possible else None


def wanted_of(file: StoredFile) -> Wanted | None:
    """Return what is wanted of a file that somebody may see; none if it has no thumbnail."""
    wanted = Wanted.of(file.storage_key) if current_maker().is_on else None
    return wanted if wanted and wanted.is_possible else None


@thumbnails.get("/files/<public_id>/thumbnail")
@delegated(find_wanted, conceal=True)
def show(wanted: Wanted, public_id: str) -> Handoff | Response:  # noqa: ARG001  (find_wanted's)
    """Hand over a thumbnail, or say that it is being made."""
    return hand_over(wanted)


def hand_over(wanted: Wanted) -> Handoff | Response:
    """Return the hand-off of a thumbnail, which is not recorded; or 202, if it is being made.

    Nobody downloads it: it is shown beside the name, which is not recorded, either.
    """
    storage = current_storage()
    if wanted.key and not storage.holds(wanted.key, wanted.made or 0):
        made.forget_lost(wanted.key)
        wanted = replace(wanted, tried=None, key=None)
    if wanted.key is None:
        db.session.rollback()  # while it waits, it holds no connection
        if current_maker().ask(wanted.content_key, wanted.owner_id):
            wanted = Wanted.of(wanted.content_key) or wanted
    if wanted.key is None:
        # 404 would be the end of it. As nothing failed, it is no error for a server's log.
        headers = {"Retry-After": _SOON, "Cache-Control": "no-store"}
        return Response(status=404 if wanted.tried else 202, headers=headers)
    names_content = request.args.get("content") == _name_of(wanted.content_key)
    return Handoff(
        storage.path(wanted.key),
        area=storage.area(wanted.key),
        size=wanted.made,
        as_attachment=False,
        download_name="thumbnail.webp",
        mimetype="image/webp",
        max_age=_KEPT if names_content else None,
        csp="default-src 'none'; sandbox",
    )


def _name_of(content_key: str) -> str:
    """Return what addresses call content: enough to tell what replaces it."""
    return content_key[-8:]
