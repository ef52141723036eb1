"""Which responses the web server may compress: texts without a secret that a length could tell.

Text that repeats in a page makes it shorter once it is compressed. Whoever sees lengths on the
network, and can have text of theirs in the page, could guess the rest of it (BREACH,
CVE-2013-3587). So a page that shows a secret is sent as it is, and so is any page that another site
has opened, with what it wrote into the address. Tokens of forms are masked: see :mod:`.csrf`.

Apache compresses what varies by ``Accept-Encoding`` only, which no delivered file does. nginx
cannot ask for that, and leaves alone what has a coding: identity, for what must not be compressed.
Apache removes that, as it is no coding to name.
"""

from __future__ import annotations

from flask import Flask, Response, g, request

from .csrf import OWN_SITES

_TEXTS = frozenset(
    {
        *("text/html", "text/css", "text/javascript", "text/csv", "text/plain"),
        *("application/javascript", "image/svg+xml"),
    }
)


def init_app(app: Flask) -> None:
    """Say of each response whether it may be compressed."""
    app.after_request(_declare)


def forbid() -> None:
    """Have the response to this request sent as it is: it shows a secret."""
    g.shows_secret = True


def _declare(response: Response) -> Response:
    # What is handed off says nothing of the answer; programs that send pieces get no page; a
    # delivered file has a coding here.
    if response.location or request.blueprint == "tus" or response.mimetype not in _TEXTS:
        return response
    if "Content-Encoding" in response.headers:
        return response
    if _may_compress():
        response.vary.add("Accept-Encoding")
        if request.method == "HEAD":  # nobody knows the length that GET would have (RFC 9110, 8.6)
            response.automatically_set_content_length = False
            response.headers.remove("Content-Length")
    else:
        response.headers["Content-Encoding"] = "identity"
    return response


def _may_compress() -> bool:
    if request.endpoint == "static":
        return True
    # Programs and old browsers do not say which site opened the page.
    is_own = request.headers.get("Sec-Fetch-Site", "none") in OWN_SITES
    return is_own and "shows_secret" not in g
