"""How visitors enter: by a link, whose token is in no later address."""

from __future__ import annotations

from typing import TypeVar

from flask import abort, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import FileRequest, Share
from portal.identity import throttle
from portal.sharing import links, visitor
from portal.sharing.status import status_of

L = TypeVar("L", bound=Share | FileRequest)


def enter_by(kind: type[L], token: str, endpoint: str) -> ResponseReturnValue:
    """Remember a link, and redirect to its page. An unknown token counts as a guess."""
    link = links.find(kind, token)
    if link is None:
        throttle.count_link().log_failure()
        return unavailable(None), 404
    visitor.enter(link)
    return redirect(url_for(endpoint, public_id=link.public_id))


def entered_or_404(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has opened."""
    link = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if link is None or not visitor.has_entered(link):
        abort(make_response(unavailable(None), 404))
    return link


def unavailable(link: Share | FileRequest | None) -> str:
    """Return the page that says why a link does not work; None for an unknown link."""
    status = status_of(link).value if link else "unknown"
    return render_template("sharing/link_unavailable.html", status=status)
