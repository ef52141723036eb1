"""Links as QR codes, which a phone reads from the screen."""

from __future__ import annotations

import segno
from markupsafe import Markup


def qr_code(address: str) -> Markup:
    """Return an address as a picture in the page: of what is secret, no other address tells."""
    # On white, also in dark mode: few apps read light on dark.
    picture = segno.make(address, error="m", micro=False).svg_inline(
        border=4, light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    # It has no text, and no address has anything to escape there.
    return Markup(picture)  # noqa: S704
