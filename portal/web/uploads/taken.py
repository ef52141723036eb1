"""Which names are taken, for a page to ask what to do before it uploads."""

from __future__ import annotations

import re

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from portal.files import replacing
from portal.tus.headers import LONGEST_PATH

from .uploader import check_signed_in, target_of

taken_names = Blueprint("taken_names", __name__)


@taken_names.post("/uploads/taken/")
def show() -> ResponseReturnValue:
    """Return for each path below a folder whether a file is there that an upload could replace.

    Visitors are not told what a folder holds.
    """
    check_signed_in()
    folder = target_of({"folder": request.form.get("folder", "")}).folder
    paths = [_names(one) for one in request.form.getlist("path")]
    return jsonify(replacing.taken(folder, paths))


def _names(path: str) -> replacing.Path:
    """Return the names on a path, of which an upload looks at so many folders."""
    *around, name = [one for one in re.split(r"[/\\]", path) if one] or [""]
    return [*around[:LONGEST_PATH], name]
