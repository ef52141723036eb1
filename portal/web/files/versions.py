"""A file's versions: downloaded, restored and deleted permanently."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flask_delegate import Handoff, delegated
from portal.activity.record import Thing
from portal.core.language import gettext
from portal.core.models import StoredFile
from portal.files import trash, versions
from portal.files.downloads import Found
from portal.files.policy import may_have
from portal.identity.current_user import current_account, login_required, require_sign_in
from portal.web.flashes import shorten, tell
from portal.web.loaders import entry_or_404, find_entry, missing

from .files import as_download

version_pages = Blueprint("versions", __name__)


def find_readable(public_id: str, version_id: str) -> Found | None:
    """Find the version that this request asks for, if it may have it; it is named by its file."""
    require_sign_in()
    file = find_entry(StoredFile, public_id, "change")
    version = _find(file, version_id) if file else None
    if file is None or version is None:
        return None
    thing = Thing.of(file)._replace(size=version.size)
    return Found(thing, file.mimetype, version.storage_key)


@version_pages.get("/entries/<public_id>/versions/<version_id>")
@delegated(find_readable, conceal=True)
def download(version: Found, public_id: str, version_id: str) -> Handoff:  # noqa: ARG001
    """Hand over a version, for Apache to send."""
    return as_download(version, detail="a version")


@version_pages.post("/entries/<public_id>/versions/<version_id>/restore")
@login_required
def restore(public_id: str, version_id: str) -> ResponseReturnValue:
    """Give a file what it held before."""
    file, version = _file_and_version(public_id, version_id)
    versions.restore(version)
    tell(
        gettext(
            "Version of %(name)s restored. What it replaced is a version now.",
            name=shorten(file.name),
        )
    )
    return redirect(_address(public_id))


@version_pages.route("/entries/<public_id>/versions/<version_id>/delete", methods=["GET", "POST"])
@login_required
def delete(public_id: str, version_id: str) -> ResponseReturnValue:
    """Ask whether to delete a version permanently, or delete it."""
    file, version = _file_and_version(public_id, version_id)
    if request.method != "POST":
        return render_template("files/delete_version.html", file=file, version=version)
    name = file.name
    trash.purge(version)
    tell(gettext("Version of %(name)s deleted.", name=shorten(name)))
    return redirect(_address(public_id))


@version_pages.route("/trash/versions/delete", methods=["GET", "POST"])
@login_required
def delete_all() -> ResponseReturnValue:
    """Ask whether to delete the versions of all files permanently, or delete them."""
    owner_id = current_account().id
    kept = versions.kept(owner_id)
    if request.method != "POST" and kept.number:
        return render_template("files/delete_version.html", file=None, kept=kept)
    versions.delete_all(owner_id)
    tell(gettext("There are no versions any more."))
    return redirect(url_for("trash.show"))


def _file_and_version(public_id: str, version_id: str) -> tuple[StoredFile, StoredFile]:
    file = entry_or_404(StoredFile, public_id, "change")
    return file, _find(file, version_id) or missing()


def _find(file: StoredFile, version_id: str) -> StoredFile | None:
    version = versions.find(file, version_id)
    return version if version and may_have(current_account(), version, file) else None


def _address(public_id: str) -> str:
    return url_for("entries.details", public_id=public_id, _anchor="versions")
