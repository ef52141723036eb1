"""What an answer in place of the expected one says of the server, in words."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ...servers.nginx import BUFFERS
from ..requests.client import Reply
from ..route import ROUTE

Reason = tuple[range, str, str]
"""The statuses of an answer, what is behind it, and what to do."""

SAME_KEY = "Run the doctor with the application, the settings and the SECRET_KEY of the server."
_ROOT = "Give the URL of the application's root, below which all its pages lie."
_PATH_INFO = (
    "Beside fastcgi_pass: 'fastcgi_param PATH_INFO $document_uri;' and"
    " 'fastcgi_param SCRIPT_NAME \"\";'."
)
_ANY = range(1000)
_PROXIED = f"nginx: 'location ^~ {ROUTE} {{ … }}' with the application's proxy_pass"

IN_FRONT: tuple[Reason, ...] = (
    (
        range(200, 300),
        "Something has a page for every URL: a sign-in page, a cache, a route that catches all; or"
        " the application does not get the path, as by nginx's fastcgi_params.",
        "Let requests for this URL through to the application, or pass what lets them through:"
        f" --header 'Cookie: …'. {_PATH_INFO}",
    ),
    (
        range(300, 400),
        "Another address or a sign-in page is in the application's place.",
        "Give the URL that the redirect leads to, or pass what signs in: --header 'Cookie: …'.",
    ),
    (
        range(400, 401),
        "The server takes the request for a bad one: it may speak TLS at this port, or not know"
        " the host's name.",
        "Give the URL with https://, or the name: --host NAME.",
    ),
    (
        range(401, 402),
        "A password is asked for before the application is.",
        "Pass it: http://USER:PASSWORD@HOST/, or --header 'Authorization: …'.",
    ),
    (
        range(403, 404),
        "A rule refuses this URL and not the root: one for hidden files, such as"
        " 'location ~ /\\. { deny all; }', or a firewall; or the application does, where the URL"
        " that was given is not its root's.",
        f"Let the URL through ({_PROXIED}). {_ROOT}",
    ),
    (
        range(429, 430),
        "A limit of requests is in front of the application.",
        "Except this machine from it, and wait a minute.",
    ),
    (
        range(500, 501),
        "The application fails, or cannot be loaded.",
        "See the server's error log. PermissionError: its user cannot read a file of the settings,"
        " or the code. An ImportError or a missing libpython there: mod_wsgi, or the"
        " virtual environment, was built for another Python (pip install --no-cache-dir"
        " --force-reinstall mod_wsgi).",
    ),
    (
        range(502, 600),
        "The application's processes cannot be reached, or die as they start; or the site is shut"
        " for maintenance.",
        "See the server's error log, and start the application. If they die under mod_wsgi, see"
        " that it was built for this Python, and that its user may read the code.",
    ),
    (
        _ANY,
        "Either another application, or an old version, answers at this URL; or its SECRET_KEY is"
        " not the doctor's, and the web server's configuration is not made for it; or a rule for"
        " hidden files answers before Flask-Delegate does.",
        f"{SAME_KEY} {_ROOT} Restart it. Let the URL through ({_PROXIED}).",
    ),
)
"""Why the application did not recognise the doctor's token."""

EVERYWHERE = {
    403: (
        "A firewall, or a list of addresses, refuses this machine, the root included.",
        "Let it through, pass what lets it through (--header), or name the application's own"
        " address.",
    ),
    404: (
        "The root is not found, either. Where every URL is answered alike, the application does"
        " not get the path, as by nginx's fastcgi_params. Otherwise another application, or an old"
        " version, answers; or its SECRET_KEY is not the doctor's; or it has no page at its root,"
        " and a rule for hidden files answers this URL.",
        f"{_PATH_INFO} {SAME_KEY} {_ROOT} Let the URL through ({_PROXIED}).",
    ),
}
"""Why it did not, by the status, if the root is answered in the same way."""

HANDED_OFF: tuple[Reason, ...] = (
    (
        range(200, 300),
        "Something changed the file, or sent another one.",
        "See the findings that follow.",
    ),
    (
        range(300, 400),
        "A 'return' or 'rewrite' of the server block (in Apache: Redirect, RewriteRule) acts on the"
        " hand-off as well, and shows the client its internal URL and token. No generated rule can"
        " undo that.",
        "Put it into the application's location, into another server block, or except the area.",
    ),
    (
        range(401, 402),
        "A password (auth_basic, auth_request) is asked for a second time, by the hand-off. No"
        " generated rule can undo that.",
        "Put it into the application's location.",
    ),
    (
        range(403, 404),
        "The web server's user cannot read the folder; or the guard does not know the token; or"
        " deny or auth_request of the server block, or a 'return 403', refuse the hand-off.",
        "See permissions and guard above, and the server's error log. Put such rules into the"
        " application's location.",
    ),
    (
        range(404, 405),
        "The server looks elsewhere for the file, such as after a 'rewrite' of the server block;"
        " or the application does not find it.",
        "See agreement above, and both logs.",
    ),
    (
        range(502, 503),
        "nginx could not read the application's answer, such as one with large headers.",
        f"See nginx's error log, and write: {BUFFERS}",
    ),
    (
        _ANY,
        "The hand-off failed.",
        "See the findings above, and both the server's and the application's log.",
    ),
)
"""Why the probe file did not arrive."""


IGNORED = (
    "The server sent the application's empty answer, and ignored its header that hands the file"
    " off.",
    "nginx: take X-Accel-Redirect out of proxy_ignore_headers and proxy_hide_header. Apache:"
    " XSendFile On, or ProxySCGIInternalRedirect On, where the application is. Caddy: import the"
    " generated file into reverse_proxy."
    " lighttpd: include it after other lines about proxy.server.",
)
"""Why nothing of it arrived."""


def reason(reply: Reply, reasons: Iterable[Reason]) -> tuple[str, str]:
    """Return what is behind an answer, and what to do."""
    return next((why, fix) for statuses, why, fix in reasons if reply.status in statuses)


def described(reply: Reply) -> str:
    """Return what was asked for, how it was answered and, if it is known, by what."""
    server = reply.header("Server")
    text = f"{reply.url} was answered with {reply.status}{server and f' by {server}'}"
    if 300 <= reply.status < 400:
        text += f", a redirect to {_place(reply.header('Location'))}"
    return text


def _place(location: str) -> str:
    """Shorten a redirect's target, which may repeat the doctor's or a hand-off's token."""
    parts = urlsplit(location)
    place = f"{parts.scheme}://{parts.hostname}" if parts.hostname else ""
    return f"{place}/…" if ROUTE in parts.path else place + parts.path
