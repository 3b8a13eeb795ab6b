"""A connection as an object to iterate over, for coroutines.

:class:`WebSocket` is a thin layer on the hooks: messages go through a bounded queue,
and reading pauses while it is full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeAlias, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from .closing import CloseCode
from .errors import ConnectionClosed
from .handshake import Request
from .interfaces import WebSocketProtocol, WebSocketTransport

_log = Logger()

__all__ = [
    "QUEUED_MESSAGES",
    "QUEUED_SIZE",
    "Handler",
    "HandlerProtocol",
    "QueueProtocol",
    "WebSocket",
]

QUEUED_MESSAGES = 16
"""Messages that wait for ``receive()`` until reading pauses."""
QUEUED_SIZE = 256 * 1024
"""Bytes and characters that they may have together until then."""

_GOOD_CODES = (CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS)


class WebSocket:
    """One WebSocket connection, for a coroutine.

    Iterate over it for messages, ``str`` or ``bytes``; the iteration ends when the peer
    closes with 1000, 1001 or no code, and raises :class:`ConnectionClosed` when the
    connection ends in any other way. As an async context manager it closes with 1000 at
    the end of the block, with 1001 if that is cancelled, or 1011 if it raises. Then it
    waits for the peer's answer, ``closeTimeout`` seconds at most.

    Memory: beside what the connection itself may hold, ``QUEUED_MESSAGES`` messages, or
    fewer with ``QUEUED_SIZE`` bytes and characters together, and the one that goes over
    it.

    :param transport: the connection
    """

    def __init__(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        """The connection, with everything that is not here."""
        self._queue: deque[str | bytes] = deque()
        self._queuedSize = 0
        self._waiters: deque[Deferred[str | bytes]] = deque()
        self._paused = False
        self._discarding = False
        self._closed: ConnectionClosed | None = None

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self.transport.request

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed, None for none."""
        return self.transport.subprotocol

    @property
    def hasEnded(self) -> bool:
        """Whether the connection has ended."""
        return self._closed is not None

    def getPeer(self) -> IAddress:
        """Give the peer's address."""
        return self.transport.getPeer()

    def receive(self) -> Deferred[str | bytes]:
        """Give the next message. Cancelling loses none.

        :returns: fires with a text message as str, a binary one as bytes; with
            :class:`ConnectionClosed` as its error when the connection has ended and all
            messages were taken, cleanly or not
        """
        waiter: Deferred[str | bytes] = Deferred(self._waiters.remove)
        if self._queue:
            message = self._queue.popleft()
            self._queuedSize -= len(message)
            waiter.callback(message)
            self._goOn()
        elif self._closed is not None:
            waiter.errback(Failure(self._closed))
        else:
            self._waiters.append(waiter)
        return waiter

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except ConnectionClosed as closed:
            if closed.wasClean and closed.code in _GOOD_CODES:
                raise StopAsyncIteration from None
            raise

    async def send(self, message: str | bytes, compress: bool | None = None) -> None:
        """Send a message, and wait while the peer does not read.

        :param message: str goes as text, bytes as binary
        :param compress: as for :meth:`WebSocketTransport.sendTextMessage`
        :raises ConnectionClosed: the connection has ended, or a Close frame was sent,
            after which it waits until it has ended
        :raises TypeError: neither str nor bytes
        """
        if self._closed is not None:
            raise self._closed
        if not self.transport.maySend:
            raise await self.transport.whenClosed()
        if isinstance(message, str):
            self.transport.sendTextMessage(message, compress)
        else:
            self.transport.sendBytesMessage(message, compress)
        if self.transport.bufferedAmount:
            await self.transport.whenDrained()

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping; see :meth:`WebSocketTransport.ping`.

        :param payload: at most 125 bytes
        """
        self.transport.ping(payload)

    async def close(self, code: int = 1000, reason: str = "") -> ConnectionClosed:
        """Close, and wait until the connection has ended.

        :param code: as for :meth:`WebSocketTransport.loseConnection`
        :param reason: likewise
        :returns: how it ended
        """
        self.transport.loseConnection(code, reason)
        self.discard()
        closed = await self.transport.whenClosed()
        # The hook that says so may come only after this.
        self.finish(closed)
        return closed

    async def __aenter__(self) -> WebSocket:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            code = CloseCode.NORMAL
        elif issubclass(kind, CancelledError):
            code = CloseCode.GOING_AWAY
        else:
            code = CloseCode.INTERNAL_ERROR
        await self.close(code)

    # From the protocol

    def deliver(self, message: str | bytes) -> None:
        """Queue a message that came; :class:`QueueProtocol` calls it.

        :param message: the message
        """
        if self._discarding:
            return
        if self._waiters:
            self._waiters.popleft().callback(message)
            return
        self._queue.append(message)
        self._queuedSize += len(message)
        isFull = len(self._queue) >= QUEUED_MESSAGES or self._queuedSize >= QUEUED_SIZE
        if isFull and not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def discard(self) -> None:
        """Drop what came and what still comes: nobody will take it any more, and the
        peer's Close frame stands behind it."""
        self._discarding = True
        self._queue.clear()
        self._queuedSize = 0
        self._goOn()

    def finish(self, closed: ConnectionClosed) -> None:
        """Note that the connection has ended; :class:`QueueProtocol` calls it.

        :param closed: how
        """
        self._closed = closed
        while self._waiters:
            self._waiters.popleft().errback(Failure(closed))

    def _goOn(self) -> None:
        if self._paused and not self._queue:
            self._paused = False
            self.transport.resumeProducing()


Handler: TypeAlias = Callable[[WebSocket], Awaitable[object]]
"""An ``async def`` that serves one connection."""


class QueueProtocol(WebSocketProtocol):
    """Puts what comes into a :class:`WebSocket`."""

    webSocket: WebSocket
    """The connection, once it is open."""

    def negotiationFinished(self) -> None:
        """Make the WebSocket."""
        self.webSocket = WebSocket(self.transport)

    def textMessageReceived(self, message: str) -> None:
        """Queue it.

        :param message: the message
        """
        self.webSocket.deliver(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        """Queue it.

        :param data: the message
        """
        self.webSocket.deliver(data)

    def connectionLost(self, reason: Failure) -> None:
        """Tell who next receives or sends.

        :param reason: how it ended
        """
        self.webSocket.finish(cast(ConnectionClosed, reason.value))


class HandlerProtocol(QueueProtocol):
    """Runs a coroutine for a connection.

    :param handler: the coroutine function
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def negotiationFinished(self) -> None:
        """Start the handler. It is not waited for here: messages come meanwhile."""
        super().negotiationFinished()
        running = ensureDeferred(cast(Any, self._run()))
        running.addErrback(self._failed)

    async def _run(self) -> None:
        try:
            await self._handler(self.webSocket)
        finally:
            self.webSocket.discard()
        self.transport.loseConnection()

    def _failed(self, failure: Failure) -> None:
        """The handler raised. That the connection ended under it is nobody's fault."""
        ended: list[ConnectionClosed] = []
        self.transport.whenClosed().addCallback(ended.append)
        # The same object, for the handler may have to do with other connections.
        if ended and failure.value is ended[0]:
            return
        _log.failure(
            "A WebSocket handler failed; the connection ends with 1011", failure
        )
        self.transport.loseConnection(1011, "internal error")
