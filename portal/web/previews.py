"""What is shown in the browser, and how it is kept from doing harm there.

Only the types below are shown, by the extension: what a client or the content says of the type does
not count. All other files can only be downloaded.
"""

from __future__ import annotations

import re
from posixpath import splitext
from typing import Literal, NamedTuple

Kind = Literal["image", "audio", "video", "document"]
ViewType = Literal["picture", "pdf", "text", "markdown", "audio", "video"]
"""What the viewer makes of a file."""


class Preview(NamedTuple):
    """How a file is shown.

    :param kind: what shows it: an element of the page, or, for a document, the browser alone.
    :param mimetype: what it is sent as.
    :param policy: the Content-Security-Policy that it is sent with.
    """

    kind: Kind
    mimetype: str
    policy: str


# Nothing may run or be loaded. A browser's own page around a picture or a film has a style, and
# loads the film again from the same address: with the origin of a sandbox it would not be allowed
# to. As nothing runs, that origin is of no use to the content.
_POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox allow-same-origin"
)
# The viewer has it in a frame of its page: nobody else may. X-Frame-Options, which forbids all
# frames, does not count beside ``frame-ancestors`` (CSP 3, 6.4.2.2).
# Chrome long showed no PDF in a sandbox (Chromium 156 does), and its viewer is an embedded object
# with a style of its own: so a sandbox is the one thing that is missing here. The scripts of a
# document run inside the viewer, where they reach nothing of the portal.
_PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; form-action 'none';"
    " frame-ancestors 'self'; base-uri 'none'"
)

_TYPES: tuple[tuple[Kind, str, str], ...] = (
    ("image", "image/png", "png"),
    ("image", "image/jpeg", "jpg jpeg"),
    ("image", "image/gif", "gif"),
    ("image", "image/webp", "webp"),
    ("image", "image/avif", "avif"),
    ("image", "image/bmp", "bmp"),
    ("audio", "audio/mpeg", "mp3"),
    ("audio", "audio/mp4", "m4a"),
    ("audio", "audio/ogg", "oga ogg opus"),
    ("audio", "audio/flac", "flac"),
    ("audio", "audio/wav", "wav"),
    ("video", "video/mp4", "mp4 m4v"),
    ("video", "video/webm", "webm"),
    ("video", "video/ogg", "ogv"),
    ("document", "application/pdf", "pdf"),
    # Whatever it is a text of, it is shown as plain text.
    ("document", "text/plain", "txt text log md markdown csv tsv json yaml yml toml ini cfg conf"),
)
_ACTIVE = re.compile("(java|ecma|live|j)script|css", re.IGNORECASE)
_PREVIEWS = {
    f".{extension}": Preview(
        kind, mimetype, _PDF_POLICY if mimetype == "application/pdf" else _POLICY
    )
    for kind, mimetype, extensions in _TYPES
    for extension in extensions.split()
}
_MARKDOWN = {".md", ".markdown"}


def _view_type(extension: str, preview: Preview) -> ViewType:
    if preview.kind in {"audio", "video"}:
        return "audio" if preview.kind == "audio" else "video"
    if preview.kind == "image":
        return "picture"
    if preview.mimetype == "application/pdf":
        return "pdf"
    return "markdown" if extension in _MARKDOWN else "text"


_VIEW_TYPES = {extension: _view_type(extension, one) for extension, one in _PREVIEWS.items()}


def preview_of(name: str) -> Preview | None:
    """Return how a file of that name is shown; none if it can only be downloaded."""
    return _PREVIEWS.get(splitext(name)[1].lower())


def view_type(name: str) -> ViewType | None:
    """Return what the viewer makes of a file of that name; none if it can only be downloaded."""
    return _VIEW_TYPES.get(splitext(name)[1].lower())


def type_to_save(mimetype: str) -> str:
    """Return the media type of a file that is saved: never that of a script or a style sheet.

    Those would be scripts and styles of the portal's own origin, which its pages may load. Browsers
    load none of another type, with ``nosniff`` (Fetch, 3.6).
    """
    return "application/octet-stream" if _ACTIVE.search(mimetype) else mimetype
