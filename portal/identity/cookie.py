"""The cookie of a browser's session, which Flask signs together with the time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadTimeSignature, TimestampSigner, URLSafeTimedSerializer

from portal.core.clock import SKEW

VISITS = ("visitor", "entered", "unlocked", "accepted")
"""What the cookie keeps of links that were opened: see :mod:`portal.sharing.visitor`."""


class _Signer(TimestampSigner):
    """Believes a signature that is a little younger than now: the clock may have been set back."""

    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False
    ) -> Any:
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        age = timedelta(seconds=self.get_timestamp() - signed_at.timestamp())
        if max_age is not None and not -SKEW <= age <= timedelta(seconds=max_age):
            raise BadTimeSignature("expired, or from the future", value, signed_at)
        return (value, signed_at) if return_timestamp else value


def _derive_keys(serializer: URLSafeTimedSerializer) -> None:
    """Derive its keys now: else it does with each cookie, which takes as long as to check it."""
    signer = serializer.make_signer(serializer.salt)
    serializer.secret_keys = [signer.derive_key(key) for key in serializer.secret_keys]
    serializer.signer_kwargs = serializer.signer_kwargs | {"key_derivation": "none"}


class SessionInterface(SecureCookieSessionInterface):
    """Flask's, with a tolerance for clocks."""

    def __init__(self) -> None:
        self._made: tuple[object, URLSafeTimedSerializer | None] = (None, None)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs and reads the cookie; it is made once, as every request needs it."""
        keys = (app.secret_key, app.config["SECRET_KEY_FALLBACKS"])
        if self._made[0] != keys:
            serializer = super().get_signing_serializer(app)
            if serializer is not None:
                _derive_keys(serializer)
                serializer.signer = _Signer
            self._made = (keys, serializer)
        return self._made[1]

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save what has changed, unless nobody sees the answer, or browsers keep it.

        A HEAD takes no message from the next page, and no secret from the page that shows it once.
        A static file is kept whoever is signed in.
        """
        if request.method == "HEAD":
            session.modified = False
        if request.endpoint != "static":
            super().save_session(app, session, response)
