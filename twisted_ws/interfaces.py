"""What an application gives and what it gets.

It gives an object with the hooks of :class:`WebSocketProtocol`; it gets one with the
methods of :class:`WebSocketTransport`. Both have the shape that
``twisted.web.websocket`` gave them, and more: a class written for that module runs here
unchanged, without inheriting from anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.python.failure import Failure

from .deflate import PreparedMessage
from .errors import ConnectionClosed
from .handshake import Request
from .headers import ResponseHead
from .options import Options

__all__ = [
    "ClosedCleanly",
    "ClosedUncleanly",
    "HookResult",
    "WebSocketProtocol",
    "WebSocketTransport",
    "asDeferred",
]

HookResult: TypeAlias = Awaitable[object] | None
"""What a hook may return: nothing, or a coroutine or Deferred to wait for. Until that
fires nothing more is delivered and reading pauses."""


def asDeferred(result: Any) -> Deferred[Any]:
    """Make a Deferred of what a hook returned.

    :param result: a Deferred, a coroutine, or another awaitable
    """
    if isinstance(result, Deferred):
        return result
    if isinstance(result, Coroutine):
        return ensureDeferred(result)

    async def wait() -> Any:
        return await result

    return ensureDeferred(wait())


class ClosedCleanly(ConnectionClosed, ConnectionDone):
    """Both sides sent a Close frame; for Twisted's code a ``ConnectionDone``."""

    __str__ = ConnectionClosed.__str__


class ClosedUncleanly(ConnectionClosed, ConnectionLost):
    """The connection ended otherwise; for Twisted's code a ``ConnectionLost``."""

    __str__ = ConnectionClosed.__str__


class WebSocketTransport(Protocol):
    """The connection, as an application's protocol sees it.

    Messages sent after the connection has closed, or after :meth:`loseConnection`, are
    dropped, as with every Twisted transport.
    """

    @property
    def request(self) -> Request:
        """The request that opened the connection."""

    @property
    def response(self) -> ResponseHead | None:
        """A client's: the 101 that opened the connection, with its headers, cookies
        among them. None on a server."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed, None for none."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that were agreed, as the 101 named them."""

    @property
    def options(self) -> Options:
        """The limits and times that hold for the connection."""

    @property
    def clock(self) -> IReactorTime:
        """The reactor, or the ``Clock`` of a test."""

    @property
    def lastReceived(self) -> float:
        """When bytes last came from the peer, in seconds of the :attr:`clock`; 0 if
        none came since the opening handshake. All that one segment brought has the same
        time."""

    pausesWhenCongested: bool
    """Whether nothing is read from the peer while :attr:`isCongested` is true, so that
    one who asks and does not read the answers stops itself. True on a server, False on
    a client: if both did so, each could wait for the other to read. The application may
    set it, to False on a server whose two directions have nothing to do with each
    other."""

    @property
    def isClosing(self) -> bool:
        """Whether the closing handshake has begun, from either side, or the connection
        has ended: nothing that is sent from now on need arrive."""

    @property
    def maySend(self) -> bool:
        """Whether what is sent now goes out: the connection has not ended, and no Close
        frame was sent. While a peer's Close frame waits behind its last messages, those
        may still be answered."""

    @property
    def isCongested(self) -> bool:
        """Whether the peer does not read as fast as it is sent to: ``highWaterMark``
        bytes waited, and some still do."""

    @property
    def bufferedAmount(self) -> int:
        """Bytes accepted for sending that the transport below has not taken; 0 as long
        as that keeps less than 64 KiB itself."""

    @property
    def roundTripTime(self) -> float | None:
        """Seconds between the last ping that was answered and its pong; None before
        the first. Idle connections are pinged every ``pingInterval``."""

    def sendTextMessage(self, text: str, compress: bool | None = None) -> None:
        """Send a text message.

        :param text: any str without lone surrogates
        :param compress: where compression was agreed, False sends this message without
            (it holds a secret beside what a stranger chose, say, or is a picture), and
            True compresses it however short it is; by default messages from
            ``compressionThreshold`` bytes on are compressed. One that would get no
            shorter is sent as it is.
        :raises TypeError: not a str
        :raises UnicodeEncodeError: a lone surrogate
        """

    def sendBytesMessage(self, data: bytes, compress: bool | None = None) -> None:
        """Send a binary message.

        :param data: bytes, bytearray or memoryview
        :param compress: as for :meth:`sendTextMessage`
        :raises TypeError: anything else
        """

    def sendPrepared(self, message: PreparedMessage) -> None:
        """Send a message that goes to many connections, and was framed and compressed
        once for all of them; :func:`twisted_ws.broadcast.broadcast` sends it to all.

        :param message: the message
        """

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping. Its pong arrives at ``pongReceived``; there is no Deferred,
        because a peer may answer several pings with one pong (RFC 6455 section 5.5.3).

        :param payload: at most 125 bytes
        :raises ValueError: the payload is longer
        """

    def loseConnection(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake, behind everything that was sent before. What the
        peer sent until it learns of it is still delivered. After ``closeTimeout``
        seconds without an answer the connection is aborted.

        :param code: 1000 to 1003, 1007 to 1014, or 3000 to 4999
        :param reason: at most 123 bytes in UTF-8
        :raises ValueError: the code may not be sent, or the reason is too long
        """

    def abortConnection(self) -> None:
        """End the TCP connection at once, without a Close frame; what was not sent yet
        is lost."""

    def pauseProducing(self) -> None:
        """Read and deliver nothing more until :meth:`resumeProducing`. The peer's own
        sends back up, and so does word that it closed."""

    def resumeProducing(self) -> None:
        """Go on after :meth:`pauseProducing`."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Have a producer paused while ``highWaterMark`` bytes or more wait to be sent.

        :param producer: a push producer (``streaming``) is paused and resumed; a pull
            producer is resumed each time there is room
        :param streaming: which of the two it is
        :raises RuntimeError: there is a producer already
        """

    def unregisterProducer(self) -> None:
        """Forget the producer."""

    def attachProducer(self, producer: IPushProducer) -> None:
        """As ``registerProducer(producer, True)``: ``twisted.web.websocket``'s name.

        :param producer: a push producer
        """

    def detachProducer(self) -> None:
        """As :meth:`unregisterProducer`: ``twisted.web.websocket``'s name."""

    def writeEagerly(self) -> None:
        """Have all that is sent handed to the system at once from now on, in place of
        in the reactor's next turn, where the connection is one of plain TCP. Good for
        one message at a time, as it spares a turn; with many of them in one turn each
        costs a system call. What answers a segment goes at once anyway, in one call."""

    def whenDrained(self) -> Deferred[None]:
        """Give a Deferred that fires when what was sent has left this process, as far
        as one can tell: when :attr:`bufferedAmount` is 0. Fires with
        :class:`ConnectionClosed` as its error when the connection ends before."""

    def whenClosed(self) -> Deferred[ConnectionClosed]:
        """Give a Deferred that fires with code and reason when the connection has
        ended; it always fires. To wait for it in a hook, call :meth:`loseConnection`
        before: a peer is not listened to while a hook runs, unless it is asked to
        close."""

    def getPeer(self) -> IAddress:
        """Give the peer's address."""

    def getHost(self) -> IAddress:
        """Give the address that the peer connected to."""


class WebSocketProtocol:
    """Inherit from this, and override the hooks of interest.

    Every hook may be a plain method, an ``async def``, or return a Deferred: then the
    next one is called when that is done, and meanwhile nothing is read from the peer. A
    hook that raises, or whose Deferred fails, is logged and closes the connection with
    1011.

    Hooks are called in this order: :meth:`negotiationStarted`,
    :meth:`negotiationFinished`, the others as things happen, :meth:`connectionLost`
    last and once. Only :meth:`sendBufferFull` and :meth:`sendBufferDrained` do not wait
    for a hook that is running, as it may be the one that sends. A connection that has
    ended waits ``closeTimeout`` seconds at most for its hooks.
    """

    transport: WebSocketTransport
    """The connection, set by :meth:`negotiationStarted`."""

    def makeConnection(self, transport: WebSocketTransport) -> None:
        """A client calls this, if it is there, before :meth:`negotiationStarted`. It is
        what ``ClientService`` learns the transport by, through the object that it puts
        around each protocol, and so needs no overriding.

        :param transport: the connection
        """
        self.transport = transport

    def negotiationStarted(self, transport: WebSocketTransport) -> HookResult:
        """The request was found valid and this object was made for it; the answer has
        not been sent. Raise :class:`HandshakeRejected` to refuse after all. What is
        sent from here goes out behind the 101.

        In a client the answer has come and was found valid. What this raises becomes
        the error of the Deferred that waits for the connection.

        :param transport: the connection; the default keeps it as ``self.transport``
        """
        self.transport = transport
        return None

    def negotiationFinished(self) -> HookResult:
        """The 101 has been written, or has come: the connection is open."""
        return None

    def textMessageReceived(self, message: str) -> HookResult:
        """A text message came, whole.

        :param message: its text
        """
        return None

    def bytesMessageReceived(self, data: bytes) -> HookResult:
        """A binary message came, whole.

        :param data: its payload
        """
        return None

    def pingReceived(self, payload: bytes) -> HookResult:
        """A ping came. It is answered without this hook's doing.

        :param payload: at most 125 bytes
        """
        return None

    def pongReceived(self, payload: bytes) -> HookResult:
        """A pong came, for a ping of the application or of keepalive, or unasked.

        :param payload: at most 125 bytes
        """
        return None

    def sendBufferFull(self) -> HookResult:
        """The peer does not read as fast as it is sent to: ``highWaterMark`` bytes
        wait. Good to stop sending until :meth:`sendBufferDrained`; at
        ``maxSendBuffer`` bytes the connection is closed."""
        return None

    def sendBufferDrained(self) -> HookResult:
        """After :meth:`sendBufferFull`, nothing waits any more."""
        return None

    def connectionLost(self, reason: Failure) -> HookResult:
        """The connection has ended; called once, last, if
        :meth:`negotiationStarted` was called. A client is told only if it was open:
        before that, the Deferred that waits for it fails in its place.

        :param reason: its ``value`` is a :class:`ConnectionClosed` with ``code``,
            ``reason`` and ``wasClean``
        """
        return None
