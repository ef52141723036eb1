"""How a browser shows lists of files: in which order, and as rows or as a grid.

Two cookies remember it, so that the next page comes as it shall look: nothing moves once it is
there. They say nothing of anybody, and stay when somebody signs out.
"""

from __future__ import annotations

from flask import Blueprint, Response, current_app, make_response, redirect, request
from flask.typing import ResponseReturnValue

from portal.files.listing import SORTS, Order
from portal.identity.current_user import login_required
from portal.web.forms import Query, text
from portal.web.next_page import next_page

lists = Blueprint("lists", __name__)

VIEWS = ("list", "grid")
"""How a list can be shown; ``static/rows.js`` knows them, too."""
_SORT, _VIEW = "sort", "view"
_DESCENDING = "-descending"
_YEAR = 365 * 24 * 60 * 60


class ViewForm(Query):
    """How to show lists."""

    view = text("View", 8)


@lists.post("/view")
@login_required
def set_view() -> ResponseReturnValue:
    """Remember how to show lists."""
    wanted = ViewForm().view.data
    response = make_response(redirect(next_page()))
    if wanted in VIEWS:
        _keep(response, _VIEW, wanted)
    return response


def view() -> str:
    """Return how this browser shows lists; as rows, if it has not said."""
    wanted = request.cookies.get(_VIEW, "")
    return wanted if wanted in VIEWS else VIEWS[0]


def remembered_order() -> Order:
    """Return the order of the list that this browser has seen last; by name, if there is none."""
    written = request.cookies.get(_SORT, "")
    by = written.removesuffix(_DESCENDING)
    return Order(by, written != by) if by in SORTS else Order()


def remember_order(page: str, order: Order) -> Response:
    """Return a page as a response that has the browser remember its order."""
    response = make_response(page)
    if order != remembered_order():
        _keep(response, _SORT, order.by + (_DESCENDING if order.descending else ""))
    return response


def _keep(response: Response, name: str, value: str) -> None:
    is_secure = current_app.config["SESSION_COOKIE_SECURE"]
    response.set_cookie(name, value, max_age=_YEAR, secure=is_secure, samesite="Lax")
