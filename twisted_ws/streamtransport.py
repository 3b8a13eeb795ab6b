"""A WebSocket connection as the transport of a stream protocol.

:class:`StreamTransport` is to the protocol what Twisted's TCP transport would be: what
is written arrives, in order and whole, in pieces that mean nothing. Here a piece is a
message::

    protocol ─ write ─▶ gathered ─▶ messages of at most messageSize ─▶ the WebSocket
                          ▲                                                 │
    producer ─────────────┴──────── paused and resumed by ──────────────────┘

What is written in the course of one event is gathered. While the WebSocket is congested
it waits here, in place of its send buffer, where one long write would count as a peer
that does not read.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements, implementer

from .closing import CloseCode, checkClose
from .interfaces import WebSocketTransport
from .redaction import nameAddress
from .sending import TRANSPORT_BUFFER, PullToPush

__all__ = [
    "BASE64",
    "MESSAGE_SIZE",
    "SecureStreamTransport",
    "StreamTransport",
]

_log = Logger()

MESSAGE_SIZE = 64 * 1024
"""Most bytes that are sent in one message, unless something else is asked for: what
every peer takes, and what a Twisted transport reads at once."""
BASE64 = "base64"
"""The subprotocol in which bytes travel as text."""


@implementer(ITransport, IConsumer, IPushProducer)
class StreamTransport:
    """What a stream protocol gets from ``makeConnection``.

    It does what Twisted's TCP transport does, except for half-closing: WebSocket has
    nothing of the kind (RFC 6455 section 5.5.1 has the peer answer a Close frame with
    one of its own at once, behind which nothing comes). So there is no
    ``loseWriteConnection``, and a protocol is never told ``writeConnectionLost`` or
    ``readConnectionLost``.

    Memory: ``maxSendBuffer`` bytes that wait, and one write of the protocol beyond it.

    :param webSocket: the connection
    :param messageSize: most bytes in one message
    :param gathering: whether what is written outside of ``dataReceived`` waits for the
        end of the reactor's turn, so that many small writes become one message
    """

    disconnecting = False
    """Whether :meth:`loseConnection` was called, or the connection has ended."""
    connected = True
    """Whether the connection has not ended."""

    def __init__(
        self,
        webSocket: WebSocketTransport,
        messageSize: int = MESSAGE_SIZE,
        gathering: bool = True,
    ) -> None:
        self.webSocket = webSocket
        """The connection below: its request, its options, and so on."""
        self._encodes = webSocket.subprotocol == BASE64
        # Three bytes become four characters.
        self._most = max(1, messageSize * 3 // 4) if self._encodes else messageSize
        self._gathering = gathering
        self._queue: deque[bytes | bytearray] = deque()
        self._queued = 0
        # How much of the first piece was sent.
        self._sent = 0
        # Until the WebSocket says that there is room, which it does when it is open.
        self._congested = True
        self._held = 0
        self._flushing: IDelayedCall | None = None
        self._stalling: IDelayedCall | None = None
        self._producer: Any = None
        self._producerPaused = False
        self._closing: tuple[int, str] = (CloseCode.NORMAL, "")
        # Nothing goes out any more.
        self._ended = False
        webSocket.pausesWhenCongested = False
        webSocket.registerProducer(_Congestion(self), True)

    # Writing

    def write(self, data: bytes) -> None:
        """Send bytes.

        :param data: bytes; of a ``bytearray`` or ``memoryview`` a copy is made
        :raises TypeError: something else
        """
        if not isinstance(data, bytes):
            if not isinstance(data, (bytearray, memoryview)):
                raise TypeError(f"a stream has bytes, not {type(data).__name__}")
            data = bytes(data)
        if self._ended or not data:
            return
        if self._queued >= self.webSocket.options.maxSendBuffer:
            self._overflow()
            return
        self._keep(data)
        if self._congested:
            # Every time, as Twisted's transports do: there are producers that begin, or
            # go on, by themselves.
            if self._queued >= TRANSPORT_BUFFER:
                self._pauseProducer()
            return
        if self._queued >= self._most or not (self._held or self._gathering):
            self._flush()
        elif not self._held and self._flushing is None:
            self._flushing = self.webSocket.clock.callLater(0, self._turnEnded)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several bytes.

        :param iovec: them
        """
        self.write(b"".join(iovec))

    def _keep(self, data: bytes) -> None:
        """Put bytes at the end of the queue. Small ones that will have to wait go
        together: an object for each would cost several times its bytes."""
        self._queued += len(data)
        queue = self._queue
        if not self._congested or len(data) >= self._most:
            queue.append(data)
        elif queue and isinstance(queue[-1], bytearray) and len(queue[-1]) < self._most:
            queue[-1] += data
        else:
            queue.append(bytearray(data))

    def _overflow(self) -> None:
        """The peer does not read, and the protocol goes on writing."""
        most = self.webSocket.options.maxSendBuffer
        why = f"slow consumer: {most} bytes wait to be sent"
        _log.info(
            "Closing WebSocket stream to {peer}: {why}",
            peer=nameAddress(self.getPeer()),
            why=why,
        )
        self._end(CloseCode.POLICY_VIOLATION, why)

    def _turnEnded(self) -> None:
        self._flushing = None
        self._flush()

    def _flush(self) -> None:
        """Send what is queued, as far as the WebSocket takes it."""
        while self._queued and not self._congested:
            data = self._take()
            if self._encodes:
                self.webSocket.sendTextMessage(b64encode(data).decode("ascii"))
            else:
                self.webSocket.sendBytesMessage(data)
        if self.disconnecting and not self._queued:
            self._finish()

    def _take(self) -> bytes:
        """Take the next message from the queue."""
        queue, most = self._queue, self._most
        if self._queued <= most and not self._sent:
            data = bytes(queue[0]) if len(queue) == 1 else b"".join(queue)
            queue.clear()
            self._queued = 0
            return data
        parts: list[bytes | bytearray | memoryview] = []
        room = most
        while room and queue:
            first, sent = queue[0], self._sent
            size = min(len(first) - sent, room)
            parts.append(memoryview(first)[sent : sent + size])
            room -= size
            if sent + size == len(first):
                queue.popleft()
                self._sent = 0
            else:
                self._sent = sent + size
        data = b"".join(parts)
        self._queued -= len(data)
        return data

    # Holding what one event brings

    def hold(self) -> None:
        """Gather from now on what is written; calls nest."""
        self._held += 1

    def release(self) -> None:
        """Send what was gathered, at the last of nested calls."""
        self._held -= 1
        if not self._held and (self._queued or self.disconnecting):
            self._flush()

    # Producers of the protocol

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have a producer paused while the peer does not read as fast as it produces.
        The connection is not closed by :meth:`loseConnection` as long as there is one.

        :param producer: a push producer (``streaming``) is paused and resumed; a pull
            producer is resumed each time there is room
        :param streaming: which of the two it is
        :raises RuntimeError: there is a producer already
        """
        if self._producer is not None:
            raise RuntimeError(
                f"cannot register {producer!r}: another producer was never unregistered"
            )
        if self._ended:
            producer.stopProducing()
            return
        if not streaming:
            producer = PullToPush(producer, self.webSocket.clock, self._producerFailed)
        self._producer = producer
        # A push producer is at work already, and stops when it has written too much.
        self._producerPaused = self._congested and not streaming
        if not streaming and not self._congested:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        producer, self._producer = self._producer, None
        if isinstance(producer, PullToPush):
            producer.pauseProducing()
        if self.disconnecting and not self._held:
            self._flush()

    def _pauseProducer(self) -> None:
        if self._producer is not None:
            self._producerPaused = True
            self._producer.pauseProducing()

    def _producerFailed(self, failure: Failure) -> None:
        """A pull producer raised, when nobody of the protocol was there to see it."""
        _log.failure("A producer of a WebSocket stream failed", failure)
        self._end(CloseCode.INTERNAL_ERROR, "internal error")

    # What the WebSocket says

    def filled(self) -> None:
        """The WebSocket is congested."""
        self._congested = True
        self._notStalled()
        self._pauseProducer()

    def emptied(self) -> None:
        """The WebSocket has room."""
        self._congested = False
        self._notStalled()
        self._flush()
        if self._producer is not None and self._producerPaused and not self._congested:
            self._producerPaused = False
            self._producer.resumeProducing()

    def stopped(self) -> None:
        """Nothing is sent any more: a Close frame was, or the connection has ended."""
        self._ended = self.disconnecting = True
        self._queue.clear()
        self._queued = self._sent = 0
        for call in (self._flushing, self._stalling):
            if call is not None:
                call.cancel()
        self._flushing = self._stalling = None
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()

    # Closing

    def loseConnection(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, behind everything that was written before, and when the
        registered producer, if there is one, has unregistered. Nothing is received any
        more. If the peer takes nothing for ``closeTimeout`` seconds, the connection is
        aborted.

        :param code: close code, as for :meth:`WebSocketTransport.loseConnection
            <twisted_ws.interfaces.WebSocketTransport.loseConnection>`; with another
            than 1000 and 1001 the peer's protocol learns that the stream is not whole
        :param reason: likewise
        :raises ValueError: the code may not be sent, or the reason is too long
        """
        checkClose(code, reason)
        if self.disconnecting:
            return
        self.disconnecting = True
        self._closing = (code, reason)
        # The peer's own Close frame must be found, whatever the protocol paused for.
        self.webSocket.resumeProducing()
        if not self._held:
            self._flush()
        self._watch()

    def _finish(self) -> None:
        """Everything was sent: close, unless a producer has more."""
        if self._producer is None and not self._ended:
            self._end(*self._closing)

    def _end(self, code: int, reason: str) -> None:
        """Send the Close frame now."""
        self.webSocket.loseConnection(code, reason)
        # Said by the WebSocket too, if it was open.
        self.stopped()

    def _watch(self) -> None:
        """Look whether something leaves, as long as there is something."""
        if not self._ended:
            self._stalling = self.webSocket.clock.callLater(
                self.webSocket.options.closeTimeout, self._stalled
            )

    def _notStalled(self) -> None:
        if self._stalling is not None:
            self._stalling.reset(self.webSocket.options.closeTimeout)

    def _stalled(self) -> None:
        """Nothing has left for ``closeTimeout`` seconds."""
        self._stalling = None
        if self._congested:
            self.abortConnection()
        else:
            # It is the producer that takes its time.
            self._watch()

    def abortConnection(self) -> None:
        """End the TCP connection at once; what was not sent yet is lost."""
        self.disconnecting = True
        self.webSocket.abortConnection()

    # As the producer of what comes

    def pauseProducing(self) -> None:
        """Receive nothing more until :meth:`resumeProducing`; the peer's own writes
        back up then."""
        if not self.disconnecting:
            self.webSocket.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on after :meth:`pauseProducing`."""
        self.webSocket.resumeProducing()

    def stopProducing(self) -> None:
        """As :meth:`loseConnection`, for who knows this as a producer only."""
        self.loseConnection()

    # What is below

    def getPeer(self) -> IAddress:
        """Give the peer's address."""
        return self.webSocket.getPeer()

    def getHost(self) -> IAddress:
        """Give the address of this end."""
        return self.webSocket.getHost()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do without Nagle's algorithm, as every WebSocket here does from the start.

        :param enabled: whether to
        """
        self._below("setTcpNoDelay", enabled)

    def getTcpNoDelay(self) -> bool:
        """Tell whether Nagle's algorithm is off."""
        return bool(self._below("getTcpNoDelay"))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have TCP look whether the peer is there; ``pingInterval`` has WebSocket look.

        :param enabled: whether to
        """
        self._below("setTcpKeepAlive", enabled)

    def getTcpKeepAlive(self) -> bool:
        """Tell whether TCP looks whether the peer is there."""
        return bool(self._below("getTcpKeepAlive"))

    def _below(self, name: str, *arguments: object) -> Any:
        """Pass something on to the TCP transport, if it is one: UNIX sockets have no
        such methods, or fail in them."""
        transport = getattr(self.webSocket, "transport", None)
        method = getattr(transport, name, None)
        if method is not None:
            with suppress(OSError):
                return method(*arguments)
        return None


class SecureStreamTransport(StreamTransport):
    """The same over TLS, so that a protocol can tell; for the parameters see there."""

    def getPeerCertificate(self) -> Any:
        """Give the certificate that the peer sent, None if it sent none."""
        return self.webSocket.request.peerCertificate


# Which is how protocols ask. Not seen by type checkers: like Twisted's own transport of
# TLS this has not all that the interface names.
_declare: Any = classImplements
_declare(SecureStreamTransport, ISSLTransport)


@implementer(IPushProducer)
class _Congestion:
    """What the WebSocket pauses and resumes: it cannot be the transport itself, whose
    methods of these names are for the other direction.

    :param transport: is told
    """

    __slots__ = ("_transport",)

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        self._transport.filled()

    def resumeProducing(self) -> None:
        self._transport.emptied()

    def stopProducing(self) -> None:
        self._transport.stopped()
