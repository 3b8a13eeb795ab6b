"""Frames: bytes to frames, frames to bytes, masking (RFC 6455 section 5.2 and 5.3).

A frame on its own: whether its header may be what it is, where it ends, what its
payload is. What frames mean one after another is :mod:`twisted_ws.connection`'s.

``FrameDecoder``, ``encodeFrame`` and ``mask`` have twins in ``_speedups.c`` that do the
same to the letter; :mod:`twisted_ws.codec` chooses.
"""

from __future__ import annotations

from copy import copy
from enum import IntEnum

from .errors import ConnectionFailed, ProtocolError

__all__ = [
    "CONTRACT",
    "FIN",
    "FRAMES_PER_FEED",
    "MAX_CONTROL_PAYLOAD",
    "RSV1",
    "FrameDecoder",
    "Opcode",
    "encodeFrame",
    "mask",
]

CONTRACT = 1
"""The number of what this module does for others. To be raised, here and in
``_speedups.c``, with each change that they notice: an old build is left unused then."""
FIN = 0x80
"""The bit of the first byte that marks the last fragment of a message."""
RSV1 = 0x40
"""The first reserved bit; extensions give it a meaning (RFC 7692: compressed)."""
MAX_CONTROL_PAYLOAD = 125
"""Most payload bytes of a Close, Ping or Pong frame."""
FRAMES_PER_FEED = 1024
"""Most frames that are decoded at a time: about 3 ms, after which others have their
turn. One segment of 64 KiB can hold ten times as many."""


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def isControl(self) -> bool:
        """Whether it is a control frame: Close, Ping or Pong."""
        return self >= 0x8


_MASKED = 0x80
_WHOLE_TEXT = FIN | Opcode.TEXT
_WHOLE_BINARY = FIN | Opcode.BINARY
_BLOCK = 8192
# A key times this is the key repeated over a block: one multiplication a payload.
_REPEAT = int.from_bytes(b"\1\0\0\0" * (_BLOCK // 4), "little")


def mask(data: bytes, key: bytes, /) -> bytes:
    """Mask or unmask a payload, which is the same (RFC 6455 section 5.3).

    :param data: any number of bytes
    :param key: four bytes
    """
    size = len(data)
    if size <= 2 * _BLOCK:
        # One XOR of two long integers. Fastest of what Python has up to this size:
        # 256 bytes in 0.3 µs, where bytes(a ^ b for …) takes 12.
        pad = (key * ((size + 3) >> 2))[:size]
        return (
            int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")
        ).to_bytes(size, "little")
    # Above that blocks stay in the processor's cache: twice as fast at 64 KiB.
    pad_ = int.from_bytes(key, "little") * _REPEAT
    whole = size - size % _BLOCK
    blocks = [
        (int.from_bytes(data[at : at + _BLOCK], "little") ^ pad_).to_bytes(
            _BLOCK, "little"
        )
        for at in range(0, whole, _BLOCK)
    ]
    if whole < size:
        blocks.append(mask(data[whole:], key))
    return b"".join(blocks)


def encodeFrame(first: int, payload: bytes | str, key: bytes | None = None, /) -> bytes:
    """Write one frame.

    :param first: the first byte: FIN and reserved bits, and the opcode
    :param payload: its payload, text as UTF-8; for a control frame at most 125 bytes
    :param key: four bytes to mask with, as a client must; None sends it in clear, as a
        server must (section 5.1)
    """
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    size = len(payload)
    bit = 0 if key is None else _MASKED
    if size < 126:
        header = bytes((first, bit | size))
    elif size < 65536:
        header = bytes((first, bit | 126, size >> 8, size & 255))
    else:
        header = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    if key is None:
        return header + payload
    return b"".join((header, key, mask(payload, key)))


def _validFirstBytes(reservedBits: int) -> bytes:
    """Make a table of 256 flags: which first bytes a frame may have."""
    table = bytearray(256)
    for opcode in Opcode:
        if opcode.isControl:
            table[FIN | opcode] = 1
            continue
        table[opcode] = table[FIN | opcode] = 1
        # An extension's bit marks a message, so it stands in the first frame only.
        if opcode is not Opcode.CONTINUATION:
            table[reservedBits | opcode] = table[FIN | reservedBits | opcode] = 1
    return bytes(table)


_VALID = {bits: _validFirstBytes(bits) for bits in (0, RSV1)}


def _explainFirstByte(first: int) -> ProtocolError:
    """Say what is wrong with a first byte that is not in the table."""
    opcode = first & 0x0F
    if opcode not in tuple(Opcode):
        return ProtocolError(f"reserved opcode {opcode:#x}")
    if first & 0x70:
        return ProtocolError("reserved bits set that were not negotiated")
    return ProtocolError("fragmented control frame")


class FrameDecoder:
    """Cut a stream of bytes into frames.

    After each :meth:`feed` look at, in this order: the frames it gave back; ``error``;
    ``pending`` and ``partial``. Memory: the payload of the one unfinished frame, which
    the caller bounds by looking at ``pending``.

    :param masked: whether frames must be masked (from a client) or must not (from a
        server); the other is an error (RFC 6455 section 5.1)
    :param reservedBits: 0, or ``RSV1`` when an extension gave it a meaning
    """

    __slots__ = (
        "_held",
        "_key",
        "_maskBit",
        "_payload",
        "_rest",
        "_valid",
        "error",
        "isASCII",
        "partial",
        "pending",
    )

    def __init__(self, masked: bool, reservedBits: int = 0) -> None:
        self._maskBit = _MASKED if masked else 0
        self._valid = _VALID[reservedBits]
        # A header of which the last bytes are still to come: 13 bytes at most.
        self._held = b""
        self._key = b""
        # Whole frames that the last feed() left for the next one.
        self._rest = b""
        self._payload: bytearray | None = None
        self.error: ConnectionFailed | None = None
        """What is wrong with the first bytes that are no frame; nothing is decoded
        from there on."""
        self.pending: tuple[int, int] | None = None
        """First byte and payload length of a frame whose header has come, but not yet
        its whole payload."""
        self.partial = b""
        """What the last segment brought of the pending frame's payload, unmasked."""
        self.isASCII = False
        """Whether the pending frame is a whole text of over 125 bytes, and all of it
        that has come is ASCII, so that there is nothing to find in it."""

    @property
    def received(self) -> int:
        """How many bytes of the pending frame's payload have come."""
        return 0 if self._payload is None else len(self._payload)

    @property
    def hasMore(self) -> bool:
        """Whether :meth:`feed` stopped at ``FRAMES_PER_FEED`` frames; the rest comes
        with the next call."""
        return bool(self._rest)

    @property
    def isMidFrame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self.pending is not None or bool(self._held or self._rest)

    def fork(self) -> FrameDecoder:
        """Make another one that goes on from here on its own."""
        other = copy(self)
        if self._payload is not None:
            other._payload = bytearray(self._payload)
        return other

    def feed(self, data: bytes, /) -> list[tuple[int, bytes]]:
        """Take a segment of the stream.

        :param data: any bytes, cut anywhere
        :returns: the frames that ended in this segment, in order, as first byte and
            unmasked payload
        """
        frames: list[tuple[int, bytes]] = []
        if self._rest:
            data = self._rest + data
            self._rest = b""
        offset = 0
        if self.error is not None:
            return frames
        if self.pending is not None:
            offset = self._continue(data, frames)
            if self.pending is not None:
                return frames
        elif self._held:
            data = self._held + data
            self._held = b""
        # One loop with everything in locals: of an echo of 256 bytes, this loop is
        # half of what the library costs, and a call for each frame would double it.
        end = len(data)
        valid = self._valid
        maskBit = self._maskBit
        while end - offset >= 2:
            first = data[offset]
            second = data[offset + 1]
            start = offset + 2
            if not valid[first]:
                self.error = _explainFirstByte(first)
                return frames
            if second & _MASKED != maskBit:
                self.error = ProtocolError(
                    "frame is not masked" if maskBit else "frame is masked"
                )
                return frames
            length = second & 0x7F
            if length > MAX_CONTROL_PAYLOAD:
                if first & 0x08:
                    self.error = ProtocolError("control frame over 125 bytes")
                    return frames
                start += 2 if length == 126 else 8
                if start > end:
                    break
                extended = int.from_bytes(data[offset + 2 : start], "big")
                # RFC 6455 section 5.2: the minimal number of bytes MUST be used, and
                # the most significant bit MUST be 0.
                if extended < (126 if length == 126 else 65536) or extended >> 63:
                    self.error = ProtocolError(
                        "payload length is not in its shortest form or over 63 bits"
                    )
                    return frames
                length = extended
            if maskBit:
                start += 4
                if start > end:
                    break
                key = data[start - 4 : start]
            stop = start + length
            if stop > end:
                self.pending = (first, length)
                self._key = key if maskBit else b""
                self._payload = bytearray()
                self.isASCII = first == _WHOLE_TEXT and length > MAX_CONTROL_PAYLOAD
                self._append(data[start:])
                return frames
            payload = data[start:stop]
            frames.append((first, mask(payload, key) if maskBit else payload))
            offset = stop
            if len(frames) == FRAMES_PER_FEED:
                self._rest = data[offset:]
                return frames
        if offset < end:
            self._held = data[offset:]
        return frames

    def feedMessages(
        self, data: bytes, limit: int, /
    ) -> tuple[list[str | bytes], list[tuple[int, bytes]]]:
        """Take a segment of the stream, and decode the messages that it begins with.
        Only for one whose first frame is not inside a fragmented message.

        :param data: any bytes, cut anywhere
        :param limit: the largest message, in bytes
        :returns: the whole messages in one frame each, up to the first frame that is
            none, is longer than the limit or is a text that is not UTF-8; and that
            frame and those behind it, as from :meth:`feed`
        """
        frames = self.feed(data)
        messages: list[str | bytes] = []
        try:
            for first, payload in frames:
                if first == _WHOLE_TEXT and len(payload) <= limit:
                    messages.append(str(payload, "utf-8"))
                elif first == _WHOLE_BINARY and len(payload) <= limit:
                    messages.append(payload)
                else:
                    break
        except UnicodeDecodeError:
            pass
        return messages, frames[len(messages) :]

    def _continue(self, data: bytes, frames: list[tuple[int, bytes]]) -> int:
        """Take more of the pending frame's payload.

        :returns: how many bytes of data were used
        """
        assert self.pending is not None and self._payload is not None  # noqa: S101
        first, length = self.pending
        used = min(length - len(self._payload), len(data))
        self._append(data[:used])
        if len(self._payload) == length:
            frames.append((first, bytes(self._payload)))
            self.pending = self._payload = None
            self.partial = b""
            self.isASCII = False
        return used

    def _append(self, chunk: bytes) -> None:
        """Unmask a piece of the pending payload and keep it.

        One growing buffer, not a list of pieces: a piece of one byte would cost 50.
        """
        assert self._payload is not None  # noqa: S101
        if self._key:
            # The key goes on where the last piece ended.
            turn = len(self._payload) & 3
            chunk = mask(chunk, self._key[turn:] + self._key[:turn])
        self._payload += chunk
        self.partial = chunk
        self.isASCII = self.isASCII and chunk.isascii()
