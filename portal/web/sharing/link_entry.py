"""Links as visitors come by them: entered once, and then found by their names in URLs.

A link's token is in no address after the first.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NoReturn, TypeVar

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    get_flashed_messages,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm.exc import ObjectDeletedError
from werkzeug.exceptions import NotFound
from wtforms import BooleanField  # type: ignore[import-untyped]
from wtforms.validators import InputRequired  # type: ignore[import-untyped]

from portal.activity.record import record
from portal.core.database import db
from portal.core.language import lazy_gettext
from portal.core.models import FileRequest, Share
from portal.files.entries import GoneError
from portal.files.unfinished import has_finished
from portal.identity import throttle
from portal.sharing import arrivals, limits, links, visitor
from portal.sharing.status import Status, status_of
from portal.web.forms import Form, form_page

L = TypeVar("L", bound=Share | FileRequest)


class TermsForm(Form):
    """The terms of the organisation, which a visitor accepts before anything else."""

    accepted = BooleanField(
        lazy_gettext("I accept the terms"),
        [InputRequired(lazy_gettext("Accept the terms to go on."))],
    )


def explain_missing(blueprint: Blueprint, kind: type[Share] | type[FileRequest]) -> None:
    """Have the pages of a kind of links say of what is missing what the link's own page says."""

    def explain(error: Exception) -> ResponseReturnValue:
        db.session.rollback()  # it may be what ended since the request began
        link = find_entered(kind, (request.view_args or {}).get("public_id", ""))
        if link is None or not _may_look(link):
            # The account of this session may be what was deleted.
            return _unavailable(link, anonymous=isinstance(error, ObjectDeletedError))
        page = url_for(".show", public_id=link.public_id)
        is_locked = isinstance(link, Share) and not visitor.is_unlocked(link)
        if is_locked or not visitor.has_accepted(link):
            return redirect(page, 303)
        return render_template("sharing/link_unavailable.html", status="missing", page=page), 404

    for error in (NotFound, GoneError, ObjectDeletedError):
        blueprint.register_error_handler(error, explain)


def enter(kind: type[Share] | type[FileRequest], token: str) -> ResponseReturnValue:
    """Remember a link, and redirect to its page. An unknown token counts as a guess.

    A HEAD enters nobody, so its address has a proof, which lets another HEAD of the page answer.
    """
    link = links.find(kind, token)
    if link is None:
        throttle.count_link().log_failure()
        refuse(None)
    visitor.enter(link)
    proof = links.proof(link) if request.method == "HEAD" else None
    return redirect(url_for(".show", public_id=link.public_id, proof=proof))


def find_entered(kind: type[L], public_id: str) -> L | None:
    """Return a link that this visitor has entered by."""
    link = db.session.scalar(select(kind).where(kind.public_id == public_id))
    return link if link and (visitor.has_entered(link) or _is_proved(link)) else None


def entered_link(kind: type[L], public_id: str) -> L:
    """Return a link that this visitor has entered by, or abort with 404.

    Where the terms are not accepted yet, its page asks for that, and all else redirects there.
    """
    link = find_entered(kind, public_id) or refuse(None)
    _need_terms(link)
    return link


def open_link(kind: type[L], public_id: str) -> L:
    """Return a link as :func:`entered_link` does that works, or abort with 410, too."""
    link = find_entered(kind, public_id) or refuse(None)
    if not _may_look(link):
        refuse(link)
    _need_terms(link)
    return link


def accept_terms(kind: type[Share] | type[FileRequest], public_id: str) -> ResponseReturnValue:
    """Remember and record that the terms were accepted, and go on to the link's page."""
    link = find_entered(kind, public_id) or refuse(None)
    if not visitor.has_accepted(link):
        form = TermsForm()
        if not _may_look(link):
            refuse(link)
        if not form.validate_on_submit():
            return _terms_page(link, form)
        detail = ", ".join(filter(None, (current_app.config["TERMS_URL"], links.hint(link))))
        record("accept terms", links.target(link), detail=detail, via=links.via(link))
        visitor.accept(link)
    return redirect(url_for(".show", public_id=public_id), 303)


def _need_terms(link: Share | FileRequest) -> None:
    """Abort unless the visitor has accepted the terms, if there are any."""
    if visitor.has_accepted(link):
        return
    if request.endpoint == f"{request.blueprint}.show":
        abort(current_app.make_response(_terms_page(link, TermsForm())))
    abort(redirect(url_for(".show", public_id=link.public_id), 303))


def _terms_page(link: Share | FileRequest, form: TermsForm) -> ResponseReturnValue:
    return form_page("sharing/terms.html", form, link=link)


def refuse(link: Share | FileRequest | None) -> NoReturn:
    """Abort with the page that says why a link does not work; None for an unknown link."""
    abort(_unavailable(link))


def arrived_from_here(link: FileRequest, before: int | None = None) -> dict[str, object]:
    """Return what a template shows of what this visitor has sent by a link.

    :param before: as for :func:`portal.sharing.arrivals.of_visitor`.
    """
    who = visitor.visitor_id()
    page = arrivals.of_visitor(link, who, before)
    in_all = arrivals.sum_of_visitor(link, who) if page.rows else arrivals.Sum()
    return {"arrived": page, "arrived_in_all": in_all}


def _unavailable(link: Share | FileRequest | None, *, anonymous: bool = False) -> Response:
    status = status_of(link).value if link else "unknown"
    sent = arrived_from_here(link) if isinstance(link, FileRequest) else {}
    page = render_template(
        "sharing/link_unavailable.html", status=status, anonymous=anonymous, **sent
    )
    return current_app.make_response((page, 410 if link else 404))


def _is_proved(link: Share | FileRequest) -> bool:
    """Return whether this is a HEAD by a program that follows a HEAD of the link."""
    given = request.args.get("proof", "").encode()
    return request.method == "HEAD" and compare_digest(given, links.proof(link).encode())


def _may_look(link: Share | FileRequest) -> bool:
    """Return whether a link works, or this visitor made its last download or upload."""
    status = status_of(link)
    return status is Status.OPEN or (status is Status.USED_UP and _has_used(link))


def _has_used(link: Share | FileRequest) -> bool:
    """Return whether this visitor downloaded or uploaded by a link, or is yet to hear of it."""
    if isinstance(link, Share):
        return limits.has_begun(link, visitor.visitor_id())
    who = visitor.visitor_id()
    return bool(get_flashed_messages()) or arrivals.has_sent(link, who) or has_finished(link, who)
