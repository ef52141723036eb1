"""Forms of other sites: refused by their token, and by their origin."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, request
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]

_OWN = {"same-origin", "none"}
"""What ``Sec-Fetch-Site`` says of the portal's own pages, and of what a person opens."""


class ForeignOriginError(CSRFError):  # type: ignore[misc]
    """The token is right, and the form seems to come from another address; it says from which."""


class Protection(CSRFProtect):  # type: ignore[misc]
    """Checks the token of each form before its view; one that is exempt calls ``protect()``.

    Then it checks where the form comes from. A browser's ``Sec-Fetch-Site`` is what no page can
    set, and no proxy misunderstands; older ones have ``Origin`` or ``Referer``.
    """

    def protect(self, apply_exemptions: bool = False) -> None:
        """Check this request, or raise :exc:`CSRFError`.

        :raises ForeignOriginError: if only its origin is wrong.
        """
        super().protect(apply_exemptions)
        is_checked = request.method in current_app.config["WTF_CSRF_METHODS"]
        if not is_checked or (apply_exemptions and (not request.endpoint or self._is_exempt())):
            return
        if (site := request.headers.get("Sec-Fetch-Site")) is not None:
            if site not in _OWN:
                raise ForeignOriginError(_explain(f"a page that is {site}"))
            return
        origin = request.headers.get("Origin") or request.referrer
        if origin and _origin(origin) not in _own_origins():
            raise ForeignOriginError(_explain(origin[:100]))


def lacks_cookie() -> bool:
    """Return whether the browser keeps the session's cookie back, which is for HTTPS only."""
    name, is_secure = current_app.config["SESSION_COOKIE_NAME"], request.is_secure
    wants_secure = current_app.config["SESSION_COOKIE_SECURE"]
    return bool(wants_secure and not is_secure and name not in request.cookies)


def _explain(origin: str) -> str:
    return (
        f"The browser sent this form from {origin}, and the portal believes that it is at"
        f" {_origin(request.host_url)}. Nothing was changed. If that is not the address that you"
        " see, the proxy in front of the portal hides it: have it pass on Host with the port, or"
        " X-Forwarded-Host and X-Forwarded-Proto, and set PORTAL_PROXIES or PORTAL_BASE_URL."
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
