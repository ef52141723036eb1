"""How visitors enter: by a link, whose token is in no later address."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from flask import abort, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import FileRequest, Share
from portal.identity import throttle
from portal.sharing import limits, links, visitor
from portal.sharing.status import Status, status_of

L = TypeVar("L", bound=Share | FileRequest)


def enter_by(kind: type[L], token: str, endpoint: str) -> ResponseReturnValue:
    """Remember a link, and redirect to its page. An unknown token counts as a guess."""
    link = links.find(kind, token)
    if link is None:
        throttle.count_link().log_failure()
        refuse(None)
    visitor.enter(link)
    return redirect(url_for(endpoint, public_id=link.public_id))


def entered_link(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has entered by, or abort with 404."""
    link = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if link is None or not visitor.has_entered(link):
        refuse(None)
    return link


def open_link(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has entered by and that works, or abort with 404 or 410."""
    link = entered_link(kind, public_id)
    status = status_of(link)
    if status is Status.USED_UP and isinstance(link, Share):
        # Who made the last download may still look at the page.
        if not limits.has_begun(link, visitor.visitor_id()):
            refuse(link)
    elif status is not Status.OPEN:
        refuse(link)
    return link


def refuse(link: Share | FileRequest | None) -> NoReturn:
    """Abort with the page that says why a link does not work; None for an unknown link."""
    status = status_of(link).value if link else "unknown"
    page = render_template("sharing/link_unavailable.html", status=status)
    abort(make_response(page, 410 if link else 404))
