"""An open connection as RFC 6455 sections 5.4 to 7 know it: bytes in, events out.

No socket, no clock: :class:`Connection` says what happened and which bytes to write;
when to write them, how long to wait and whom to tell is the business of
:mod:`twisted_ws.protocol`.

Where a connection is, and what takes it on::

                    close()                    CloseReceived
    OPEN ───────────────────────▶ CLOSE_SENT ─────────────────▶ CLOSED
     │                                                             ▲
     │ CloseReceived                                  replyClose() │
     └──────────────▶ CLOSE_RECEIVED ──────────────────────────────┘

    any state before the last three ── fail() ──▶ FAILED
    OPEN, CLOSE_SENT ── lose() ──▶ LOST

In CLOSE_RECEIVED the application may still answer the messages that came before the
Close frame; ``replyClose()`` is called when it had its turn. In CLOSE_SENT messages of
the peer still arrive. After CloseReceived or Failed no byte of the peer is looked at
any more (sections 1.4 and 7.1.7).
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from enum import Enum

from .closing import (
    MAX_REASON_BYTES,
    CloseCode,
    checkClose,
    encodeClose,
    parseClose,
)
from .codec import FrameDecoder, encodeFrame
from .deflate import (
    Deflater,
    Inflater,
    PreparedMessage,
    deflaterFor,
    inflaterMaker,
    mostCompressed,
)
from .errors import (
    ConnectionFailed,
    InvalidPayload,
    MessageTooBig,
    ProtocolError,
)
from .events import CloseReceived, Event, Failed, Ping, Pong
from .frames import FIN, MAX_CONTROL_PAYLOAD, RSV1, Opcode
from .offers import DeflateParameters
from .options import Options

__all__ = [
    "CloseReceived",
    "Connection",
    "Event",
    "Failed",
    "Ping",
    "Pong",
    "Role",
    "State",
]


class Role(Enum):
    """Which end of the connection this is."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """Where the connection is; the module's text has the table."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSE_RECEIVED = "close received"
    CLOSED = "closed"
    FAILED = "failed"
    LOST = "lost"


INFLATED_PER_RECEIVE = 256 * 1024
"""Bytes that :meth:`Connection.receive` decompresses until it leaves the next message
for the next call: one segment of 64 KiB can hold messages of 64 MiB."""

_RESTART_COST = 1024
"""What beginning anew behind a last block counts for, in decompressed bytes."""

_TEXT = FIN | Opcode.TEXT
_BINARY = FIN | Opcode.BINARY
_WHOLE = (_TEXT, _BINARY)
_OPEN = State.OPEN
_makeUtf8Decoder = codecs.getincrementaldecoder("utf-8")


class Connection:
    """The state of one connection after its opening handshake.

    Memory: what of the current message has come, at most ``maxMessageSize`` bytes; of a
    compressed one also the payload of its frame that has not ended. Beside that what
    :class:`twisted_ws.deflate.Deflater` and ``Inflater`` keep between messages.

    :param role: which end this is: a client masks, a server does not
    :param options: limits
    :param makeKey: gives that many unpredictable bytes (section 10.3); an argument for
        tests only
    :param deflate: what was agreed of permessage-deflate, None for no compression
    """

    __slots__ = (
        "_ahead",
        "_compressed",
        "_decoder",
        "_deflater",
        "_examined",
        "_fragments",
        "_inflated",
        "_inflater",
        "_isBehind",
        "_makeInflater",
        "_makeKey",
        "_maxFragments",
        "_maxMessageSize",
        "_message",
        "_opcode",
        "_outcome",
        "_unread",
        "_utf8",
        "_waiting",
        "state",
    )

    def __init__(
        self,
        role: Role,
        options: Options,
        makeKey: Callable[[int], bytes] = os.urandom,
        deflate: DeflateParameters | None = None,
    ) -> None:
        self.state = State.OPEN
        """Where the connection is."""
        isServer = role is Role.SERVER
        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        settings = None if deflate is None else options.deflateSettings
        if deflate is not None and settings is not None:
            self._deflater = deflaterFor(deflate, settings, isServer)
            self._makeInflater = inflaterMaker(
                deflate, settings.engine, isServer, options.maxMessageSize
            )
        self._decoder = FrameDecoder(isServer, 0 if settings is None else RSV1)
        self._makeKey = makeKey if role is Role.CLIENT else None
        self._maxMessageSize = options.maxMessageSize
        self._maxFragments = options.maxFragments
        # The message that is under way: its opcode, what came of it, how it comes.
        self._opcode: int | None = None
        self._message: bytearray | None = None
        self._fragments = 0
        # Of a compressed message: how many bytes its frames had.
        self._compressed: int | None = None
        # Checks text that has not ended; how many bytes of the pending frame's payload
        # were checked, or decompressed.
        self._utf8: codecs.IncrementalDecoder | None = None
        self._examined = 0
        # What the last receive() left for the next one, and whether that is to look for
        # it; what it has decompressed.
        self._isBehind = False
        self._waiting: list[tuple[int, bytes]] | None = None
        self._unread = b""
        self._inflated = 0
        self._outcome: tuple[int, str] | None = None
        # The outcome of a lost connection, where receive() has still to come to it.
        self._ahead: tuple[int, str] | None = None

    # Receiving

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer.

        :param data: any bytes, cut anywhere
        :returns: what they brought, in order. ``CloseReceived`` or ``Failed`` is the
            last event that a connection ever gives, and what it asks for is left to the
            caller, so that what came before can be answered first.
        """
        events: list[Event] = []
        if self._outcome is not None:
            return events
        decoder, limit = self._decoder, self._maxMessageSize
        if self._isBehind or self._opcode is not None:
            frames = self._takeUp(data)
        else:
            # What nearly all traffic consists of is ready here.
            messages, rest = decoder.feedMessages(data, limit)
            if messages:
                events += messages
                self._examined = 0
            frames = iter(rest)
        try:
            for first, payload in frames:
                if first in _WHOLE and self._opcode is None and len(payload) <= limit:
                    events.append(str(payload, "utf-8") if first == _TEXT else payload)
                    self._examined = 0
                elif first & 0x08:
                    events.append(self._control(first & 0x0F, payload))
                    if self._outcome is not None:
                        return events
                else:
                    self._dataFrame(first, payload, events)
                    if self._inflated >= INFLATED_PER_RECEIVE:
                        self._waiting = list(frames)
                        return events
            if decoder.error is not None:
                raise decoder.error
            if decoder.pending is not None:
                self._pendingFrame(*decoder.pending)
        except ConnectionFailed as error:
            self._fail(error, events)
        except UnicodeDecodeError:
            self._fail(InvalidPayload("text is not UTF-8"), events)
        return events

    def _takeUp(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Go on with a message, or where an earlier :meth:`receive` decompressed
        something, and perhaps left something.

        :param data: what came
        :returns: the next frames
        """
        self._inflated = 0
        self._isBehind = False
        if self._waiting is None:
            data, self._unread = self._unread + data, b""
            return iter(self._decoder.feed(data))
        # Not to the decoder yet: it tells of the pending frame until it is fed.
        frames, self._waiting = self._waiting, None
        self._unread += data
        self._isBehind = bool(self._unread)
        return iter(frames)

    @property
    def hasMore(self) -> bool:
        """Whether :meth:`receive` stopped in the middle of what it was given, to let
        others have their turn: call it again, with nothing or more."""
        return self._outcome is None and (
            self._decoder.hasMore or self._waiting is not None or bool(self._unread)
        )

    @property
    def isMidMessage(self) -> bool:
        """Whether the peer has begun a message or frame and not ended it."""
        return self._opcode is not None or self._decoder.isMidFrame

    def _fail(self, error: ConnectionFailed, events: list[Event]) -> None:
        self._forget((error.closeCode, str(error)))
        events.append(Failed(error))

    def _forget(self, outcome: tuple[int, str]) -> None:
        """Look at nothing any more that the peer sends."""
        self._outcome = outcome
        self._message = self._utf8 = self._inflater = self._waiting = None
        self._unread = b""

    def _control(self, opcode: int, payload: bytes) -> Event:
        """Read a control frame; the decoder has checked its form."""
        if opcode == Opcode.PING:
            return Ping(payload)
        if opcode == Opcode.PONG:
            return Pong(payload)
        code, reason = parseClose(payload)
        self._forget((code, reason))
        wasOpen = self.state is State.OPEN
        self.state = State.CLOSE_RECEIVED if wasOpen else State.CLOSED
        return CloseReceived(code, reason)

    def _checkData(self, first: int, length: int) -> None:
        """Hold a data frame against the message it is part of (section 5.4).

        :raises ProtocolError: it does not come in turn
        :raises MessageTooBig: the message grows over a limit with it
        """
        if first & 0x0F == Opcode.CONTINUATION:
            if self._opcode is None:
                raise ProtocolError("continuation frame without a message")
        elif self._opcode is not None:
            raise ProtocolError("new message inside a fragmented one")
        if first & RSV1 or self._compressed is not None:
            size = length + (self._compressed or 0)
            most = mostCompressed(self._maxMessageSize, self._fragments + 1)
        else:
            size = length if self._message is None else length + len(self._message)
            most = self._maxMessageSize
        if size > most:
            raise MessageTooBig(f"message over {self._maxMessageSize} bytes")
        if self._fragments >= self._maxFragments:
            raise MessageTooBig(f"message of over {self._maxFragments} fragments")

    def _dataFrame(self, first: int, payload: bytes, events: list[Event]) -> None:
        """Take a data frame that is compressed, that begins, goes on with or ends a
        fragmented message, or that breaks a rule."""
        self._checkData(first, len(payload))
        if first & RSV1 and first & FIN and not self._examined:
            self._wholeCompressed(first & 0x0F, payload, events)
            return
        if self._opcode is None:
            self._opcode = first & 0x0F
            if first & RSV1:
                self._compressed = 0
            else:
                self._message = bytearray()
            if not self._examined:
                self._utf8 = None
        final = bool(first & FIN)
        isText = self._opcode == Opcode.TEXT
        self._fragments += 1
        fresh = payload[self._examined :] if self._examined else payload
        if self._compressed is not None:
            self._compressed += len(payload)
            message: bytes | bytearray = self._inflateFrame(fresh, final, isText)
        else:
            assert self._message is not None  # noqa: S101
            self._message += payload
            message = self._message
            if isText:
                self._validate(fresh, final)
        self._examined = 0
        if final:
            self._opcode = self._message = self._utf8 = self._compressed = None
            self._fragments = 0
            events.append(str(message, "utf-8") if isText else bytes(message))

    def _wholeCompressed(
        self, opcode: int, payload: bytes, events: list[Event]
    ) -> None:
        """Take a compressed message in one frame, which came in one segment (RFC 7692
        section 7.2.2)."""
        if self._inflater is None:
            self._inflater = self._makeInflater()
        message = self._inflater.inflate(payload)
        self._charge(len(message))
        events.append(str(message, "utf-8") if opcode == Opcode.TEXT else message)

    def _inflateFrame(self, fresh: bytes, final: bool, isText: bool) -> bytes:
        """Decompress the rest of a frame.

        :param fresh: what of its payload was not decompressed yet
        :param final: whether the message ends with it
        :param isText: whether the message is text
        :returns: the message, if it ends
        """
        self._inflatePiece(fresh, isText)
        assert self._inflater is not None  # noqa: S101
        return self._inflater.finish() if final else b""

    def _inflatePiece(self, piece: bytes, isText: bool) -> None:
        """Decompress a piece of a message, and check it if it is text."""
        if self._inflater is None:
            self._inflater = self._makeInflater()
        if not self._examined:
            self._inflater.beginFrame()
        added = self._inflater.feed(piece)
        self._charge(len(added))
        if isText:
            self._validate(added, False)

    def _charge(self, size: int) -> None:
        """Count what was decompressed, and what that cost beside."""
        assert self._inflater is not None  # noqa: S101
        self._inflated += size + _RESTART_COST * self._inflater.restarts
        self._inflater.restarts = 0
        # The next receive() counts anew.
        self._isBehind = True

    def _pendingFrame(self, first: int, length: int) -> None:
        """Judge a frame by its header and by what has come of its payload, so that a
        message that cannot be accepted is refused at once (section 8.1 for text)."""
        opcode = first & 0x0F
        if opcode & 0x08:
            return
        self._checkData(first, length)
        isText = (self._opcode or opcode) == Opcode.TEXT
        if self._opcode is None and not self._examined:
            self._utf8 = None
        decoder = self._decoder
        if first & RSV1 or self._compressed is not None:
            self._inflatePiece(decoder.partial, isText)
        elif not isText:
            return
        elif not decoder.isASCII:
            self._validate(decoder.partial, False)
        self._examined = decoder.received

    def _validate(self, piece: bytes | bytearray, final: bool) -> None:
        """Go on checking text.

        :raises UnicodeDecodeError: at the first impossible byte
        :raises InvalidPayload: likewise
        """
        if self._utf8 is None:
            self._utf8 = _makeUtf8Decoder()
        self._utf8.decode(piece, final)
        # Python's decoder takes the second byte of a surrogate, to refuse the third.
        held, _ = self._utf8.getstate()
        if held[:1] == b"\xed" and held[1:] >= b"\xa0":
            raise InvalidPayload("text is not UTF-8")

    # Sending

    def sendText(self, text: str, compress: bool | None = None) -> bytes:
        """Write a text message in one frame.

        :param text: any str that can be encoded in UTF-8
        :param compress: False sends it as it is; True compresses it, whatever its size;
            None does so from ``compressionThreshold`` bytes on. Always as it is goes
            one that would get no shorter.
        :returns: bytes for the peer, none once a Close frame was sent
        :raises TypeError: not a str
        :raises UnicodeEncodeError: a lone surrogate
        """
        if not isinstance(text, str):
            raise TypeError(f"a text message is a str, not {type(text).__name__}")
        if self._deflater is None or compress is False:
            if self.state is _OPEN and self._makeKey is None:
                # A call less, which is 8 % of a message.
                return encodeFrame(_TEXT, text)
            return self._send(_TEXT, text)
        return self._sendCompressed(_TEXT, text.encode("utf-8"), compress)

    def sendBytes(self, data: bytes, compress: bool | None = None) -> bytes:
        """Write a binary message in one frame.

        :param data: bytes, or another object with the buffer interface
        :param compress: as for :meth:`sendText`
        :returns: bytes for the peer, none once a Close frame was sent
        :raises TypeError: not bytes
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a binary message is bytes, not {type(data).__name__}")
        data = bytes(data)
        if self._deflater is None or compress is False:
            if self.state is _OPEN and self._makeKey is None:
                return encodeFrame(_BINARY, data)
            return self._send(_BINARY, data)
        return self._sendCompressed(_BINARY, data, compress)

    def sendPrepared(self, message: PreparedMessage) -> bytes:
        """Write a message that goes to many connections.

        :param message: which
        :returns: bytes for the peer, none once a Close frame was sent
        """
        if not self.maySend:
            return b""
        deflater = self._deflater
        first, payload, frame = message.form(deflater)
        if deflater is not None and first & RSV1:
            deflater.forget()
        # A client masks each frame anew (section 5.3).
        return frame if self._makeKey is None else self._send(first, payload)

    def ping(self, payload: bytes = b"") -> bytes:
        """Write a Ping frame (section 5.5.2).

        :param payload: at most 125 bytes, which come back in the Pong frame
        :returns: bytes for the peer, none once a Close frame was sent
        :raises ValueError: the payload is too long
        """
        return self._sendControl(Opcode.PING, payload)

    def pong(self, payload: bytes) -> bytes:
        """Write a Pong frame (section 5.5.3).

        :param payload: what the Ping frame carried
        :returns: bytes for the peer, none once a Close frame was sent
        :raises ValueError: the payload is too long
        """
        return self._sendControl(Opcode.PONG, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> bytes:
        """Start the closing handshake (section 7.1.2).

        :param code: status code
        :param reason: text for the peer, at most 123 bytes in UTF-8
        :returns: bytes for the peer; none if a Close frame went out or came in before
        :raises ValueError: see :func:`twisted_ws.closing.checkClose`
        """
        checkClose(code, reason)
        if self.state is not State.OPEN:
            return b""
        frame = self._send(FIN | Opcode.CLOSE, encodeClose(code, reason))
        self.state = State.CLOSE_SENT
        return frame

    def replyClose(self) -> bytes:
        """End the closing handshake after ``CloseReceived`` (section 5.5.1).

        :returns: the Close frame with the peer's code, none if ours went out before
        """
        if self.state is not State.CLOSE_RECEIVED:
            return b""
        code, _ = self.outcome
        frame = self._send(FIN | Opcode.CLOSE, encodeClose(code))
        self.state = State.CLOSED
        return frame

    def fail(self, error: ConnectionFailed) -> bytes:
        """Fail the connection (section 7.1.7).

        :param error: why; its code and text go into the Close frame
        :returns: the Close frame, none if one went out before
        """
        if self.state in (State.CLOSED, State.FAILED, State.LOST):
            return b""
        frame = b""
        if self.state is not State.CLOSE_SENT:
            reason = str(error).encode("utf-8", "replace")[:MAX_REASON_BYTES]
            text = reason.decode("utf-8", "ignore")
            frame = self._send(FIN | Opcode.CLOSE, encodeClose(error.closeCode, text))
        self.state = State.FAILED
        self._outcome = (error.closeCode, str(error))
        return frame

    def lose(self) -> None:
        """The TCP connection is gone: nothing is sent any more. A Close frame of the
        peer that was still to be answered counts as answered, also one that was read
        and that :meth:`receive` has still to come to."""
        if self.state in (State.OPEN, State.CLOSE_SENT):
            self._ahead = self._lookAhead()
            self.state = State.LOST if self._ahead is None else State.CLOSED
        elif self.state is State.CLOSE_RECEIVED:
            self.state = State.CLOSED

    def _lookAhead(self) -> tuple[int, str] | None:
        """Find a Close frame in what was read and not looked at yet. Memory: that of
        one :meth:`receive`, for a moment, and of the pending frame.

        :returns: its code and reason, None if there is none that is good
        """
        if not self.hasMore:
            return None
        decoder, unread = self._decoder.fork(), self._unread
        frames = self._waiting or []
        while True:
            for first, payload in frames:
                if first == FIN | Opcode.CLOSE:
                    try:
                        return parseClose(payload)
                    except ConnectionFailed:
                        return None
            if not (unread or decoder.hasMore):
                return None
            frames, unread = decoder.feed(unread), b""

    @property
    def outcome(self) -> tuple[int, str]:
        """The close code and reason (sections 7.1.5 and 7.1.6): the peer's, or this
        side's when it failed the connection; 1006 when there is neither."""
        return self._outcome or self._ahead or (int(CloseCode.ABNORMAL), "")

    @property
    def maySend(self) -> bool:
        """Whether no Close frame was sent (section 5.5.1)."""
        return self.state is State.OPEN or self.state is State.CLOSE_RECEIVED

    def _sendCompressed(
        self, first: int, payload: bytes, compress: bool | None
    ) -> bytes:
        """Write a message, compressed if that is worth it."""
        deflater = self._deflater
        assert deflater is not None  # noqa: S101
        # Nothing for a peer that will not see it: later ones would refer to it.
        if self.maySend and (compress or len(payload) >= deflater.threshold):
            compressed = deflater.compress(payload)
            if compressed is not None:
                return self._send(first | RSV1, compressed)
        return self._send(first, payload)

    def _send(self, first: int, payload: bytes | str) -> bytes:
        """Write a frame, unless a Close frame was sent (section 5.5.1)."""
        if self.state is not State.OPEN and self.state is not State.CLOSE_RECEIVED:
            return b""
        key = None if self._makeKey is None else self._makeKey(4)
        return encodeFrame(first, payload, key)

    def _sendControl(self, opcode: int, payload: bytes) -> bytes:
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(
                f"payload of {len(payload)} bytes: a control frame carries at most "
                f"{MAX_CONTROL_PAYLOAD}"
            )
        return self._send(FIN | opcode, payload)
