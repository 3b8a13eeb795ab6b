"""A bridge between WebSocket and other streams, both ways.

:class:`Bridge` serves WebSocket connections and leads each to a target, as websockify
does. :class:`ForwardingFactory` serves any connections, and leads each into WebSocket.
In both a pair of :class:`End` passes on what comes.

Each end is paused while the other one has too much to write, so a bridge holds in each
direction a MiB or so and one message, however slow one side is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .closing import CloseCode
from .errors import HandshakeRejected, HandshakeTimeout
from .factory import ConnectionCounter
from .handshake import Request
from .interfaces import WebSocketTransport
from .redaction import loggable, nameAddress
from .stream import StreamProtocol
from .streamtransport import StreamTransport
from .targets import Target, Targets
from .transport import eagerWrite

__all__ = ["READ_SIZE", "Bridge", "End", "ForwardingFactory", "join"]

_log = Logger()

READ_SIZE = 256 * 1024
"""Most bytes that are read at once from what is not WebSocket, and that a message takes
on: less than the peers' limits, which are 1 MiB or more."""
_LARGE = 16 * 1024
"""Bytes from which on a message is worth a system call of its own."""


@implementer(IPushProducer)
class _Reading:
    """What one end's transport pauses and resumes of the other: its reading. When that
    transport is gone, it is up to the end's protocol what becomes of the other.

    :param transport: of the other end
    """

    __slots__ = ("pauseProducing", "resumeProducing")

    def __init__(self, transport: Any) -> None:
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` follows."""


class _Gathering:
    """Writes what comes in messages. One segment may bring many small ones: the first
    goes at once, as it is mostly the only one, and the others together, at the end of
    the reactor's turn.

    :param transport: where to
    :param source: where the messages come from
    :param clock: the reactor
    """

    def __init__(
        self, transport: Any, source: WebSocketTransport, clock: IReactorTime
    ) -> None:
        self._write = eagerWrite(transport)
        self._source = source
        self._clock = clock
        self._segment = -1.0
        self._pieces: list[bytes] = []
        self._call: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        """Write, soon.

        :param data: what came
        """
        segment = self._source.lastReceived
        if len(data) >= _LARGE or segment != self._segment:
            self._segment = segment
            if self._pieces:
                self.flush()
            self._write(data)
            return
        self._pieces.append(data)
        if self._call is None:
            self._call = self._clock.callLater(0, self._turnEnded)

    def _turnEnded(self) -> None:
        self._call = None
        self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        self._cancel()
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._write(b"".join(pieces))

    def drop(self) -> None:
        """Forget it."""
        self._cancel()
        self._pieces.clear()

    def _cancel(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One of two connections that are joined. Reads nothing until it is.

    :param closeTimeout: seconds to send what was received, when the other is gone
    :param clock: the reactor
    """

    transport: Any

    def __init__(self, closeTimeout: float, clock: IReactorTime) -> None:
        self._closeTimeout = closeTimeout
        self._clock = clock
        self._other: End | None = None
        self._joined = False
        self._gathering: _Gathering | None = None
        self._ending: IDelayedCall | None = None
        # The kernel has all that was written.
        self._sent = False
        self.lost: Failure | None = None
        """How it ended; None while it has not."""
        self.unwanted = False
        """Whether nobody waits for it any more; set before it is connected."""
        self.onMade: Callable[[], object] | None = None
        """Is called when it is connected."""
        self.onLost: Callable[[], object] | None = None
        """Is called when it has ended."""

    def connectionMade(self) -> None:
        """Wait for the other end."""
        if self.unwanted:
            self.abort()
            return
        self.transport.pauseProducing()
        if isinstance(self.transport, FileDescriptor):
            self.transport.bufferSize = READ_SIZE
        if self.onMade is not None:
            self.onMade()

    def joined(self, other: End) -> None:
        """Begin; :func:`join` calls it.

        :param other: the other end
        """
        self._other = other
        self._joined = True
        self.dataReceived = other.writer(self)  # type: ignore
        self.transport.registerProducer(_Reading(other.transport), True)

    def writer(self, other: End) -> Callable[[bytes], object]:
        """Give what writes to this end, without waiting for the reactor's next turn.

        :param other: what comes from there
        """
        if isinstance(self.transport, StreamTransport):
            self.transport.webSocket.writeEagerly()
        source = other.transport
        if isinstance(source, StreamTransport):
            self._gathering = _Gathering(self.transport, source.webSocket, self._clock)
            return self._gathering.write
        # What comes is all that was there to be read.
        write: Callable[[bytes], object] = self.transport.write
        return write

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """This end is gone: end the other one likewise.

        :param reason: how
        """
        self.lost = reason
        if self._gathering is not None:
            self._gathering.drop()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        other, self._other = self._other, None
        if other is not None:
            other.end(reason.check(ConnectionDone) is not None)
        if self.onLost is not None:
            self.onLost()

    def end(self, whole: bool) -> None:
        """The other end is gone: send what it brought, and end.

        :param whole: whether it ended well; if not, this one shall not look so
        """
        if self.lost is not None:
            return
        self._other = None
        if self._gathering is not None:
            self._gathering.flush()
        self.dataReceived = self._drop  # type: ignore[method-assign]
        if self._joined:
            self.transport.unregisterProducer()
        if isinstance(self.transport, StreamTransport):
            if whole:
                self.transport.loseConnection()
            else:
                self.transport.loseConnection(
                    CloseCode.INTERNAL_ERROR, "the connection behind this one was lost"
                )
        elif whole:
            self._endBehindData()
            self._limit()
        else:
            self.abort()

    def _endBehindData(self) -> None:
        """Close what is not WebSocket, when all that was written has left. Until then
        go on reading: a TCP connection that is closed with something unread, or to
        which something comes afterwards, is reset, and what the kernel has not sent is
        lost. TLS waits for the peer's alert."""
        self.transport.resumeProducing()
        below = self.transport
        if isinstance(below, Connection) and not getattr(below, "TLS", False):
            below.loseWriteConnection()
        else:
            below.loseConnection()

    def writeConnectionLost(self) -> None:
        """All was sent; the peer's own end follows."""
        self._sent = True

    def readConnectionLost(self) -> None:
        """The peer sends nothing more, which is the end here: close behind what still
        waits."""
        other, self._other = self._other, None
        if other is not None:
            other.end(True)
            if self._gathering is not None:
                self._gathering.flush()
            self.dataReceived = self._drop  # type: ignore[method-assign]
            self.transport.unregisterProducer()
            self._limit()
        self.transport.loseConnection()

    def _limit(self) -> None:
        """Wait so long at most: who does not read holds what waits for no longer."""
        if self._ending is None:
            self._ending = self._clock.callLater(self._closeTimeout, self._endNow)

    def _endNow(self) -> None:
        self._ending = None
        if self._sent:
            # The kernel goes on sending.
            self.transport.loseConnection()
        else:
            self.abort()

    def abort(self) -> None:
        """End at once."""
        # Standard input and output, for one, know no better.
        abort = getattr(self.transport, "abortConnection", None)
        (abort or self.transport.loseConnection)()

    def _drop(self, data: bytes) -> None:
        """Take what nobody is there for."""


def join(one: End, two: End) -> None:
    """Have two connections pass on to each other what comes.

    :param one: an end that is connected
    :param two: another
    """
    if one.lost is not None or two.lost is not None:
        for each in (one, two):
            each.end(False)
        return
    one.joined(two)
    two.joined(one)
    one.transport.resumeProducing()
    two.transport.resumeProducing()


class _One(Factory):
    """A factory for one end that is there already.

    :param end: the end
    """

    noisy = False

    def __init__(self, end: End) -> None:
        self._end = end

    def buildProtocol(self, addr: IAddress | None) -> End:
        """Give it.

        :param addr: the other side's address
        """
        return self._end


class _BridgeProtocol(StreamProtocol):
    """The WebSocket end.

    :param near: its protocol
    :param far: the target's end
    """

    def __init__(self, near: End, far: End) -> None:
        # What comes from the target is a piece of the stream already.
        super().__init__(near, READ_SIZE, False)
        self._far = far

    def negotiationFinished(self) -> None:
        """Both ends are there."""
        super().negotiationFinished()
        join(self.protocol, self._far)

    def connectionLost(self, reason: Failure) -> None:
        """The WebSocket has ended, perhaps before it was open.

        :param reason: how
        """
        if not self._connected:
            self._far.end(False)
        super().connectionLost(reason)


class Bridge:
    """Leads WebSocket connections to targets: an application for
    :class:`~twisted_ws.factory.WebSocketServerFactory`.

    The target is connected to before the request is answered. If that fails the answer
    is 502, or 504 if it took too long. With :class:`Targets` the request names one in
    its query, ``?token=NAME``; without, or with several, it gets 400, and with one that
    is not known 404.

    :param reactor: the reactor
    :param target: where to, or a choice
    :param closeTimeout: seconds to send to the target what was received for it, when
        the WebSocket is gone
    """

    def __init__(
        self, reactor: Any, target: Target | Targets, closeTimeout: float = 10.0
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._closeTimeout = closeTimeout

    def buildProtocol(self, request: Request) -> Deferred[StreamProtocol]:
        """Connect to the target.

        :param request: a valid request
        :returns: fires with the protocol, or with the refusal
        :raises HandshakeRejected: it names no target
        """
        target = self._target
        if isinstance(target, Targets):
            target = self._find(target, request)
        near, far = (End(self._closeTimeout, self._reactor) for _ in range(2))
        connecting: Deferred[Any] = target.endpoint.connect(_One(far))

        def connected(_: object) -> StreamProtocol:
            return _BridgeProtocol(near, far)

        def failed(failure: Failure) -> Failure:
            far.unwanted = True
            if failure.check(CancelledError, ConnectingCancelledError):
                # The peer has left.
                return failure
            _log.info(
                "No connection to {target}: {why}",
                target=loggable(target.description),
                why=loggable(failure.value),
            )
            late = failure.check(TimeoutError, HandshakeTimeout) is not None
            return Failure(HandshakeRejected(504 if late else 502))

        return connecting.addCallbacks(connected, failed)

    @staticmethod
    def _find(targets: Targets, request: Request) -> Target:
        """Find the target that a request names.

        :raises HandshakeRejected: there is none
        """
        names = request.query.get("token", [])
        if len(names) != 1:
            raise HandshakeRejected(400, body=b"one token is needed in the query\n")
        found = targets.find(names[0])
        if found is None:
            raise HandshakeRejected(404, body=b"there is no such target\n")
        return found


class _Pair:
    """A connection that came, and the one that it leads into.

    :param factory: is told of the end
    """

    def __init__(self, factory: ForwardingFactory) -> None:
        self._factory = factory
        self._connecting: Deferred[Any] | None = None
        self.near, self.far = (
            End(factory.closeTimeout, factory.clock) for _ in range(2)
        )
        self.near.onMade = self._open
        self.near.onLost = self.far.onLost = self._ended

    def _open(self) -> None:
        """The connection has come: make the other one."""
        if self._factory.isFull(self):
            self.far.lost = Failure(ConnectionAborted())
            self.near.abort()
            return
        connecting = self._factory.endpoint.connect(_One(self.far))
        self._connecting = connecting
        connecting.addCallbacks(self._opened, self._failed)

    def _opened(self, _: object) -> None:
        self._connecting = None
        join(self.near, self.far)

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        self.far.unwanted = True
        self.far.lost = failure
        if not failure.check(CancelledError, ConnectingCancelledError):
            _log.warn(
                "No connection for {peer}: {why}",
                peer=nameAddress(self.near.transport.getPeer()),
                why=loggable(failure.value),
            )
        self.near.abort()

    def _ended(self) -> None:
        """One of the two has ended."""
        if self.near.lost is not None and self._connecting is not None:
            self._connecting.cancel()
        if self.near.lost is not None and self.far.lost is not None:
            self._factory.ended(self)

    def close(self, code: int, reason: str) -> None:
        """End both: the WebSocket with a code, the other behind what came."""
        if self._connecting is not None:
            self._connecting.cancel()
        elif self.far.lost is None:
            self.far.transport.unregisterProducer()
            if isinstance(self.far.transport, StreamTransport):
                self.far.transport.loseConnection(code, reason)
            else:
                self.far.transport.loseConnection()

    def abort(self) -> None:
        """End both at once."""
        self.near.abort()
        if self.far.lost is None and self._connecting is None:
            self.far.abort()


class ForwardingFactory(ConnectionCounter, ServerFactory):
    """Leads each connection that comes into one that an endpoint makes: into WebSocket,
    with a :class:`~twisted_ws.stream.WebSocketStreamClientEndpoint`.

    Nothing is read from a connection until the other one is there. If it cannot be
    made, the one that came is aborted, and the log says why.

    :param endpoint: makes the other connections
    :param clock: the reactor
    :param maxConnections: most connections at a time; one more is aborted. 0 sets no
        limit.
    :param closeTimeout: seconds to send what came from one side, when that is gone
    """

    noisy = False

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        maxConnections: int = 10_000,
        closeTimeout: float = 10.0,
    ) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.closeTimeout = closeTimeout
        self._maxConnections = maxConnections
        self.connections: set[Any] = set()
        """All pairs of connections."""

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make the end for a connection that came.

        :param addr: the peer's address
        """
        pair = _Pair(self)
        self.connections.add(pair)
        return pair.near

    def isFull(self, pair: _Pair) -> bool:
        """Tell whether a connection is one too many.

        :param pair: the connection, which is counted already
        """
        full = 0 < self._maxConnections < len(self.connections)
        if full:
            _log.info(
                "Too many connections: aborting the one from {peer}",
                peer=nameAddress(pair.near.transport.getPeer()),
            )
        return full

    def ended(self, pair: _Pair) -> None:
        """Count a pair no more.

        :param pair: both ends of which are gone
        """
        self.connections.discard(pair)
        self.tellIdle()

    def closeConnections(
        self, code: int = 1001, reason: str = "going away"
    ) -> Deferred[None]:
        """Close all connections, behind what was received for them.

        :param code: close code for the WebSocket ends
        :param reason: likewise
        :returns: fires when no connection is left
        """
        for pair in list(self.connections):
            pair.close(code, reason)
        return self.whenIdle()

    def abortConnections(self) -> Deferred[None]:
        """End all connections at once.

        :returns: fires when no connection is left
        """
        for pair in list(self.connections):
            pair.abort()
        return self.whenIdle()
