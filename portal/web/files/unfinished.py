"""A person's unfinished uploads: listed and cancelled, wherever they were to go."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal.core.language import gettext, ngettext
from portal.files import tree, unfinished
from portal.identity.current_user import current_account, login_required
from portal.tus import uploads
from portal.web.flashes import shorten, tell
from portal.web.next_page import next_page

unfinished_pages = Blueprint("unfinished", __name__)


@unfinished_pages.get("/unfinished")
@login_required
def show() -> ResponseReturnValue:
    """List my unfinished uploads."""
    found = unfinished.of_owner(current_account())
    locations = {folder.id: folder for folder in (one.folder for one in found)}
    return render_template(
        "files/unfinished.html",
        uploads=found,
        paths=tree.paths(locations),
        expiry=unfinished.expiry,
    )


@unfinished_pages.post("/unfinished/<public_id>/cancel")
@login_required
def cancel(public_id: str) -> ResponseReturnValue:
    """Cancel one of my unfinished uploads."""
    upload = uploads.find(public_id)
    if upload is None or upload.owner_id != current_account().id or upload.finished_at:
        abort(404)
    name = shorten(upload.name)
    uploads.cancel(upload)
    tell(gettext("Upload of %(name)s cancelled.", name=name))
    return redirect(next_page())


@unfinished_pages.post("/unfinished/cancel")
@login_required
def cancel_all() -> ResponseReturnValue:
    """Cancel all my unfinished uploads."""
    found = unfinished.of_owner(current_account())
    for upload in found:
        uploads.cancel(upload)
    tell(
        ngettext(
            "%(num)s unfinished upload cancelled.",
            "%(num)s unfinished uploads cancelled.",
            len(found),
        )
    )
    return redirect(url_for("unfinished.show"))
