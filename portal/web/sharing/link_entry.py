"""How people without an account come in: by a link, whose token is in no address after that."""

from __future__ import annotations

from typing import TypeVar

from flask import abort, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.core.database import db
from portal.core.models import FileRequest, Share
from portal.identity import throttle
from portal.sharing import links, visitor
from portal.sharing.status import standing

L = TypeVar("L", Share, FileRequest)


def enter_by(kind: type[L], token: str, endpoint: str) -> ResponseReturnValue:
    """Keep a link's token, and go on to the page of the link. An unknown one counts as guessed."""
    link = links.find(kind, token)
    if link is None:
        throttle.count_link().log_failure()
        return closed(None), 404
    visitor.enter(link)
    return redirect(url_for(endpoint, public_id=link.public_id))


def entered_or_404(kind: type[L], public_id: str) -> L:
    """Give a link to whoever came by it."""
    link = db.session.scalar(select(kind).where(kind.public_id == public_id))
    if link is None or not visitor.has_entered(link):
        abort(make_response(closed(None), 404))
    return link


def closed(link: Share | FileRequest | None) -> str:
    """Say kindly why a link does not work; of an unknown one, that it is not known."""
    return render_template("link_closed.html", standing=standing(link) if link else None)
