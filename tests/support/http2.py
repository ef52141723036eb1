"""An HTTP/2 client with bad manners: it sends what it likes, and reads as slowly as it likes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .clients import connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_WINDOW = 2**31 - 1
_HEAD = 9  # bytes before each frame's payload
Field = tuple[str | bytes, str | bytes]


def get(path: str | bytes, *more: Field, host: str = "127.0.0.1") -> list[Field]:
    """Return the fields of a proper request."""
    return [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", host),
        (":path", path),
        *more,
    ]


class Client(AbstractContextManager["Client"]):
    """One connection in the clear, without an upgrade.

    :param window: bytes of each body that the server may send at first.
    """

    def __init__(self, port: int, *, window: int = LARGEST_WINDOW) -> None:
        self._socket = connect(port)
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._received = b""
        self._next = 1
        self.ended = False  # whether the server has closed it
        self.finished: set[int] = set()  # streams
        self.statuses: dict[int, str] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        settings = SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})
        self._send(PREFACE + settings.serialize())
        if window == LARGEST_WINDOW:
            self._send(WindowUpdateFrame(0, window_increment=LARGEST_WINDOW - 65535).serialize())

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def ask(self, fields: Iterable[Field], *, reset: bool = False) -> int:
        """Begin a stream with a request, which may be taken back at once; return its number."""
        stream, self._next = self._next, self._next + 2
        block = self._encoder.encode(list(fields), huffman=False)
        sent = HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]).serialize()
        if reset:
            sent += RstStreamFrame(stream, error_code=8).serialize()
        self._send(sent)
        return stream

    def flood(self, most: int) -> int:
        """Begin a request whose headers do not end; return how many bytes the server took."""
        stream, self._next = self._next, self._next + 2
        self._send(HeadersFrame(stream, self._encoder.encode(get("/"))).serialize())
        # A literal field that enters no table, as a name of one letter and a value of 4000.
        block = b"\x00\x01x\x7f\xa1\x1e" + b"y" * 4000
        frame = ContinuationFrame(stream, block * 4).serialize()
        taken = 0
        while taken < most and not self.ended:
            self._send(frame)
            taken += len(frame)
            self._read(0)
        return taken

    def allow(self, stream: int, count: int) -> None:
        """Let the server send so many bytes more of a body."""
        update = WindowUpdateFrame(stream, window_increment=count).serialize()
        self._send(update + WindowUpdateFrame(0, window_increment=count).serialize())

    def receive(self, until: Callable[[], bool], seconds: float = 5) -> None:
        """Read until something holds or the server closes the connection.

        :raises TimeoutError: if neither comes.
        """
        deadline = time.monotonic() + seconds
        while not (self.ended or until()):
            if time.monotonic() > deadline:
                raise TimeoutError
            self._read(deadline - time.monotonic())

    def receive_parts(self, count: int, size: int) -> None:
        """Read until there are so many bodies with so many bytes each."""
        self.receive(lambda: [len(body) for body in self.bodies.values()] == [size] * count)

    def receive_answers(self, count: int) -> None:
        """Read until so many streams have ended."""
        self.receive(lambda: len(self.finished) >= count)

    def _read(self, seconds: float) -> None:
        self._socket.settimeout(max(0.001, seconds))
        try:
            chunk = self._socket.recv(65536)
        except TimeoutError:
            return
        except OSError:
            chunk = b""
        self.ended = not chunk
        self._received += chunk
        self._read_frames()

    def _send(self, data: bytes) -> None:
        with suppress(ConnectionError):  # which the next reading finds
            self._socket.settimeout(10)
            self._socket.sendall(data)

    def _read_frames(self) -> None:
        while len(self._received) >= _HEAD:
            frame, length = Frame.parse_frame_header(memoryview(self._received[:_HEAD]))
            if len(self._received) < _HEAD + length:
                return
            frame.parse_body(memoryview(self._received[_HEAD : _HEAD + length]))
            self._received = self._received[_HEAD + length :]
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        stream = frame.stream_id
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                self._send(SettingsFrame(flags=["ACK"]).serialize())
            case PingFrame() if "ACK" not in frame.flags:
                self._send(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]).serialize())
            case HeadersFrame():
                fields = {str(name): str(value) for name, value in self._decoder.decode(frame.data)}
                if ":status" in fields:  # what follows a body has none
                    self.statuses[stream] = fields[":status"]
            case DataFrame():
                self.bodies[stream] += frame.data
        if isinstance(frame, RstStreamFrame) or "END_STREAM" in frame.flags:
            self.finished.add(stream)
