"""The faster transports: what is written goes at once, and what is there is read on.

For the rest they are Twisted's own, whose tests run on them in ``twisted_suite.py``.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.sockets import FakeSocket, FDReactor, HalfCloseable, makeServer
from twisted_ws import transport
from twisted_ws.transport import READ_SIZE, READS_PER_EVENT, FastServer, eagerWrite


class _Producer:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def stopProducing(self) -> None:
        self.asked.append("stop")


class WriteTests(SynchronousTestCase):
    """What is written goes at once, if nothing speaks against it."""

    def setUp(self) -> None:
        self.reactor = FDReactor()

    def writers(self, *takes: Any) -> list[tuple[Any, Any]]:
        """Give both ways to write, each with its transport."""
        server, _ = makeServer(FakeSocket(*takes), self.reactor)
        stock = tcp.Server(
            FakeSocket(*takes),  # type: ignore[arg-type]
            Protocol(),
            ("192.0.2.7", 1),
            None,  # type: ignore[arg-type]
            8,
            self.reactor,
        )
        return [(server, server.write), (stock, eagerWrite(stock))]

    def assertKeeps(self, connection: Any, rest: bytes) -> None:
        """Hold that the rest waits, and that the reactor writes it when it can."""
        self.assertEqual(b"".join(connection._tempDataBuffer), rest)
        self.assertEqual(connection in self.reactor.writers, bool(rest))

    def test_supported(self) -> None:
        """Twisted has the private names that this rests on; without them all would be
        right, but no faster."""
        self.assertTrue(transport.SUPPORTED)
        self.assertTrue(transport._isSupported())
        self.patch(transport, "_NAMES", ("neverHeardOf",))
        self.assertFalse(transport._isSupported())
        self.patch(transport, "FileDescriptor", object)
        self.assertFalse(transport._isSupported())

    def test_everythingAtOnce(self) -> None:
        """What the socket takes is sent, and the reactor is not troubled."""
        for connection, write in self.writers(100):
            write(b"hello")
            self.assertEqual(connection.socket.sent, b"hello")
            self.assertKeeps(connection, b"")

    def test_partly(self) -> None:
        """What the socket does not take waits, in order."""
        for takes, sent in ((2, b"he"), (BlockingIOError(11, "later"), b"")):
            for connection, write in self.writers(takes):
                write(b"hello")
                self.assertEqual(connection.socket.sent, sent)
                self.assertKeeps(connection, b"hello"[len(sent) :])
                write(b" world")
                self.assertKeeps(connection, b"hello world"[len(sent) :])

    def test_sequence(self) -> None:
        """Pieces are sent as one."""
        skt = FakeSocket(3)
        server, _ = makeServer(skt, self.reactor)
        server.writeSequence([b"he", b"llo"])
        self.assertEqual(skt.sent, b"hel")
        self.assertKeeps(server, b"lo")
        self.assertRaises(TypeError, server.writeSequence, ["text"])

    def test_burst(self) -> None:
        """Of what is written in a row, all behind the first goes together; after a
        while, or when something was read, there is a first one again."""
        now = 1000.0
        self.patch(transport, "monotonic", lambda: now)
        skt = FakeSocket(100, 100, 100, gives=[b"x"])
        server, _ = makeServer(skt, self.reactor)
        server.write(b"one")
        server.write(b"two")
        server.write(b"three")
        self.assertEqual(skt.sent, b"one")
        self.assertKeeps(server, b"twothree")
        server.doWrite()
        self.assertEqual(skt.sent, b"onetwothree")
        server.doRead()
        server.write(b"four")
        self.assertEqual(skt.sent, b"onetwothreefour")
        skt.takes.append(100)
        now += 2 * transport.BURST
        server.write(b"five")
        self.assertEqual(skt.sent, b"onetwothreefourfive")

    def test_muchLeft(self) -> None:
        """Much that is left is not copied, and pauses a producer; little is no reason
        to."""
        size = tcp.Server.bufferSize
        data = b"x" * (size + 100)
        for sent, asked in ((99, ["pause"]), (100, [])):
            for connection, write in self.writers(sent, 1 << 20):
                push = _Producer()
                connection.registerProducer(push, True)
                write(data)
                self.assertEqual(connection.dataBuffer is data, bool(asked))
                self.assertEqual(push.asked, asked)
                self.assertIn(connection, self.reactor.writers)
                while connection in self.reactor.writers:
                    connection.socket.takes = [1 << 20]
                    self.assertIsNone(connection.doWrite())
                self.assertEqual(connection.socket.sent, data)
                self.assertEqual(push.asked, asked + ["resume"] * len(asked))

    def test_error(self) -> None:
        """An error ends the connection, but not within write(): the reactor meets it
        again."""
        for connection, write in self.writers(OSError(32, "broken"), OSError(32, "b")):
            write(b"hello")
            self.assertKeeps(connection, b"hello")
            self.assertIs(connection.doWrite(), CONNECTION_LOST)

    def test_order(self) -> None:
        """Behind what waits, and in a connection that is about to end, what is written
        waits too."""
        for name, value in (
            ("dataBuffer", b"x"),
            ("_tempDataBuffer", [b"x"]),
            ("disconnecting", True),
            ("_writeDisconnecting", True),
        ):
            for connection, write in self.writers():
                setattr(connection, name, value)
                write(b"hello")
                self.assertEqual(connection._tempDataBuffer[-1], b"hello")

    def test_closed(self) -> None:
        """To a connection that is closed nothing is written."""
        for name, value in (("_writeDisconnected", True), ("connected", False)):
            for connection, write in self.writers():
                setattr(connection, name, value)
                write(b"hello")
                self.assertEqual(connection.socket.sent, b"")
                self.assertEqual(connection._tempDataBuffer, [])

    def test_aborted(self) -> None:
        """To a connection that was aborted nothing is written either."""
        for connection, write in self.writers():
            connection.abortConnection()
            write(b"late")
            self.assertEqual(connection.socket.sent, b"")

    def test_notBytes(self) -> None:
        """What is no bytes is refused as always, at the call."""
        for _, write in self.writers():
            for wrong in ("text", bytearray(b"x"), ""):
                self.assertRaises(TypeError, write, wrong)

    def test_producers(self) -> None:
        """A push producer is paused by what waits, and resumed when that is gone; a
        pull producer is asked for more whenever something is gone."""
        server, _ = makeServer(FakeSocket(10, 1 << 20), self.reactor)
        push = _Producer()
        server.registerProducer(push, True)
        server.write(b"x" * (server.bufferSize + 11))
        self.assertEqual(push.asked, ["pause"])
        server.doWrite()
        self.assertEqual(push.asked, ["pause", "resume"])
        server, _ = makeServer(FakeSocket(5, 5), self.reactor)
        pull = _Producer()
        server.registerProducer(pull, False)
        server.write(b"hello")
        self.assertKeeps(server, b"hello")
        server.doWrite()
        self.assertEqual(pull.asked, ["resume", "resume"])

    def test_otherTransports(self) -> None:
        """Others are written to as they always are: those that are not TCP, those of
        TLS, those that send other things too, those of a Twisted that is not as
        expected, and those that write at once by themselves."""
        other = StringTransport()
        eagerWrite(other)(b"hello")
        self.assertEqual(other.value(), b"hello")
        server, _ = makeServer(FakeSocket(), self.reactor)
        self.assertEqual(eagerWrite(server), server.write)

        class Special(tcp.Server):
            def writeSomeData(self, data: bytes) -> int:
                return len(data)

        kinds: list[Any] = [Special, tcp.Server]
        arguments: Any = (FakeSocket(), Protocol(), ("192.0.2.7", 1), None, 8)
        special = kinds[0](*arguments, self.reactor)
        self.assertEqual(eagerWrite(special), special.write)
        stock = kinds[1](*arguments, self.reactor)
        self.patch(transport, "SUPPORTED", False)
        self.assertEqual(eagerWrite(stock), stock.write)

    def test_startTLS(self) -> None:
        """With a layer of TLS in between, that gets what is written."""
        for connection, write in self.writers():
            connection.protocol = other = StringTransport()
            connection.TLS = True
            write(b"hello")
            self.assertEqual(other.value(), b"hello")


class ReadTests(SynchronousTestCase):
    """What is there is read."""

    FULL = b"x" * READ_SIZE

    def read(self, *gives: Any, hook: Any = None) -> tuple[Any, list[bytes], list[Any]]:
        """Read once.

        :param gives: what the socket gives
        :param hook: is called by the protocol with transport and data
        :returns: why it ended, what the protocol got, what is left
        """
        skt = FakeSocket(gives=gives)
        server, protocol = makeServer(skt, FDReactor())
        if hook is not None:
            protocol.hook = lambda data: hook(server)
        return server.doRead(), protocol.got, skt.gives

    def test_once(self) -> None:
        """What does not fill a read up was all that there was."""
        self.assertEqual(self.read(b"hello", b"later"), (None, [b"hello"], [b"later"]))

    def test_readOn(self) -> None:
        """What fills a read up is read on, until it does not or it is others' turn."""
        why, got, left = self.read(self.FULL, b"end", b"later")
        self.assertEqual((why, got, left), (None, [self.FULL, b"end"], [b"later"]))
        why, got, left = self.read(*[self.FULL] * 9)
        self.assertEqual((why, len(got)), (None, READS_PER_EVENT))
        blocked = BlockingIOError(11, "nothing there")
        self.assertEqual(self.read(self.FULL, blocked), (None, [self.FULL], []))

    def test_ends(self) -> None:
        """The end is told, at the first read and at others."""
        for before in ((), (self.FULL,)):
            self.assertIs(self.read(*before, b"")[0], CONNECTION_DONE)
            broken = ConnectionResetError(104, "reset")
            self.assertIs(self.read(*before, broken)[0], CONNECTION_LOST)
        self.assertEqual(self.read(BlockingIOError(11, "not yet")), (None, [], []))

    def test_paused(self) -> None:
        """A protocol that pauses, aborts or is done is not told the rest."""
        for hook, why in (
            (FastServer.pauseProducing, None),
            (FastServer.loseConnection, CONNECTION_DONE),
            (FastServer.abortConnection, None),
            (lambda server: server.connectionLost(Failure(CONNECTION_DONE)), None),
        ):
            skt = FakeSocket(gives=[self.FULL, b"rest"])
            skt.close = skt.shutdown = lambda *_: None  # type: ignore[attr-defined]
            server, protocol = makeServer(skt, FDReactor())
            protocol.hook = lambda data, hook=hook, server=server: hook(server)
            self.assertIs(server.doRead(), why)
            self.assertEqual((protocol.got, skt.gives), ([self.FULL], [b"rest"]))

    def test_resumed(self) -> None:
        """One that pauses and resumes is told the rest."""

        def hook(server: FastServer) -> None:
            server.pauseProducing()
            server.resumeProducing()

        self.assertEqual(
            self.read(self.FULL, b"rest", hook=hook)[:2], (None, [self.FULL, b"rest"])
        )


class EndTests(SynchronousTestCase):
    """A connection that its protocol ends in dataReceived is ended behind that."""

    def end(self, *takes: Any, hook: Any, protocol: Any = None) -> tuple[Any, Any, Any]:
        """Have the protocol do something with the transport, in its dataReceived.

        :param takes: what the socket takes
        :param hook: is called with the transport
        :param protocol: another one
        :returns: why it ended, transport and protocol
        """
        skt = FakeSocket(*takes, gives=[b"x"])
        skt.close = skt.shutdown = lambda *_: None  # type: ignore[attr-defined]
        self.reactor = FDReactor()
        server, protocol = makeServer(skt, self.reactor, protocol)

        def act(data: bytes) -> None:
            hook(server)
            # Never within the call.
            self.assertIsNone(protocol.lost)

        protocol.hook = act
        return server.doRead(), server, protocol

    def test_atOnce(self) -> None:
        """With nothing left to write it is over, whatever else is called behind that;
        what was written before has gone."""

        def hook(server: FastServer) -> None:
            server.write(b"bye")
            server.loseConnection()
            self.assertTrue(server.disconnecting)
            server.loseConnection()
            server.loseWriteConnection()
            server.resumeProducing()
            server.stopWriting()

        why, server, protocol = self.end(9, hook=hook)
        self.assertIs(why, CONNECTION_DONE)
        self.assertEqual(server.socket.sent, b"bye")
        self.assertEqual(self.reactor.writers, [])
        server.readConnectionLost(Failure(why))
        protocol.lost.trap(ConnectionDone)
        self.assertEqual(self.reactor.readers, [])

    def test_noHalves(self) -> None:
        """A protocol that knows halves is told of the end as a whole, as always."""
        why, server, protocol = self.end(
            hook=FastServer.loseConnection, protocol=HalfCloseable()
        )
        server.readConnectionLost(Failure(why))
        self.assertEqual(protocol.halves, "")
        protocol.lost.trap(ConnectionDone)

    def test_whatWaits(self) -> None:
        """What waits to be written is written first, also if it came later."""

        def early(server: FastServer) -> None:
            server.write(b"bye")
            server.loseConnection()

        def late(server: FastServer) -> None:
            server.loseConnection()
            server.write(b"bye")

        for hook in (early, late):
            why, server, _ = self.end(0, 9, hook=hook)
            if hook is late:
                server.socket.takes.pop(0)
            self.assertIsNone(why)
            self.assertTrue(server.disconnecting)
            self.assertEqual(
                (self.reactor.readers, self.reactor.writers), ([], [server])
            )
            self.assertIs(server.doWrite(), CONNECTION_DONE)
            self.assertEqual(server.socket.sent, b"bye")

    def test_producer(self) -> None:
        """A producer is asked for what it has left."""
        pull = _Producer()

        def hook(server: FastServer) -> None:
            server.loseConnection()
            server.registerProducer(pull, False)

        why, server, _ = self.end(0, 0, hook=hook)
        self.assertIsNone(why)
        self.assertIsNone(server.doWrite())
        self.assertEqual(pull.asked, ["resume", "resume"])
        server.unregisterProducer()
        self.assertIs(server.doWrite(), CONNECTION_DONE)

    def test_aborted(self) -> None:
        """One that is aborted as well is aborted."""

        def hook(server: FastServer) -> None:
            server.loseConnection()
            server.abortConnection()

        why, server, protocol = self.end(hook=hook)
        self.assertIsNone(why)
        server.socket.setsockopt = lambda *_: None
        self.reactor.advance(0)
        protocol.lost.trap(ConnectionAborted)

    def test_elsewhere(self) -> None:
        """Outside of dataReceived it is for the reactor to end it."""
        _, server, protocol = self.end(0, hook=lambda server: None)
        server.loseConnection()
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(self.reactor.writers, [server])
        self.assertIsNone(protocol.lost)
        self.assertIs(server.doWrite(), CONNECTION_DONE)

    def test_startTLS(self) -> None:
        """With a layer of TLS in between, that is asked to say goodbye."""

        def hook(server: FastServer) -> None:
            layer = server.protocol
            server.TLS = True
            layer.loseConnection = lambda: asked.append(True)  # type: ignore[attr-defined]
            server.loseConnection()

        asked: list[bool] = []
        why, server, _ = self.end(hook=hook)
        self.assertEqual((why, server.disconnecting, asked), (None, False, [True]))
