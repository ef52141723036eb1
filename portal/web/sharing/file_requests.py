"""The links by which a person lets others upload: made, changed, revoked."""

from __future__ import annotations

import logging

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import record
from portal.core.models import FileRequest, Folder
from portal.identity.current_user import current_account, login_required
from portal.sharing import file_requests as requests_of
from portal.sharing import links
from portal.web.flashes import tell
from portal.web.loaders import entry_or_404, mine_or_404

from .forms import FormError, last_day, mebibytes, read_count, read_mebibytes, read_note, read_until

file_requests = Blueprint("file_requests", __name__)
logger = logging.getLogger(__name__)


@file_requests.route("/folders/<public_id>/request", methods=["GET", "POST"])
@login_required
def create(public_id: str) -> ResponseReturnValue:
    """Ask on what terms others may upload into a folder, or make the link for it."""
    folder = entry_or_404(Folder, public_id, "share")
    if request.method != "POST":
        return _form(folder)
    try:
        terms = _terms()
    except FormError as error:
        return _form(folder, error=error), 422
    made, token = requests_of.create(folder, terms)
    record("request files", folder)
    logger.info("files asked for: %r, by %.100r", folder.name, current_account().name)
    address = url_for("uploaders.enter", token=token, _external=True)
    return render_template("sharing/link_created.html", entry=folder, address=address, asked=made)


@file_requests.route("/links/requests/<public_id>", methods=["GET", "POST"])
@login_required
def change(public_id: str) -> ResponseReturnValue:
    """Show a file request's terms to change, or change them. The link stays the same."""
    asked = mine_or_404(FileRequest, public_id)
    if request.method != "POST":
        return _form(asked.folder, asked)
    try:
        terms = _terms(asked)
    except FormError as error:
        return _form(asked.folder, asked, error), 422
    requests_of.change(asked, terms)
    record("change request", asked.folder)
    tell("Changed: the link for others to upload.")
    return redirect(url_for("shares.index"))


@file_requests.post("/links/requests/<public_id>/revoke")
@login_required
def revoke(public_id: str) -> ResponseReturnValue:
    """End a file request for good."""
    asked = mine_or_404(FileRequest, public_id)
    links.revoke(asked)
    record("revoke request", asked.folder)
    tell("Revoked: nobody can upload by this link any more.")
    return redirect(url_for("shares.index"))


def _terms(asked: FileRequest | None = None) -> requests_of.Terms:
    return requests_of.Terms(
        note=read_note(),
        expires_at=read_until(asked.expires_at if asked else None),
        file_limit=read_count("file_limit"),
        size_limit=read_mebibytes("size_limit", asked.size_limit if asked else None),
    )


def _form(folder: Folder, asked: FileRequest | None = None, error: FormError | None = None) -> str:
    return render_template(
        "sharing/file_request_form.html",
        folder=folder,
        asked=asked,
        until=last_day(asked),
        size_limit=mebibytes(asked.size_limit if asked else None),
        problems={error.field: str(error)} if error else {},
    )
