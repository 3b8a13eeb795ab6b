"""TCP connections without a network: what Twisted's transports do, this does."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws.memory import (
    CLIENT,
    SERVER,
    Direction,
    MemoryTLSTransport,
    MemoryTransport,
)


class Ends(Protocol):
    """Notes how its connection ended."""

    reason: Any = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.reason = reason.value


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.told.append("stop")


class TransportTests(SynchronousTestCase):
    """:class:`MemoryTransport`."""

    kind: type[MemoryTransport] = MemoryTransport

    def setUp(self) -> None:
        """Have a protocol on a transport."""
        self.clock = Clock()
        self.transport = self.kind(self.clock)
        self.ends = self.transport.protocol = Ends()

    def test_addresses(self) -> None:
        """It knows both ends, and where its port is bound to."""
        self.assertEqual(self.transport.getPeer(), CLIENT)
        self.assertEqual(self.transport.getHost(), SERVER)
        bound = MemoryTransport(self.clock, bound="127.0.0.1").server
        self.assertEqual(bound.getHost().host, "127.0.0.1")
        self.transport.setTcpNoDelay(True)
        self.assertTrue(self.transport.noDelay)

    def test_write(self) -> None:
        """What is written waits for the peer to read; only bytes can be."""
        self.transport.write(b"ab")
        self.transport.writeSequence([b"c", b"d"])
        self.assertEqual(self.transport.received, b"")
        self.assertTrue(self.transport.canFlush)
        self.transport.flush()
        self.assertEqual(self.transport.received, b"abcd")
        self.assertFalse(self.transport.canFlush)
        self.assertRaises(TypeError, self.transport.write, "e")

    def test_producer(self) -> None:
        """A producer is paused while over 64 KiB wait, resumed when nothing does, and
        stopped at the end."""
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.assertRaises(
            RuntimeError, self.transport.registerProducer, Producer(), True
        )
        self.transport.write(bytes(70_000))
        self.assertEqual(producer.told, ["pause"])
        self.transport.flush()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.transport.vanish()
        self.assertEqual(producer.told, ["pause", "resume", "stop"])
        self.transport.vanish()
        self.assertIsInstance(self.ends.reason, ConnectionLost)
        late = Producer()
        self.transport.registerProducer(late, True)
        self.assertEqual(late.told, ["stop"])

    def test_noPullProducer(self) -> None:
        """Pull producers it has none, and says so."""
        self.assertRaises(
            NotImplementedError, self.transport.registerProducer, Producer(), False
        )
        self.transport.registerProducer(Producer(), True)
        self.transport.unregisterProducer()
        self.assertIsNone(self.transport.producer)

    def test_abort(self) -> None:
        """Aborting ends it in the next turn; nothing is read or written meanwhile."""
        self.transport.write(b"lost")
        self.transport.abortConnection()
        self.transport.abortConnection()
        self.transport.write(b"late")
        self.transport.flush()
        self.transport.resumeProducing()
        self.assertEqual(self.transport.late, [b"late"])
        self.assertEqual(self.transport.received, b"")
        self.assertFalse(self.transport.reading or self.transport.canFlush)
        self.assertIsNone(self.ends.reason)
        self.clock.advance(0)
        self.assertIsInstance(self.ends.reason, ConnectionAborted)

    def test_pause(self) -> None:
        """Reading can be paused, as long as there is something to read."""
        self.transport.pauseProducing()
        self.assertFalse(self.transport.reading)
        self.transport.resumeProducing()
        self.assertTrue(self.transport.reading)
        self.transport.vanish()
        self.transport.resumeProducing()
        self.assertFalse(self.transport.reading)


class TCPTests(TransportTests):
    """What is so for TCP only."""

    def test_close(self) -> None:
        """Closing waits for what was written."""
        self.transport.write(b"last")
        self.transport.stopProducing()
        self.assertFalse(self.transport.reading)
        self.transport.resumeProducing()
        self.assertFalse(self.transport.reading)
        self.assertFalse(self.transport.hasEnded)
        self.transport.flush()
        self.assertIsInstance(self.ends.reason, ConnectionDone)
        self.assertTrue(self.transport.hasEnded)

    def test_halfClose(self) -> None:
        """One direction can be closed behind what was written, and then the other."""
        self.transport.write(b"last")
        self.transport.loseWriteConnection()
        self.assertFalse(self.transport.hasEnded)
        self.transport.flush()
        self.assertTrue(self.transport.hasEnded)
        self.assertIsNone(self.ends.reason)
        self.transport.loseConnection()
        self.assertIsInstance(self.ends.reason, ConnectionDone)


class TLSTests(TransportTests):
    """:class:`MemoryTLSTransport`."""

    kind = MemoryTLSTransport

    def test_close(self) -> None:
        """Closing waits for the peer's close_notify, and reads until then."""
        self.transport.write(b"last")
        self.transport.loseConnection()
        self.transport.flush()
        self.assertTrue(self.transport.hasEnded)
        self.assertIsNone(self.ends.reason)
        self.transport.pauseProducing()
        self.transport.resumeProducing()
        self.assertTrue(self.transport.reading)
        self.transport.peerClosed()
        self.transport.resumeProducing()
        self.assertFalse(self.transport.reading)
        self.assertIsInstance(self.ends.reason, ConnectionDone)

    def test_looksLikeTLS(self) -> None:
        """It is taken for TLS, with the certificate that a test gives it; there is no
        half-close."""
        self.assertTrue(INegotiated.providedBy(self.transport))
        transport: Any = self.transport
        self.assertIsNone(transport.getPeerCertificate())
        self.assertIsNone(transport.loseWriteConnection)


class DirectionTests(SynchronousTestCase):
    """:class:`Direction`."""

    def setUp(self) -> None:
        """Have one, that notes when something arrives."""
        self.clock = Clock()
        self.arrived: list[float] = []
        self.way = Direction(
            self.clock, lambda: self.arrived.append(self.clock.seconds())
        )

    def test_order(self) -> None:
        """Bytes arrive in order, chopped, and then the end."""
        self.way.put(b"abc")
        self.way.put(b"de")
        self.way.finish()
        self.way.chop = 2
        self.assertFalse(self.way.isAtEnd)
        found = [self.way.take() for _ in range(4)]
        self.assertEqual(found, [b"ab", b"cd", b"e", b""])
        self.assertTrue(self.way.isAtEnd)
        self.assertTrue(self.way.isFinished)

    def test_delay(self) -> None:
        """What is late is told of when it is there, once for each time."""
        self.way.delay = 0.1
        found = []
        for _ in range(3):
            self.way.put(b"a")
            found.append(self.way.take())
            self.clock.advance(0.05)
        self.assertEqual(found, [b"", b"", b"a"])
        self.clock.advance(0.2)
        self.assertEqual(self.way.take(), b"aa")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.arrived), 2)

    def test_chopNothing(self) -> None:
        """Less than a byte at a time is refused, when it is set."""
        for size in (0, -1):
            with self.assertRaises(ValueError):
                self.way.chop = size
        self.way.chop = 1
        self.assertEqual(self.way.chop, 1)

    def test_hold(self) -> None:
        """While held, nothing arrives and there is no end."""
        self.way.hold()
        self.way.put(b"a")
        self.way.finish()
        self.assertEqual((self.way.take(), self.way.isAtEnd), (b"", False))
        self.way.release()
        self.assertEqual((self.way.take(), self.way.isAtEnd), (b"a", True))
        self.assertEqual(self.arrived, [0.0])

    def test_drop(self) -> None:
        """As many bytes are lost as was said, over several pieces."""
        self.way.drop(4)
        self.way.put(b"abc")
        self.way.put(b"de")
        self.assertEqual(self.way.take(), b"e")
        self.way.drop(10)
        self.way.put(b"f")
        self.way.mend()
        self.way.put(b"g")
        self.assertEqual(self.way.take(), b"g")

    def test_cut(self) -> None:
        """Everything is lost, the end included, until it is mended."""
        self.way.cut()
        self.way.put(b"a")
        self.way.finish()
        self.assertEqual((self.way.take(), self.way.isAtEnd), (b"", False))
        self.assertEqual(self.way.waiting, 0)

    def test_reset(self) -> None:
        """A reset overtakes what is on its way."""
        self.way.delay = 1
        self.way.put(b"a")
        self.way.finish(reset=True)
        self.assertFalse(self.way.isAtEnd)
        self.clock.advance(1)
        self.assertEqual((self.way.take(), self.way.isAtEnd), (b"", True))
        self.assertTrue(self.way.wasReset)

    def test_clear(self) -> None:
        """What is cleared leaves no delayed call."""
        self.way.delay = 1
        self.way.put(b"a")
        self.way.take()
        self.way.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.way.waiting, 0)
