"""What Caddy's access log, lines of JSON, says of a hand-off, written as nginx writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def as_text(line: str) -> str:
    """Return an entry of the log in the form of other servers' receipts.

    Caddy counts what it passed to the network, without headers.

    :returns: nothing, for an entry about something else than a hand-off.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or "flask_delegate" not in entry:
        return ""
    size, request = entry.get("size"), entry.get("request")
    method = request.get("method") if isinstance(request, dict) else ""
    # The head of an answer has a byte at least, and everything was sent if the body was.
    sent = size + 1 if isinstance(size, int) else None
    return (
        f"flask-delegate id={entry['flask_delegate']} time={entry.get('ts')} method={method}"
        f" status={entry.get('status')} end=OK body={size}"
        f" length={_header(entry, 'Content-Length')} sent={sent}"
        f' range="{_header(entry, "Content-Range")}"'
    )


def _header(entry: Mapping[str, Any], name: str) -> str:
    headers = entry.get("resp_headers")
    values = headers.get(name) if isinstance(headers, dict) else None
    return str(values[0]) if isinstance(values, list) and values else "-"
