"""What an application may call on its connection, but for closing it and pausing it.

Mixed into the wire protocol, which is the application's transport; each method is
documented in :class:`twisted_ws.interfaces.WebSocketTransport`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure

from .connection import Connection, State
from .deflate import PreparedMessage
from .errors import ConnectionClosed
from .handshake import Request
from .headers import ResponseHead
from .sending import SendBuffer

__all__ = ["Outgoing"]


class Outgoing:
    """The sending half of the application's transport."""

    extensions: tuple[str, ...] = ()
    transport: Any
    request: Request
    response: ResponseHead | None = None
    _clock: IReactorTime
    _lastReceived = 0.0
    _connection: Connection | None = None
    _sending: SendBuffer
    _lastPing: tuple[bytes, float] | None = None
    _drainWaiters: list[Deferred[None]] | None = None
    _closeWaiters: list[Deferred[ConnectionClosed]] | None = None
    _closed: ConnectionClosed | None = None

    def sendTextMessage(self, text: str, compress: bool | None = None) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        frame = self._connection.sendText(text, compress)  # type: ignore[union-attr]
        self._sending.write(frame)

    def sendBytesMessage(self, data: bytes, compress: bool | None = None) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        frame = self._connection.sendBytes(data, compress)  # type: ignore[union-attr]
        self._sending.write(frame)

    def sendPrepared(self, message: PreparedMessage) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        assert self._connection is not None  # noqa: S101
        self._sending.write(self._connection.sendPrepared(message))

    def ping(self, payload: bytes = b"") -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        assert self._connection is not None  # noqa: S101
        frame = self._connection.ping(payload)
        self._lastPing = (bytes(payload), self._clock.seconds())
        self._sending.write(frame)

    @property
    def clock(self) -> IReactorTime:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self._clock

    @property
    def lastReceived(self) -> float:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self._lastReceived

    @property
    def isClosing(self) -> bool:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        connection = self._connection
        return connection is not None and connection.state is not State.OPEN

    @property
    def maySend(self) -> bool:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self._connection is not None and self._connection.maySend

    @property
    def isCongested(self) -> bool:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self._sending.isFull

    @property
    def bufferedAmount(self) -> int:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self._sending.size

    @property
    def subprotocol(self) -> str | None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        return self.request.subprotocol

    def writeEagerly(self) -> None:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        self._sending.writeEagerly()

    def whenDrained(self) -> Deferred[None]:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        waiter: Deferred[None] = Deferred()
        if self._closed is not None:
            waiter.errback(Failure(self._closed))
        elif not self._sending.size:
            waiter.callback(None)
        else:
            self._drainWaiters = [*(self._drainWaiters or ()), waiter]
        return waiter

    def whenClosed(self) -> Deferred[ConnectionClosed]:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        if self._closed is not None:
            return succeed(self._closed)
        waiter: Deferred[ConnectionClosed] = Deferred()
        self._closeWaiters = [*(self._closeWaiters or ()), waiter]
        return waiter

    def getPeer(self) -> IAddress:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        peer: IAddress = self.transport.getPeer()
        return peer

    def getHost(self) -> IAddress:
        """See :class:`twisted_ws.interfaces.WebSocketTransport`."""
        host: IAddress = self.transport.getHost()
        return host
