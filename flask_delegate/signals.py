"""Signals, sent with the application as their sender (Flask's ``signals`` documentation)."""

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
