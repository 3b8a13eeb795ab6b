"""A kit for tests: WebSocket connections in memory, on a clock.

:func:`connectedPair` connects two applications; a :class:`MemoryServer` takes
:class:`RawPeer` objects too, which write and read bytes, and clients through its
:attr:`~MemoryServer.endpoint`. A :class:`Recorder` writes down how it is called. There
is no reactor in this: time passes when a test says so, and every :class:`Direction` can
chop, delay, hold and lose what goes through it.

:func:`attack`, and ``python -m twisted_ws.testing attack HOST PORT``, are another
thing: a hostile peer for a server on a port.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from .adversary import NotLoopback
from .attacks import CannotAttack, Outcome, Verdict, attack, main
from .client import WebSocketClientEndpoint
from .clientoptions import ClientOptions
from .factory import Application, WebSocketServerFactory
from .interfaces import WebSocketProtocol
from .memory import (
    CLIENT,
    SERVER,
    Direction,
    MemoryTLSTransport,
    MemoryTransport,
)
from .options import ServerOptions
from .peerbytes import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Response,
    closing,
    frame,
    plainGet,
    readFrames,
    readResponse,
    request,
    text,
)
from .recorder import Recorder, echo, echoing

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "CannotAttack",
    "Direction",
    "MemoryEndpoint",
    "MemoryPair",
    "MemoryServer",
    "MemoryTLSTransport",
    "MemoryTransport",
    "NotLoopback",
    "Outcome",
    "RawPeer",
    "Recorder",
    "Response",
    "Verdict",
    "attack",
    "closing",
    "connectedPair",
    "echo",
    "echoing",
    "frame",
    "plainGet",
    "readFrames",
    "readResponse",
    "request",
    "text",
]


class RawPeer:
    """A client, by the byte.

    Memory: it keeps everything it was sent.

    :param server: its server
    :param transport: the server's end
    """

    def __init__(self, server: MemoryServer, transport: MemoryTransport) -> None:
        self.server = server
        self.transport = transport
        self.protocol: Any = server.factory.buildProtocol(transport.getPeer())
        """The server's protocol on the wire."""
        transport.protocol = self.protocol
        self.reads = True
        """Whether it reads what it is sent."""
        self.toServer = Direction(server.clock, self.pump)
        """The way from here."""
        self.toPeer = Direction(server.clock, self.pump)
        """The way to here."""
        self._received = bytearray()
        transport.carry = self.toPeer.put
        self.protocol.makeConnection(transport)  # type: ignore[no-untyped-call]
        self.pump()

    def send(self, *data: bytes, segment: int = 1 << 16) -> None:
        """Send bytes, which the server reads when it reads.

        :param data: bytes
        :param segment: most bytes that it reads at once
        """
        self.toServer.put(b"".join(data))
        self.pump(segment)

    def hangUp(self) -> None:
        """Close the connection behind what was sent."""
        self.toServer.finish()
        self.pump()

    def vanish(self, error: Exception | None = None) -> None:
        """Reset the connection.

        :param error: what the server is told
        """
        self.toServer.clear()
        self.transport.vanish(error)
        self._collect()
        self.toPeer.clear()

    def pump(self, segment: int = 1 << 16) -> None:
        """Let everything happen that a reactor would do now.

        :param segment: most bytes that the server reads at once
        """
        transport = self.transport
        while True:
            if transport.reading and (data := self.toServer.take(segment)):
                self.protocol.dataReceived(data)
            elif transport.reading and self.toServer.isAtEnd:
                transport.peerClosed()
            elif self.reads and transport.canFlush:
                transport.flush()
            else:
                break
        self._collect()

    def _collect(self) -> None:
        while data := self.toPeer.take():
            self._received += data

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, and what comes with it happen.

        :param seconds: how long
        :param step: how much at a time
        """
        self.server.advance(seconds, step)

    @property
    def unread(self) -> int:
        """Bytes that it sent and the server has not read."""
        return self.toServer.waiting

    @property
    def isConnected(self) -> bool:
        """Whether the TCP connection lasts."""
        return self.transport.connected

    @property
    def received(self) -> bytes:
        """All that it got."""
        self._collect()
        return bytes(self._received)

    @property
    def response(self) -> Response:
        """The answer to its request."""
        return readResponse(self.received)

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that it got behind the 101: the first byte of each, and its
        payload."""
        response = self.response
        if response.status != 101:
            raise AssertionError(f"the server answered {response}")
        return readFrames(response.body)

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that it got."""
        return [
            payload.decode() if first == TEXT else payload
            for first, payload in self.frames
            if first in (TEXT, BINARY)
        ]

    @property
    def closeFrame(self) -> tuple[int, str] | None:
        """Code and reason of the Close frame that it got, behind which nothing came;
        None if none came."""
        found = [payload for first, payload in self.frames if first == CLOSE]
        if not found:
            return None
        if len(found) > 1 or self.frames[-1] != (CLOSE, found[0]):
            raise AssertionError(f"something behind the Close frame: {self.frames}")
        if not found[0]:
            return (1005, "")
        return int.from_bytes(found[0][:2], "big"), found[0][2:].decode()


class MemoryPair:
    """Two applications and the connection between them, from :func:`connectedPair` or
    a :attr:`MemoryServer.endpoint`.

    Nothing moves but in :meth:`pump` and :meth:`advance`.

    :param server: the server
    :param protocol: the client's protocol on the wire
    """

    def __init__(self, server: MemoryServer, protocol: Any) -> None:
        clock = server.clock
        self.clock = clock
        """What both sides' time is told by."""
        self.clientTransport = MemoryTransport(clock, SERVER, host=CLIENT)
        """The TCP connection, as the client has it."""
        self.serverTransport = MemoryTransport(clock, CLIENT)
        """The TCP connection, as the server has it."""
        self.toServer = Direction(clock, self.pump)
        """The way from client to server."""
        self.toClient = Direction(clock, self.pump)
        """The way from server to client."""
        self.clientTransport.carry = self.toServer.put
        self.serverTransport.carry = self.toClient.put
        self.opening: Deferred[Any] | None = None
        """From :func:`connectedPair`: fires with the client's application, when it is
        open."""
        self._isPumping = False
        self.clientTransport.protocol = protocol
        self.serverTransport.protocol = server.factory.buildProtocol(CLIENT)
        self.serverTransport.protocol.makeConnection(self.serverTransport)
        protocol.makeConnection(self.clientTransport)

    @property
    def server(self) -> Any:
        """The server's application; None before it was built."""
        return getattr(self.serverTransport.protocol, "_application", None)

    @property
    def client(self) -> Any:
        """The client's application; None before it was built."""
        return getattr(self.clientTransport.protocol, "_application", None)

    @property
    def isConnected(self) -> bool:
        """Whether either side still has its TCP connection."""
        return self.clientTransport.connected or self.serverTransport.connected

    def pump(self) -> None:
        """Let everything happen that two reactors would do now."""
        if self._isPumping:
            # From an application's hook: what is asked for is being done.
            return
        self._isPumping = True
        near, far = self.clientTransport, self.serverTransport
        try:
            while True:
                while _move(near, self.toServer, far) or _move(
                    far, self.toClient, near
                ):
                    pass
                now = self.clock.seconds()
                if all(call.getTime() > now for call in self.clock.getDelayedCalls()):
                    break
                self.clock.advance(0)
        finally:
            self._isPumping = False

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, and what comes with it happen.

        :param seconds: how long
        :param step: how much at a time
        """
        _advance(self.clock, [self], seconds, step)

    def lose(self, error: Exception | None = None) -> None:
        """Break the connection: both sides are told so at once, and what was on its way
        is lost.

        :param error: what they are told; a ``ConnectionLost`` by default
        """
        self.toServer.clear()
        self.toClient.clear()
        self.clientTransport.vanish(error)
        self.serverTransport.vanish(error)
        self.pump()


def _move(source: MemoryTransport, way: Direction, sink: MemoryTransport) -> bool:
    """Move some bytes one way, or the end of the connection.

    :returns: whether there was something to move
    """
    if sink.reading:
        if data := way.take():
            sink.protocol.dataReceived(data)
            return True
        if way.isAtEnd:
            way.clear()
            if way.wasReset:
                sink.vanish()
            else:
                sink.peerClosed()
            return True
    if source.canFlush:
        source.flush()
        return True
    if not way.isFinished and source.hasEnded:
        way.finish(reset=source.aborted)
        return True
    return False


def _advance(clock: Clock, links: list[Any], seconds: float, step: float) -> None:
    """Let time pass: in steps that end whenever something is due, as a ``Clock`` calls
    everything that is due as if it were the end of its step."""
    end = clock.seconds() + seconds
    while True:
        for link in links:
            link.pump()
        now = clock.seconds()
        due = [call.getTime() for call in clock.getDelayedCalls()]
        then = min([now + step, end, *(time for time in due if time > now)])
        clock.advance(max(0, then - now))
        for link in links:
            link.pump()
        if clock.seconds() >= end:
            return


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Leads clients to a server in memory, as any client endpoint would: give it to
    ``connect(server.clock, "ws://example.com/", endpoint=server.endpoint)``. What is
    sent arrives with the server's next ``pump`` or ``advance``.

    :param server: the server
    """

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect.

        :param protocolFactory: makes the client's protocol on the wire
        """
        protocol = protocolFactory.buildProtocol(SERVER)
        self._server.pairs.append(MemoryPair(self._server, protocol))
        return succeed(protocol)


class MemoryServer:
    """A server without a port.

    :param application: what a :class:`WebSocketServerFactory` takes, or a protocol for
        the one connection there will be
    :param options: for the factory
    :param clock: tells the time; by default one of its own
    :param arguments: for the factory
    """

    def __init__(
        self,
        application: Any,
        options: ServerOptions | None = None,
        *,
        clock: Clock | None = None,
        **arguments: Any,
    ) -> None:
        if clock is None:
            clock = Clock()
            # Not 0, which is false.
            clock.advance(1000)
        self.clock = clock
        """Tells the time."""
        self.options = options or ServerOptions()
        self.factory = self.makeFactory(_asApplication(application), **arguments)
        """The factory."""
        self.peers: list[Any] = []
        """The raw peers that have connected."""
        self.pairs: list[MemoryPair] = []
        """The connections that came through the endpoint."""

    def makeFactory(self, application: Any, **arguments: Any) -> WebSocketServerFactory:
        """Make the factory; override it for one of another class.

        :param application: for it
        :param arguments: for it
        """
        return WebSocketServerFactory(
            application, self.options, reactor=self.clock, **arguments
        )

    @property
    def endpoint(self) -> MemoryEndpoint:
        """Leads clients here."""
        return MemoryEndpoint(self)

    def connect(
        self, peer: Any = CLIENT, *, secure: bool = False, bound: str = SERVER.host
    ) -> RawPeer:
        """Have a raw peer make a TCP connection.

        :param peer: its address
        :param secure: as if over TLS, the handshake of which has not begun: call
            ``handshakeCompleted`` of its ``protocol``
        :param bound: the address that the port is bound to
        """
        kind = MemoryTLSTransport if secure else MemoryTransport
        found = RawPeer(self, kind(self.clock, peer, bound))
        self.peers.append(found)
        return found

    def open(self, *extra: str, secure: bool = False, **named: Any) -> RawPeer:
        """Have a raw peer ask for WebSocket; its ``response`` says what came of it.

        :param extra: header lines
        :param secure: as if over TLS
        :param named: for :func:`request`
        """
        peer = self.connect(secure=secure)
        if secure:
            peer.protocol.handshakeCompleted()
        peer.send(request(*extra, **named))
        return peer

    def pump(self) -> None:
        """Let everything happen that a reactor would do now."""
        self.advance(0)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass.

        :param seconds: how long
        :param step: how much at a time
        """
        _advance(self.clock, [*self.peers, *self.pairs], seconds, step)

    def turn(self) -> None:
        """Let one turn of the reactor pass: what is due now, and not what that leaves
        for the next one."""
        now = self.clock.seconds()
        for call in list(self.clock.getDelayedCalls()):
            # One of them may have cancelled another.
            if call.active() and call.getTime() <= now:
                due: Any = call
                self.clock.calls.remove(due)
                due.called = 1
                due.func(*due.args, **due.kw)
        for link in (*self.peers, *self.pairs):
            link.pump()


def connectedPair(
    serverApplication: Any,
    clientApplication: Any,
    serverOptions: ServerOptions | None = None,
    clientOptions: ClientOptions | None = None,
    *,
    url: str = "ws://example.com/",
    clock: Clock | None = None,
) -> MemoryPair:
    """Connect two applications, in memory.

    :param serverApplication: what a :class:`WebSocketServerFactory` takes, or a
        protocol
    :param clientApplication: what :meth:`WebSocketClientEndpoint.connect` takes, or a
        protocol
    :param serverOptions: the server's
    :param clientOptions: the client's
    :param url: what is asked for; TLS is not
    :param clock: tells both sides the time; by default one of its own
    :returns: the pair. It is open, unless the server takes its time to decide; then
        ``client`` is None until then.
    :raises HandshakeError: the server refused, or the client did not like the answer
    :raises ValueError: a ``wss`` URL
    """
    server = MemoryServer(serverApplication, serverOptions, clock=clock)
    endpoint = WebSocketClientEndpoint.fromURL(
        server.clock, url, clientOptions, endpoint=server.endpoint
    )
    if endpoint.url.secure:
        raise ValueError(f"{url}: there is no TLS in memory")
    opening = endpoint.connect(_asApplication(clientApplication))
    [pair] = server.pairs
    pair.opening = opening
    pair.pump()
    if isinstance(getattr(opening, "result", None), Failure):
        failed: list[Failure] = []
        opening.addErrback(failed.append)
        failed[0].raiseException()
    return pair


def _asApplication(application: Any) -> Application:
    """Make an application of a protocol."""
    if isinstance(application, WebSocketProtocol):
        return lambda _: application
    known: Application = application
    return known


if __name__ == "__main__":
    main()
