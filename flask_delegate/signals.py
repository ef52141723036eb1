"""Signals, sent with the application as their sender (Flask's ``signals`` documentation).

``file_delegated(app, delivery, backend)``
    A file is on its way: the :class:`~flask_delegate.handoff.Delivery`, and ``"mod_wsgi"`` or
    ``"stream"``. It tells of the decision, not of the download's end.

``file_refused(app, error)``
    The :class:`~flask_delegate.exceptions.DelegateError` that was answered with an error page.
"""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

file_delegated = _signals.signal("file-delegated")
file_refused = _signals.signal("file-refused")
