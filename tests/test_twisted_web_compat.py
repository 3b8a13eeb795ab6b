"""An application written for ``twisted.web.websocket`` runs here unchanged.

One application, which inherits from nothing and imports neither module, is run under
both, on real loopback, by the same client. What both sides observe is compared, step by
step; the last tests show where they differ on purpose.
"""

# pytest-twisted has no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory as TwistedFactory
from twisted.internet.protocol import Protocol
from twisted.web.server import Site
from zope.interface import implementer

import twisted_ws
from tests.clients import Client, connect, connectRaw, reactor, within
from twisted_ws.client import WebSocketClientEndpoint
from twisted_ws.connection import CloseReceived, Ping, Pong
from twisted_ws.errors import ConnectFailed, HandshakeRejected
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.frames import FIN, Opcode, encodeFrame
from twisted_ws.resource import WebSocketResource

Observations: TypeAlias = list[Any]


MESSAGES = 400
"""Messages of 64 KiB that a producer sends: more than a system's buffers take."""


@implementer(IPushProducer)
class Producer:
    """Sends a number of messages, and notes what it is told.

    :param transport: where to
    :param count: how many
    :param size: of how many bytes
    """

    def __init__(self, transport: Any, count: int, size: int) -> None:
        self._transport = transport
        self._left = count
        self._size = size
        self._paused = False
        self.told: list[str] = []

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")
        self._paused = False
        self.produce()

    def pauseProducing(self) -> None:
        """Wait."""
        self.told.append("pause")
        self._paused = True

    def stopProducing(self) -> None:
        """Send no more."""
        self.told.append("stop")
        self._left = 0

    def produce(self) -> None:
        """Send until told to wait."""
        while self._left and not self._paused:
            self._left -= 1
            self._transport.sendBytesMessage(bytes(self._size))
        if not self._left and self.told[-1:] != ["detached"]:
            self.told.append("detached")
            self._transport.detachProducer()


class Application:
    """The application: shouts back; some words make it do other things."""

    def __init__(self, seen: Observations) -> None:
        self.seen = seen
        self.transport: Any = None
        self.producer: Producer | None = None
        self.ended: Deferred[None] = Deferred()
        self.reason: Any = None

    def negotiationStarted(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport
        self.seen.append("started")

    def negotiationFinished(self) -> None:
        """Greet."""
        self.seen.append("finished")
        self.transport.sendTextMessage("welcome")

    def textMessageReceived(self, message: str) -> None:
        """Do what is said."""
        self.seen.append(("text", message))
        if message == "ping me":
            self.transport.ping(b"anyone?")
        elif message == "produce":
            self.producer = Producer(self.transport, MESSAGES, 65536)
            self.transport.attachProducer(self.producer)
            self.producer.produce()
        elif message == "bye":
            self.transport.loseConnection(3001)
        elif message == "just bye":
            self.transport.loseConnection()
        else:
            self.transport.sendTextMessage(message.upper())

    def bytesMessageReceived(self, data: bytes) -> None:
        """Send it back, reversed."""
        self.seen.append(("bytes", bytes(data)))
        self.transport.sendBytesMessage(bytes(data)[::-1])

    def pongReceived(self, payload: bytes) -> None:
        """Say so."""
        self.seen.append(("pong", bytes(payload)))
        self.transport.sendTextMessage("thanks")

    def connectionLost(self, reason: Any) -> None:
        """Note how it ended."""
        self.reason = reason.value
        done = reason.check(ConnectionDone) is not None
        self.seen.append(("lost", "done" if done else "lost"))
        self.ended.callback(None)


class Factory:
    """Decides on requests, as both want it."""

    def __init__(self) -> None:
        self.seen: Observations = []
        self.made: list[Application] = []

    def buildProtocol(self, request: Any) -> Application:
        """Make an application for a request."""
        self.made.append(Application(self.seen))
        return self.made[-1]


def ours(factory: Factory) -> Any:
    """Make what listens for twisted_ws."""
    return WebSocketServerFactory(factory)


def oursInside(factory: Factory) -> Any:
    """Make what listens for twisted_ws inside twisted.web, as one would there."""
    with warnings.catch_warnings():
        # Of Twisted about Twisted.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Site(WebSocketResource(factory))


def theirs(factory: Factory) -> Any:
    """Make what listens for twisted.web."""
    module = pytest.importorskip(
        "twisted.web.websocket",
        reason="no twisted.web.websocket: a Twisted before 26.4, or no wsproto",
    )
    root = module.WebSocketResource(factory)
    root.isLeaf = True
    with warnings.catch_warnings():
        # Of Twisted about Twisted.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Site(root)


@asynccontextmanager
async def serving(make: Callable[[Factory], Any]) -> AsyncIterator[tuple[Factory, int]]:
    """Run the application under one of the two for a while."""
    factory = Factory()
    listened = make(factory)
    listened.noisy = False
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await within(endpoint.listen(listened))
    try:
        yield factory, port.getHost().port
        for application in factory.made:
            await within(application.ended)
    finally:
        await within(port.stopListening())


def fragment(client: Client, first: int, payload: bytes) -> None:
    """Send one frame, masked as a client must."""
    client.transport.write(encodeFrame(first, payload, b"\1\2\3\4"))


# What the client does, and what comes back.


async def messages(client: Client) -> Observations:
    """Text, binary, empty, large; each answered in turn."""
    received = []
    sent: tuple[str | bytes, ...] = (
        *("hello", "sm\u00f8rrebr\u00f8d \U0001f600", ""),
        *(b"\0\1\2", b"", bytes(range(256)) * 400),
    )
    for message in sent:
        if isinstance(message, str):
            client.sendText(message)
        else:
            client.sendBytes(message)
        received.append(await client.receive())
    client.close()
    return received


async def pipelined(client: Client) -> Observations:
    """Many in one segment; the answers keep their order."""
    client.transport.write(
        b"".join(client.connection.sendText(f"number {each}") for each in range(50))
    )
    received = [await client.receive() for _ in range(50)]
    client.close()
    return received


async def fragments(client: Client) -> Observations:
    """A fragmented message with a ping in its middle."""
    fragment(client, Opcode.TEXT, b"frag\xc3")
    fragment(client, FIN | Opcode.PING, b"between")
    fragment(client, Opcode.CONTINUATION, b"")
    fragment(client, FIN | Opcode.CONTINUATION, b"\xa5ment")
    received = [await client.receive(), await client.receive()]
    fragment(client, Opcode.BINARY, b"a")
    fragment(client, FIN | Opcode.CONTINUATION, b"b")
    received.append(await client.receive())
    client.close()
    return received


async def pings(client: Client) -> Observations:
    """The application's ping, and its pong; the client's ping, and its pong."""
    client.sendText("ping me")
    received = [await client.receive(), await client.receive()]
    client.transport.write(client.connection.ping(b"hey"))
    received.append(await client.receive())
    client.close()
    return received


async def clientCloses(client: Client) -> Observations:
    """The client's code comes back, and the server ends the connection."""
    client.close(4001, "enough")
    event = await client.receive()
    assert isinstance(event, CloseReceived)
    lost = await client.whenLost()
    return [event.code, isinstance(lost, ConnectionDone)]


async def serverCloses(client: Client) -> Observations:
    """The application's code reaches the client behind what it said before."""
    client.transport.write(
        client.connection.sendText("one more") + client.connection.sendText("bye")
    )
    received = [await client.receive(), await client.receive()]
    await client.whenLost()
    return received


async def serverClosesWithoutCode(client: Client) -> Observations:
    """Its default code is 1000."""
    client.sendText("just bye")
    event = await client.receive()
    assert isinstance(event, CloseReceived)
    await client.whenLost()
    return [event.code]


STEPS = (
    *(messages, pipelined, fragments, pings),
    *(clientCloses, serverCloses, serverClosesWithoutCode),
)
Step: TypeAlias = Callable[[Client], Awaitable[Observations]]


async def observe(
    make: Callable[[Factory], Any], step: Step
) -> tuple[Observations, Observations]:
    """Run one step under one of the two.

    :returns: what the client and what the application saw
    """
    async with serving(make) as (factory, port):
        client = await connect(port)
        assert await client.receive() == "welcome"
        received = await step(client)
        if not client.isLost:
            await client.whenLost()
    return received, factory.seen


@pytest.mark.parametrize("make", [ours, oursInside], ids=lambda make: make.__name__)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest_twisted.ensureDeferred
async def test_sameObservations(step: Step, make: Callable[[Factory], Any]) -> None:
    """Under both, the client and the application see the same, in the same order."""
    here = await observe(make, step)
    there = await observe(theirs, step)
    assert here == there
    # That both saw nothing would be the same, too.
    assert here[1][:2] == ["started", "finished"]
    assert here[1][-1] == ("lost", "done")


@pytest.mark.parametrize("make", [ours, oursInside], ids=lambda make: make.__name__)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest_twisted.ensureDeferred
async def test_hereAlone(step: Step, make: Callable[[Factory], Any]) -> None:
    """Where there is no ``twisted.web.websocket``, the steps go well here."""
    received, seen = await observe(make, step)
    assert received
    assert [each for each in seen if each in ("started", "finished")] == seen[:2]
    assert seen[-1] == ("lost", "done")


@pytest_twisted.ensureDeferred
async def test_hereWhatIsExpected() -> None:
    """What the application sends is what the client gets; not only the same as under
    the other."""
    received, _ = await observe(ours, pings)
    assert received == [Ping(b"anyone?"), "thanks", Pong(b"hey")]
    received, _ = await observe(ours, fragments)
    assert received == [Pong(b"between"), "FRAG\u00c5MENT", b"ba"]
    received, _ = await observe(ours, serverCloses)
    assert received == ["ONE MORE", CloseReceived(3001, "")]


@pytest.mark.parametrize("make", [ours, oursInside], ids=lambda make: make.__name__)
@pytest_twisted.ensureDeferred
async def test_producer(make: Callable[[Factory], Any]) -> None:
    """A producer attached by the application is paused while the client does not read,
    and resumed when it does; nothing is lost.

    Here only: under ``twisted.web.websocket`` on real TCP ``attachProducer`` raises
    RuntimeError, because the HTTP channel has registered a producer before.
    """
    async with serving(make) as (factory, port):
        client = await connect(port)
        assert await client.receive() == "welcome"
        client.transport.pauseProducing()
        client.sendText("produce")
        (application,) = factory.made
        told: list[str] = []
        deadline = reactor.seconds() + 15
        while "pause" not in told:
            assert reactor.seconds() < deadline
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.005, turn.callback, None)
            await turn
            if application.producer is not None:
                told = application.producer.told
        client.transport.resumeProducing()
        for _ in range(MESSAGES):
            assert await client.receive() == bytes(65536)
        assert "resume" in told and told[-1] == "detached"
        client.close()
        await client.whenLost()


@pytest_twisted.ensureDeferred
async def test_difference_closeCode() -> None:
    """Here ``connectionLost`` knows code, reason and whether it was clean; there the
    reason is that of TCP."""
    async with serving(ours) as (factory, port):
        client = await connect(port)
        client.close(4001, "enough")
        await client.whenLost()
    closed = factory.made[0].reason
    assert (closed.code, closed.reason, closed.wasClean) == (4001, "enough", True)
    assert isinstance(closed, ConnectionDone)
    async with serving(theirs) as (factory, port):
        client = await connect(port)
        client.close(4001, "enough")
        await client.whenLost()
    assert not hasattr(factory.made[0].reason, "code")


# What docs/topics/compatibility.rst says of the other module.


@pytest_twisted.ensureDeferred
async def test_difference_hooks() -> None:
    """Here a hook's Deferred is waited for before the next message is delivered; there
    it is dropped."""
    found = []
    for make in (ours, theirs):
        waiting: Deferred[None] = Deferred()
        async with serving(make) as (factory, port):
            client = await connect(port)
            assert await client.receive() == "welcome"
            (application,) = factory.made

            def wait(data: bytes, seen: Observations = factory.seen) -> Deferred[None]:
                seen.append(data)
                return waiting  # noqa: B023

            application.bytesMessageReceived = wait  # type: ignore[assignment]
            client.sendBytes(b"first")
            client.sendBytes(b"second")
            deadline = reactor.seconds() + 0.3
            while reactor.seconds() < deadline:
                turn: Deferred[None] = Deferred()
                reactor.callLater(0.05, turn.callback, None)
                await turn
            found.append(factory.seen.count(b"first") + factory.seen.count(b"second"))
            waiting.callback(None)
            client.close()
            await client.whenLost()
    assert found == [1, 2]


class Raising:
    """A factory that fails."""

    def buildProtocol(self, request: Any) -> Application:
        """Fail."""
        raise HandshakeRejected(418)


@pytest_twisted.ensureDeferred
async def test_difference_refusal() -> None:
    """Here a factory refuses with a status of its choice; there the answer is 500."""
    found = []
    for make in (ours, theirs):
        listened = make(cast(Any, Raising()))
        listened.noisy = False
        if make is theirs:
            listened.displayTracebacks = False
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = await within(endpoint.listen(listened))
        client = Client("localhost")
        await connectRaw(port.getHost().port, client)
        deadline = reactor.seconds() + 15
        while b"\r\n" not in client.head:
            assert reactor.seconds() < deadline
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn
        found.append(client.head[:12])
        client.transport.abortConnection()
        await client.whenLost()
        await within(port.stopListening())
    assert found == [b"HTTP/1.1 418", b"HTTP/1.1 500"]


@pytest_twisted.ensureDeferred
async def test_difference_producer() -> None:
    """There ``attachProducer`` raises on a server; :func:`test_producer` is here."""
    async with serving(theirs) as (factory, port):
        client = await connect(port)
        assert await client.receive() == "welcome"
        transport = factory.made[0].transport
        with pytest.raises(RuntimeError):
            transport.attachProducer(Producer(transport, 1, 1))
        client.close()
        await client.whenLost()


class Hanging(Protocol):
    """Ends each connection once something has come."""

    def dataReceived(self, data: bytes) -> None:
        """End it."""
        cast(Any, self.transport).loseConnection()


@pytest_twisted.ensureDeferred
async def test_difference_client() -> None:
    """When TCP ends before the 101, ``connect()`` fails here; there it goes on waiting,
    and the protocol, which was made before for the URL, is told of the end."""
    module = pytest.importorskip("twisted.web.websocket")
    listening = cast(Any, TwistedFactory).forProtocol(Hanging)
    listening.noisy = False
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await within(endpoint.listen(listening))
    url = f"ws://127.0.0.1:{port.getHost().port}/"
    factory = _Asked()
    with pytest.raises(ConnectFailed):
        await within(WebSocketClientEndpoint.fromURL(reactor, url).connect(factory))
    assert factory.asked == []
    there = ensureDeferred(
        module.WebSocketClientEndpoint.new(reactor, url).connect(factory)
    )
    await within(factory.application.ended)
    assert factory.asked == [url]
    assert not there.called
    await within(port.stopListening())


class _Asked:
    """A factory for clients."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.application = Application([])

    def buildProtocol(self, request: Any) -> Application:
        """Give the application."""
        self.asked.append(request)
        return self.application


def test_names() -> None:
    """The names in the page's table are there, in both."""
    page = Path(__file__).parent.parent / "docs" / "topics" / "compatibility.rst"
    text = page.read_text("utf-8")
    table = text.partition(".. list-table::")[2].partition("What is different")[0]
    rows = [row.split("     - ") for row in table.split("   * - ")[2:]]
    assert len(rows) == 14
    here = {*twisted_ws.__all__, *dir(twisted_ws.WebSocketProtocol)}
    here |= {*dir(twisted_ws.WebSocketTransport), *dir(twisted_ws.ClientOptions())}
    here |= set(inspect.signature(twisted_ws.HandshakeRefused).parameters)
    here |= set(inspect.signature(WebSocketClientEndpoint.fromURL).parameters)
    names: list[list[str]] = [[], []]
    for row in rows:
        for column, cell in zip(names, row, strict=True):
            column += re.findall(r"``(\w+)", cell)
    assert len(names[0]) > 20
    for name in names[1]:
        assert name in here, name
    module = pytest.importorskip("twisted.web.websocket")
    there = {*dir(module), *dir(module.WebSocketProtocol), "response"}
    there |= {*dir(module.WebSocketTransport), *dir(module.WebSocketClientEndpoint)}
    there |= set(inspect.signature(module.WebSocketClientEndpoint.new).parameters)
    for name in names[0]:
        assert name in there, name
    # What is the same there is here, too.
    for row in rows:
        if row[1].startswith("the same"):
            for name in re.findall(r"``(\w+)", row[0]):
                assert name in here, name
