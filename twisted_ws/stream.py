"""Any Twisted stream protocol over WebSocket, at both ends.

:class:`StreamFactory` makes of a Twisted factory what a
:class:`~twisted_ws.factory.WebSocketServerFactory` serves; the endpoints do it by
themselves, and are for code that knows nothing of WebSocket.

The messages of a connection are its bytes in pieces. They are binary, or with the
subprotocol ``base64``, of old browsers' VNC clients, texts in base64. When a side
closes with 1000 or 1001, or no code, the stream was whole; anything else is a
``ConnectionLost`` for the protocol.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from .client import WebSocketClientEndpoint
from .clientoptions import ClientOptions
from .closing import CloseCode
from .errors import ConnectionClosed, HandshakeRejected, InvalidOption
from .factory import WebSocketServerFactory
from .handshake import Request
from .interfaces import ClosedUncleanly, WebSocketProtocol, WebSocketTransport
from .options import ServerOptions
from .streamtransport import (
    BASE64,
    MESSAGE_SIZE,
    SecureStreamTransport,
    StreamTransport,
)

__all__ = [
    "BASE64",
    "BINARY",
    "MESSAGE_SIZE",
    "StreamFactory",
    "StreamProtocol",
    "StreamTransport",
    "WebSocketStreamClientEndpoint",
    "WebSocketStreamServerEndpoint",
]

BINARY = "binary"
"""The subprotocol that says what is so without one, too: bytes in binary messages."""

_WHOLE = (CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS)


class StreamProtocol(WebSocketProtocol):
    """Feeds a stream protocol from a WebSocket connection; :class:`StreamFactory` makes
    it.

    :param protocol: the stream protocol; None for none, and then no connection
    :param messageSize: most bytes in one message that is sent
    :param gathering: as for :class:`StreamTransport`
    """

    stream: StreamTransport
    """The stream protocol's transport."""

    def __init__(
        self,
        protocol: IProtocol | None,
        messageSize: int = MESSAGE_SIZE,
        gathering: bool = True,
    ) -> None:
        self.protocol: Any = protocol
        """The stream protocol."""
        self._messageSize = messageSize
        self._gathering = gathering
        self._connected = False

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Make the stream protocol's transport.

        :param transport: the WebSocket
        """
        super().negotiationStarted(transport)
        isServer = transport.response is None
        if self.protocol is None:
            raise HandshakeRejected(503) if isServer else NoProtocol()
        if isServer:
            _chooseSubprotocol(transport.request)
        secure = transport.request.secure
        kind = SecureStreamTransport if secure else StreamTransport
        self.stream = kind(transport, self._messageSize, self._gathering)

    def negotiationFinished(self) -> None:
        """The stream begins."""
        self._connected = True
        self.protocol.makeConnection(self.stream)

    def bytesMessageReceived(self, data: bytes) -> None:
        """A piece of the stream came.

        :param data: it
        """
        if self.transport.subprotocol == BASE64:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "binary, though base64 was agreed")
        else:
            self._deliver(data)

    def textMessageReceived(self, message: str) -> None:
        """A piece of the stream came, if it is one in base64.

        :param message: it
        """
        if self.transport.subprotocol != BASE64:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "a stream consists of bytes")
            return
        try:
            data = b64decode(message, validate=True)
        except (binascii.Error, ValueError):
            self._refuse(CloseCode.INVALID_PAYLOAD, "text that is not base64")
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        stream = self.stream
        # Empty messages are there to be ignored: protocols take no empty dataReceived.
        if stream.disconnecting or not data:
            return
        stream.hold()
        try:
            # What it returns is nothing to wait for: LineReceiver and its like return
            # whatever their hooks did.
            self.protocol.dataReceived(data)
        finally:
            stream.release()

    def _refuse(self, code: int, why: str) -> None:
        """The peer does not speak as was agreed: deliver nothing more."""
        if not self.stream.disconnecting:
            self.stream.disconnecting = True
            self.transport.loseConnection(code, why)

    def connectionLost(self, reason: Failure) -> None:
        """The stream has ended.

        :param reason: how
        """
        if not self._connected:
            return
        self.stream.connected = False
        closed = cast(ConnectionClosed, reason.value)
        if closed.wasClean and closed.code not in _WHOLE:
            # Good manners, but not all that was to come.
            reason = Failure(ClosedUncleanly(closed.code, closed.reason, True))
        self.protocol.connectionLost(reason)


def _chooseSubprotocol(request: Request) -> None:
    """Choose the one that is to be answered, if the options have chosen none."""
    if request.subprotocol is None:
        for name in (BINARY, BASE64):
            if name in request.subprotocols:
                request.selectSubprotocol(name)
                break


def _checkMessageSize(messageSize: int) -> None:
    if not isinstance(messageSize, int) or messageSize < 1:
        raise InvalidOption("messageSize", f"{messageSize!r} is no number of bytes")


class StreamFactory:
    """Makes a factory of stream protocols serve WebSocket.

    It is an application for :class:`~twisted_ws.factory.WebSocketServerFactory`, and
    for what takes the same, such as
    :class:`~twisted_ws.client.WebSocketClientEndpoint`::

        WebSocketServerFactory(StreamFactory(Factory.forProtocol(AMP)))

    The protocols' transport is a
    :class:`~twisted_ws.streamtransport.StreamTransport`.

    Of the subprotocols that a client offers, ``binary`` is chosen if the options choose
    none, and ``base64`` if it is the only one of the two. Other subprotocols, such as
    ``mqtt``, are for the options to choose, and travel in binary messages.

    :param factory: makes the protocols. Where it gives None the request is refused with
        503.
    :param messageSize: most bytes in one message: longer writes become several. The
        default is less than every peer takes; it has to be below the peer's
        ``maxMessageSize``.
    :param gathering: whether small writes wait for the end of the reactor's turn, to
        become one message
    :raises InvalidOption: the size is no number of bytes
    """

    def __init__(
        self,
        factory: IProtocolFactory,
        messageSize: int = MESSAGE_SIZE,
        gathering: bool = True,
    ) -> None:
        _checkMessageSize(messageSize)
        self.factory: Any = factory
        """The factory of the protocols."""
        self._messageSize = messageSize
        self._gathering = gathering

    def buildProtocol(self, request: Request) -> StreamProtocol:
        """Make the protocol for a connection.

        :param request: on a server not answered yet, on a client what was sent
        """
        protocol = self.factory.buildProtocol(request.peer)
        return StreamProtocol(protocol, self._messageSize, self._gathering)


class _ServerFactory(WebSocketServerFactory):
    """What a :class:`WebSocketStreamServerEndpoint` listens with."""

    application: StreamFactory

    def doStart(self) -> None:
        """The port listens; the protocols' factory is told."""
        self.application.factory.doStart()
        super().doStart()  # type: ignore[no-untyped-call]

    def doStop(self) -> None:
        """The port listens no more."""
        self.application.factory.doStop()
        super().doStop()  # type: ignore[no-untyped-call]


@implementer(IStreamServerEndpoint)
class WebSocketStreamServerEndpoint:
    """Listens for WebSocket connections, for stream protocols.

    :param endpoint: where to listen, such as a ``TCP4ServerEndpoint``; for wss a
        :class:`~twisted_ws.tls.TLSServerEndpoint` around it
    :param path: where WebSocket is served, such as ``/chat``; elsewhere requests get
        404. None serves it on every path.
    :param options: limits, origins, hosts; by default those of :class:`ServerOptions`
        without compression, which gains little with most streams
    :param messageSize: as for :class:`StreamFactory`
    :param gathering: likewise
    :param site: for requests that do not ask for WebSocket, as for
        :class:`~twisted_ws.factory.WebSocketServerFactory`
    :param reactor: the clock; by default the reactor that runs
    :raises InvalidOption: the size is no number of bytes
    :raises ValueError: the path does not begin with a slash
    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        path: str | None = None,
        options: ServerOptions | None = None,
        *,
        messageSize: int = MESSAGE_SIZE,
        gathering: bool = True,
        site: IProtocolFactory | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        if path is not None and not path.startswith("/"):
            raise ValueError(f"path {path!r} does not begin with a slash")
        _checkMessageSize(messageSize)
        self.endpoint = endpoint
        self.path = path
        self.options = options or ServerOptions(compression="none")
        self._messageSize = messageSize
        self._gathering = gathering
        self._site = site
        self._reactor = reactor

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Listen.

        :param protocolFactory: makes the protocols
        :returns: fires with the listening port, or with why there is none
        """
        factory = _ServerFactory(
            StreamFactory(protocolFactory, self._messageSize, self._gathering),
            self.options,
            path=self.path,
            site=self._site,
            reactor=self._reactor,
        )
        return maybeDeferred(self.endpoint.listen, factory)


class _Connecting(StreamFactory):
    """Makes the one protocol of a connection that a client opens; its factory is
    started for that, and stopped when it is over."""

    _started = False

    def start(self) -> None:
        """The connection is opened."""
        self._started = True
        self.factory.doStart()

    def stop(self) -> None:
        """The connection has ended, or there is none."""
        if self._started:
            self._started = False
            self.factory.doStop()

    def buildProtocol(self, request: Request) -> StreamProtocol:
        """Make the protocol.

        :param request: what was sent
        """
        protocol = self.factory.buildProtocol(request.peer)
        return _ClientProtocol(protocol, self._messageSize, self._gathering, self)


class _ClientProtocol(StreamProtocol):
    """What :class:`_Connecting` makes.

    :param protocol: the stream protocol
    :param messageSize: as for :class:`StreamFactory`
    :param gathering: likewise
    :param connecting: is told of the end
    """

    def __init__(
        self,
        protocol: IProtocol | None,
        messageSize: int,
        gathering: bool,
        connecting: _Connecting,
    ) -> None:
        super().__init__(protocol, messageSize, gathering)
        self._connecting = connecting

    def connectionLost(self, reason: Failure) -> None:
        """The stream has ended.

        :param reason: how
        """
        try:
            super().connectionLost(reason)
        finally:
            self._connecting.stop()


@implementer(IStreamClientEndpoint)
class WebSocketStreamClientEndpoint:
    """Connects stream protocols through WebSocket.

    :param reactor: the reactor
    :param url: such as ``wss://example.com/feed``
    :param options: subprotocols, limits, times, TLS, proxies; by default those of
        :class:`ClientOptions` without compression, which gains little with most streams
    :param messageSize: as for :class:`StreamFactory`
    :param gathering: likewise
    :param endpoint: leads to the server in place of DNS and TCP, as for
        :meth:`WebSocketClientEndpoint.fromURL
        <twisted_ws.client.WebSocketClientEndpoint.fromURL>`
    :raises InvalidURL: the URL is none of WebSocket
    :raises InvalidOption: the size is no number of bytes
    :raises TLSConfigurationError: a certificate in the options cannot be used
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        options: ClientOptions | None = None,
        *,
        messageSize: int = MESSAGE_SIZE,
        gathering: bool = True,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        _checkMessageSize(messageSize)
        self._messageSize = messageSize
        self._gathering = gathering
        self._webSocket = WebSocketClientEndpoint.fromURL(
            reactor,
            url,
            options or ClientOptions(compression="none"),
            endpoint=endpoint,
        )

    @property
    def options(self) -> ClientOptions:
        """The options that hold."""
        return self._webSocket.options

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Open a connection.

        :param protocolFactory: makes the protocol, when the server has answered 101
        :returns: fires with the protocol when its ``connectionMade`` was called, or
            with a :exc:`~twisted_ws.errors.HandshakeError`. Cancelling it closes what
            was opened.
        """
        connecting = _Connecting(protocolFactory, self._messageSize, self._gathering)
        connecting.start()

        def failed(failure: Failure) -> Failure:
            connecting.stop()
            return failure

        def opened(application: StreamProtocol) -> Any:
            return application.protocol

        return self._webSocket.connect(connecting).addCallbacks(opened, failed)

    def __repr__(self) -> str:
        return f"<WebSocketStreamClientEndpoint {self._webSocket.url}>"
