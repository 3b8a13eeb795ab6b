"""The server on real TCP and real TLS, on loopback, with clients on the same reactor.

Nothing sleeps here: whatever is waited for is a Deferred with a deadline.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from cryptography.x509 import Certificate
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from tests.clients import Client, connect, connectRaw, reactor, within
from tests.peers import WebSocketsClient
from twisted_ws import (
    ConnectionClosed,
    ServerOptions,
    TLSServerEndpoint,
    WebSocket,
    WebSocketProtocol,
    WebSocketServerFactory,
    WebSocketService,
    WebSocketTransport,
    selfSignedContext,
)
from twisted_ws.connection import CloseReceived, Ping, Pong
from twisted_ws.frames import FIN, Opcode, encodeFrame
from twisted_ws.pages import demoSite
from twisted_ws.tap import Echo

MIB = 1024 * 1024

overBoth = pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])


class Recorder(Echo):
    """An echo that keeps what else happens."""

    def __init__(self) -> None:
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.ended: Deferred[ConnectionClosed] = Deferred()

    def pingReceived(self, payload: bytes) -> None:
        """Keep it."""
        self.pings.append(payload)

    def pongReceived(self, payload: bytes) -> None:
        """Keep it."""
        self.pongs.append(payload)

    def connectionLost(self, reason: Failure) -> None:
        """Keep it."""
        assert isinstance(reason.value, ConnectionClosed)
        self.ended.callback(reason.value)


class Server:
    """A server on loopback, on a port that was free.

    :param application: what it runs
    :param secure: whether with TLS
    :param options: limits and times
    :param site: for pages
    :param drain: seconds to close
    """

    def __init__(
        self,
        application: Any,
        secure: bool,
        options: ServerOptions | None = None,
        site: Any = None,
        drain: float = 5.0,
    ) -> None:
        self.factory = WebSocketServerFactory(application, options, site=site)
        endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.certificate: Certificate | None = None
        if secure:
            context, certificate = selfSignedContext()
            self.certificate = certificate
            endpoint = TLSServerEndpoint(endpoint, context)
        self.service = WebSocketService([endpoint], self.factory, drain)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        host: Any = self.service.ports[0].getHost()
        number: int = host.port
        return number

    async def connect(self, path: str = "/", headers: tuple[str, ...] = ()) -> Client:
        """Connect a client to it.

        :param path: the target
        :param headers: further header lines
        """
        return await connect(self.port, self.certificate, path, headers)

    async def connectRaw(self, protocol: Protocol) -> None:
        """Connect any protocol to it.

        :param protocol: gets the connection
        """
        await connectRaw(self.port, protocol, self.certificate)


@asynccontextmanager
async def serving(*arguments: Any, **named: Any) -> AsyncIterator[Server]:
    """Run a server for a while; see :class:`Server`. In the end nothing of it is left:
    no connection, and no delayed call."""
    server = Server(*arguments, **named)
    before = set(reactor.getDelayedCalls())
    server.service.startService()
    try:
        yield server
    finally:
        if server.service.running:
            await within(server.service.stopService())
    assert not server.factory.connections
    # Clients may still wait for the end of TCP; that is nothing the server left.
    left = [
        each
        for each in set(reactor.getDelayedCalls()) - before
        if "twisted_ws" in str(each)
    ]
    assert not left, left


@contextmanager
def logging() -> Iterator[list[str]]:
    """Collect what is logged, as text."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    publisher: Any = globalLogPublisher
    publisher.addObserver(observe)
    try:
        yield lines
    finally:
        publisher.removeObserver(observe)


async def until(condition: Callable[[], object], what: str) -> None:
    """Let the reactor turn until something is so; there is a deadline.

    :param condition: whether it is so
    :param what: for the message when it never is
    """
    deadline = reactor.seconds() + 15
    while not condition():
        assert reactor.seconds() < deadline, f"never happened: {what}"
        await deferLater(reactor, 0.005)


class Reader(Protocol):
    """Sends some bytes and keeps everything that comes, to the end.

    :param data: what to send
    """

    transport: Any

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self.received = b""
        self.lost: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        """Send it."""
        if self._data:
            self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        """Keep it.

        :param data: any bytes
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over.

        :param reason: how
        """
        self.lost.callback(reason.value)


# Messages


@overBoth
@pytest_twisted.ensureDeferred
async def test_echo(secure: bool) -> None:
    """Text, binary, empty and 1 MiB messages come back as they were, in order."""
    messages: list[str | bytes] = [
        "text",
        "snow \u2603, clef \U0001d11e",
        "",
        b"",
        bytes(range(256)),
        "t" * MIB,
        b"b" * MIB,
    ]
    async with serving(Echo, secure) as server:
        client = await server.connect()
        for message in messages:
            if isinstance(message, str):
                client.sendText(message)
            else:
                client.sendBytes(message)
        for message in messages:
            assert await client.receive() == message
        client.close()
        await client.whenLost()


@overBoth
@pytest_twisted.ensureDeferred
async def test_echoByHandler(secure: bool) -> None:
    """An async handler iterates over messages, and ends when the peer closes."""
    ended = []

    async def handler(webSocket: WebSocket) -> None:
        async for message in webSocket:
            await webSocket.send(message)
        ended.append(True)

    factory = WebSocketServerFactory.fromHandler(handler)
    async with serving(factory.protocolForRequest, secure) as server:
        client = await server.connect()
        client.sendText("one")
        client.sendBytes(b"two" * 100_000)
        assert await client.receive() == "one"
        assert await client.receive() == b"two" * 100_000
        client.close()
        await client.whenLost()
        await until(lambda: ended, "the handler ended")


@overBoth
@pytest_twisted.ensureDeferred
async def test_pings(secure: bool) -> None:
    """A ping is answered with its payload; the application's own ping is too, and the
    round trip is timed."""
    application = Recorder()
    async with serving(lambda _: application, secure) as server:
        client = await server.connect()
        client.transport.write(client.connection.ping(b"are you there"))
        assert await client.receive() == Pong(b"are you there")
        assert application.pings == [b"are you there"]
        application.transport.ping(b"and you")
        assert await client.receive() == Ping(b"and you")
        await until(lambda: application.pongs, "the pong came")
        assert application.pongs == [b"and you"]
        assert 0 <= (application.transport.roundTripTime or -1) < 10


# Closing


@overBoth
@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
@pytest_twisted.ensureDeferred
async def test_clientCloses(secure: bool, code: int) -> None:
    """The client's code and reason reach the application; its code comes back; the
    server ends the TCP connection, and it was clean."""
    application = Recorder()
    async with serving(lambda _: application, secure) as server:
        client = await server.connect()
        client.close(code, "enough")
        assert await client.receive() == CloseReceived(code, "")
        assert isinstance(await client.whenLost(), ConnectionDone)
        ended = await within(application.ended)
        assert (ended.code, ended.reason, ended.wasClean) == (code, "enough", True)
        assert isinstance(ended, ConnectionDone)


@overBoth
@pytest.mark.parametrize("code", [1000, 1011, 3000, 4999])
@pytest_twisted.ensureDeferred
async def test_serverCloses(secure: bool, code: int) -> None:
    """The application's code and reason reach the client behind all messages; with the
    answer the connection ends cleanly."""
    application = Recorder()
    async with serving(lambda _: application, secure) as server:
        client = await server.connect()
        application.transport.sendTextMessage("last words")
        application.transport.loseConnection(code, "enough")
        assert await client.receive() == "last words"
        assert await client.receive() == CloseReceived(code, "enough")
        assert isinstance(await client.whenLost(), ConnectionDone)
        ended = await within(application.ended)
        assert (ended.code, ended.wasClean) == (code, True)


@overBoth
@pytest_twisted.ensureDeferred
async def test_T02_unansweredClose(secure: bool) -> None:
    """A Close frame that is not answered costs ``closeTimeout`` seconds, then the
    connection is gone and counts as unclean."""
    application = Recorder()
    options = ServerOptions(closeTimeout=0.3)
    async with serving(lambda _: application, secure, options) as server:
        client = await server.connect()
        client.answering = False
        began = reactor.seconds()
        application.transport.loseConnection()
        ended = await within(application.ended)
        assert 0.25 < reactor.seconds() - began < 3
        assert (ended.code, ended.wasClean) == (1006, False)
        assert isinstance(ended, ConnectionLost)
        await client.whenLost()


@overBoth
@pytest_twisted.ensureDeferred
async def test_peerVanishes(secure: bool) -> None:
    """A connection that ends without a Close frame is 1006, not clean."""
    application = Recorder()
    async with serving(lambda _: application, secure) as server:
        client = await server.connect()
        client.transport.abortConnection()
        ended = await within(application.ended)
        assert (ended.code, ended.wasClean) == (1006, False)


@overBoth
@pytest_twisted.ensureDeferred
async def test_protocolErrorReachesThePeer(secure: bool) -> None:
    """A failed connection ends with its Close frame, even while the peer goes on
    sending what nobody reads any more."""
    application = Recorder()
    options = ServerOptions(closeTimeout=1)
    async with serving(lambda _: application, secure, options) as server:
        client = await server.connect()
        # Not masked, and much behind it.
        client.transport.write(encodeFrame(FIN | Opcode.TEXT, b"hello"))
        client.transport.write(bytes(MIB))
        event = await client.receive()
        assert isinstance(event, CloseReceived) and event.code == 1002
        client.transport.loseConnection()
        ended = await within(application.ended)
        assert ended.code == 1002
        await client.whenLost()


# The opening handshake


@overBoth
@pytest_twisted.ensureDeferred
async def test_H03_bytewise(secure: bool) -> None:
    """The request in one-byte segments, the first message in the same segment as its
    last byte: it works."""
    async with serving(Echo, secure) as server:
        client = Client(f"localhost:{server.port}")
        client.requesting = False
        await server.connectRaw(client)
        client.transport.setTcpNoDelay(True)
        for at in range(len(client.request) - 1):
            client.transport.write(client.request[at : at + 1])
            # One turn of the reactor, so that it goes out alone.
            await deferLater(reactor, 0)
        first = client.connection.sendText("early")
        client.transport.write(client.request[-1:] + first)
        assert await client.receive() == "early"
        for at in range(len(first := client.connection.sendText("late"))):
            client.transport.write(first[at : at + 1])
            await deferLater(reactor, 0)
        assert await client.receive() == "late"


@overBoth
@pytest_twisted.ensureDeferred
async def test_H03_framesWhileDeciding(secure: bool) -> None:
    """Messages that come while a Deferred decides are answered behind the 101."""
    decision: Deferred[Any] = Deferred()
    async with serving(lambda _: decision, secure) as server:
        client = Client(f"localhost:{server.port}")
        client.request += client.connection.sendText("early")
        await server.connectRaw(client)
        await until(
            lambda: any(
                each.request
                for each in server.factory.connections
                if hasattr(each, "request")
            ),
            "the request came",
        )
        assert not client.upgraded
        decision.callback(Echo())
        assert await client.receive() == "early"


@overBoth
@pytest_twisted.ensureDeferred
async def test_H10_unfinishedRequest(secure: bool) -> None:
    """A request that is not finished in time gets 408, one byte a turn included."""
    options = ServerOptions(handshakeTimeout=0.3, closeTimeout=0.5)
    async with serving(Echo, secure, options) as server:
        reader = Reader(b"GET / HTTP/1.1\r\nX-Slow: ")
        await server.connectRaw(reader)
        while not reader.received:
            reader.transport.write(b"x")
            await deferLater(reactor, 0.02)
        await within(reader.lost)
        assert reader.received.startswith(b"HTTP/1.1 408 ")


@pytest_twisted.ensureDeferred
async def test_H10_unfinishedTLS() -> None:
    """A peer that connects to a TLS port and says nothing is gone in the same time, and
    gets no byte."""
    options = ServerOptions(handshakeTimeout=0.3)
    with logging() as lines:
        async with serving(Echo, True, options) as server:
            reader = Reader()
            began = reactor.seconds()
            await connectRaw(server.port, reader)
            await within(reader.lost)
            assert 0.25 < reactor.seconds() - began < 3
            assert reader.received == b""
    assert len([line for line in lines if "took too long" in line]) == 1


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0\1\2\3\4\5\6\7", b"\n" * 100],
    ids=["http", "binary", "lines"],
)
@pytest_twisted.ensureDeferred
async def test_S03_plaintextOnTLS(data: bytes) -> None:
    """Plaintext on a TLS port: closed, one line in the log, and others are served."""
    with logging() as lines:
        async with serving(Echo, True) as server:
            reader = Reader(data)
            await connectRaw(server.port, reader)
            await within(reader.lost)
            assert b"HTTP" not in reader.received
            client = await server.connect()
            client.sendText("still here")
            assert await client.receive() == "still here"
    assert len([line for line in lines if "TLS handshake" in line]) == 1, lines
    assert not [line for line in lines if "Traceback" in line]


@overBoth
@pytest_twisted.ensureDeferred
async def test_H19_pageAndWebSocketOnOnePort(secure: bool) -> None:
    """``GET /`` gives the demo page, whole, and the connection ends; WebSocket works on
    the same port; without a site it is 426."""
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(Echo, secure, site=demoSite("/")) as server:
        client = await server.connect()
        reader = Reader(request)
        await server.connectRaw(reader)
        await within(reader.lost)
        head, _, body = reader.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert body.rstrip().endswith(b"</html>")
        client.sendText("meanwhile")
        assert await client.receive() == "meanwhile"
    async with serving(Echo, secure) as server:
        reader = Reader(request)
        await server.connectRaw(reader)
        await within(reader.lost)
        assert reader.received.startswith(b"HTTP/1.1 426 ")


@overBoth
@pytest_twisted.ensureDeferred
async def test_requestIsDescribed(secure: bool) -> None:
    """The application learns path, query, peer and whether there is TLS."""
    seen = []

    def decide(request: Any) -> Echo:
        seen.append(request)
        request.responseHeaders.add("X-Answer", "42")
        return Echo()

    async with serving(decide, secure, ServerOptions(subprotocols=("chat",))) as server:
        client = await server.connect(
            "/a%20b?c=d", ("Sec-WebSocket-Protocol: other, chat",)
        )
        assert b"\r\nX-Answer: 42\r\n" in client.head
        assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in client.head
    (request,) = seen
    assert (request.path, request.query) == ("/a%20b", {"c": ["d"]})
    assert request.secure is secure
    assert request.peer.host == request.localAddress.host == "127.0.0.1"


# Backpressure


class Firehose(WebSocketProtocol):
    """Sends without looking whether anyone reads.

    :param size: bytes of each message
    :param count: how many
    """

    def __init__(self, size: int, count: int) -> None:
        self._size = size
        self._count = count
        self.fullness: list[str] = []
        self.highest = 0
        self.ended: Deferred[ConnectionClosed] = Deferred()

    def textMessageReceived(self, message: str) -> None:
        """Start.

        :param message: does not matter
        """
        for _ in range(self._count):
            self.transport.sendBytesMessage(bytes(self._size))
            self.highest = max(self.highest, self.transport.bufferedAmount)

    def sendBufferFull(self) -> None:
        """Note it."""
        self.fullness.append("full")

    def sendBufferDrained(self) -> None:
        """Note it."""
        self.fullness.append("drained")

    def connectionLost(self, reason: Failure) -> None:
        """Keep it.

        :param reason: how it ended
        """
        assert isinstance(reason.value, ConnectionClosed)
        self.ended.callback(reason.value)


@overBoth
@pytest_twisted.ensureDeferred
async def test_F12_slowConsumer(secure: bool) -> None:
    """An application that sends on and on to a peer that does not read: the hook is
    told, and at ``maxSendBuffer`` the connection is closed with 1008, in the log as a
    slow consumer; what the peer gets then are whole messages and the Close frame."""
    application = Firehose(MIB, 40)
    options = ServerOptions(maxSendBuffer=4 * MIB, closeTimeout=10)
    with logging() as lines:
        async with serving(lambda _: application, secure, options) as server:
            client = await server.connect()
            client.sendText("go")
            client.transport.pauseProducing()
            await until(
                lambda: [line for line in lines if "slow consumer" in line],
                "the log speaks of a slow consumer",
            )
            assert application.fullness == ["full"]
            assert application.highest <= 5 * MIB
            client.transport.resumeProducing()
            received: list[Any] = []
            while not received or isinstance(received[-1], bytes):
                received.append(await client.receive())
            *messages, close = received
            assert isinstance(close, CloseReceived) and close.code == 1008
            assert all(each == bytes(MIB) for each in messages)
            client.transport.loseConnection()
            ended = await within(application.ended)
            assert ended.code == 1008
    assert len([line for line in lines if "slow consumer" in line]) == 1


@overBoth
@pytest_twisted.ensureDeferred
async def test_F12_slowConsumerCatchesUp(secure: bool) -> None:
    """Below the limit nothing is lost: the peer that reads late gets everything, and
    the application learns that it has."""
    application = Firehose(MIB, 8)
    async with serving(lambda _: application, secure) as server:
        client = await server.connect()
        client.transport.pauseProducing()
        client.sendText("go")
        await until(lambda: application.highest, "something waits to be sent")
        drained = application.transport.whenDrained()
        client.transport.resumeProducing()
        for _ in range(8):
            assert await client.receive() == bytes(MIB)
        await within(drained)
        await until(lambda: "drained" in application.fullness, "the hook was told")
        assert application.fullness == ["full", "drained"]
        assert application.transport.bufferedAmount == 0


@overBoth
@pytest_twisted.ensureDeferred
async def test_F11_floodByAPeerThatNeverReads(secure: bool) -> None:
    """Of an echo's peer that sends and never reads, no more is read than fits the
    buffers; another one is served meanwhile; when it reads at last, it gets all."""
    size = 64 * 1024
    count = 400
    received = 0

    class Counting(Echo):
        def bytesMessageReceived(self, data: bytes) -> None:
            nonlocal received
            received += 1
            super().bytesMessageReceived(data)

    async with serving(Counting, secure) as server:
        flooding = await server.connect()
        flooding.transport.pauseProducing()
        for _ in range(count):
            flooding.sendBytes(bytes(size))
        other = await server.connect()
        stalled = (-1, 0)
        # It has stalled when others had a hundred answers and it did not move.
        while stalled[1] < 100:
            other.sendText("and me?")
            assert await other.receive() == "and me?"
            same = received == stalled[0]
            stalled = (received, stalled[1] + 1 if same else 0)
        assert 0 < received < count
        (connection,) = [
            each for each in server.factory.connections if each.bufferedAmount
        ]
        assert connection.bufferedAmount < MIB
        flooding.transport.resumeProducing()
        for _ in range(count):
            assert len(await flooding.receive()) == size


@overBoth
@pytest_twisted.ensureDeferred
async def test_F11_pingFloodByAPeerThatNeverReads(secure: bool) -> None:
    """Pings without end, pongs not read: bounded, and the last ping is answered."""
    count = 60_000
    async with serving(Echo, secure, ServerOptions(pingInterval=0)) as server:
        client = await server.connect()
        client.transport.pauseProducing()
        payload = b"p" * 100
        flood = b"".join(client.connection.ping(payload) for _ in range(count))
        client.transport.write(flood + client.connection.ping(b"last"))
        other = await server.connect()
        for _ in range(200):
            other.sendText("and me?")
            assert await other.receive() == "and me?"
        for connection in server.factory.connections:
            assert connection.bufferedAmount < 256 * 1024
        client.transport.resumeProducing()
        pongs = 1
        while await client.receive() != Pong(b"last"):
            pongs += 1
        assert pongs <= count + 1


@overBoth
@pytest_twisted.ensureDeferred
async def test_pausedApplication(secure: bool) -> None:
    """A hook's Deferred holds up further messages, and what the peer sends backs up in
    its own process; then everything comes in order."""
    gate: Deferred[None] = Deferred()
    got: list[int] = []

    class Slow(WebSocketProtocol):
        async def bytesMessageReceived(self, data: bytes) -> None:
            got.append(len(data))
            await gate

    async with serving(Slow, secure) as server:
        client = await server.connect()
        for each in range(1, 301):
            client.sendBytes(bytes(each * 100))
        await until(lambda: got, "the first message came")
        other = await server.connect()
        other.sendText("x")
        assert got == [100]
        gate.callback(None)
        await until(lambda: len(got) == 300, "all messages came")
        assert got == [each * 100 for each in range(1, 301)]


# Shutting down


@overBoth
@pytest_twisted.ensureDeferred
async def test_T04_everyoneIsToldGoodbye(secure: bool) -> None:
    """stopService: 1001 to all; it ends when they have answered, long before the drain
    time is over, and the port is closed."""
    applications = [Recorder() for _ in range(5)]
    waiting = iter(applications)
    async with serving(lambda _: next(waiting), secure, drain=30) as server:
        clients = [await server.connect() for _ in range(5)]
        port = server.port
        began = reactor.seconds()
        await within(server.service.stopService())
        assert reactor.seconds() - began < 5
        for client in clients:
            assert await client.receive() == CloseReceived(1001, "going away")
            assert isinstance(await client.whenLost(), ConnectionDone)
        for application in applications:
            assert (await within(application.ended)).wasClean
        with pytest.raises(Exception, match="refused"):
            await connectRaw(port, Reader())


@overBoth
@pytest_twisted.ensureDeferred
async def test_T04_drainTimeIsOver(secure: bool) -> None:
    """One that does not answer, one that does not read, one that has not finished its
    request: when the drain time is over they are gone."""
    hose = Firehose(MIB, 8)
    waiting = iter([Recorder(), hose])
    async with serving(lambda _: next(waiting), secure, drain=0.5) as server:
        silent = await server.connect()
        silent.answering = False
        deaf = await server.connect()
        deaf.transport.pauseProducing()
        deaf.sendText("go")
        await until(lambda: hose.highest, "something waits to be sent")
        unfinished = Reader(b"GET / HTTP/1.1\r\n")
        await connectRaw(server.port, unfinished)
        await until(lambda: len(server.factory.connections) == 3, "all are there")
        began = reactor.seconds()
        await within(server.service.stopService())
        assert 0.4 < reactor.seconds() - began < 3
        assert await silent.receive() == CloseReceived(1001, "going away")
        deaf.transport.abortConnection()
        for lost in (silent.lost, deaf.lost, unfinished.lost):
            await within(lost)


@pytest_twisted.ensureDeferred
async def test_T04_restart() -> None:
    """A service that was stopped can be started again."""
    async with serving(Echo, False) as server:
        await within(server.service.stopService())
        server.service.startService()
        client = await server.connect()
        client.sendText("again")
        assert await client.receive() == "again"


# An independent client


@overBoth
@pytest_twisted.ensureDeferred
async def test_independentClient(secure: bool) -> None:
    """The client of PyPI's ``websockets`` echoes, pings and closes."""
    pytest.importorskip("websockets.asyncio.client", reason="no websockets")
    application = Recorder()
    done = threading.Event()

    def talk(port: int) -> str:
        import ssl

        context = None
        if secure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        scheme = "wss" if secure else "ws"
        with WebSocketsClient(
            f"{scheme}://localhost:{port}/", ssl=context
        ) as webSocket:
            for message in ("text", b"binary", "", b"", "x" * MIB, b"y" * MIB):
                webSocket.send(message)
                assert webSocket.recv() == message
            webSocket.send(["frag", "men", "ted"])
            answer: str = webSocket.recv()
            webSocket.ping()
            webSocket.close(4001, "bye")
        done.set()
        return json.dumps([answer, webSocket.close_code])

    async with serving(lambda _: application, secure) as server:
        answer = await within(deferToThread(talk, server.port))
        assert json.loads(answer) == ["fragmented", 4001]
        ended = await within(application.ended)
        assert (ended.code, ended.reason, ended.wasClean) == (4001, "bye", True)
    assert done.is_set()


def test_transportIsWhatTheInterfaceSays() -> None:
    """The server's connection has every method that the application is promised."""
    from twisted_ws.server import ServerProtocol

    # What each connection gets when it is made.
    made = ("options", "request")
    for name in dir(WebSocketTransport):
        if not name.startswith("_"):
            assert hasattr(ServerProtocol, name) or name in made, name
