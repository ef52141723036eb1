"""The portal for a WSGI server, configured by ``PORTAL_*`` variables in the environment."""

from __future__ import annotations

from portal import create_app

application = create_app()
