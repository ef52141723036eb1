"""What is noted of visitors' uploads beside the file: in the record, and in what arrived."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from portal.activity.record import NOTHING_MORE, Note
from portal.core.models import StoredFile, Upload
from portal.files import names
from portal.sharing import arrivals, links

from .headers import folders_of


def note_of(upload: Upload) -> Note:
    """Return what is recorded of an upload; nothing more than usual of a member's."""
    link, visitor = upload.request, upload.visitor
    if not (link and visitor):
        return NOTHING_MORE
    said = arrivals.told_of(link, visitor)
    return Note(detail=said, linked=link.folder.public_id, via=links.via(link))


def arrival_of(upload: Upload) -> Callable[[StoredFile], None] | None:
    """Return what adds a visitor's file to what arrived."""
    link, visitor = upload.request, upload.visitor
    if not (link and visitor):
        return None
    path = [*map(names.clean, folders_of(upload.client_metadata)), upload.name]
    return partial(arrivals.add, link, visitor, path)
