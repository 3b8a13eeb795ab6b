"""permessage-deflate (RFC 7692): offers, agreement, and messages in compressed form.

Negotiation (section 7.1) is the first part: what a client offers, what a server makes
of it, how a client checks the answer. The second part compresses and decompresses
messages (section 7.2), with three promises:

- Nothing is kept for a connection before its first compressed message, and between
  messages only what later ones may refer to: a compressor for those that are sent, the
  last bytes in clear for those that come. Without context takeover that is nothing.
- What comes is never decompressed further than ``maxMessageSize``.
- What is not exactly one message in DEFLATE's form is an error, a cut one included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from .compression import Compressor, Decompressor, DeflateSettings, Engine
from .errors import InvalidPayload, MessageTooBig
from .frames import FIN, RSV1, Opcode, encodeFrame

__all__ = [
    "EXTENSION",
    "DeflateOffer",
    "DeflateParameters",
    "Deflater",
    "Inflater",
    "PreparedMessage",
    "agree",
    "checkAnswer",
    "deflaterFor",
    "inflaterFor",
    "mostCompressed",
    "offersFor",
]

EXTENSION = "permessage-deflate"
"""The extension's name (RFC 7692 section 7)."""

Parameters: TypeAlias = Iterable[tuple[str, str | None]]
"""An element's parameters, as :func:`twisted_ws.headers.splitParameters` gives them."""

_MAX_BITS = 15
# Decimal without a leading zero (section 7.1.2).
_BITS = {str(bits): bits for bits in range(8, _MAX_BITS + 1)}
# zlib's compressor has no window of 256 bytes: it would use one of 512.
_LEAST_BITS = 9

_SERVER_FORGETS = "server_no_context_takeover"
_CLIENT_FORGETS = "client_no_context_takeover"
_SERVER_BITS = "server_max_window_bits"
_CLIENT_BITS = "client_max_window_bits"


# Negotiation


class DeflateOffer(NamedTuple):
    """One offer of a client (section 7.1); its ``str`` is the element of the header."""

    serverNoContextTakeover: bool = False
    clientNoContextTakeover: bool = False
    serverMaxWindowBits: int | None = None
    """None when the client does not ask for a limit."""
    clientMaxWindowBits: int | None = None
    """None when the client cannot be limited; 15 also when it names no number."""

    def __str__(self) -> str:
        text = _write(*self)
        # As browsers write it; servers that are older know no number here.
        return text.removesuffix(f"={_MAX_BITS}") if self.clientMaxWindowBits else text


class DeflateParameters(NamedTuple):
    """What was agreed (section 7.1); its ``str`` is the element of the header."""

    serverNoContextTakeover: bool = False
    """Whether the server compresses each message on its own."""
    clientNoContextTakeover: bool = False
    """Whether the client does."""
    serverMaxWindowBits: int = _MAX_BITS
    """How far back the server's messages refer at most, as a power of two."""
    clientMaxWindowBits: int = _MAX_BITS
    """How far back the client's do."""
    named: tuple[bool, bool] = (False, False)
    """Whether the answer names the two numbers of bits, the server's and the client's;
    where it does not they are 15."""

    def sentBy(self, isServer: bool) -> tuple[int, bool]:
        """Give the window bits of one side's messages, and whether it takes its context
        over from one to the next.

        :param isServer: which side
        """
        if isServer:
            return self.serverMaxWindowBits, not self.serverNoContextTakeover
        return self.clientMaxWindowBits, not self.clientNoContextTakeover

    def __str__(self) -> str:
        server, client = self.named
        return _write(
            self.serverNoContextTakeover,
            self.clientNoContextTakeover,
            self.serverMaxWindowBits if server else None,
            self.clientMaxWindowBits if client else None,
        )


def _write(
    serverForgets: bool,
    clientForgets: bool,
    serverBits: int | None,
    clientBits: int | None,
) -> str:
    """Write an offer or an answer."""
    parts = [EXTENSION]
    if serverForgets:
        parts.append(_SERVER_FORGETS)
    if clientForgets:
        parts.append(_CLIENT_FORGETS)
    if serverBits is not None:
        parts.append(f"{_SERVER_BITS}={serverBits}")
    if clientBits is not None:
        parts.append(f"{_CLIENT_BITS}={clientBits}")
    return "; ".join(parts)


def _read(parameters: Parameters, isOffer: bool) -> DeflateOffer:
    """Read the parameters of an offer or of an answer (section 7.1).

    :raises ValueError: one is unknown, repeated, or has a value that it cannot have
    """
    found: dict[str, bool | int] = {}
    for name, value in parameters:
        if name in found:
            raise ValueError(f"{name} is there more than once")
        if name in (_SERVER_FORGETS, _CLIENT_FORGETS):
            if value is not None:
                raise ValueError(f"{name} takes no value")
            found[name] = True
        elif name not in (_SERVER_BITS, _CLIENT_BITS):
            raise ValueError(f"{name} is not a parameter of {EXTENSION}")
        elif value is None and name == _CLIENT_BITS and isOffer:
            found[name] = _MAX_BITS
        elif value not in _BITS:
            raise ValueError(f"{name} is not a number from 8 to 15")
        else:
            found[name] = _BITS[value]
    return DeflateOffer(
        _SERVER_FORGETS in found,
        _CLIENT_FORGETS in found,
        found.get(_SERVER_BITS),
        found.get(_CLIENT_BITS),
    )


def agree(
    offers: Iterable[tuple[str, Parameters]], settings: DeflateSettings
) -> DeflateParameters | None:
    """Choose among a client's offers, as a server: the first that can be met.

    :param offers: the extensions that the client offers, with their parameters; others
        than this one are passed over, and so are offers that are malformed or ask for
        a window that the compressor does not have (section 7.1: they are declined)
    :param settings: what the server wants
    :returns: what to answer, None to do without the extension
    """
    for name, parameters in offers:
        if name != EXTENSION:
            continue
        try:
            offer = _read(parameters, isOffer=True)
        except ValueError:
            continue
        serverBits = min(
            settings.serverMaxWindowBits, offer.serverMaxWindowBits or _MAX_BITS
        )
        if serverBits < _LEAST_BITS:
            continue
        # Only a client that says so can be told how far to look back (section 7.1.2.2).
        clientBits = min(
            settings.clientMaxWindowBits if offer.clientMaxWindowBits else _MAX_BITS,
            offer.clientMaxWindowBits or _MAX_BITS,
        )
        return DeflateParameters(
            settings.serverNoContextTakeover or offer.serverNoContextTakeover,
            settings.clientNoContextTakeover or offer.clientNoContextTakeover,
            serverBits,
            clientBits,
            (
                offer.serverMaxWindowBits is not None or serverBits < _MAX_BITS,
                clientBits < _MAX_BITS,
            ),
        )
    return None


def offersFor(settings: DeflateSettings | None) -> tuple[DeflateOffer, ...]:
    """Give what a client offers, its favourite first.

    A server that cannot limit its window declines an offer that asks for it (section
    7.1.2.1), so that a second one does without. It costs the memory of a full window.

    :param settings: what the client wants, None for no compression
    """
    if settings is None:
        return ()
    plain = DeflateOffer(
        settings.serverNoContextTakeover,
        settings.clientNoContextTakeover,
        None,
        settings.clientMaxWindowBits,
    )
    if settings.serverMaxWindowBits == _MAX_BITS:
        return (plain,)
    return (plain._replace(serverMaxWindowBits=settings.serverMaxWindowBits), plain)


def checkAnswer(
    offers: Sequence[DeflateOffer], parameters: Parameters
) -> DeflateParameters:
    """Read a server's answer, as a client.

    :param offers: what was offered
    :param parameters: of the extension in the response
    :returns: what holds now
    :raises ValueError: it answers none of the offers; says what is wrong
    """
    answer = _read(parameters, isOffer=False)
    wrong = "it was not offered"
    for offer in offers:
        found = _contradiction(offer, answer)
        if found is None:
            return DeflateParameters(
                answer.serverNoContextTakeover,
                # What a client offers for itself it may do unasked.
                answer.clientNoContextTakeover or offer.clientNoContextTakeover,
                answer.serverMaxWindowBits or _MAX_BITS,
                min(
                    answer.clientMaxWindowBits or _MAX_BITS,
                    offer.clientMaxWindowBits or _MAX_BITS,
                ),
                (
                    answer.serverMaxWindowBits is not None,
                    answer.clientMaxWindowBits is not None,
                ),
            )
        wrong = found
    raise ValueError(wrong)


def _contradiction(offer: DeflateOffer, answer: DeflateOffer) -> str | None:
    """Say what an answer makes of an offer that it may not (section 7.1)."""
    if offer.serverNoContextTakeover and not answer.serverNoContextTakeover:
        return f"{_SERVER_FORGETS} was asked for"
    most = offer.serverMaxWindowBits
    if most is not None and (answer.serverMaxWindowBits or _MAX_BITS) > most:
        return f"{_SERVER_BITS} is over {most}"
    if answer.clientMaxWindowBits is not None and offer.clientMaxWindowBits is None:
        return f"{_CLIENT_BITS} was not offered"
    return None


# Messages

# The end of a flushed block, which is not sent (section 7.2.1).
_TAIL = b"\0\0\xff\xff"
# A message that ends where it should, and a last block behind it: only when that is
# what the decompressor finds there was the message whole.
_END = _TAIL + b"\1\0\0\xff\xff"
# The message without a byte (section 7.2.3.6).
_EMPTY = b"\0"
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


_shared: dict[tuple[str, int, int, int], Compressor] = {}
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

    __slots__ = ("_compressor", "_settings", "_takesOver", "key", "threshold")

    def __init__(
        self, settings: DeflateSettings, windowBits: int, contextTakeover: bool
    ) -> None:
        self._settings = settings
        self._takesOver = contextTakeover
        self._compressor: Compressor | None = None
        self.threshold = settings.threshold
        """Bytes from which on messages are compressed."""
        self.key = (
            settings.engine.name,
            settings.level,
            windowBits,
            settings.memoryLevel,
        )
        """What it has in common with others whose results are the same."""

    def compress(self, payload: bytes) -> bytes | None:
        """Compress the next message.

        :param payload: its payload
        :returns: the frame's payload; None when that would not be shorter, and the
            message does better without
        """
        if not self._takesOver:
            return self.compressAlone(payload)
        if not payload:
            return _EMPTY
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._make()
        # However long it got: the compressor counts on the peer to have seen it.
        return (compressor.compress(payload) + compressor.flush(_SYNC_FLUSH))[:-4]

    def compressAlone(self, payload: bytes) -> bytes | None:
        """Compress a message that refers to none before it.

        :param payload: its payload
        :returns: as :meth:`compress`
        """
        compressor = _shared.get(self.key)
        if compressor is None:
            compressor = _shared[self.key] = self._make()
        # A full flush makes it forget. Half as much work as another compressor.
        data = compressor.compress(payload) + compressor.flush(_FULL_FLUSH)
        return data[:-4] if len(data) - 4 < len(payload) else None

    def forget(self) -> None:
        """Compress the next message as if it were the first: the peer got one that was
        not compressed here. Its memory is given back."""
        self._compressor = None

    def _make(self) -> Compressor:
        _, level, windowBits, memoryLevel = self.key
        return self._settings.engine.compressobj(
            level, _DEFLATED, -windowBits, memoryLevel
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
    )

    def __init__(
        self, engine: Engine, windowBits: int, contextTakeover: bool, limit: int
    ) -> None:
        self._engine = engine
        # zlib has no smaller one, and a larger one does.
        self._windowBits = max(windowBits, _LEAST_BITS)
        self._takesOver = contextTakeover
        self._limit = limit
        # The end of what came in earlier messages.
        self._window = b""
        self._decompressor: Decompressor | None = None
        # What has come of a message that comes in pieces.
        self._message = bytearray()
        self._lastBlocks = 0

    def inflate(self, payload: bytes) -> bytes:
        """Decompress a message that came in one frame.

        :param payload: the frame's payload
        :returns: the message
        :raises MessageTooBig: it is over the limit; it was decompressed no further
        :raises InvalidPayload: it is not in DEFLATE's form, or not whole
        """
        decompressor = self._engine.decompressobj(-self._windowBits, self._window)
        try:
            message = decompressor.decompress(payload + _END, self._limit + 1)
        except self._engine.error:
            raise _invalid() from None
        if not decompressor.eof or decompressor.unused_data:
            if len(message) > self._limit:
                raise _tooBig(self._limit)
            # Not whole, or with a last block before its end, which is for the long way.
            self.feed(payload)
            return self.finish()
        if len(message) > self._limit:
            raise _tooBig(self._limit)
        if self._takesOver:
            self._remember(message)
        return message

    def beginFrame(self) -> None:
        """Say that the next piece is the first of a frame."""
        self._lastBlocks = 0

    def feed(self, piece: bytes) -> bytearray:
        """Decompress a piece of a message.

        :param piece: bytes of a frame's payload
        :returns: what that adds to the message
        :raises MessageTooBig: as :meth:`inflate`
        :raises InvalidPayload: it is not in DEFLATE's form
        """
        begin = len(self._message)
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._restart()
        while piece:
            if decompressor.eof:
                # The block before was marked as the last one. The window goes on.
                self._lastBlocks += 1
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
        decompressor = self._decompressor
        # With a last block at its very end there is nothing to end; that it lacks the
        # empty block which section 7.2.3.4 puts behind does no harm.
        if decompressor is None or not decompressor.eof:
            self._lastBlocks = 0
            self.feed(_END)
            decompressor = self._decompressor
            if decompressor is None or not decompressor.eof or self._lastBlocks:
                raise InvalidPayload("a compressed message is not whole")
        message = bytes(self._message)
        self._message = bytearray()
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
    return Deflater(settings, bits, takesOver) if bits >= _LEAST_BITS else None


def inflaterFor(
    parameters: DeflateParameters, engine: Engine, isServer: bool, limit: int
) -> Inflater:
    """Make what decompresses the messages that come.

    :param parameters: what was agreed
    :param engine: does it
    :param isServer: which side this is
    :param limit: most bytes of a message
    """
    return Inflater(engine, *parameters.sentBy(not isServer), limit)


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
