"""Object stores that speak Amazon S3's protocol, as places for private files.

:mod:`.store` is where the objects of an area lie, :mod:`.objects` what is sent of it,
:mod:`.sigv4` signs requests, and :mod:`.client` makes those that the web server does not.
Nothing here knows Flask.
"""

from __future__ import annotations
