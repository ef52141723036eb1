"""Signals (Flask's ``signals`` documentation). Most have the application as their sender."""

from __future__ import annotations

from blinker import NamedSignal, Namespace

_signals = Namespace()

file_delegated: NamedSignal = _signals.signal(
    "file-delegated",
    doc="""Sent for each file that is handed off or streamed, with its ``delivery`` and, as
    ``backend``, the server's name. It says that a download was allowed, not that it arrived.""",
)
file_streamed: NamedSignal = _signals.signal(
    "file-streamed",
    doc="""Sent where Python sends a file that was to be handed off: with the ``kind`` of reason,
    one of a few words, and the ``reason`` in a sentence.""",
)
file_refused: NamedSignal = _signals.signal(
    "file-refused", doc="Sent with the ``error`` that was answered with an error page."
)
receipt_read: NamedSignal = _signals.signal(
    "receipt-read",
    doc="""Sent by :mod:`flask_delegate.receipts` for each ``receipt`` that it reads. The sender is
    the log's path, as text.""",
)
