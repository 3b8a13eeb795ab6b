"""The server's factory: who is let in, with what, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import ServerFactory

from .deciding import DecidingProtocol
from .errors import BadHandshake
from .handshake import Request, ServerHandshake
from .options import ServerOptions
from .server import ServerProtocol
from .timers import Deadlines
from .websocket import Handler, HandlerProtocol

__all__ = [
    "Application",
    "ApplicationFactory",
    "ConnectionCounter",
    "WebSocketServerFactory",
    "buildFrom",
    "checkApplication",
]


_Built = TypeVar("_Built", covariant=True)


class ApplicationFactory(Protocol[_Built]):
    """Decides on requests, as a factory of ``twisted.web.websocket`` does. Its type has
    the type of what it builds: ``ApplicationFactory[Chat]``."""

    def buildProtocol(self, request: Request, /) -> _Built:
        """Give the protocol for a request, a Deferred or a coroutine of it.

        :param request: a valid request
        :raises HandshakeRejected: it is refused
        """


Application: TypeAlias = type[Any] | Callable[[Request], Any] | ApplicationFactory[Any]
"""What a server or client runs: a class with the hooks of ``WebSocketProtocol``, which
is called without arguments for each connection; a callable that gets the
:class:`Request`; or an object whose ``buildProtocol`` does. The last two may also
return a Deferred or be coroutines, and on a server refuse with
:class:`HandshakeRejected`."""


def checkApplication(application: Any) -> None:
    """Find mistakes before the first connection does.

    :param application: what is to be run
    :raises TypeError: it is no :data:`Application`
    """
    if not callable(application) and not hasattr(application, "buildProtocol"):
        raise TypeError(
            f"{application!r} is neither a protocol class, nor a callable that "
            f"takes a request, nor has it a buildProtocol method"
        )
    if (
        isinstance(application, type)
        and hasattr(application, "buildProtocol")
        and not hasattr(application, "negotiationStarted")
    ):
        raise TypeError(
            f"{application!r} is the class of a factory: give an instance of it"
        )


def buildFrom(application: Application, request: Request) -> Any:
    """Have an application make its protocol for a request.

    :param application: the application
    :param request: the request
    :returns: what it gave: a protocol, None, or a Deferred or coroutine of either
    """
    if isinstance(application, type):
        return application()
    build: Any = getattr(application, "buildProtocol", application)
    return build(request)


class ConnectionCounter:
    """What knows its connections, and tells when there is none left; mixed into
    factories."""

    connections: set[Any]
    """All connections, those in their opening handshake included."""

    _idle: list[Deferred[None]] | None = None

    def whenIdle(self) -> Deferred[None]:
        """Give a Deferred that fires when there is no connection."""
        if not self.connections:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle = [*(self._idle or ()), waiter]
        return waiter

    def tellIdle(self) -> None:
        """Fire what :meth:`whenIdle` gave, if there is no connection."""
        if not self.connections:
            waiters, self._idle = self._idle, None
            for waiter in waiters or ():
                waiter.callback(None)


class WebSocketServerFactory(ConnectionCounter, ServerFactory):
    """Serves WebSocket connections; give it to any endpoint's ``listen``.

    Override :meth:`protocolForRequest`, or give an application that decides.

    Memory: for each connection as :class:`twisted_ws.options.Options` says, times
    ``maxConnections``.

    :param application: what to run; see :data:`Application`. A handler, which takes a
        ``WebSocket``, goes to :meth:`fromHandler` instead.
    :param options: limits, origins, hosts, subprotocols
    :param path: where WebSocket is served, such as ``/chat``; elsewhere requests for
        it get 404. None serves it on every path.
    :param site: a ``twisted.web.server.Site`` for requests that do not ask for
        WebSocket; without one they get 426
    :param reactor: the clock; by default the reactor that runs
    :raises TypeError: the application is not callable and has no ``buildProtocol``, or
        it is a factory's class in place of an instance
    :raises ValueError: the path does not begin with a slash
    """

    noisy = False

    def __init__(
        self,
        application: Application,
        options: ServerOptions | None = None,
        *,
        path: str | None = None,
        site: IProtocolFactory | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        checkApplication(application)
        if path is not None and not path.startswith("/"):
            raise ValueError(f"path {path!r} does not begin with a slash")
        self.application = application
        self.options = options or ServerOptions()
        self.path = path
        self.site = site
        self.handshake = ServerHandshake(self.options)
        self.connections: set[DecidingProtocol] = set()
        """All connections, those in their opening handshake included."""
        self._perAddress: Counter[str] = Counter()
        self._addresses: dict[DecidingProtocol, str] = {}
        self._clock = reactor
        self._deadlines: Deadlines | None = None

    @classmethod
    def fromHandler(
        cls, handler: Handler, options: ServerOptions | None = None, **arguments: Any
    ) -> WebSocketServerFactory:
        """Make a factory whose connections are each served by a coroutine.

        :param handler: an ``async def`` that gets a
            :class:`twisted_ws.websocket.WebSocket`; when it returns the connection is
            closed with 1000, when it raises with 1011
        :param options: as for the class
        :param arguments: as for the class
        """
        return cls(lambda _: HandlerProtocol(handler), options, **arguments)

    @property
    def clock(self) -> IReactorTime:
        """The reactor."""
        if self._clock is None:
            # Only now: importing it installs it, and an application may still choose.
            from twisted.internet import reactor

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of all connections."""
        if self._deadlines is None:
            self._deadlines = Deadlines(self.clock)
        return self._deadlines

    # What an application may override

    def protocolForRequest(self, request: Request) -> Any | Awaitable[Any]:
        """Decide on a request. Called once for each valid one, before it is answered;
        may choose the subprotocol and add headers through the request.

        :param request: the request
        :returns: an object with the hooks of ``WebSocketProtocol``, or a Deferred or
            coroutine of one; None refuses with 404
        :raises HandshakeRejected: to refuse it
        """
        return buildFrom(self.application, request)

    # What the listening port and the connections call

    def buildProtocol(self, addr: IAddress | None) -> ServerProtocol:
        """Make the wire protocol for a TCP connection; the port calls it.

        :param addr: the peer's address
        """
        return ServerProtocol(self)

    def factoryFor(self, request: Request) -> WebSocketServerFactory:
        """Give the factory that serves a request's path.

        :param request: not judged yet by anyone's options
        :returns: this one; :class:`twisted_ws.routes.Routes` gives others
        :raises BadHandshake: 404
        """
        if self.path is not None and request.path != self.path:
            raise BadHandshake(404, "there is no WebSocket at this path")
        return self

    def isWebSocketOnly(self, path: str) -> bool:
        """Tell whether there is no page at a path, as WebSocket is there.

        :param path: of a request that does not ask for WebSocket
        """
        return path == self.path

    def changeOptions(self, **changes: Any) -> None:
        """Put other values in the place of some options, for connections to come.

        :param changes: fields of :class:`ServerOptions`
        :raises InvalidOption: a value cannot work
        """
        self.options = replace(self.options, **changes)
        self.handshake = ServerHandshake(self.options)

    def checkLimits(self, connection: DecidingProtocol) -> None:
        """Refuse one connection too many.

        :param connection: which is counted already
        :raises BadHandshake: 503
        """
        most = self.options.maxConnections
        if most and len(self.connections) > most:
            raise BadHandshake(503, "too many connections", self.retryHeaders())
        mostEach = self.options.maxConnectionsPerAddress
        if mostEach:
            # Under the PROXY protocol it is known only now.
            key = _addressKey(connection)
            self._countAddress(connection, key)
            if key is not None and self._perAddress[key] > mostEach:
                raise BadHandshake(
                    503, "too many connections from this address", self.retryHeaders()
                )

    def retryHeaders(self) -> dict[str, str]:
        """Give the headers of a 503."""
        return {"Retry-After": str(self.options.retryAfter)}

    def connectionOpened(self, connection: DecidingProtocol) -> None:
        """Count a connection.

        :param connection: which was made just now
        """
        self.connections.add(connection)
        if self.options.maxConnectionsPerAddress:
            self._countAddress(connection, _addressKey(connection))

    def connectionClosed(self, connection: DecidingProtocol) -> None:
        """Count a connection no more.

        :param connection: which is gone
        """
        self.connections.discard(connection)
        self._countAddress(connection, None)
        self.tellIdle()

    def _countAddress(self, connection: DecidingProtocol, key: str | None) -> None:
        """Count a connection by an address, in place of the one it was counted by."""
        before = self._addresses.pop(connection, None)
        if key is not None:
            self._addresses[connection] = key
            self._perAddress[key] += 1
        if before is not None:
            self._perAddress[before] -= 1
            if not self._perAddress[before]:
                del self._perAddress[before]

    # Shutting down

    def closeConnections(
        self, code: int = 1001, reason: str = "going away"
    ) -> Deferred[None]:
        """Start the closing handshake on every connection. New ones are still taken:
        stop listening first.

        :param code: close code
        :param reason: for the peers
        :returns: fires when no connection is left
        """
        for connection in list(self.connections):
            connection.shutDown(code, reason)
        return self.whenIdle()

    def abortConnections(self) -> Deferred[None]:
        """End every connection at once.

        :returns: fires when no connection is left
        """
        for connection in list(self.connections):
            connection.endNow()
        return self.whenIdle()


def _addressKey(connection: DecidingProtocol) -> str | None:
    """Give what a peer is counted by: its address, of IPv6 the /64 network, as that is
    what one customer gets. None for a peer without one, as on a UNIX socket: they are
    not all the same, and would else share one limit."""
    host = getattr(connection.transport.getPeer(), "host", None)
    if host is None:
        return None
    if ":" not in host:
        return str(host)
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        # From a socket for both; all of them are in one /64.
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))
