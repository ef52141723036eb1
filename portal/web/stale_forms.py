"""Forms of a session that this browser does not have any more.

Each was opened before somebody signed out or in, which may have been in another tab.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.core.language import gettext, lazy_gettext
from portal.core.models import Account
from portal.identity.current_user import signed_in_account

from .flashes import tell
from .next_page import page_of_form

_TYPED = {"name": lazy_gettext("Name"), "note": lazy_gettext("Note")}
"""Labels of what takes a while to type: an answer to it shows it again."""
_BY_LINK = {"share_page", "upload_page", "invitations"}
"""Pages that a link opens, whoever is signed in."""
_ENDED = lazy_gettext(
    "Your session has ended, so nothing was changed. Sign in, and send the form again."
)


def answer() -> ResponseReturnValue:
    """Say that a form changed nothing, who is signed in, and what to do; show what was typed."""
    account, typed, page = signed_in_account(), _typed(), page_of_form()
    if account or request.blueprint in _BY_LINK:
        again = gettext("Open the page again")
        return _page(gettext("Another session"), _explain(account), typed, again, page)
    if request.endpoint == "auth.sign_out":
        tell(gettext("You are signed out."))
        return redirect(url_for("auth.sign_in"))
    sign_in = url_for("auth.sign_in", next=page)
    if typed:
        return _page(gettext("Session ended"), _ENDED, typed, gettext("Sign in"), sign_in)
    tell(str(_ENDED), "error")
    return redirect(sign_in)


def _explain(account: Account | None) -> str:
    if request.blueprint == "invitations":
        return gettext(
            "The form belongs to another session, so nothing was changed. Open the link that you"
            " were sent again."
        )
    if account is None or request.blueprint in _BY_LINK:
        return gettext(
            "The form belongs to another session, so nothing was changed. Open the page again, and"
            " send the form again."
        )
    return gettext(
        "You are signed in as %(name)s now. The form belongs to another session, so nothing was"
        " changed. To go on as %(name)s, open the page again. To go on as somebody else, sign out"
        " first.",
        name=account.name,
    )


def _page(
    title: str, text: str, typed: Mapping[str, str], label: str, target: str | None
) -> ResponseReturnValue:
    values = {"title": title, "text": text, "typed": typed, "label": label, "target": target}
    return render_template("stale_form.html", **values), 400


def _typed() -> Mapping[str, str]:
    """Return what was typed, by its label, if no page of another site can have sent it."""
    is_own = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if not is_own or request.mimetype != "application/x-www-form-urlencoded":
        return {}  # to read a form with files would store them
    return {
        str(label): request.form[name] for name, label in _TYPED.items() if request.form.get(name)
    }
