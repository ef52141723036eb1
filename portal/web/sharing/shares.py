"""The links by which a person lets others download: made, listed, changed, revoked."""

from __future__ import annotations

import logging

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.activity.record import record
from portal.core.models import Entry, FileRequest, Share
from portal.identity import passwords
from portal.identity.current_user import current_account, login_required
from portal.sharing import links
from portal.sharing import shares as shares_of
from portal.sharing.status import standing
from portal.web.flashes import shorten, tell
from portal.web.loaders import entry_or_404, mine_or_404

from .forms import FormError, last_day, read_count, read_note, read_until

shares = Blueprint("shares", __name__)
logger = logging.getLogger(__name__)


@shares.get("/links")
@login_required
def index() -> ResponseReturnValue:
    """List my links."""
    account = current_account()
    return render_template(
        "sharing/links.html",
        shares=links.of_owner(Share, account),
        requests=links.of_owner(FileRequest, account),
        standing=standing,
    )


@shares.route("/entries/<public_id>/share", methods=["GET", "POST"])
@login_required
def create(public_id: str) -> ResponseReturnValue:
    """Ask on what terms to share a file or folder, or share it."""
    entry = entry_or_404(Entry, public_id, "share")
    if request.method != "POST":
        return _form(entry)
    try:
        terms, password = _terms(), _new_password()
    except FormError as error:
        return _form(entry, error=error), 422
    share, token = shares_of.create(entry, terms, password)
    record("share", entry, detail=_summary(share))
    logger.info("shared: %r, by %.100r", entry.name, current_account().name)
    address = url_for("visitors.enter", token=token, _external=True)
    return render_template("sharing/link_created.html", entry=entry, address=address, share=share)


@shares.route("/links/shares/<public_id>", methods=["GET", "POST"])
@login_required
def change(public_id: str) -> ResponseReturnValue:
    """Show a share's terms to change, or change them. The link stays the same."""
    share = mine_or_404(Share, public_id)
    if request.method != "POST":
        return _form(share.entry, share)
    try:
        terms = _terms(share)
        password = None if request.form.get("no_password") else _new_password()
    except FormError as error:
        return _form(share.entry, share, error), 422
    shares_of.change(share, terms)
    if password or request.form.get("no_password"):
        shares_of.set_password(share, password)
    record("change share", share.entry, detail=_summary(share))
    tell(f"Changed: the link to {shorten(share.entry.name)}")
    return redirect(url_for("shares.index"))


@shares.post("/links/shares/<public_id>/revoke")
@login_required
def revoke(public_id: str) -> ResponseReturnValue:
    """End a share for good."""
    share = mine_or_404(Share, public_id)
    links.revoke(share)
    record("revoke share", share.entry)
    tell(f"Revoked: the link to {shorten(share.entry.name)} does not work any more.")
    return redirect(url_for("shares.index"))


def _terms(share: Share | None = None) -> shares_of.Terms:
    return shares_of.Terms(
        note=read_note(),
        expires_at=read_until(share.expires_at if share else None),
        download_limit=read_count("download_limit"),
    )


def _new_password() -> str | None:
    password = request.form.get("password", "")
    if not password:
        return None
    try:
        passwords.check_new(password, "")
    except passwords.PasswordError as error:
        raise FormError("password", str(error)) from error
    return password


def _form(entry: Entry, share: Share | None = None, error: FormError | None = None) -> str:
    return render_template(
        "sharing/share_form.html",
        entry=entry,
        share=share,
        until=last_day(share),
        problems={error.field: str(error)} if error else {},
    )


def _summary(share: Share) -> str:
    """Say the terms in few words, for the record."""
    words = [f"until {share.expires_at:%Y-%m-%d}" if share.expires_at else "without end"]
    if share.download_limit is not None:
        words.append(f"{share.download_limit} downloads")
    if share.password_hash:
        words.append("password")
    return ", ".join(words)
