"""Small files that a page sends in one request: each of their own would take most of its time."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue

from portal.core.models import Folder
from portal.files import entries
from portal.files.tree import TooDeepError
from portal.files.uploads import accept_files, received_files
from portal.identity.current_user import current_account
from portal.tus import groups, headers, pieces
from portal.tus.announced import Announced
from portal.web.forms import csrf

from .uploader import check_signed_in, other_path, target_of

MOST_FILES = 64
"""Files in one request."""

group_uploads = Blueprint("group_uploads", __name__)


@group_uploads.errorhandler(headers.HeaderError)
@group_uploads.errorhandler(TooDeepError)
def explain(error: Exception) -> ResponseReturnValue:
    """Answer a request that cannot be."""
    return Response(f"{error}\n", 400, mimetype="text/plain")


@group_uploads.errorhandler(pieces.CancelledError)
@group_uploads.errorhandler(groups.UnfinishedError)
def have_each_sent(_error: Exception) -> ResponseReturnValue:
    """Answer where one of the uploads has begun already, and has to be gone on with."""
    return Response("Send each by itself.\n", 409, mimetype="text/plain")


@group_uploads.post("/uploads/groups/")
@csrf.exempt  # type: ignore[untyped-decorator]
def keep() -> ResponseReturnValue:
    """Keep files, each with the metadata that would create its upload, or none of them.

    The answer is a list of the paths that they got. What is refused, or not answered, the page
    sends one by one.
    """
    check_signed_in()
    accept_files(current_account())
    request.max_form_parts = 2 * MOST_FILES + 1  # the form's token, if it comes as a field
    csrf.protect()
    encoded = request.form.getlist("metadata")
    contents = [content for _, content in received_files("file")]
    if not 0 < len(encoded) == len(contents):
        abort(400, "A group has files, each with its metadata.")
    if len(set(encoded)) < len(encoded):
        abort(400, "Two files of a group have the same metadata.")
    said = [headers.parse_metadata(one) for one in encoded]
    paths = {tuple(headers.folders_of(one)) for one in encoded}
    if len(paths) > 1 or len({one.get("folder", "") for one in said}) > 1:
        abort(400, "The files of a group go to one folder.")
    if any("request" in one for one in said):
        abort(400, "The files of a group go to a folder of an account.")
    folder = target_of(said[0]).folder
    sent = [
        groups.Sent(Announced(one.get("filename", ""), content.size, written), content)
        for one, content, written in zip(said, contents, encoded, strict=True)
    ]
    return jsonify(_paths(folder, sent, groups.keep(current_account(), folder, sent)))


def _paths(folder: Folder, sent: Sequence[groups.Sent], kept: Sequence[str]) -> Sequence[str]:
    """Return the path that each file got, or "" for the one that was wanted."""
    path = headers.folders_of(sent[0].announced.metadata)
    there = entries.names_on(folder, path)
    return [
        other_path([*path, announced.name], [*there, name])
        for (announced, _), name in zip(sent, kept, strict=True)
    ]
