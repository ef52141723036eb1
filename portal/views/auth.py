"""Signing in and out."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from .. import accounts, sessions
from ..extensions import (
    current_account,
    current_sign_in,
    find_session,
    login_manager,
    login_required,
    signed_in_account,
    start_session,
)

auth = Blueprint("auth", __name__)
logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Set the application up to know who is signed in."""
    # Templates ask signed_in_account() themselves: error pages must do without the database.
    login_manager.init_app(app, add_context_processor=False)
    login_manager.user_loader(find_session)
    login_manager.unauthorized_handler(_ask_to_sign_in)
    app.add_template_global(signed_in_account)


@auth.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Show the form, or sign in and go on to where the person was headed."""
    target = request.values.get("next", "")
    if not is_local(target):
        target = url_for("files.index")
    if signed_in_account():
        return redirect(target)
    if request.method == "GET":
        return render_template("sign_in.html", target=target)
    name = request.form.get("username", "")
    account = accounts.authenticate(name, request.form.get("password", ""))
    # %r keeps control characters from making lines of their own in the log, .100 keeps it short.
    if account is None:
        logger.warning("sign-in failed: %.100r from %s", name, request.remote_addr)
        return render_template("sign_in.html", target=target, name=name, failed=True), 422
    start_session(account)
    logger.info("signed in: %.100r from %s", account.name, request.remote_addr)
    return redirect(target)


@auth.post("/sign-out")
@login_required
def sign_out() -> ResponseReturnValue:
    """End this session, so that no copy of its cookie goes on working."""
    name = current_account().name
    sessions.end(current_sign_in())
    session.clear()
    flash("You are signed out.")
    logger.info("signed out: %.100r", name)
    return redirect(url_for("auth.sign_in"))


def is_local(target: str) -> bool:
    r"""Tell whether a redirect to it stays on this site.

    Browsers read ``//host`` and ``/\host`` as another site, and drop control characters first.
    """
    if not target.startswith("/") or target.startswith("//"):
        return False
    if "\\" in target or not target.isprintable():
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def _ask_to_sign_in() -> ResponseReturnValue:
    # Coming back by GET to what was a POST would find nothing.
    if request.method not in {"GET", "HEAD"} or request.path == "/":
        return redirect(url_for("auth.sign_in"))
    target = request.script_root + request.full_path.removesuffix("?")
    return redirect(url_for("auth.sign_in", next=target))
