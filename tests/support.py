"""What the tests of the Twisted side share: a server without a network.

A :class:`Server` has a factory on a ``Clock``. Its peers are :class:`Peer` objects that
write and read bytes, through a :class:`FakeTransport` that does what Twisted's TCP and
TLS transports do. Nothing happens by itself but what a reactor would do at once.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated, IProtocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from twisted_ws.connection import Connection, Event
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.frames import FIN, FrameDecoder, Opcode, encodeFrame
from twisted_ws.interfaces import WebSocketProtocol, WebSocketTransport
from twisted_ws.options import ServerOptions
from twisted_ws.routes import Routes

TRANSPORT_BUFFER = 64 * 1024
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x37\xfa\x21\x3d"
CLIENT = IPv4Address("TCP", "192.0.2.7", 50123)

# First bytes of frames.
TEXT = FIN | Opcode.TEXT
BINARY = FIN | Opcode.BINARY
CLOSE = FIN | Opcode.CLOSE
PING = FIN | Opcode.PING
PONG = FIN | Opcode.PONG

_Result = TypeVar("_Result")

# Bytes


def request(
    *extra: str,
    target: str = "/",
    method: str = "GET",
    version: str = "HTTP/1.1",
    without: tuple[str, ...] = (),
) -> bytes:
    """Write a client's opening handshake.

    :param extra: further header lines; one with a name that is there replaces it
    :param target: the request target
    :param method: the method
    :param version: the HTTP version
    :param without: names of headers to leave out
    """
    lines = {
        "host": "Host: example.com",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-key": f"Sec-WebSocket-Key: {KEY.decode()}",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
    }
    names = [each.partition(":")[0].lower() for each in extra]
    kept = [
        line
        for name, line in lines.items()
        if name not in names and name not in [each.lower() for each in without]
    ]
    head = [f"{method} {target} {version}", *kept, *extra, "", ""]
    return "\r\n".join(head).encode("latin-1")


def plainGet(*extra: str, method: str = "GET", target: str = "/") -> bytes:
    """Write an ordinary HTTP request.

    :param extra: header lines beside Host
    :param method: the method
    :param target: the request target
    """
    lines = [f"{method} {target} HTTP/1.1", "Host: example.com", *extra, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def frame(first: int, payload: bytes = b"") -> bytes:
    """Write a masked frame.

    :param first: its first byte
    :param payload: its payload
    """
    return encodeFrame(first, payload, MASK)


def text(message: str) -> bytes:
    """Write a text message as a client does."""
    return frame(TEXT, message.encode())


def closing(code: int | None = 1000, reason: str = "") -> bytes:
    """Write a Close frame as a client does; without a code an empty one."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return frame(CLOSE, payload)


class Response(NamedTuple):
    """A server's answer to an opening handshake."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes
    """What stands behind the head: the body, or frames."""


def readResponse(data: bytes) -> Response:
    """Read a response as strictly as RFC 9112 has it.

    :param data: all that the server wrote
    """
    head, end, body = data.partition(b"\r\n\r\n")
    assert end, f"no end of a head in {data!r}"
    statusLine, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = statusLine.split(" ", 2)
    assert version == "HTTP/1.1", statusLine
    headers: dict[str, str] = {}
    for line in lines:
        name, value = line.split(": ", 1)
        assert name.lower() not in headers or name == "Set-Cookie", line
        headers[name.lower()] = value
    return Response(int(status), headers, body)


def readFrames(data: bytes) -> list[tuple[int, bytes]]:
    """Read a server's frames, which must all be whole.

    :param data: bytes
    """
    decoder = FrameDecoder(masked=False)
    frames = decoder.feed(data)
    assert decoder.error is None and not decoder.isMidFrame, repr(data[:100])
    return frames


# Transports


class FakePort:
    """A listening port, which tells where it listens.

    :param host: address it is bound to
    """

    def __init__(self, host: str) -> None:
        self._host = host

    def getHost(self) -> IPv4Address:
        """Give the address it listens on."""
        return IPv4Address("TCP", self._host, 80)


class FakeTransport:
    """What Twisted's TCP transport does, without a socket.

    What is written stays in a buffer until :meth:`flush`, which a reactor calls when
    the peer reads. With over 64 KiB in it the producer is paused; when it is empty that
    is resumed, or the connection is closed if that was asked for.

    :param clock: for what comes in the next turn
    :param peer: address of the peer
    :param bound: address that the port is bound to
    """

    secure = False
    disconnecting = False

    def __init__(
        self, clock: Clock, peer: Any = CLIENT, bound: str = "192.0.2.1"
    ) -> None:
        self._clock = clock
        self._peer = peer
        self.server = FakePort(bound)
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
        """What has come to the peer."""
        self.reading = True
        self.connected = True
        self.aborted = False
        self.writeClosed = False
        self.noDelay = False
        self.onWrite: Callable[[bytes], object] | None = None

    # ITransport and its like

    def write(self, data: bytes) -> None:
        """Take bytes."""
        assert isinstance(data, bytes), type(data)
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
        assert self.producer is None and streaming
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

    def getHost(self) -> IPv4Address:
        """Give this end's address."""
        return IPv4Address("TCP", "192.0.2.1", 80)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do without Nagle's algorithm."""
        self.noDelay = enabled

    # The reactor's part

    def flush(self) -> None:
        """The peer has read everything."""
        if not self.connected or self.aborted:
            return
        self.received += self.buffer
        self.buffer.clear()
        if self.producer is not None and self.producerPaused:
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self._finishClosing()

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


class FakeTLSTransport(FakeTransport):
    """What Twisted's TLS transport does: closing waits for the peer's close_notify, and
    there is no half-close.

    :param clock: as there
    :param peer: as there
    :param bound: as there
    """

    secure = True
    negotiatedProtocol = None
    loseWriteConnection = None  # type: ignore[assignment]

    def __init__(
        self, clock: Clock, peer: Any = CLIENT, bound: str = "192.0.2.1"
    ) -> None:
        super().__init__(clock, peer, bound)
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
        """The peer's close_notify comes with :meth:`Peer.hangUp`."""


# Ends


class Peer:
    """A client, by the byte.

    :param server: its server
    :param transport: the server's end
    """

    def __init__(self, server: Server, transport: FakeTransport) -> None:
        self.server = server
        self.transport = transport
        self.protocol: Any = server.factory.buildProtocol(transport.getPeer())
        transport.protocol = self.protocol
        self.reads = True
        """Whether it reads what it is sent."""
        self._outgoing = bytearray()
        self._hungUp = False
        self.protocol.makeConnection(transport)
        self.pump()

    def send(self, *data: bytes, segment: int = 1 << 16) -> None:
        """Send bytes, which the server reads when it reads.

        :param data: bytes
        :param segment: most bytes that it reads at once
        """
        self._outgoing += b"".join(data)
        self.pump(segment)

    def hangUp(self) -> None:
        """Close the connection behind what was sent."""
        self._hungUp = True
        self.pump()

    def vanish(self, error: Exception | None = None) -> None:
        """Reset the connection."""
        self.transport.vanish(error)

    def pump(self, segment: int = 1 << 16) -> None:
        """Let everything happen that a reactor would do now.

        :param segment: most bytes that the server reads at once
        """
        transport = self.transport
        while True:
            if transport.reading and self._outgoing:
                data = bytes(self._outgoing[:segment])
                del self._outgoing[:segment]
                self.protocol.dataReceived(data)
            elif transport.reading and self._hungUp:
                transport.peerClosed()
            elif self.reads and transport.connected and self._canFlush():
                transport.flush()
            else:
                return

    def _canFlush(self) -> bool:
        transport = self.transport
        if transport.aborted:
            return False
        closes = transport.disconnecting and not transport.secure
        resumes = transport.producerPaused and transport.producer is not None
        return bool(transport.buffer) or resumes or closes

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, and what comes with it happen.

        :param seconds: how long
        :param step: how much at a time
        """
        self.server.advance(seconds, step)

    @property
    def unread(self) -> int:
        """Bytes that it sent and the server has not read."""
        return len(self._outgoing)

    @property
    def isConnected(self) -> bool:
        """Whether the TCP connection lasts."""
        return self.transport.connected

    @property
    def received(self) -> bytes:
        """All that it got."""
        return bytes(self.transport.received)

    @property
    def response(self) -> Response:
        """The answer to its request."""
        return readResponse(self.received)

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that it got behind the 101."""
        response = self.response
        assert response.status == 101, response
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
        """Code and reason of the Close frame that it got, behind which nothing came."""
        found = [payload for first, payload in self.frames if first == CLOSE]
        if not found:
            return None
        assert len(found) == 1 and self.frames[-1] == (CLOSE, found[0]), self.frames
        if not found[0]:
            return (1005, "")
        return int.from_bytes(found[0][:2], "big"), found[0][2:].decode()


class Server:
    """A factory on a clock, and its peers.

    :param application: for the factory
    :param options: for the factory
    :param arguments: for the factory
    """

    def __init__(self, application: Any, **arguments: Any) -> None:
        self.clock = Clock()
        # Not 0, which is false.
        self.clock.advance(1000)
        limits = {
            each: arguments.pop(each)
            for each in list(arguments)
            if each in ServerOptions.__dataclass_fields__
        }
        self.options = ServerOptions(**limits)
        self.factory = self.makeFactory(application, **arguments)
        self.peers: list[Peer] = []

    def makeFactory(self, application: Any, **arguments: Any) -> WebSocketServerFactory:
        """Make the factory.

        :param application: for it
        :param arguments: for it
        """
        return WebSocketServerFactory(
            application, self.options, reactor=self.clock, **arguments
        )

    def connect(
        self, peer: Any = CLIENT, *, secure: bool = False, bound: str = "192.0.2.1"
    ) -> Peer:
        """Have a client make a TCP connection.

        :param peer: its address
        :param secure: over TLS, the handshake of which has not begun
        :param bound: where the port is bound to
        """
        kind = FakeTLSTransport if secure else FakeTransport
        found = Peer(self, kind(self.clock, peer, bound))
        self.peers.append(found)
        return found

    def open(self, *extra: str, secure: bool = False, **named: Any) -> Peer:
        """Have a client open a WebSocket connection; it is not said that it succeeds.

        :param extra: header lines
        :param secure: over TLS
        :param named: for :func:`request`
        """
        peer = self.connect(secure=secure)
        if secure:
            peer.protocol.handshakeCompleted()
        peer.send(request(*extra, **named))
        return peer

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass.

        :param seconds: how long
        :param step: how much at a time
        """
        left = seconds
        while True:
            self.clock.advance(min(step, left))
            for peer in self.peers:
                peer.pump()
            left -= step
            if left <= 0:
                return

    def turn(self) -> None:
        """Let one turn of the reactor pass: what is due now, and not what that leaves
        for the next one."""
        now = self.clock.seconds()
        for call in list(self.clock.getDelayedCalls()):
            if call.active() and call.getTime() <= now:
                due: Any = call
                self.clock.calls.remove(due)
                due.called = 1
                due.func(*due.args, **due.kw)
        for peer in self.peers:
            peer.pump()


class RoutesServer(Server):
    """A server with routes."""

    def makeFactory(self, application: Any, **arguments: Any) -> Routes:
        """Make the factory.

        :param application: patterns and what they serve
        :param arguments: for it
        """
        return Routes(
            application, options=self.options, reactor=self.clock, **arguments
        )


# Applications


class Recorder(WebSocketProtocol):
    """Writes down how it is called.

    :param reactions: what to do in hooks, by name; called with the recorder and the
        hook's arguments, and its result is the hook's
    """

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        self.reactions = reactions
        self.calls: list[tuple[Any, ...]] = []
        """Name and arguments of each call."""
        self.reason: Any = None
        """How the connection ended."""

    def _called(self, name: str, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        reaction = self.reactions.get(name)
        return None if reaction is None else reaction(self, *arguments)

    @property
    def names(self) -> list[str]:
        """The names of the hooks that were called."""
        return [each[0] for each in self.calls]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that it got."""
        return [
            each[1]
            for each in self.calls
            if each[0] in ("textMessageReceived", "bytesMessageReceived")
        ]

    def negotiationStarted(self, transport: WebSocketTransport) -> Any:
        """Write it down."""
        self.transport = transport
        return self._called("negotiationStarted")

    def negotiationFinished(self) -> Any:
        """Write it down."""
        return self._called("negotiationFinished")

    def textMessageReceived(self, message: str) -> Any:
        """Write it down."""
        return self._called("textMessageReceived", message)

    def bytesMessageReceived(self, data: bytes) -> Any:
        """Write it down."""
        return self._called("bytesMessageReceived", data)

    def pingReceived(self, payload: bytes) -> Any:
        """Write it down."""
        return self._called("pingReceived", payload)

    def pongReceived(self, payload: bytes) -> Any:
        """Write it down."""
        return self._called("pongReceived", payload)

    def sendBufferFull(self) -> Any:
        """Write it down."""
        return self._called("sendBufferFull")

    def sendBufferDrained(self) -> Any:
        """Write it down."""
        return self._called("sendBufferDrained")

    def connectionLost(self, reason: Failure) -> Any:
        """Write it down."""
        self.reason = reason.value
        return self._called("connectionLost")


def receiveAll(connection: Connection, data: bytes) -> list[Event]:
    """Give all the events that some bytes bring, those of later turns included.

    :param connection: takes the bytes
    :param data: the bytes
    """
    events = connection.receive(data)
    while connection.hasMore:
        events += connection.receive(b"")
    return events


def echo(recorder: Recorder, message: str | bytes) -> None:
    """React to a message by sending it back."""
    if isinstance(message, str):
        recorder.transport.sendTextMessage(message)
    else:
        recorder.transport.sendBytesMessage(message)


def echoing() -> Recorder:
    """Give a recorder that sends messages back."""
    return Recorder(textMessageReceived=echo, bytesMessageReceived=echo)


@implementer(IProtocol)
class RecordingSuccessor:
    """A protocol that a connection is handed over to."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Take the transport."""
        self.transport = transport

    def connectionMade(self) -> None:
        """Is not called by ``makeConnection`` here."""

    def dataReceived(self, data: bytes) -> None:
        """Keep bytes."""
        self.received += data

    def connectionLost(self, reason: Failure) -> None:
        """Keep the reason."""
        self.lost = reason


class WireTestCase(SynchronousTestCase):
    """Holds every connection to what is true of all of them, when its test is over."""

    serverKind: type[Server] = Server
    """What :meth:`serve` makes."""

    def setUp(self) -> None:
        """Note servers and recorders from now on."""
        self._servers: list[Server] = []
        self._recorders: list[Recorder] = []

    def serve(self, application: Any = None, **arguments: Any) -> Server:
        """Make a server.

        :param application: a :class:`Recorder` for its one connection, or whatever a
            factory takes; by default a recorder for each
        :param arguments: for :class:`Server`
        """
        if application is None:
            application = self.record
        elif isinstance(application, Recorder):
            recorder = application
            self._recorders.append(recorder)

            def application(_: object) -> Recorder:
                return recorder

        server = self.serverKind(application, **arguments)
        self._servers.append(server)
        return server

    def record(self, _: object = None, **reactions: Callable[..., Any]) -> Recorder:
        """Make a recorder.

        :param reactions: as for :class:`Recorder`
        """
        recorder = Recorder(**reactions)
        self._recorders.append(recorder)
        return recorder

    def opened(self, recorder: Recorder, **arguments: Any) -> Peer:
        """Give the peer of an open connection.

        :param recorder: its application
        :param arguments: for :class:`Server`; ``secure`` says that it is over TLS
        """
        secure = arguments.pop("secure", False)
        peer = self.serve(recorder, **arguments).open(secure=secure)
        self.assertEqual(peer.response.status, 101)
        return peer

    def tearDown(self) -> None:
        """Nothing was written too late; nothing is left over once all are gone."""
        for server in self._servers:
            for peer in server.peers:
                self.assertEqual(peer.transport.late, [], "written after the end")
                peer.vanish()
            server.advance(60, 5)
            self.assertEqual(server.factory.connections, set())
            self.assertEqual(server.clock.getDelayedCalls(), [], "delayed calls left")
            self.assertIsNone(server.factory.deadlines._call)
            self.assertEqual(server.factory._perAddress, {})
        for recorder in self._recorders:
            names = recorder.names
            if names:
                self.assertEqual(names[0], "negotiationStarted", names)
                self.assertEqual(names[-1], "connectionLost", names)
                self.assertEqual(names.count("connectionLost"), 1, names)
                self.assertTrue(names.count("negotiationFinished") <= 1, names)


def firedWith(deferred: Deferred[_Result]) -> list[Any]:
    """Give a list that the Deferred's result, or failure, is put in.

    :param deferred: any
    """
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect what is logged within, as it is written; to be looked at afterwards."""
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines
    lines.extend(formatEvent(event) for event in events)


def address(host: str) -> IPv4Address | IPv6Address:
    """Give the address of a client on a host."""
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 50000)
