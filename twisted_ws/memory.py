"""TCP connections without a network.

:class:`MemoryTransport` does what Twisted's TCP transport does, :class:`Direction` is
the way that bytes take from one end to the other. Nothing happens by itself but what a
reactor would do at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import alsoProvides

__all__ = [
    "CLIENT",
    "SERVER",
    "Direction",
    "MemoryPort",
    "MemoryTLSTransport",
    "MemoryTransport",
]

TRANSPORT_BUFFER = 64 * 1024
SEGMENT = 64 * 1024
CLIENT = IPv4Address("TCP", "192.0.2.7", 50123)
"""Where clients come from."""
SERVER = IPv4Address("TCP", "192.0.2.1", 80)
"""Where the server is."""

# Times are sums of floats.
_INSTANT = 1e-6


class Direction:
    """Bytes on their way from one end of a connection to the other.

    Change it at any time; what is on its way already keeps its time. Memory: what was
    sent and has not arrived.

    :param clock: tells the time
    :param arrived: called when something has arrived later, or may arrive again
    """

    def __init__(self, clock: Clock, arrived: Callable[[], object]) -> None:
        self._chop = SEGMENT
        self.delay = 0.0
        """Seconds that bytes are on their way."""
        self._clock = clock
        self._arrived = arrived
        # When, and what; None is the end of the connection.
        self._onWay: deque[tuple[float, bytes | None]] = deque()
        self._ready = bytearray()
        self._isHeld = False
        self._isCut = False
        self._dropping = 0
        self._call: Any = None
        self.isFinished = False
        """Whether the end was put behind the bytes."""
        self.wasReset = False
        """Whether that end is a reset."""

    @property
    def chop(self) -> int:
        """Most bytes that arrive at once: 1 for byte by byte.

        :raises ValueError: it is set to less, with which nothing would ever arrive
        """
        return self._chop

    @chop.setter
    def chop(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"chop {size} is too little: at least 1; see hold()")
        self._chop = size

    def hold(self) -> None:
        """Have nothing arrive until :meth:`release`; nothing is lost."""
        self._isHeld = True

    def release(self) -> None:
        """Have everything arrive that was held back."""
        self._isHeld = False
        self._arrived()

    def drop(self, count: int) -> None:
        """Lose bytes: what comes after them arrives in their place, which is what a
        broken proxy does.

        :param count: how many of the next ones
        """
        self._dropping += count

    def cut(self) -> None:
        """Lose everything from now on, the end of the connection included, as when the
        peer's cable is pulled. What is on its way still arrives."""
        self._isCut = True

    def mend(self) -> None:
        """Lose nothing more, after :meth:`cut` or :meth:`drop`."""
        self._isCut = False
        self._dropping = 0

    @property
    def waiting(self) -> int:
        """Bytes on their way."""
        return len(self._ready) + sum(len(data or b"") for _, data in self._onWay)

    # What the ends call

    def put(self, data: bytes) -> None:
        """Send bytes on their way.

        :param data: any bytes
        """
        lost = min(self._dropping, len(data))
        self._dropping -= lost
        if len(data) > lost and not self._isCut:
            self._onWay.append((self._clock.seconds() + self.delay, data[lost:]))

    def finish(self, reset: bool = False) -> None:
        """Send the end of the connection behind them.

        :param reset: whether it overtakes them, and what is lost is said to be lost
        """
        self.isFinished = True
        if self._isCut:
            return
        self.wasReset = reset
        if reset:
            self._ready.clear()
            self._onWay.clear()
        self._onWay.append((self._clock.seconds() + self.delay, None))

    def take(self, most: int = SEGMENT) -> bytes:
        """Give what arrives now, at most ``chop`` bytes.

        :param most: and no more than that
        """
        if self._isHeld:
            return b""
        self._collect()
        size = min(self._chop, most)
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    @property
    def isAtEnd(self) -> bool:
        """Whether the end of the connection has arrived."""
        if self._isHeld:
            return False
        self._collect()
        return not self._ready and bool(self._onWay) and self._isDue()

    def clear(self) -> None:
        """Forget everything, as the connection is gone."""
        self._ready.clear()
        self._onWay.clear()
        self._cancelCall()

    def _cancelCall(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _isDue(self) -> bool:
        return self._onWay[0][0] <= self._clock.seconds() + _INSTANT

    def _collect(self) -> None:
        """Move what is due."""
        while self._onWay and self._isDue():
            data = self._onWay[0][1]
            if data is None:
                return
            self._ready += data
            self._onWay.popleft()
        if not self._onWay:
            self._cancelCall()
        elif self._call is None:
            left = self._onWay[0][0] - self._clock.seconds()
            self._call = self._clock.callLater(left, self._due)

    def _due(self) -> None:
        self._call = None
        self._arrived()


class MemoryPort:
    """A listening port, which tells where it listens.

    :param host: address it is bound to
    """

    def __init__(self, host: str) -> None:
        self._host = host

    def getHost(self) -> IPv4Address:
        """Give the address it listens on."""
        return IPv4Address("TCP", self._host, 80)


class MemoryTransport:
    """What Twisted's TCP transport does, without a socket.

    What is written stays in a buffer until :meth:`flush`, which a reactor calls when
    the peer reads. With over 64 KiB in it the producer is paused; when it is empty that
    is resumed, or the connection is closed if that was asked for.

    :param clock: for what comes in the next turn
    :param peer: address of the peer
    :param bound: address that the port is bound to
    :param host: address of this end
    """

    secure = False
    disconnecting = False

    def __init__(
        self,
        clock: Clock,
        peer: Any = CLIENT,
        bound: str = SERVER.host,
        host: Any = SERVER,
    ) -> None:
        self._clock = clock
        self._peer = peer
        self._host = host
        self.server = MemoryPort(bound)
        self.protocol: Any = None
        self.producer: Any = None
        self.producerPaused = False
        self.writes: list[bytes] = []
        """The argument of each ``write``."""
        self.late: list[bytes] = []
        """What was written when nothing may be any more."""
        self.buffer = bytearray()
        """What was written and not sent."""
        self.received = bytearray()
        """What has come to the peer, if nobody carries it."""
        self.carry: Callable[[bytes], object] | None = None
        """Takes what the peer reads."""
        self.reading = True
        self.connected = True
        self.aborted = False
        self.writeClosed = False
        self.noDelay = False
        self.onWrite: Callable[[bytes], object] | None = None
        """Called with the argument of each ``write``."""

    # ITransport and its like

    def write(self, data: bytes) -> None:
        """Take bytes."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport takes bytes, not {type(data).__name__}")
        if not self.connected or self.aborted or self.writeClosed or self.disconnecting:
            self.late.append(data)
            return
        self.writes.append(data)
        self.buffer += data
        if self.producer is not None and len(self.buffer) > TRANSPORT_BUFFER:
            self.producerPaused = True
            self.producer.pauseProducing()
        if self.onWrite is not None:
            self.onWrite(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Take several bytes."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when the buffer is empty; nothing is read any more."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self.reading = False
            if self.writeClosed and not self.buffer:
                self._lose(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """Close this direction when the buffer is empty."""
        self.writeClosed = True

    def abortConnection(self) -> None:
        """Close in the next turn."""
        if self.connected and not self.aborted:
            self.aborted = True
            self.reading = False
            self._clock.callLater(0, self._lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have a producer."""
        if self.producer is not None:
            raise RuntimeError("there is a producer already")
        if not streaming:
            raise NotImplementedError("a pull producer")
        if self.connected:
            self.producer = producer
        else:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """Have none."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        if self.connected and not self.disconnecting and not self.aborted:
            self.reading = True

    def stopProducing(self) -> None:
        """As a producer, end."""
        self.loseConnection()

    def getPeer(self) -> Any:
        """Give the peer's address."""
        return self._peer

    def getHost(self) -> Any:
        """Give this end's address."""
        return self._host

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do without Nagle's algorithm."""
        self.noDelay = enabled

    # The reactor's part

    def flush(self) -> None:
        """The peer has read everything."""
        if not self.connected or self.aborted:
            return
        data = bytes(self.buffer)
        self.buffer.clear()
        if self.carry is None:
            self.received += data
        else:
            self.carry(data)
        if self.producer is not None and self.producerPaused:
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self._finishClosing()

    @property
    def canFlush(self) -> bool:
        """Whether a reactor would call :meth:`flush` now."""
        if not self.connected or self.aborted:
            return False
        closes = self.disconnecting and not self.secure
        resumes = self.producerPaused and self.producer is not None
        return bool(self.buffer) or resumes or closes

    @property
    def hasEnded(self) -> bool:
        """Whether nothing more is to come to the peer, which will notice that."""
        if not self.connected:
            return True
        closes = self.writeClosed or (self.secure and self.disconnecting)
        return closes and not self.buffer

    def _finishClosing(self) -> None:
        self._lose(ConnectionDone())

    def peerClosed(self) -> None:
        """The peer has closed its direction, and that was read."""
        self._lose(ConnectionDone())

    def _lose(self, error: Exception) -> None:
        if not self.connected:
            return
        self.connected = self.reading = False
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(error))

    def vanish(self, error: Exception | None = None) -> None:
        """The connection breaks."""
        self._lose(error or ConnectionLost())


class MemoryTLSTransport(MemoryTransport):
    """What Twisted's TLS transport does: closing waits for the peer's close_notify, and
    there is no half-close.

    :param clock: as for TCP
    :param peer: as for TCP
    :param bound: as for TCP
    :param host: as for TCP
    """

    secure = True
    negotiatedProtocol = None
    loseWriteConnection = None  # type: ignore[assignment]

    def __init__(
        self,
        clock: Clock,
        peer: Any = CLIENT,
        bound: str = SERVER.host,
        host: Any = SERVER,
    ) -> None:
        super().__init__(clock, peer, bound, host)
        # Not by a decorator: it has only what is needed.
        alsoProvides(self, INegotiated)
        self.certificate: object = None
        self.transport = self

    def getPeerCertificate(self) -> object:
        """Give the client's certificate."""
        return self.certificate

    def loseConnection(self) -> None:
        """Send close_notify behind what was written."""
        self.disconnecting = True

    def resumeProducing(self) -> None:
        """Read again; a close_notify is waited for."""
        if self.connected and not self.aborted:
            self.reading = True

    def _finishClosing(self) -> None:
        """The peer's close_notify comes with :meth:`RawPeer.hangUp`."""
