"""What arrived by a link to upload, for its owner: a page and CSV."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, render_template, stream_with_context
from flask.typing import ResponseReturnValue

from portal.activity.report import csv_row
from portal.core.models import FileRequest
from portal.identity.current_user import login_required
from portal.sharing import arrivals
from portal.web.forms import Query, page_before
from portal.web.loaders import mine_or_404
from portal.web.marks import end_or_beginning
from portal.web.zone import current_zone

received = Blueprint("received", __name__)
_HEADINGS = ("name given", "message", "file", "bytes", "SHA-256")


class PlaceQuery(Query):
    """Before which arrival a page begins."""

    before = page_before()


@received.get("/links/requests/<public_id>/received")
@login_required
def show(public_id: str) -> ResponseReturnValue:
    """List what arrived by one of my links, and what visitors said of themselves."""
    link, before = mine_or_404(FileRequest, public_id), PlaceQuery().before.data or None
    page = arrivals.of_link(link, before)
    return render_template(
        "sharing/received.html",
        link=link,
        page=page,
        has_later=before is not None,
        changed=end_or_beginning(page.is_end),
    )


@received.get("/links/requests/<public_id>/received.csv")
@login_required
def download(public_id: str) -> ResponseReturnValue:
    """Send the list as CSV."""
    rows = stream_with_context(_rows(mine_or_404(FileRequest, public_id)))
    headers = {"Content-Disposition": 'attachment; filename="received.csv"'}
    return Response(rows, mimetype="text/csv", headers=headers)


def _rows(link: FileRequest) -> Iterator[str]:
    zone = current_zone()
    yield "\ufeff"  # tells spreadsheets that this is UTF-8
    yield csv_row(f"time ({zone})", *_HEADINGS)
    for one in arrivals.all_of_link(link):
        at = one.at.astimezone(zone).isoformat(timespec="seconds")
        said = one.sender.name, one.sender.message
        yield csv_row(at, *said, one.path, str(one.size), one.sha256)
