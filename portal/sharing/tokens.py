"""Tokens of links: signed, so that made-up ones are refused without a look into the database."""

from __future__ import annotations

from typing import TypeVar

from flask import current_app
from itsdangerous import BadSignature, Signer
from sqlalchemy import select

from ..database import db
from ..models import FileRequest, Share, hash_token, new_token

L = TypeVar("L", Share, FileRequest)


def make(kind: type[L]) -> str:
    """Make a token for a link of a kind."""
    return _signer(kind).sign(new_token()).decode()


def find(kind: type[L], token: str) -> L | None:
    """Find the link that a token is for."""
    try:
        _signer(kind).unsign(token)
    except BadSignature:
        return None
    return db.session.scalar(select(kind).where(kind.token_hash == hash_token(token)))


def _signer(kind: type[L]) -> Signer:
    # A token of one kind is none of the other.
    return Signer(current_app.secret_key or "", salt=f"portal.{kind.__tablename__}")
