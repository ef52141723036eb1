"""Forms of other sites: refused by their token, and by their origin.

Each response shows the token under a mask of its own. The length of a compressed page would
otherwise tell the token, a character at a time, to whoever has text of theirs repeated in that page
(BREACH, CVE-2013-3587).
"""

from __future__ import annotations

import secrets
from base64 import b64decode, urlsafe_b64encode
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]
from flask_wtf.csrf import CSRFError, generate_csrf  # type: ignore[import-untyped]

from portal.core.language import gettext

OWN_SITES = {"same-origin", "none"}
"""What ``Sec-Fetch-Site`` says of the portal's own pages, and of what a person opens."""


class ForeignOriginError(CSRFError):  # type: ignore[misc]
    """The token is right, and the form seems to come from another address; it says from which."""


class Protection(CSRFProtect):  # type: ignore[misc]
    """Checks the token of each form before its view; one that is exempt calls ``protect()``.

    Then it checks where the form comes from. A browser's ``Sec-Fetch-Site`` is what no page can
    set, and no proxy misunderstands; older ones have ``Origin`` or ``Referer``.
    """

    def init_app(self, app: Flask) -> None:
        """Check the requests of an application, whose templates show masked tokens."""
        super().init_app(app)
        app.add_template_global(masked_token, "csrf_token")  # for macros
        app.context_processor(lambda: {"csrf_token": masked_token})

    def _get_csrf_token(self) -> str | None:
        given = super()._get_csrf_token()
        return given and _unmask(given)

    def protect(self, apply_exemptions: bool = False) -> None:
        """Check this request, or raise :exc:`CSRFError`.

        :raises ForeignOriginError: if only its origin is wrong.
        """
        if request.method not in current_app.config["WTF_CSRF_METHODS"]:
            return
        super().protect(apply_exemptions)
        if apply_exemptions and (not request.endpoint or self._is_exempt()):
            return
        if (site := request.headers.get("Sec-Fetch-Site")) is not None:
            if site not in OWN_SITES:
                raise ForeignOriginError(
                    _explain(
                        gettext("a page of another site")
                        if site == "cross-site"
                        else f"Sec-Fetch-Site: {site}"
                    )
                )
            return
        origin = request.headers.get("Origin") or request.referrer
        if origin and _origin(origin) not in _own_origins():
            raise ForeignOriginError(_explain(origin[:100]))


def masked_token() -> str:
    """Return the session's token for a page or a header, the same throughout a response."""
    if "masked_token" not in g:
        token = generate_csrf().encode()
        mask = secrets.token_bytes(len(token))
        g.masked_token = urlsafe_b64encode(mask + _xor(mask, token)).decode()
    return str(g.masked_token)


def _unmask(given: str) -> str:
    """Return what :func:`masked_token` has masked, or of anything else a text that is no token."""
    try:
        decoded = b64decode(given, b"-_", validate=True)
    except ValueError:
        return "malformed"
    half = len(decoded) // 2
    return _xor(decoded[:half], decoded[half:]).decode("latin-1") or "malformed"


def _xor(mask: bytes, text: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(mask, text, strict=False))


def lacks_cookie() -> bool:
    """Return whether the browser keeps the session's cookie back, which is for HTTPS only."""
    name, is_secure = current_app.config["SESSION_COOKIE_NAME"], request.is_secure
    wants_secure = current_app.config["SESSION_COOKIE_SECURE"]
    return bool(wants_secure and not is_secure and name not in request.cookies)


def _explain(origin: str) -> str:
    return gettext(
        "The browser sent this form from %(origin)s, and the portal believes that it is at"
        " %(own)s. Nothing was changed. If that is not the address that you see, the proxy in front"
        " of the portal hides it: have it pass on Host with the port, or X-Forwarded-Host and"
        " X-Forwarded-Proto, and set PORTAL_PROXIES or PORTAL_BASE_URL.",
        origin=origin,
        own=_origin(request.host_url),
    )


def _own_origins() -> set[str]:
    # Not request.host_url, which shows the letters of an international name.
    addresses = (f"{request.scheme}://{request.host}", current_app.config["BASE_URL"])
    return {_origin(address) for address in addresses if address}


def _origin(address: str) -> str:
    """Return an address's scheme, host and port; the port only where it is not the usual one."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    suffix = "" if port in {None, usual} else f":{port}"
    return f"{parts.scheme}://{parts.hostname}{suffix}"
