"""The short way of data over TLS, and that nothing else changes by it."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import gc
import importlib.util
import random
import weakref
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHandshakeListener,
    INegotiated,
    IOpenSSLContextFactory,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_ws import tlstransport
from twisted_ws.tls import _ConnectionCreator, selfSignedContext
from twisted_ws.tlstransport import (
    QuickTLSProtocol,
    TLSClientWrapper,
    makeTLSFactory,
    missingNames,
)

CONTEXT = selfSignedContext()[0]


class Transport(StringTransport):
    """Keeps each write by itself; knows a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Clock()
        self.writes: list[bytes] = []
        self.onWrite: Callable[[], object] | None = None

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert type(data) is bytes
        self.writes.append(data)
        if self.onWrite is not None:
            self.onWrite()

    def writeSequence(self, data: Any) -> None:
        """Keep it as one."""
        self.write(b"".join(data))


@implementer(IHandshakeListener)
class Application(Protocol):
    """Notes what it is told; ``react`` is called with what it received."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.reason: Failure | None = None
        self.shaken = False
        self.react: Callable[[bytes], object] = len

    def handshakeCompleted(self) -> None:
        """Note it."""
        self.shaken = True

    def dataReceived(self, data: bytes) -> None:
        """Note it, and react."""
        assert type(data) is bytes
        self.received.append(data)
        self.react(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        assert self.reason is None
        self.reason = reason


class Connection:
    """A server's end with our protocol, or Twisted's, and a client in OpenSSL.

    :param fast: which
    :param version: of TLS, both ends
    :param begin: is called with the application before it is connected
    """

    def __init__(
        self,
        fast: bool = True,
        version: int = SSL.TLS1_3_VERSION,
        begin: Callable[[Application], object] | None = None,
        context: SSL.Context = CONTEXT,
    ) -> None:
        self.application = Application()
        if begin is not None:
            begin(self.application)
        application = self.application
        factory = makeTLSFactory(
            _ConnectionCreator(context),
            False,
            Factory.forProtocol(lambda: application),
            fast,
        )
        if not fast:
            factory.protocol = TLSMemoryBIOProtocol
        self.tls: Any = factory.buildProtocol(None)
        self.transport = Transport()
        clientContext = SSL.Context(SSL.TLS_CLIENT_METHOD)
        clientContext.set_max_proto_version(version)
        self.client = SSL.Connection(clientContext, None)
        self.client.set_connect_state()
        self.tls.makeConnection(self.transport)

    def shake(self) -> Connection:
        """Do the handshake of TLS."""
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                self.tls.dataReceived(self.client.bio_read(2**16))
            self.read()
        assert self.application.shaken
        return self

    def seal(self, *messages: bytes) -> bytes:
        """Give the records in which the client sends messages, one each or more."""
        records = b""
        for message in messages:
            for start in range(0, len(message), 2**14):
                self.client.send(message[start : start + 2**14])
                records += self.client.bio_read(2**16)
        return records

    def send(self, *messages: bytes) -> None:
        """Have the server receive messages as one segment."""
        self.tls.dataReceived(self.seal(*messages))

    def read(self) -> list[bytes]:
        """Give what the client gets, record by record.

        :raises SSL.Error: an alert comes behind it; ``got`` has what came before
        """
        for data in self.transport.writes:
            self.client.bio_write(data)
        self.transport.writes.clear()
        self.got = []
        with contextlib.suppress(SSL.WantReadError, SSL.ZeroReturnError):
            while True:
                self.got.append(self.client.recv(2**15))
        return self.got


class Case(SynchronousTestCase):
    """Time stands still, but for :meth:`pass_`."""

    def setUp(self) -> None:
        """Stop the time."""
        self.now = 1000.0
        self.patch(tlstransport, "monotonic", lambda: self.now)


class ReceivingTests(Case):
    """What comes from the peer."""

    def test_versions(self) -> None:
        """Messages go to and fro in TLS 1.2 and 1.3."""
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            connection = Connection(version=version).shake()
            connection.application.react = connection.tls.write
            for message in (b"a", b"b" * 2**14):
                connection.send(message)
                self.assertEqual(connection.read(), [message])
            self.assertIsNotNone(connection.tls._ssl)

    def test_oneSegmentOnePiece(self) -> None:
        """All that a segment brings is delivered in one piece, however many records or
        bytes that are."""
        for messages in (
            [b"one"],
            [b"one", b"two", b"three"],
            [b"x" * 100] * 50,
            [b"y" * 100_000],
            [b"z" * 2**14] * 30,
        ):
            connection = Connection().shake()
            connection.send(*messages)
            self.assertEqual(connection.application.received, [b"".join(messages)])

    def test_bytewise(self) -> None:
        """Records may come in any pieces."""
        connection = Connection().shake()
        data = connection.seal(b"hello", b"world")
        for at in range(len(data)):
            connection.tls.dataReceived(data[at : at + 1])
        self.assertEqual(connection.application.received, [b"hello", b"world"])
        long = connection.seal(b"x" * 50_000)
        for at in range(0, len(long), 999):
            connection.tls.dataReceived(long[at : at + 999])
        self.assertEqual(b"".join(connection.application.received[2:]), b"x" * 50_000)

    def test_headBehindRecord(self) -> None:
        """A segment that ends within a record delivers the ones before it."""
        connection = Connection().shake()
        data = connection.seal(b"first", b"second")
        connection.tls.dataReceived(data[:-1])
        self.assertEqual(connection.application.received, [b"first"])
        connection.tls.dataReceived(data[-1:])
        self.assertEqual(connection.application.received, [b"first", b"second"])

    def test_singleRecords(self) -> None:
        """For a segment that is one record OpenSSL is asked once. Where it is not known
        whether it is one, for a record's header came in parts, it is asked again."""
        for before, known in (
            ((), True),
            (((0, 1000),), True),
            (((0, 3), (3, 7), (7, 1000)), False),
            (((0, 6), (6, 1000)), True),
            (((0, 30), (30, 40), (40, 1000)), False),
            (((0, 40), (40, 1000)), True),
        ):
            connection = Connection().shake()
            data = connection.seal(b"first", b"second", b"third")
            # Records of 27, 28 and 27 bytes.
            for start, end in before:
                connection.tls.dataReceived(data[start:end])
            if not before:
                connection.tls.dataReceived(data)
            self.assertEqual(
                b"".join(connection.application.received), b"firstsecondthird"
            )
            asked: list[int] = []

            sslRead = tlstransport._sslRead

            def read(
                *arguments: Any, asked: list[int] = asked, sslRead: Any = sslRead
            ) -> Any:
                asked.append(1)
                return sslRead(*arguments)

            with monkeyPatched(tlstransport, "_sslRead", read):
                for count in range(1, 4):
                    connection.send(b"single")
                    self.assertEqual(len(asked), count if known else 2 * count)
            self.assertEqual(connection.application.received[-3:], [b"single"] * 3)

    def test_manyRecords(self) -> None:
        """Nothing is known any more behind a segment of very many records."""
        connection = Connection().shake()
        connection.send(*[b"x"] * 15)
        self.assertEqual(connection.tls._next, 0)
        connection.send(*[b"x"] * 16)
        self.assertEqual(connection.tls._next, -1)
        connection.send(b"y", b"z")
        self.assertEqual(connection.application.received[-1], b"yz")

    def test_anyPieces(self) -> None:
        """However a stream is cut, all records that are whole are delivered at once."""
        chance = random.Random(5)
        for _ in range(200):
            connection = Connection().shake()
            messages = [
                chance.randbytes(chance.choice([1, 10, 100, 2**14]))
                for _ in range(chance.randrange(1, 12))
            ]
            records = [connection.seal(message) for message in messages]
            ends = [sum(map(len, records[: at + 1])) for at in range(len(records))]
            data = b"".join(records)
            at = 0
            while at < len(data):
                # Often at the end of a record, or near it.
                end = chance.choice(ends) + chance.choice([0, 0, 0, 1, 3, 5, 6, -1])
                if not at < end <= len(data):
                    continue
                connection.tls.dataReceived(data[at:end])
                at = end
                whole = sum(each <= at for each in ends)
                self.assertEqual(
                    b"".join(connection.application.received),
                    b"".join(messages[:whole]),
                )

    def test_recordWithoutData(self) -> None:
        """A segment that is one record, but no data, delivers nothing."""
        connection = Connection().shake()
        self.assertEqual(connection.tls._next, 0)
        connection.client.shutdown()
        connection.tls.dataReceived(connection.client.bio_read(2**16))
        self.assertEqual(connection.application.received, [])
        self.assertTrue(connection.transport.disconnecting)

    def test_otherBuffers(self) -> None:
        """A transport that delivers something like bytes is understood."""
        connection = Connection().shake()
        for kind in (bytearray, memoryview):
            connection.tls.dataReceived(kind(connection.seal(b"hello")))
        self.assertEqual(connection.application.received, [b"hello"] * 2)

    def test_withHandshake(self) -> None:
        """What comes with the end of the handshake is delivered."""
        connection = Connection()
        with contextlib.suppress(SSL.WantReadError):
            connection.client.do_handshake()
        connection.tls.dataReceived(connection.client.bio_read(2**16))
        connection.read()
        connection.client.send(b"early")
        connection.tls.dataReceived(connection.client.bio_read(2**16))
        self.assertEqual(connection.application.received, [b"early"])

    def test_pausedWithin(self) -> None:
        """Nothing more comes of a segment in which the application paused."""
        connection = Connection().shake()
        states = []

        def pause(data: bytes) -> None:
            connection.tls.pauseProducing()
            states.append(connection.transport.producerState)

        connection.application.react = pause
        connection.send(b"a", b"b" * 40_000, b"c")
        self.assertEqual(states, ["paused"])
        self.assertEqual(connection.application.received, [b"a" + b"b" * 40_000 + b"c"])

    def test_reentered(self) -> None:
        """More may come while the application is at it."""
        connection = Connection().shake()

        def react(data: bytes) -> None:
            connection.tls.write(b"before " + data)
            if data == b"1":
                connection.send(b"2")
            connection.tls.write(b"after " + data)

        connection.application.react = react
        connection.send(b"1")
        self.assertEqual(connection.application.received, [b"1", b"2"])
        self.assertEqual(b"".join(connection.read()), b"before 1before 2after 2after 1")

    def test_raisesWithin(self) -> None:
        """An exception of the application goes to the transport, and what was written
        before it to the peer, as with Twisted's own."""
        for fast in (True, False):
            connection = Connection(fast).shake()

            def react(data: bytes, connection: Connection = connection) -> None:
                connection.tls.write(b"reply")
                raise ZeroDivisionError

            connection.application.react = react
            with self.assertRaises(ZeroDivisionError):
                connection.send(b"hello")
            self.assertEqual(connection.read(), [b"reply"])
            connection.tls.connectionLost(Failure(ZeroDivisionError()))
            self.assertIsNotNone(connection.application.reason)


class EndTests(Case):
    """How connections end, which is as with Twisted's own."""

    def each(self, **arguments: Any) -> list[Connection]:
        """Give a connection with our protocol, and one with Twisted's."""
        return [Connection(fast, **arguments).shake() for fast in (True, False)]

    def test_goodbyeBehindData(self) -> None:
        """Data before the peer's close_notify is delivered, and may be answered; then
        ours is sent, and the transport closed."""
        for connection in self.each():
            connection.application.react = connection.tls.write
            data = connection.seal(b"last")
            connection.client.shutdown()
            connection.tls.dataReceived(data + connection.client.bio_read(2**16))
            self.assertEqual(connection.application.received, [b"last"])
            self.assertEqual(connection.read(), [b"last"])
            self.assertTrue(connection.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
            self.assertTrue(connection.transport.disconnecting)
            self.assertIsNone(connection.application.reason)
            connection.tls.connectionLost(Failure(ConnectionDone()))
            assert connection.application.reason is not None
            self.assertTrue(connection.application.reason.check(ConnectionDone))

    def test_brokenRecord(self) -> None:
        """A record that was tampered with ends the connection with an alert and an
        error of OpenSSL; data before it in a segment is delivered."""
        for connection in self.each():
            good, bad = connection.seal(b"good"), connection.seal(b"bad")
            connection.tls.dataReceived(good + bad[:-1] + bytes([bad[-1] ^ 1]))
            self.assertEqual(connection.application.received, [b"good"])
            self.assertTrue(connection.transport.disconnecting)
            with self.assertRaises(SSL.Error) as caught:
                connection.read()
            self.assertIn("bad record mac", str(caught.exception))
            connection.tls.write(b"too late")
            self.assertEqual(connection.transport.writes, [])
            connection.tls.connectionLost(Failure(ConnectionDone()))
            assert connection.application.reason is not None
            self.assertTrue(connection.application.reason.check(SSL.Error))

    def test_answeredBeforeBrokenRecord(self) -> None:
        """What the application writes then is dropped, and does not hide the cause."""
        for end in (None, "loseConnection", "abortConnection"):
            connection = Connection().shake()

            def react(
                data: bytes, connection: Connection = connection, end: Any = end
            ) -> None:
                connection.tls.write(b"reply")
                if end is not None:
                    getattr(connection.tls, end)()

            connection.application.react = react
            good, bad = connection.seal(b"good"), connection.seal(b"bad")
            connection.tls.dataReceived(good + bad[:-1] + bytes([bad[-1] ^ 1]))
            self.assertEqual(connection.application.received, [b"good"])
            with self.assertRaises(SSL.Error):
                connection.read()
            self.assertEqual(connection.got, [])
            connection.tls.connectionLost(Failure(ConnectionDone()))
            assert connection.application.reason is not None
            expected = ConnectionDone if end == "abortConnection" else SSL.Error
            self.assertTrue(connection.application.reason.check(expected), end)

    def test_garbage(self) -> None:
        """What is no TLS at all ends it, in short segments and long ones."""
        for length in (5, 100_000):
            for connection in self.each():
                connection.tls.dataReceived(b"x" * length)
                self.assertTrue(connection.transport.disconnecting)
                connection.tls.dataReceived(b"more")
                self.assertEqual(connection.application.received, [])
                connection.tls.connectionLost(Failure(ConnectionDone()))
                assert connection.application.reason is not None
                self.assertTrue(connection.application.reason.check(SSL.Error))

    def test_recordTooLong(self) -> None:
        """So does a record longer than any may be."""
        for connection in self.each():
            connection.tls.dataReceived(b"\x17\x03\x03\xff\xff" + b"x" * 0xFFFF)
            self.assertTrue(connection.transport.disconnecting)
            with self.assertRaises(SSL.Error) as caught:
                connection.read()
            self.assertIn("overflow", str(caught.exception))

    def test_cutOff(self) -> None:
        """A TCP connection that ends without goodbye is lost."""
        for connection in self.each():
            connection.send(b"hello")
            connection.tls.connectionLost(Failure(ConnectionDone()))
            assert connection.application.reason is not None
            self.assertTrue(connection.application.reason.check(ConnectionLost))

    def test_loseConnectionWithin(self) -> None:
        """What was written before ``loseConnection`` goes before the goodbye, what is
        written behind it nowhere; data still comes until the peer says goodbye."""
        for connection in self.each():

            def react(data: bytes, connection: Connection = connection) -> None:
                if data == b"1":
                    connection.tls.write(b"a")
                    connection.tls.write(b"b")
                    connection.tls.loseConnection()
                connection.tls.write(b"late")

            connection.application.react = react
            connection.send(b"1")
            self.assertEqual(b"".join(connection.read()), b"ab")
            self.assertTrue(connection.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
            self.assertFalse(connection.transport.disconnecting)
            connection.send(b"2")
            self.assertEqual(connection.application.received, [b"1", b"2"])
            self.assertEqual(connection.transport.writes, [])
            connection.client.shutdown()
            connection.tls.dataReceived(connection.client.bio_read(2**16))
            self.assertTrue(connection.transport.disconnecting)

    def test_loseConnectionWithProducer(self) -> None:
        """With a producer, writing goes on behind ``loseConnection``, until it is
        unregistered."""
        for connection in self.each():
            connection.tls.registerProducer(StringTransport(), True)
            connection.tls.write(b"a")
            connection.tls.loseConnection()
            connection.tls.write(b"b")
            self.assertEqual(connection.read(), [b"a", b"b"])
            self.assertFalse(connection.client.get_shutdown())
            connection.tls.unregisterProducer()
            connection.read()
            self.assertTrue(connection.client.get_shutdown())

    def test_abortWithin(self) -> None:
        """``abortConnection`` drops what was gathered; nothing comes any more."""
        connection = Connection().shake()

        def react(data: bytes) -> None:
            connection.tls.write(b"a")
            connection.tls.abortConnection()
            connection.tls.write(b"b")

        connection.application.react = react
        data = connection.seal(b"1", b"2")
        more = connection.seal(b"3")
        connection.tls.dataReceived(data)
        self.assertTrue(connection.transport.disconnected)
        self.assertEqual(connection.read(), [])
        connection.tls.dataReceived(more)
        self.assertEqual(connection.application.received, [b"12"])

    def test_lostWithin(self) -> None:
        """The transport may be lost while the application is at it."""
        for farewell in (False, True):
            connection = Connection().shake()

            def react(data: bytes, connection: Connection = connection) -> None:
                connection.tls.write(b"a")
                connection.tls.connectionLost(Failure(ConnectionDone()))
                connection.tls.write(b"b")

            connection.application.react = react
            data = connection.seal(b"1")
            if farewell:
                connection.client.shutdown()
                data += connection.client.bio_read(2**16)
            connection.tls.dataReceived(data)
            self.assertEqual(connection.application.received, [b"1"])
            self.assertIsNotNone(connection.application.reason)
            with contextlib.suppress(SSL.Error):
                connection.read()
            self.assertEqual(connection.got, [])

    def test_renegotiation(self) -> None:
        """A peer that asks for a new handshake in TLS 1.2 is told that there is none;
        that is sent although the application wrote nothing."""
        connection = Connection(version=SSL.TLS1_2_VERSION).shake()
        self.assertTrue(connection.client.renegotiate())
        with contextlib.suppress(SSL.WantReadError):
            connection.client.do_handshake()
        connection.tls.dataReceived(connection.client.bio_read(2**16))
        with self.assertRaises(SSL.Error) as caught:
            connection.read()
        self.assertIn("no renegotiation", str(caught.exception))
        self.assertEqual(connection.tls.getHandle().total_renegotiations(), 0)

    def test_nothingIsLeft(self) -> None:
        """A connection that ended in order is freed without the garbage collector."""
        gc.disable()
        self.addCleanup(gc.enable)
        connection = Connection().shake()
        connection.application.react = connection.tls.write
        data = connection.seal(b"hello")
        connection.client.shutdown()
        connection.tls.dataReceived(data + connection.client.bio_read(2**16))
        connection.tls.connectionLost(Failure(ConnectionDone()))
        left = weakref.ref(connection.tls)
        # These are the test's own.
        connection.application.react = len
        connection.application.transport = None
        del connection
        self.assertIsNone(left())


class SendingTests(Case):
    """What goes to the peer."""

    def test_gatheredWithin(self) -> None:
        """What is written while a segment is handled goes in one write, and one
        record."""
        connection = Connection().shake()

        def react(data: bytes) -> None:
            for message in (b"a", b"b", b"c"):
                connection.tls.write(message)
            connection.tls.writeSequence([b"d", b"e"])
            self.assertEqual(connection.transport.writes, [])

        connection.application.react = react
        connection.send(b"1", b"2")
        self.assertEqual(len(connection.transport.writes), 1)
        self.assertEqual(connection.read(), [b"abcde"])

    def test_notTooMuchIsGathered(self) -> None:
        """From 64 KiB on it is let go, so that a producer is paused in time."""
        connection = Connection().shake()

        def react(data: bytes) -> None:
            for _ in range(7):
                connection.tls.write(b"x" * 2**14)
            self.assertEqual(len(connection.transport.writes), 1)

        connection.application.react = react
        connection.send(b"1")
        self.assertEqual(connection.read(), [b"x" * 2**14] * 7)

    def test_burst(self) -> None:
        """Elsewhere the first write goes at once; those soon behind it, together in the
        next turn of the reactor."""
        connection = Connection().shake()
        write = connection.tls.write
        write(b"a")
        self.assertEqual(connection.read(), [b"a"])
        for message in (b"b", b"c", b"d"):
            write(message)
        self.assertEqual(connection.transport.writes, [])
        connection.transport.reactor.advance(0)
        self.assertEqual(connection.read(), [b"bcd"])
        self.now += 1
        write(b"e")
        self.assertEqual(connection.read(), [b"e"])
        self.assertEqual(connection.transport.reactor.getDelayedCalls(), [])

    def test_burstIsCutShort(self) -> None:
        """What waits for the next turn goes with what a segment brings about, before
        the goodbye, and when there is much of it; in order in any case."""
        connection = Connection().shake()
        connection.application.react = connection.tls.write
        write = connection.tls.write
        write(b"a")
        write(b"b")
        connection.send(b"c")
        self.assertEqual(connection.read(), [b"a", b"bc"])
        write(b"d" * 2**16)
        self.assertEqual(b"".join(connection.read()), b"d" * 2**16)
        write(b"e")
        connection.tls.loseConnection()
        self.assertEqual(connection.read(), [b"e"])
        connection.transport.reactor.advance(0)
        self.assertEqual(connection.transport.writes, [])

    def test_goodbyeBehindBurst(self) -> None:
        """What waits as part of a burst goes before the answer to a goodbye."""
        connection = Connection().shake()
        for message in (b"one", b"two"):
            connection.tls.write(message)
        connection.client.shutdown()
        connection.tls.dataReceived(connection.client.bio_read(2**16))
        self.assertEqual(connection.read(), [b"one", b"two"])
        self.assertTrue(connection.transport.disconnecting)
        self.assertEqual(connection.transport.reactor.getDelayedCalls(), [])

    def test_burstIsDropped(self) -> None:
        """A connection that is aborted or lost leaves no call for later."""
        for end in (
            lambda tls: tls.abortConnection(),
            lambda tls: tls.connectionLost(Failure(ConnectionDone())),
        ):
            connection = Connection().shake()
            connection.tls.write(b"a")
            connection.tls.write(b"b")
            connection.read()
            end(connection.tls)
            self.assertEqual(connection.transport.reactor.getDelayedCalls(), [])
            with contextlib.suppress(SSL.Error):
                connection.read()
            self.assertEqual(connection.got, [])

    def test_clocks(self) -> None:
        """The next turn is the reactor's that the transport is of, or else that of the
        factory, or else the global one."""
        connection = Connection().shake()
        self.assertIs(connection.tls._clock(), connection.transport.reactor)
        del connection.transport.reactor
        connection.tls.factory._clock = clock = Clock()
        self.assertIs(connection.tls._clock(), clock)
        del connection.tls.factory._clock
        from twisted.internet import reactor

        self.assertIs(connection.tls._clock(), reactor)

    def test_large(self) -> None:
        """Writes of any size arrive, in one write below."""
        for size in (2**14, 2**14 + 1, 100_000, 1_000_000):
            connection = Connection().shake()
            connection.tls.write(b"x" * size)
            self.assertEqual(len(connection.transport.writes), 1)
            got = connection.read()
            self.assertEqual(b"".join(got), b"x" * size)
            self.assertEqual(len(got), -(-size // 2**14))

    def test_shortRecords(self) -> None:
        """A peer may ask for shorter records (RFC 6066 section 4), of which OpenSSL
        writes one at a time: all arrives, once and in order."""
        sslWrite = tlstransport._sslWrite

        def write(ssl: Any, data: Any, size: int) -> int:
            written: int = sslWrite(ssl, data, min(size, 512))
            return written

        for size in (512, 513, 2000, 2**14, 2**14 + 1, 300_000):
            connection = Connection().shake()
            message = random.Random(size).randbytes(size)
            with monkeyPatched(tlstransport, "_sslWrite", write):
                connection.tls.write(message)
            self.now += 1
            connection.tls.write(b"next")
            # Each goes to the transport as one.
            self.assertEqual(len(connection.transport.writes), 2)
            self.assertEqual(b"".join(connection.read()), message + b"next")

    def test_writtenWhilePaused(self) -> None:
        """What a producer writes when it is paused comes behind what paused it."""
        connection = Connection().shake()

        def once() -> None:
            connection.transport.onWrite = None
            connection.tls.write(b"!")

        for size in (5, 1_000_000):
            self.now += 1
            connection.transport.onWrite = once
            connection.tls.write(b"x" * size)
            connection.transport.reactor.advance(0)
            self.assertEqual(b"".join(connection.read()), b"x" * size + b"!")

    def test_kinds(self) -> None:
        """Whatever is like bytes is sent as it is at the time; anything else is an
        error; nothing is nothing. Before the handshake, too."""
        for shaken in (False, True):
            connection = Connection()
            if shaken:
                connection.shake()
            for wrong in ("text", 5, None):
                with self.assertRaises(TypeError):
                    connection.tls.write(wrong)
            data = bytearray(b"b")
            connection.tls.write(b"a")
            connection.tls.write(data)
            data[:] = b"?"
            connection.tls.write(memoryview(b"c"))
            connection.tls.write(b"")
            connection.transport.reactor.advance(0)
            if not shaken:
                with contextlib.suppress(SSL.WantReadError):
                    connection.client.do_handshake()
                connection.tls.dataReceived(connection.client.bio_read(2**16))
                connection.read()
                connection.client.do_handshake()
                connection.tls.dataReceived(connection.client.bio_read(2**16))
            self.assertEqual(b"".join(connection.read()), b"abc")
            self.now += 1
            connection.tls.write(b"")
            self.assertEqual(connection.transport.writes, [])

    def test_refused(self) -> None:
        """When OpenSSL will not send, the connection ends, and says why."""
        for size in (1, 100_000):
            connection = Connection().shake()
            connection.tls.getHandle().shutdown()
            connection.tls.write(b"x" * size)
            self.assertTrue(connection.transport.disconnecting)
            connection.tls.connectionLost(Failure(ConnectionDone()))
            assert connection.application.reason is not None
            self.assertTrue(connection.application.reason.check(SSL.Error))

    def test_notYet(self) -> None:
        """While OpenSSL waits for the peer, as it may in a new handshake of TLS 1.2,
        what is to be sent is kept in order, and a producer paused."""
        for size in (1, 100_000):
            connection = Connection().shake()
            producer = StringTransport()
            connection.tls.registerProducer(producer, True)

            def wait(ssl: Any, result: int) -> None:
                raise SSL.WantReadError

            handle = connection.tls.getHandle()
            handle._raise_ssl_error = wait
            with monkeyPatched(tlstransport, "_sslWrite", lambda *_: -1):
                connection.tls.write(b"x" * size)
            self.assertEqual(producer.producerState, "paused")
            # Twisted's own way from here on, until all that has gone.
            del handle._raise_ssl_error
            connection.tls._appSendBuffer.append(b"y")
            self.assertEqual(b"".join(connection.read()), b"")
            connection.send(b"1")
            self.assertEqual(producer.producerState, "producing")
            self.assertEqual(b"".join(connection.read()), b"x" * size + b"y")
            self.now += 1
            connection.tls.write(b"z")
            self.assertEqual(connection.read(), [b"z"])

    def test_writtenWhileWaiting(self) -> None:
        """What is written meanwhile waits behind what waits already."""
        connection = Connection().shake()
        connection.tls._appSendBuffer.append(b"a")
        kept: list[bytes] = []
        self.patch(connection.tls, "_write", kept.append)
        connection.tls.write(b"b")
        self.assertEqual(kept, [b"b"])
        self.assertEqual(connection.transport.writes, [])


@contextlib.contextmanager
def monkeyPatched(where: Any, name: str, value: Any) -> Any:
    """Have an attribute be something else for a while."""
    old = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, old)


class InterfaceTests(Case):
    """What else is asked of a TLS transport."""

    def test_provided(self) -> None:
        """The transport that the application gets is secure, knows what was negotiated,
        whose certificate there is, and who the peer is."""
        connection = Connection().shake()
        transport = connection.application.transport
        self.assertIs(transport, connection.tls)
        self.assertTrue(ISSLTransport.providedBy(transport))
        self.assertTrue(INegotiated.providedBy(transport))
        self.assertIsNone(connection.tls.negotiatedProtocol)
        self.assertIsNone(connection.tls.getPeerCertificate())
        self.assertEqual(connection.tls.getPeer(), connection.transport.getPeer())

    def test_foreignConnection(self) -> None:
        """A creator may give something that is no connection of pyOpenSSL; it is used
        as Twisted does."""
        connection = Connection().shake()
        handle = connection.tls.getHandle()

        class Wrapped:
            def __getattr__(self, name: str) -> Any:
                return getattr(handle, name)

        connection.tls._slowDown()
        connection.tls._tlsConnection = Wrapped()
        connection.application.react = connection.tls.write
        for message in (b"1", b"2"):
            connection.send(message)
            self.assertEqual(connection.read(), [message])
            self.assertIsNone(connection.tls._ssl)


class ChoiceTests(SynchronousTestCase):
    """When it is used."""

    def make(self, fast: bool = True) -> TLSMemoryBIOFactory:
        """Make a factory."""
        return makeTLSFactory(
            _ConnectionCreator(CONTEXT), False, Factory.forProtocol(Protocol), fast
        )

    def test_here(self) -> None:
        """This Twisted and this pyOpenSSL have what is needed."""
        self.assertEqual(missingNames(), [])
        self.assertIs(self.make().protocol, QuickTLSProtocol)
        self.assertIs(self.make(False).protocol, TLSMemoryBIOFactory.protocol)

    def test_missing(self) -> None:
        """Each name that is used is looked for; without one Twisted's own is used."""
        for where, name in (
            ("_OF_OPENSSL", "SSL_read"),
            ("_OF_PYOPENSSL", "_raise_ssl_error"),
            ("_OF_CONNECTIONS", "_into_ssl"),
            ("_OF_TWISTED", "_lostTLSConnection"),
            ("_OF_PROTOCOLS", "_appSendBuffer"),
        ):
            names = getattr(tlstransport, where)
            self.assertIn(name, names)
            with monkeyPatched(tlstransport, where, (*names, "_ofTheFuture")):
                self.assertEqual(missingNames(), ["_ofTheFuture"])
                self.assertIs(self.make().protocol, TLSMemoryBIOFactory.protocol)

    def test_otherPyOpenSSL(self) -> None:
        """Without the library below pyOpenSSL, everything that is wanted of it is
        missing."""
        self.patch(tlstransport, "_lib", None)
        self.patch(tlstransport, "_ffi", None)
        self.assertEqual(
            missingNames(),
            [*tlstransport._OF_OPENSSL, "buffer", "from_buffer", "new_allocator"],
        )

    def test_importedElsewhere(self) -> None:
        """The module can be imported where something is missing."""
        spec = importlib.util.spec_from_file_location(
            "twisted_ws.elsewhere", tlstransport.__file__
        )
        assert spec is not None
        assert spec.loader is not None
        elsewhere: Any = importlib.util.module_from_spec(spec)
        method = SSL.Connection._raise_ssl_error
        del SSL.Connection._raise_ssl_error
        try:
            spec.loader.exec_module(elsewhere)
            factory = elsewhere.makeTLSFactory(
                _ConnectionCreator(CONTEXT), False, Factory.forProtocol(Protocol)
            )
        finally:
            SSL.Connection._raise_ssl_error = method  # type: ignore[method-assign]
        self.assertIs(factory.protocol, TLSMemoryBIOFactory.protocol)

    def test_client(self) -> None:
        """A client's connections are wrapped, too, and its protocol is what it asked
        for."""
        made: list[Any] = []

        @implementer(IStreamClientEndpoint)
        class Endpoint:
            def connect(self, factory: Any) -> Deferred[Any]:
                protocol = factory.buildProtocol(None)
                protocol.makeConnection(StringTransport())
                made.append(protocol)
                return succeed(protocol)

        @implementer(IOpenSSLContextFactory)
        class Creator:
            def getContext(self) -> SSL.Context:
                return SSL.Context(SSL.TLS_CLIENT_METHOD)

        creator = Creator()
        wrapper = TLSClientWrapper(creator, Endpoint())
        protocol = self.successResultOf(wrapper.connect(Factory.forProtocol(Protocol)))
        (tls,) = made
        self.assertIsInstance(tls, QuickTLSProtocol)
        self.assertIs(protocol, tls.wrappedProtocol)
        # A ClientHello went out.
        self.assertTrue(tls.transport.value().startswith(b"\x16\x03"))
