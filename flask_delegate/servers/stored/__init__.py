"""What servers do with an area that lies in an object store: they ask the store for each object.

The application signs one request for one object, valid for a minute. :mod:`.query` carries it and
the object's description through Apache, :mod:`.apache` and :mod:`.nginx` have the rules, and
:mod:`.direct` answers where the application itself has to ask.
"""

from __future__ import annotations
