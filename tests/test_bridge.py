"""The bridge on loopback: WebSocket to TCP and the reverse, to the end and no further
than the other side reads."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    TimeoutError,
)
from twisted.internet.task import Clock, LoopingCall, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Client, connect, connectRaw, within
from tests.loopback import LoopbackCase
from tests.processes import freePort, removeDirectory
from tests.support import logged
from tests.test_stream import StartedFactory, echo, waiting
from tests.test_streamtransport import Stream
from twisted_ws.bridge import (
    READ_SIZE,
    Bridge,
    End,
    ForwardingFactory,
    _Gathering,
    join,
)
from twisted_ws.connection import CloseReceived
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.options import ServerOptions
from twisted_ws.stream import (
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)
from twisted_ws.targets import Target, Targets

reactor: Any = _reactor
MIB = 1024 * 1024


class Never:
    """An endpoint that connects when it is told to, or never."""

    def __init__(self) -> None:
        self.waiting: Deferred[Any] = Deferred(self._cancelled)
        self.cancelled = 0
        self.factory: Any = None

    def _cancelled(self, _: object) -> None:
        self.cancelled += 1

    def connect(self, factory: Any) -> Deferred[Any]:
        """Wait."""
        self.factory = factory
        return self.waiting


class Transport(StringTransport):
    """A transport that tells when it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


class BridgeCase(LoopbackCase):
    """Targets, and bridges to them."""

    async def listen(self, factory: Any) -> int:
        """Listen on loopback, and give the port."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def target(self, *streams: Stream) -> int:
        """Have a TCP server give these protocols, and give the port."""
        return await self.listen(StartedFactory(*streams))

    async def bridge(
        self, endpoint: Any, closeTimeout: float = 5.0, **options: Any
    ) -> int:
        """Make a bridge to an endpoint or to targets, and give its port."""
        if not isinstance(endpoint, (Target, Targets)):
            endpoint = Target(endpoint, "the target")
        self.factory = WebSocketServerFactory(
            Bridge(reactor, endpoint, closeTimeout),
            ServerOptions(compression="none", **options),
        )
        self.addCleanup(lambda: within(self.factory.abortConnections()))
        return await self.listen(self.factory)

    async def bridgeTo(self, *streams: Stream, **arguments: Any) -> int:
        """Make a bridge to a TCP server that gives these protocols."""
        port = await self.target(*streams)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        return await self.bridge(endpoint, **arguments)

    async def assertRefused(self, port: int, path: str, status: int) -> None:
        """Hold that a request is refused."""
        client = Client(f"localhost:{port}", path)
        await connectRaw(port, client)
        await within(client.opened)
        await client.whenLost()
        self.assertIn(f"HTTP/1.1 {status} ".encode(), client.head)


class ForwardTests(BridgeCase):
    """WebSocket to TCP."""

    def test_bothWays(self) -> Any:
        """Bytes go there and back, and the end of the WebSocket is the target's."""

        async def run() -> None:
            stream, lost = waiting(dataReceived=echo)
            client = await connect(await self.bridgeTo(stream))
            for data in (b"a", b"b" * 100_000, b"c"):
                client.sendBytes(data)
                got = b""
                while len(got) < len(data):
                    got += await client.receive()
                self.assertEqual(got, data)
            client.close()
            self.assertEqual(await client.receive(), CloseReceived(1000, ""))
            self.assertIsInstance(await lost, ConnectionDone)

        return self.finish(run())

    def test_manySmall(self) -> Any:
        """Many small messages in one segment arrive in order, in few pieces."""

        async def run() -> None:
            stream, lost = waiting()
            client = await connect(await self.bridgeTo(stream))
            messages = [b"%05d" % number for number in range(2000)]
            frames = [client.connection.sendBytes(each) for each in messages]
            client.transport.write(b"".join(frames))
            client.close()
            await lost
            self.assertEqual(b"".join(stream.received), b"".join(messages))
            self.assertLess(len(stream.received), 100)

        return self.finish(run())

    def test_targetBegins(self) -> Any:
        """A target that speaks first, as VNC does, is heard; when it ends, so does the
        WebSocket, behind what it said."""

        async def run() -> None:
            def greet(stream: Stream) -> None:
                stream.transport.write(b"RFB 003.008\n")
                stream.transport.loseConnection()

            client = await connect(await self.bridgeTo(Stream(connectionMade=greet)))
            self.assertEqual(await client.receive(), b"RFB 003.008\n")
            self.assertEqual(await client.receive(), CloseReceived(1000, ""))

        return self.finish(run())

    def test_targetWritesOn(self) -> Any:
        """What was sent before the end arrives at a target that reads late, and writes
        all the while: a connection closed with something unread would be reset."""
        data = bytes(MIB)

        async def run() -> None:
            stream, lost = waiting()
            port = await self.bridgeTo(stream)
            client = await connect(port)
            stream.transport.pauseProducing()
            writing = LoopingCall(stream.transport.write, b"still here")
            writing.clock = reactor
            writing.start(0.001)
            for at in range(0, len(data), 65536):
                client.sendBytes(data[at : at + 65536])
            client.close()
            await client.whenLost()
            await within(deferLater(reactor, 0.1))
            stream.transport.resumeProducing()
            try:
                self.assertIsInstance(await lost, ConnectionDone)
            finally:
                writing.stop()
            self.assertEqual(sum(map(len, stream.received)), len(data))

        return self.finish(run())

    def test_targetReadsLate(self) -> Any:
        """A target that begins to read when the bridge waits no longer still gets what
        the kernel has."""
        data = bytes(MIB // 4)

        async def run() -> None:
            stream, lost = waiting()
            client = await connect(await self.bridgeTo(stream, closeTimeout=0.1))
            stream.transport.pauseProducing()
            for at in range(0, len(data), 65536):
                client.sendBytes(data[at : at + 65536])
            client.close()
            await client.whenLost()
            await within(deferLater(reactor, 0.5))
            stream.transport.resumeProducing()
            self.assertIsInstance(await lost, ConnectionDone)
            self.assertEqual(sum(map(len, stream.received)), len(data))

        return self.finish(run())

    def test_targetReset(self) -> Any:
        """A target that is reset ends the WebSocket with 1011, so that nobody takes
        what came for all."""

        async def run() -> None:
            stream, _ = waiting()
            client = await connect(await self.bridgeTo(stream))
            client.sendBytes(b"x")
            await within(deferLater(reactor, 0.05))
            stream.transport.abortConnection()
            closed = await client.receive()
            self.assertEqual(closed.code, 1011)

        return self.finish(run())

    def test_peerVanishes(self) -> Any:
        """A peer that is reset has the target reset."""

        async def run() -> None:
            stream, lost = waiting()
            client = await connect(await self.bridgeTo(stream))
            client.transport.abortConnection()
            self.assertIsInstance(await lost, ConnectionLost)

        return self.finish(run())

    def test_base64(self) -> Any:
        """A client that knows base64 only is served; text is refused from others."""

        async def run() -> None:
            stream, lost = waiting(dataReceived=echo)
            other, otherLost = waiting()
            port = await self.bridgeTo(stream, other)
            client = await connect(port, headers=("Sec-WebSocket-Protocol: base64",))
            client.sendText(b64encode(b"hello").decode())
            self.assertEqual(await client.receive(), b64encode(b"hello").decode())
            client.close()
            await lost
            client = await connect(port)
            client.sendText("hello")
            closed = await client.receive()
            self.assertEqual(closed.code, 1003)
            await otherLost

        return self.finish(run())

    def test_backpressure(self) -> Any:
        """While the target does not read, the peer is not read from, and while the peer
        does not read, the target is not: of 64 MiB little is taken, and all of it comes
        through then."""

        async def run() -> None:
            size = 64 * MIB
            received = [0]
            done: Deferred[None] = Deferred()

            def begin(stream: Stream) -> None:
                stream.transport.pauseProducing()

            def count(stream: Stream, data: bytes) -> None:
                stream.received.clear()
                received[0] += len(data)
                if received[0] == size:
                    done.callback(None)

            stream, lost = waiting(connectionMade=begin, dataReceived=count)
            client = await connect(await self.bridgeTo(stream))
            block = bytes(MIB)
            sent = [0]

            class Sender:
                """Sends as long as there is room."""

                def resumeProducing(self) -> None:
                    """Send one message."""
                    if sent[0] < size:
                        sent[0] += MIB
                        client.sendBytes(block)
                    else:
                        client.transport.unregisterProducer()

                def stopProducing(self) -> None:
                    """Stop."""

            client.transport.registerProducer(Sender(), False)
            await within(deferLater(reactor, 0.5))
            self.assertLess(sent[0], 32 * MIB)
            stream.transport.resumeProducing()
            await within(done)
            client.close()
            await lost

        return self.finish(run())

    def test_backpressureFromTarget(self) -> Any:
        """The same from the target: it is paused while the peer does not read."""

        async def run() -> None:
            size = 64 * MIB
            sent = [0]
            block = bytes(MIB)

            def begin(stream: Stream) -> None:
                class Sender:
                    """Sends as long as there is room."""

                    def resumeProducing(self) -> None:
                        """Send a block."""
                        if sent[0] < size:
                            sent[0] += MIB
                            stream.transport.write(block)
                        else:
                            stream.transport.unregisterProducer()
                            stream.transport.loseConnection()

                    def stopProducing(self) -> None:
                        """Stop."""

                stream.transport.registerProducer(Sender(), False)

            client = await connect(await self.bridgeTo(Stream(connectionMade=begin)))
            client.transport.pauseProducing()
            await within(deferLater(reactor, 0.5))
            self.assertLess(sent[0], 32 * MIB)
            client.transport.resumeProducing()
            got = 0
            while True:
                event = await client.receive()
                if isinstance(event, CloseReceived):
                    break
                self.assertLessEqual(len(event), READ_SIZE)
                got += len(event)
            self.assertEqual((got, event.code), (size, 1000))

        return self.finish(run())

    def test_shutDown(self) -> Any:
        """When the server stops, the peer is told 1001, and the target's connection
        ends with it."""

        async def run() -> None:
            stream, lost = waiting()
            client = await connect(await self.bridgeTo(stream))
            closing = self.factory.closeConnections()
            self.assertEqual(await client.receive(), CloseReceived(1001, "going away"))
            await within(closing)
            self.assertIsInstance(await lost, ConnectionDone)

        return self.finish(run())


class HalfClosedTests(SynchronousTestCase):
    """A TCP peer that sends nothing more, and may still read."""

    def setUp(self) -> None:
        """Join two ends."""
        self.clock = Clock()
        self.one, self.two = End(5.0, self.clock), End(5.0, self.clock)
        for end in (self.one, self.two):
            end.makeConnection(Transport())
        join(self.one, self.two)

    def test_ends(self) -> None:
        """Both ends close behind what was written, and nothing is passed on to one
        that is closing; who does not take it is aborted."""
        self.two.dataReceived(b"before")
        self.one.readConnectionLost()
        self.two.dataReceived(b"after")
        for end in (self.one, self.two):
            self.assertTrue(end.transport.disconnecting)
            self.assertIsNone(end.transport.producer)
        self.assertEqual(self.one.transport.value(), b"before")
        self.clock.advance(5.0)
        self.assertTrue(self.one.transport.aborted)
        self.assertTrue(self.two.transport.aborted)

    def test_alreadyEnding(self) -> None:
        """One that ends already goes on with that, within the time it had."""
        self.one.end(True)
        self.clock.advance(4.0)
        self.one.readConnectionLost()
        self.clock.advance(1.0)
        self.assertTrue(self.one.transport.aborted)


class RefusalTests(BridgeCase):
    """Requests for which there is no target."""

    def test_unreachable(self) -> Any:
        """A target that cannot be reached is 502, and the log says why."""

        async def run() -> None:
            nowhere = TCP4ClientEndpoint(reactor, "127.0.0.1", freePort())
            port = await self.bridge(nowhere)
            with logged() as lines:
                await self.assertRefused(port, "/", 502)
            self.assertIn(
                "No connection to the target: Connection was refused", "".join(lines)
            )

        return self.finish(run())

    def test_late(self) -> Any:
        """One that takes too long is 504."""

        async def run() -> None:
            endpoint = Never()
            endpoint.waiting = fail(TimeoutError())
            await self.assertRefused(await self.bridge(endpoint), "/", 504)

        return self.finish(run())

    def test_tokens(self) -> Any:
        """With a file of targets the request names one; none or several are 400, one
        that is not known is 404. No name is logged."""

        async def run() -> None:
            stream, lost = waiting(dataReceived=echo)
            number = await self.target(stream)
            directory = tempfile.mkdtemp(prefix="twisted_ws-")
            self.addCleanup(removeDirectory, directory)
            path = os.path.join(directory, "targets")
            with open(path, "w") as file:
                file.write(f"tok/en: 127.0.0.1:{number}\n")
            port = await self.bridge(Targets(reactor, path))
            with logged() as lines:
                await self.assertRefused(port, "/", 400)
                await self.assertRefused(port, "/?token=tok/en&token=x", 400)
                await self.assertRefused(port, "/?token=unknown", 404)
                client = await connect(port, path="/websockify?token=tok%2Fen")
                client.sendBytes(b"hello")
                self.assertEqual(await client.receive(), b"hello")
                client.close()
                await lost
            self.assertNotIn("tok", "".join(lines))
            self.assertNotIn("unknown", "".join(lines))

        return self.finish(run())

    def test_H17_peerLeaves(self) -> Any:
        """A peer that leaves while the target is connected to has that cancelled."""

        async def run() -> None:
            endpoint = Never()
            port = await self.bridge(endpoint)
            client = Client(f"localhost:{port}")
            await connectRaw(port, client)
            while endpoint.factory is None:
                await deferLater(reactor, 0.01)
            client.transport.abortConnection()
            await client.whenLost()
            while not endpoint.cancelled:
                await deferLater(reactor, 0.01)
            await within(self.factory.whenIdle())
            # An endpoint that connects all the same is not listened to.
            end = endpoint.factory.buildProtocol(None)
            transport = Transport()
            end.makeConnection(transport)
            self.assertTrue(transport.aborted)

        return self.finish(run())


class ReverseTests(BridgeCase):
    """TCP to WebSocket."""

    async def forward(
        self, *streams: Stream, maxConnections: int = 10
    ) -> tuple[int, ForwardingFactory]:
        """Have TCP connections led into WebSocket, and there to these protocols."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        server = WebSocketStreamServerEndpoint(endpoint)
        port = await server.listen(StartedFactory(*streams))
        self.addCleanup(port.stopListening)
        there = WebSocketStreamClientEndpoint(
            reactor, f"ws://127.0.0.1:{port.getHost().port}/", gathering=False
        )
        return await self.lead(there, maxConnections)

    async def lead(
        self, endpoint: Any, maxConnections: int = 10
    ) -> tuple[int, ForwardingFactory]:
        """Have TCP connections led to an endpoint."""
        factory = ForwardingFactory(endpoint, reactor, maxConnections, 5.0)
        self.addCleanup(lambda: within(factory.abortConnections()))
        return await self.listen(factory), factory

    async def tcp(self, port: int) -> tuple[Stream, Deferred[Any]]:
        """Connect with TCP."""
        stream, lost = waiting()
        await connectRaw(port, stream)
        return stream, lost

    def test_bothWays(self) -> Any:
        """Bytes go there and back, and the ends are passed on, from either side."""

        async def run() -> None:
            for closes in (0, 1):
                got: Deferred[None] = Deferred()
                far, farLost = waiting(dataReceived=echo)
                port, factory = await self.forward(far)
                near, nearLost = await self.tcp(port)

                def receive(stream: Stream, _: bytes, got: Any = got) -> None:
                    if sum(map(len, stream.received)) == 300_000:
                        got.callback(None)

                near.reactions["dataReceived"] = receive
                near.transport.write(bytes(300_000))
                await within(got)
                (near, far)[closes].transport.loseConnection()
                self.assertIsInstance(await nearLost, ConnectionDone)
                self.assertIsInstance(await farLost, ConnectionDone)
                await within(factory.whenIdle())

        return self.finish(run())

    def test_loss(self) -> Any:
        """A loss is passed on as one, from either side."""

        async def run() -> None:
            for aborts in (0, 1):
                far, farLost = waiting(dataReceived=echo)
                port, _ = await self.forward(far)
                got: Deferred[None] = Deferred()
                near, nearLost = await self.tcp(port)
                near.reactions["dataReceived"] = lambda *_, got=got: got.callback(None)
                near.transport.write(b"x")
                await within(got)
                (near, far)[aborts].transport.abortConnection()
                self.assertIsInstance(await nearLost, ConnectionLost)
                self.assertIsInstance(await farLost, ConnectionLost)

        return self.finish(run())

    def test_unreachable(self) -> Any:
        """If there is no WebSocket the connection is aborted, and the log says why."""

        async def run() -> None:
            nowhere = f"ws://127.0.0.1:{freePort()}/"
            endpoint = WebSocketStreamClientEndpoint(reactor, nowhere)
            port, factory = await self.lead(endpoint)
            with logged() as lines:
                _, lost = await self.tcp(port)
                self.assertIsInstance(await lost, ConnectionLost)
            self.assertIn("No connection for", "".join(lines))
            await within(factory.whenIdle())

        return self.finish(run())

    def test_tooMany(self) -> Any:
        """One connection too many is aborted."""

        async def run() -> None:
            port, factory = await self.lead(Never(), maxConnections=1)
            _, firstLost = await self.tcp(port)
            with logged() as lines:
                _, lost = await self.tcp(port)
                self.assertIsInstance(await lost, ConnectionLost)
            self.assertIn("Too many connections", "".join(lines))
            await within(factory.closeConnections())
            await firstLost

        return self.finish(run())

    def test_shutDown(self) -> Any:
        """Closing tells the WebSocket 1001, and ends both; one that is not open yet is
        given up. Without connections it is done at once."""

        async def run() -> None:
            self.successResultOf(
                ForwardingFactory(Never(), reactor).closeConnections()  # type: ignore[arg-type]
            )
            far, farLost = waiting(dataReceived=echo)
            port, factory = await self.forward(far)
            got: Deferred[None] = Deferred()
            near, nearLost = await self.tcp(port)
            near.reactions["dataReceived"] = lambda *_: got.callback(None)
            near.transport.write(b"x")
            await within(got)
            await within(factory.closeConnections())
            self.assertEqual((await farLost).code, 1001)
            self.assertIsInstance(await nearLost, ConnectionDone)
            endpoint = Never()
            port, factory = await self.lead(endpoint)
            _, lost = await self.tcp(port)
            while endpoint.factory is None:
                await deferLater(reactor, 0.01)
            with logged() as lines:
                await within(factory.closeConnections())
            self.assertEqual(endpoint.cancelled, 1)
            self.assertNotIn("No connection", "".join(lines))
            await lost

        return self.finish(run())

    def test_abort(self) -> Any:
        """Aborting ends all at once."""

        async def run() -> None:
            far, farLost = waiting(dataReceived=echo)
            port, factory = await self.forward(far)
            got: Deferred[None] = Deferred()
            near, nearLost = await self.tcp(port)
            near.reactions["dataReceived"] = lambda *_: got.callback(None)
            near.transport.write(b"x")
            await within(got)
            await within(factory.abortConnections())
            self.assertIsInstance(await farLost, ConnectionLost)
            await nearLost

        return self.finish(run())


class EndTests(SynchronousTestCase):
    """The two ends, by hand."""

    def setUp(self) -> None:
        """Make two ends."""
        self.clock = Clock()
        self.one, self.two = self.end(), self.end()

    def end(self) -> End:
        """Make an end that is connected."""
        end = End(5, self.clock)
        end.makeConnection(Transport())
        self.assertEqual(end.transport.producerState, "paused")
        return end

    def lose(self, end: End, error: Exception) -> None:
        """End an end."""
        end.connectionLost(Failure(error))

    def test_joined(self) -> None:
        """What comes at one goes out at the other, and each pauses the other."""
        join(self.one, self.two)
        self.one.dataReceived(b"hello")
        self.assertEqual(self.two.transport.value(), b"hello")
        self.two.transport.producer.pauseProducing()
        self.assertEqual(self.one.transport.producerState, "paused")
        self.two.transport.producer.resumeProducing()
        self.assertEqual(self.one.transport.producerState, "producing")
        self.two.transport.producer.stopProducing()
        self.assertFalse(self.one.transport.disconnecting)

    def test_stuck(self) -> None:
        """An end that does not take what waits for it is aborted after a while; one
        that does is not."""
        join(self.one, self.two)
        self.lose(self.one, ConnectionDone())
        self.assertTrue(self.two.transport.disconnecting)
        self.two.dataReceived(b"dropped")
        self.clock.advance(4)
        self.assertFalse(self.two.transport.aborted)
        self.clock.advance(2)
        self.assertTrue(self.two.transport.aborted)
        self.lose(self.two, ConnectionAborted())
        three, four = self.end(), self.end()
        join(three, four)
        self.lose(three, ConnectionDone())
        self.lose(four, ConnectionDone())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lostBefore(self) -> None:
        """An end that was lost before the two are joined ends the other."""
        self.lose(self.one, ConnectionDone())
        join(self.one, self.two)
        self.assertTrue(self.two.transport.aborted)

    def test_noAbort(self) -> None:
        """A transport that cannot be aborted is closed."""

        class Simple:
            """Standard output, for one."""

            closed = False

            def loseConnection(self) -> None:
                """Close."""
                self.closed = True

        end = End(5, self.clock)
        end.transport = Simple()
        end.abort()
        self.assertTrue(end.transport.closed)

    def test_neverOpen(self) -> None:
        """A WebSocket that ends before it was open ends the target's connection."""
        endpoint = Never()
        bridge = Bridge(self.clock, Target(endpoint, "x"))  # type: ignore[arg-type]
        request: Any = object()
        building = bridge.buildProtocol(request)
        far = endpoint.factory.buildProtocol(None)
        far.makeConnection(Transport())
        endpoint.waiting.callback(far)
        protocol = self.successResultOf(building)
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(far.transport.aborted)

    def test_cancelled(self) -> None:
        """A decision that is cancelled is no refusal."""
        endpoint = Never()
        bridge = Bridge(self.clock, Target(endpoint, "x"))  # type: ignore[arg-type]
        request: Any = object()
        building = bridge.buildProtocol(request)
        building.cancel()
        self.failureResultOf(building, CancelledError)


class GatheringTests(SynchronousTestCase):
    """Small messages on their way to TCP."""

    def setUp(self) -> None:
        """Make one."""
        self.clock = Clock()
        self.lastReceived = 1.0
        self.writes: list[bytes] = []
        transport = Transport()
        self.patch(transport, "write", self.writes.append)
        source: Any = self
        self.gathering = _Gathering(transport, source, self.clock)

    def assertWrites(self, write: Callable[[], object], *expected: bytes) -> None:
        """Hold what is written while something is done."""
        self.writes.clear()
        write()
        self.assertEqual(tuple(self.writes), expected)

    def test_segments(self) -> None:
        """The first message of a segment goes at once, and those behind it at the end
        of the turn."""
        write = self.gathering.write
        self.assertWrites(lambda: write(b"a"), b"a")
        self.assertWrites(lambda: (write(b"b"), write(b"c")))
        self.assertWrites(lambda: self.clock.advance(0), b"bc")
        self.lastReceived = 2.0
        self.assertWrites(lambda: (write(b"d"), write(b"e")), b"d")
        self.lastReceived = 3.0
        self.assertWrites(lambda: write(b"f"), b"e", b"f")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_large(self) -> None:
        """Large ones go at once, behind what waits."""
        write = self.gathering.write
        large = bytes(20_000)
        self.assertWrites(
            lambda: (write(b"a"), write(b"b"), write(large)), b"a", b"b", large
        )
        self.assertWrites(lambda: write(large), large)

    def test_end(self) -> None:
        """At the end what waits is written, or forgotten."""
        write = self.gathering.write
        write(b"a")
        write(b"b")
        self.assertWrites(self.gathering.flush, b"b")
        write(b"c")
        self.gathering.drop()
        self.assertWrites(lambda: self.clock.advance(1))
        self.assertWrites(self.gathering.flush)


class FactoryTests(SynchronousTestCase):
    """``ForwardingFactory`` apart from its connections."""

    def test_noLimit(self) -> None:
        """A limit of 0 is none."""
        endpoint: Any = Never()
        factory = ForwardingFactory(endpoint, Clock(), 0)
        for _ in range(3):
            pair: Any = factory.buildProtocol(None)
        self.assertFalse(factory.isFull(pair))
        waiting = factory.whenIdle()
        self.assertNoResult(waiting)
        for each in list(factory.connections):
            factory.ended(each)
        self.successResultOf(waiting)

    def test_abortWhileConnecting(self) -> None:
        """A connection that ends before the other one is there has that given up."""
        endpoint: Any = Never()
        factory = ForwardingFactory(endpoint, Clock())
        near: Any = factory.buildProtocol(None)
        near.makeConnection(Transport())
        ending = factory.abortConnections()
        self.assertTrue(near.transport.aborted)
        near.connectionLost(Failure(ConnectionAborted()))
        self.assertEqual(endpoint.cancelled, 1)
        self.successResultOf(ending)

    def test_oneIsLeft(self) -> None:
        """One that only sends what came from the other is left alone by closing, and
        ended by aborting."""
        endpoint: Any = Never()
        factory = ForwardingFactory(endpoint, Clock())
        near: Any = factory.buildProtocol(None)
        near.makeConnection(Transport())
        far = endpoint.factory.buildProtocol(None)
        far.makeConnection(Transport())
        endpoint.waiting.callback(far)
        far.connectionLost(Failure(ConnectionDone()))
        factory.closeConnections()
        self.assertFalse(near.transport.aborted)
        factory.abortConnections()
        self.assertTrue(near.transport.aborted)
        near.connectionLost(Failure(ConnectionAborted()))
        self.assertEqual(len(factory.connections), 0)

    def test_otherEndpoints(self) -> None:
        """It may lead to something other than WebSocket, too."""
        endpoint: Any = Never()
        factory = ForwardingFactory(endpoint, Clock())
        near: Any = factory.buildProtocol(None)
        near.makeConnection(Transport())
        far = endpoint.factory.buildProtocol(None)
        far.makeConnection(Transport())
        endpoint.waiting.callback(far)
        near.dataReceived(b"hello")
        self.assertEqual(far.transport.value(), b"hello")
        factory.closeConnections()
        self.assertTrue(far.transport.disconnecting)
