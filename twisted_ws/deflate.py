"""Messages in compressed form (RFC 7692 section 7.2): deflated, inflated, prepared.

Three promises:

- Nothing is kept for a connection before its first compressed message, and between
  messages only what later ones may refer to: a compressor for those that are sent, the
  last bytes in clear for those that come. Without context takeover that is nothing.
- What comes is never decompressed further than ``maxMessageSize``.
- What is not exactly one message in DEFLATE's form is an error, a cut one included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, partial

from .codec import encodeFrame
from .compression import Compressor, Decompressor, DeflateSettings, Engine
from .errors import InvalidPayload, MessageTooBig
from .frames import FIN, RSV1, Opcode
from .offers import LEAST_COMPRESSOR_BITS, DeflateParameters

__all__ = [
    "Deflater",
    "Inflater",
    "PreparedMessage",
    "deflaterFor",
    "inflaterMaker",
    "mostCompressed",
]

# The end of a flushed block, which is not sent (section 7.2.1).
_TAIL = b"\0\0\xff\xff"
# The same, and an empty last block. Behind a whole message it makes the decompressor
# stop at its end and give nothing. Behind one that was cut short, some of it is taken
# for data, or it does not stop there.
_END = _TAIL + b"\1\0\0\xff\xff"
# Flush modes, the same in all engines.
_SYNC_FLUSH = 2
_FULL_FLUSH = 3
_DEFLATED = 8

_MAX_LAST_BLOCKS = 16
"""Most blocks that may be marked as the last one in one frame. One is common where a
library cannot flush otherwise (section 7.2.3.4), several are odd, and each costs as
much as a message: a frame made of them would take minutes."""


def mostCompressed(size: int, fragments: int) -> int:
    """Give how long a message of so many bytes can be in compressed form.

    More than without: bytes that do not compress grow by up to an eighth and a little.

    :param size: bytes before compression
    :param fragments: how many pieces it came in, each of which may have been flushed
    """
    return size + (size >> 3) + (size >> 6) + 16 * fragments + 64


@cache
def _keyFor(settings: DeflateSettings, windowBits: int) -> tuple[DeflateSettings, int]:
    """Give the one object for two: ten thousand connections share it."""
    return settings, windowBits


_shared: dict[tuple[DeflateSettings, int], Compressor] = {}
"""Compressors that remember nothing between messages, and so serve all connections."""


class Deflater:
    """Compresses the messages that one connection sends (section 7.2.1).

    Memory: nothing before the first message, and nothing without context takeover.
    With it the engine's compressor: for zlib ``2 ** (bits + 2)`` and ``2 ** (level +
    9)`` bytes and 6 KiB, where ``bits`` are the agreed window bits and ``level`` is the
    memory level.

    :param settings: level, memory level, threshold and engine
    :param windowBits: what was agreed for this direction
    :param contextTakeover: likewise
    """

    __slots__ = ("_compressor", "_takesOver", "key")

    def __init__(
        self, settings: DeflateSettings, windowBits: int, contextTakeover: bool
    ) -> None:
        self._takesOver = contextTakeover
        self._compressor: Compressor | None = None
        self.key = _keyFor(settings, windowBits)
        """What it has in common with others whose results are the same."""

    @property
    def threshold(self) -> int:
        """Bytes from which on messages are compressed."""
        return self.key[0].threshold

    def compress(self, payload: bytes) -> bytes | None:
        """Compress the next message.

        :param payload: its payload
        :returns: the frame's payload; None when that would not be shorter, and the
            message does better without
        """
        if not self._takesOver:
            return self.compressAlone(payload)
        if not payload:
            # It has one byte in compressed form (section 7.2.3.6).
            return None
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._make()
        try:
            data = compressor.compress(payload) + compressor.flush(_SYNC_FLUSH)
        except BaseException:
            self.forget()
            raise
        if len(data) - 4 >= len(payload):
            # Longer, it could be over the peer's limit. The compressor has seen it, and
            # the peer's decompressor will not.
            self.forget()
            return None
        return data[:-4]

    def compressAlone(self, payload: bytes) -> bytes | None:
        """Compress a message that refers to none before it.

        :param payload: its payload
        :returns: as :meth:`compress`
        """
        compressor = _shared.get(self.key)
        if compressor is None:
            compressor = _shared[self.key] = self._make()
        try:
            # A full flush makes it forget. Half as much work as another compressor.
            data = compressor.compress(payload) + compressor.flush(_FULL_FLUSH)
        except BaseException:
            # What it has not forgotten must not get to another connection.
            _shared.pop(self.key, None)
            raise
        return data[:-4] if len(data) - 4 < len(payload) else None

    def forget(self) -> None:
        """Compress the next message as if it were the first: the peer got one that was
        not compressed here. Its memory is given back."""
        self._compressor = None

    def _make(self) -> Compressor:
        settings, windowBits = self.key
        return settings.engine.compressobj(
            settings.level, _DEFLATED, -windowBits, settings.memoryLevel
        )


class Inflater:
    """Decompresses the messages that one connection receives (section 7.2.2).

    :meth:`feed` and :meth:`finish` take a message in pieces, :meth:`inflate` a whole
    one. Between messages it has no decompressor, only the bytes that the next message
    may refer to, with which a new one starts: 0.6 µs more a message than keeping one (2
    µs with the largest window), for a tenth of the memory, an end that can be checked,
    and a way on behind a block that is marked as the last.

    Memory: between messages ``2 ** bits`` bytes with context takeover, where ``bits``
    are the agreed window bits, nothing without or before the first one. During a
    message twice that and 10 KiB, and what has come of the message.

    :param engine: does it
    :param windowBits: what was agreed for this direction
    :param contextTakeover: likewise
    :param limit: most bytes of a message
    """

    __slots__ = (
        "_decompressor",
        "_engine",
        "_lastBlocks",
        "_limit",
        "_message",
        "_takesOver",
        "_window",
        "_windowBits",
        "restarts",
    )

    def __init__(
        self, engine: Engine, windowBits: int, contextTakeover: bool, limit: int
    ) -> None:
        self._engine = engine
        # zlib has no smaller one, and a larger one does.
        self._windowBits = max(windowBits, LEAST_COMPRESSOR_BITS)
        self._takesOver = contextTakeover
        self._limit = limit
        # The end of what came in earlier messages.
        self._window = b""
        self._decompressor: Decompressor | None = None
        # What has come of a message that comes in pieces; a buffer only while there is
        # one, as an empty one takes 57 bytes.
        self._message: bytearray | bytes = b""
        self._lastBlocks = 0
        self.restarts = 0
        """How often it began anew behind a last block; each costs as much as a message.
        Counts up; whoever looks at it may set it to 0."""

    def inflate(self, payload: bytes) -> bytes:
        """Decompress a message that came in one frame.

        :param payload: the frame's payload
        :returns: the message
        :raises MessageTooBig: it is over the limit; it was decompressed no further
        :raises InvalidPayload: it is not in DEFLATE's form, or not whole
        """
        decompressor = self._engine.decompressobj(-self._windowBits, self._window)
        try:
            message = decompressor.decompress(payload, self._limit + 1)
            if len(message) > self._limit:
                raise _tooBig(self._limit)
            if decompressor.eof:
                # A last block inside it, which is for the long way.
                self.beginFrame()
                self.feed(payload)
                return self.finish()
            more = decompressor.decompress(_END, 1)
        except self._engine.error:
            raise _invalid() from None
        if more or not decompressor.eof or decompressor.unused_data:
            raise _notWhole()
        if self._takesOver:
            self._remember(message)
        return message

    def beginFrame(self) -> None:
        """Say that the next piece is the first of a frame."""
        self._lastBlocks = 0

    def feed(self, piece: bytes) -> bytes | bytearray:
        """Decompress a piece of a message.

        :param piece: bytes of a frame's payload
        :returns: what that adds to the message
        :raises MessageTooBig: as :meth:`inflate`
        :raises InvalidPayload: it is not in DEFLATE's form
        """
        if not piece:
            # Not to begin with a window that may have moved on when there is more.
            return b""
        begin = len(self._message)
        if not begin:
            self._message = bytearray()
        decompressor = self._decompressor or self._restart()
        while piece:
            if decompressor.eof:
                # The block before was marked as the last one. The window goes on.
                self._lastBlocks += 1
                self.restarts += 1
                if self._lastBlocks > _MAX_LAST_BLOCKS:
                    raise InvalidPayload("too many last blocks in a compressed frame")
                decompressor = self._restart()
            room = self._limit - len(self._message)
            try:
                self._message += decompressor.decompress(piece, room + 1)
            except self._engine.error:
                raise _invalid() from None
            if len(self._message) > self._limit:
                raise _tooBig(self._limit)
            piece = decompressor.unused_data
        return self._message[begin:]

    def finish(self) -> bytes:
        """End a message whose pieces :meth:`feed` took.

        :returns: the message
        :raises InvalidPayload: it is not whole
        """
        decompressor = self._decompressor or self._restart()
        # With a last block at its very end there is nothing to end; that it lacks the
        # empty block which section 7.2.3.4 puts behind does no harm.
        if not decompressor.eof:
            self._lastBlocks = 0
            if self.feed(_END) or self._lastBlocks or not decompressor.eof:
                raise _notWhole()
        message = bytes(self._message)
        self._message = b""
        self._decompressor = None
        if self._takesOver:
            self._remember(message)
        return message

    def _restart(self) -> Decompressor:
        """Begin with a block, at a message's beginning or behind a last block."""
        self._decompressor = self._engine.decompressobj(
            -self._windowBits, self._lastBytes(self._message)
        )
        return self._decompressor

    def _lastBytes(self, message: bytes | bytearray) -> bytes:
        """Give the window behind some of a message."""
        size = 1 << self._windowBits
        if len(message) >= size:
            return bytes(message[-size:])
        return (self._window + message)[-size:] if message else self._window

    def _remember(self, message: bytes) -> None:
        self._window = self._lastBytes(message)


def _invalid() -> InvalidPayload:
    return InvalidPayload("a compressed message is not in DEFLATE's form")


def _notWhole() -> InvalidPayload:
    return InvalidPayload("a compressed message is not whole")


def _tooBig(limit: int) -> MessageTooBig:
    return MessageTooBig(f"message over {limit} bytes")


def deflaterFor(
    parameters: DeflateParameters, settings: DeflateSettings, isServer: bool
) -> Deflater | None:
    """Make what compresses the messages that are sent.

    :param parameters: what was agreed
    :param settings: this side's
    :param isServer: which side this is
    :returns: None when the peer cannot look back as far as any compressor does, and
        everything is sent as it is, which is always allowed
    """
    bits, takesOver = parameters.sentBy(isServer)
    return (
        Deflater(settings, bits, takesOver) if bits >= LEAST_COMPRESSOR_BITS else None
    )


@lru_cache(64)
def inflaterMaker(
    parameters: DeflateParameters, engine: Engine, isServer: bool, limit: int
) -> Callable[[], Inflater]:
    """Give what makes the decompressor of the messages that come, the same for all
    connections that have agreed on the same. Many a peer never sends one.

    :param parameters: what was agreed
    :param engine: does it
    :param isServer: which side this is
    :param limit: most bytes of a message
    """
    return partial(Inflater, engine, *parameters.sentBy(not isServer), limit)


class PreparedMessage:
    """A message that goes to many connections, framed and compressed once for all.

    It is compressed on its own, once for each set of parameters that connections have
    agreed on, whether with context takeover or not. Where there is takeover, the
    connection's compressor starts anew behind it: a message that others do not share is
    better sent as usual.

    Memory: the payload, its frame, and one more for each set of parameters.

    :param data: str makes a text message, bytes a binary one
    :param compress: False never compresses it, True does whatever its size, None (the
        default) from ``compressionThreshold`` bytes on
    :raises TypeError: neither str nor bytes
    :raises UnicodeEncodeError: a lone surrogate
    """

    __slots__ = ("_compress", "_forms", "_opcode", "payload")

    def __init__(self, data: str | bytes, compress: bool | None = None) -> None:
        if isinstance(data, str):
            self._opcode = int(Opcode.TEXT)
            self.payload = data.encode("utf-8")
            """The message, before compression."""
        elif isinstance(data, (bytes, bytearray, memoryview)):
            self._opcode = int(Opcode.BINARY)
            self.payload = bytes(data)
        else:
            raise TypeError(
                f"a message is str or bytes, not {type(data).__name__}; json.dumps() "
                f"makes a str of most things"
            )
        self._compress = compress
        self._forms: dict[object, tuple[int, bytes, bytes]] = {}

    def form(self, deflater: Deflater | None) -> tuple[int, bytes, bytes]:
        """Give the message as a connection sends it.

        :param deflater: the connection's, None without compression
        :returns: the first byte, the frame's payload, and the frame without a mask
        """
        key = None
        if deflater is not None and self._wanted(deflater):
            key = deflater.key
        found = self._forms.get(key)
        if found is None:
            first, payload = FIN | self._opcode, self.payload
            if deflater is not None and key is not None:
                compressed = deflater.compressAlone(payload)
                if compressed is not None:
                    first, payload = first | RSV1, compressed
            found = (first, payload, encodeFrame(first, payload))
            self._forms[key] = found
        return found

    def _wanted(self, deflater: Deflater) -> bool:
        if self._compress is None:
            return len(self.payload) >= deflater.threshold
        return self._compress

    def __repr__(self) -> str:
        # Without the payload, which may be long and anybody's.
        return f"<PreparedMessage of {len(self.payload)} bytes>"
