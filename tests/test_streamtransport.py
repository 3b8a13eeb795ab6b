"""The transport of a stream protocol over WebSocket: what is written arrives, whole and
in order; producers are paused; closing comes last."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support import WireTestCase, logged
from twisted_ws.interfaces import ClosedCleanly
from twisted_ws.sending import TRANSPORT_BUFFER
from twisted_ws.stream import StreamFactory
from twisted_ws.streamtransport import MESSAGE_SIZE, StreamTransport
from twisted_ws.testing import BINARY, TEXT, RawPeer, closing, frame

KIB = 1024
MIB = 1024 * KIB


class Stream(Protocol):
    """A stream protocol that writes down what becomes of it.

    :param reactions: what to do when something happens, by the method's name
    """

    transport: Any

    def __init__(self, **reactions: Callable[..., object]) -> None:
        self.reactions = reactions
        self.received: list[bytes] = []
        self.reason: Any = None
        self.losses = 0

    def _react(self, name: str, *arguments: Any) -> object:
        reaction = self.reactions.get(name)
        return None if reaction is None else reaction(self, *arguments)

    def connectionMade(self) -> None:
        """React."""
        self._react("connectionMade")

    def dataReceived(self, data: bytes) -> Any:
        """Write it down, and react."""
        self.received.append(data)
        return self._react("dataReceived", data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Write it down."""
        self.losses += 1
        self.reason = reason.value
        self._react("connectionLost")


class Producer:
    """A producer that writes down what it is told.

    :param reaction: what to do when it is resumed
    """

    def __init__(self, reaction: Callable[[], object] = lambda: None) -> None:
        self.reaction = reaction
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Write it down."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Write it down, and react."""
        self.told.append("resume")
        self.reaction()

    def stopProducing(self) -> None:
        """Write it down."""
        self.told.append("stop")


class StreamCase(WireTestCase):
    """A short way to a stream over a WebSocket without a network."""

    def stream(
        self,
        protocol: Stream | None = None,
        *headers: str,
        secure: bool = False,
        gathering: bool = True,
        messageSize: int = MESSAGE_SIZE,
        **options: Any,
    ) -> tuple[Stream, RawPeer]:
        """Give an open stream, and its peer.

        :param protocol: the server's protocol
        :param headers: of the request
        :param secure: over TLS
        :param gathering: as for :class:`StreamFactory`
        :param messageSize: likewise
        :param options: of the server
        """
        found = protocol or Stream()
        factory = Factory.forProtocol(lambda: found)
        served = StreamFactory(factory, messageSize, gathering)
        peer = self.serve(served, **options).open(*headers, secure=secure)
        self.assertEqual(peer.response.status, 101)
        return found, peer

    def turn(self, peer: RawPeer) -> None:
        """Let what is due happen, and what that brings."""
        peer.advance(0)

    def joined(self, peer: RawPeer) -> bytes:
        """Give the bytes that a peer got, the messages put together."""
        return b"".join(payload for first, payload in peer.frames if first == BINARY)


class WritingTests(StreamCase):
    """``write`` and ``writeSequence``."""

    def test_interfaces(self) -> None:
        """It is what Twisted's protocols and producers expect."""
        stream, _ = self.stream()
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, stream.transport)
        self.assertFalse(hasattr(stream.transport, "loseWriteConnection"))

    def test_whileConnecting(self) -> None:
        """What ``connectionMade`` writes goes out behind the 101."""

        def greet(stream: Stream) -> None:
            stream.transport.write(b"hello ")
            stream.transport.writeSequence([b"wor", b"", b"ld"])

        _, peer = self.stream(Stream(connectionMade=greet))
        self.assertEqual(peer.frames, [(BINARY, b"hello world")])

    def test_gathered(self) -> None:
        """Small writes in one turn of the reactor are one message at its end."""
        stream, peer = self.stream()
        for piece in (b"a", b"b", b"c"):
            stream.transport.write(piece)
        peer.pump()
        self.assertEqual(peer.frames, [])
        self.turn(peer)
        stream.transport.write(b"d")
        self.turn(peer)
        self.assertEqual(peer.frames, [(BINARY, b"abc"), (BINARY, b"d")])

    def test_notGathered(self) -> None:
        """Where that is not wanted each write is a message, at once."""
        stream, peer = self.stream(gathering=False)
        stream.transport.write(b"a")
        stream.transport.write(b"b")
        peer.pump()
        self.assertEqual(peer.frames, [(BINARY, b"a"), (BINARY, b"b")])

    def test_answers(self) -> None:
        """What is written in ``dataReceived`` is one message at its end, and needs no
        turn of the reactor."""

        def answer(stream: Stream, data: bytes) -> None:
            for number in range(len(data)):
                stream.transport.write(data[number : number + 1].upper())

        for gathering in (True, False):
            _, peer = self.stream(Stream(dataReceived=answer), gathering=gathering)
            peer.send(frame(BINARY, b"abc"), frame(BINARY, b"de"))
            self.assertEqual(peer.frames, [(BINARY, b"ABC"), (BINARY, b"DE")])

    def test_large(self) -> None:
        """A long write becomes messages of the greatest size, at once and in order;
        what is left over is one more."""
        data = bytes(range(256)) * 1000
        stream, peer = self.stream(messageSize=100_000)
        stream.transport.write(b"first ")
        stream.transport.write(data)
        peer.pump()
        sizes = [len(payload) for _, payload in peer.frames]
        self.assertEqual(sizes, [100_000, 100_000, 56_006])
        self.assertEqual(self.joined(peer), b"first " + data)
        self.turn(peer)
        self.assertEqual(len(peer.frames), 3)

    def test_exactly(self) -> None:
        """A write of just the greatest size is one message."""
        stream, peer = self.stream(messageSize=1000)
        for size in (1000, 2000, 1001):
            before = len(peer.frames)
            stream.transport.write(bytes(size))
            self.turn(peer)
            sizes = [len(payload) for _, payload in peer.frames[before:]]
            self.assertEqual(sizes, [1000] * (size // 1000) + [1] * (size % 1000))

    def test_buffers(self) -> None:
        """A bytearray and a memoryview are copied when they are written."""
        stream, peer = self.stream()
        data = bytearray(b"abc")
        stream.transport.write(data)
        stream.transport.write(memoryview(data))
        data[:] = b"xyz"
        self.turn(peer)
        self.assertEqual(peer.frames, [(BINARY, b"abcabc")])

    def test_notBytes(self) -> None:
        """Text is a mistake, as with every transport."""
        stream, _ = self.stream()
        with self.assertRaisesRegex(TypeError, "bytes, not str"):
            stream.transport.write("text")

    def test_nothing(self) -> None:
        """No bytes are no message."""
        stream, peer = self.stream()
        stream.transport.write(b"")
        stream.transport.writeSequence([])
        self.turn(peer)
        self.assertEqual(peer.frames, [])
        peer.send(frame(BINARY, b""))
        self.assertEqual(stream.received, [])

    def test_base64(self) -> None:
        """With the subprotocol base64 the messages are texts of at most the size."""
        stream, peer = self.stream(
            None, "Sec-WebSocket-Protocol: base64", messageSize=8
        )
        stream.transport.write(b"0123456789")
        self.turn(peer)
        self.assertEqual(
            peer.frames,
            [(TEXT, b64encode(part)) for part in (b"012345", b"6789")],
        )

    def test_late(self) -> None:
        """What is written after the end is dropped."""
        stream, peer = self.stream()
        peer.send(closing())
        stream.transport.write(b"late")
        peer.vanish()
        stream.transport.write(b"later")
        self.turn(peer)
        self.assertEqual(self.joined(peer), b"")

    @settings(max_examples=60, deadline=None)
    @given(
        sizes=st.lists(st.integers(0, 4000), max_size=20),
        size=st.integers(300, 1500),
        reads=st.lists(st.booleans(), min_size=20, max_size=20),
    )
    def test_whole(self, sizes: list[int], size: int, reads: list[bool]) -> None:
        """Whatever is written, and however the peer reads, it gets those bytes in
        order, in messages of at most the size."""
        stream, peer = self.stream(messageSize=size)
        written = b""
        for number, length in enumerate(sizes):
            peer.reads = reads[number]
            data = bytes([number + 1]) * (length * 50 if number == 3 else length)
            written += data
            stream.transport.write(data)
            self.turn(peer)
        peer.reads = True
        self.turn(peer)
        self.assertEqual(self.joined(peer), written)
        self.assertTrue(all(len(payload) <= size for _, payload in peer.frames))


class CongestionTests(StreamCase):
    """A peer that does not read."""

    def congested(self, **arguments: Any) -> tuple[Stream, RawPeer]:
        """Give a stream that is congested."""
        stream, peer = self.stream(**arguments)
        peer.reads = False
        stream.transport.write(bytes(2 * MESSAGE_SIZE))
        self.assertTrue(stream.transport.webSocket.isCongested)
        return stream, peer

    def test_waits(self) -> None:
        """What is written then waits, and goes when the peer reads; small writes go
        together, in messages of the size."""
        stream, peer = self.congested(messageSize=1000)
        for number in range(5000):
            stream.transport.write(b"%04d" % number)
        self.assertLess(len(stream.transport._queue), 200)
        peer.reads = True
        self.turn(peer)
        expected = b"".join(b"%04d" % number for number in range(5000))
        self.assertEqual(self.joined(peer)[2 * MESSAGE_SIZE :], expected)
        self.assertEqual({len(p) for _, p in peer.frames[:-1]}, {1000})

    def test_oneLongWrite(self) -> None:
        """One write may be of any length, as with TCP: only the next one counts."""
        stream, peer = self.stream(maxSendBuffer=MIB)
        peer.reads = False
        stream.transport.write(bytes(5 * MIB))
        peer.pump()
        self.assertFalse(stream.transport.disconnecting)
        peer.reads = True
        self.turn(peer)
        self.assertEqual(len(self.joined(peer)), 5 * MIB)
        stream.transport.write(b"more")
        self.turn(peer)
        self.assertEqual(self.joined(peer)[-4:], b"more")

    def test_F12_slowConsumer(self) -> None:
        """For who goes on writing with ``maxSendBuffer`` bytes waiting, the connection
        is closed with 1008, and the log says why; the producer is told."""
        stream, peer = self.stream(maxSendBuffer=MIB)
        producer = Producer()
        stream.transport.registerProducer(producer, True)
        peer.reads = False
        stream.transport.write(bytes(3 * MIB))
        with logged() as lines:
            stream.transport.write(b"x")
            stream.transport.write(b"y")
        self.assertIn("slow consumer: 1048576 bytes", "".join(lines))
        self.assertEqual(producer.told[-1], "stop")
        peer.reads = True
        self.turn(peer)
        self.assertEqual(
            peer.closeFrame, (1008, "slow consumer: 1048576 bytes wait to be sent")
        )
        peer.send(closing(1008))
        self.assertIsInstance(stream.reason, ConnectionLost)

    def test_readsOn(self) -> None:
        """What the peer sends is delivered meanwhile: both may have much to say, and
        must not wait for each other to read."""
        stream, peer = self.congested()
        peer.send(frame(BINARY, b"still here"))
        self.assertEqual(stream.received, [b"still here"])
        peer.reads = True
        self.turn(peer)
        # In a second round, too, where the WebSocket lets something in between.
        peer.reads = False
        stream.transport.write(bytes(2 * MESSAGE_SIZE))
        peer.send(frame(BINARY, b"1"), frame(BINARY, b"2"))
        peer.send(frame(BINARY, b"3"))
        self.assertEqual(stream.received[1:], [b"1", b"2", b"3"])

    def test_silence(self) -> None:
        """The silence of a peer that does not read is not held against it, as it finds
        no ping; when it has read, it is."""
        stream, peer = self.congested()
        peer.advance(300)
        self.assertIsNone(stream.reason)
        peer.reads = True
        self.turn(peer)
        peer.advance(60)
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1011)


class ProducerTests(StreamCase):
    """Producers of the protocol, and the stream as a producer."""

    def test_push(self) -> None:
        """A push producer is left alone until too much waits, then paused, and resumed
        when all has left."""
        stream, peer = self.stream()
        producer = Producer()
        stream.transport.registerProducer(producer, True)
        stream.transport.write(b"little")
        self.turn(peer)
        self.assertEqual(producer.told, [])
        peer.reads = False
        stream.transport.write(bytes(2 * MESSAGE_SIZE))
        self.assertEqual(producer.told[:1], ["pause"])
        self.assertNotIn("resume", producer.told)
        peer.reads = True
        self.turn(peer)
        self.assertEqual(producer.told[-1], "resume")
        stream.transport.unregisterProducer()
        self.assertNotIn("stop", producer.told)

    def test_beginsByItself(self) -> None:
        """A producer that begins in ``connectionMade``, before the first byte can go,
        is not paused for that, but is as soon as it has written 64 KiB."""
        producer = Producer()

        def begin(stream: Stream) -> None:
            stream.transport.registerProducer(producer, True)
            stream.transport.write(bytes(TRANSPORT_BUFFER - 1))
            self.assertEqual(producer.told, [])
            stream.transport.write(b"x")
            self.assertEqual(producer.told, ["pause"])
            stream.transport.write(b"y")
            self.assertEqual(producer.told, ["pause"] * 2)

        _, peer = self.stream(Stream(connectionMade=begin))
        self.assertEqual(producer.told[-1], "resume")
        self.assertEqual(len(self.joined(peer)), TRANSPORT_BUFFER + 1)

    def test_pull(self) -> None:
        """A pull producer is asked for more in each turn of the reactor, while the
        peer reads."""
        left = [b"a" * MESSAGE_SIZE] * 3
        stream, peer = self.stream()

        def produce() -> None:
            if left:
                stream.transport.write(left.pop())
            else:
                stream.transport.unregisterProducer()
                stream.transport.loseConnection()

        producer = Producer(produce)
        peer.reads = False
        stream.transport.registerProducer(producer, False)
        for _ in range(10):
            self.turn(peer)
        self.assertEqual(len(left), 2)
        peer.reads = True
        for _ in range(10):
            self.turn(peer)
        self.assertEqual(len(self.joined(peer)), 3 * MESSAGE_SIZE)
        self.assertEqual(peer.closeFrame, (1000, ""))
        self.assertEqual(producer.told, ["resume"] * 4)

    def test_pullBeforeOpen(self) -> None:
        """A pull producer that is registered in ``connectionMade`` begins when the
        connection is open, and one that is taken away then never does."""
        producer, other = Producer(), Producer()

        def begin(stream: Stream) -> None:
            stream.transport.registerProducer(other, False)
            stream.transport.unregisterProducer()
            stream.transport.registerProducer(producer, False)
            self.assertEqual(producer.told, [])

        stream, _ = self.stream(Stream(connectionMade=begin))
        self.assertEqual(producer.told, ["resume"])
        stream.transport.unregisterProducer()
        self.assertEqual(other.told, [])

    def test_pullRaises(self) -> None:
        """A pull producer that raises ends the connection with 1011."""
        stream, peer = self.stream()

        def fail() -> None:
            raise RuntimeError("out of order")

        stream.transport.registerProducer(Producer(fail), False)
        peer.pump()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(peer.closeFrame, (1011, "internal error"))

    def test_two(self) -> None:
        """There is one producer at a time."""
        stream, _ = self.stream()
        stream.transport.registerProducer(Producer(), True)
        with self.assertRaisesRegex(RuntimeError, "never unregistered"):
            stream.transport.registerProducer(Producer(), True)

    def test_ends(self) -> None:
        """When the connection ends, the producer is stopped; one that comes later is at
        once."""
        stream, peer = self.stream()
        producer, late = Producer(), Producer()
        stream.transport.registerProducer(producer, True)
        peer.send(closing())
        self.assertEqual(producer.told, ["stop"])
        stream.transport.registerProducer(late, True)
        self.assertEqual(late.told, ["stop"])

    def test_pausing(self) -> None:
        """Paused, the protocol gets nothing more, from the next message on; nothing is
        lost."""

        def pause(stream: Stream, _: bytes) -> None:
            stream.transport.pauseProducing()

        stream, peer = self.stream(Stream(dataReceived=pause))
        peer.send(frame(BINARY, b"1"), frame(BINARY, b"2"))
        peer.send(frame(BINARY, b"3"))
        self.assertEqual(stream.received, [b"1"])
        self.assertFalse(peer.transport.reading)
        stream.transport.resumeProducing()
        self.assertEqual(stream.received, [b"1", b"2"])
        stream.transport.resumeProducing()
        peer.pump()
        self.assertEqual(stream.received, [b"1", b"2", b"3"])

    def test_stopProducing(self) -> None:
        """To stop it as a producer is to close it."""
        stream, peer = self.stream()
        stream.transport.stopProducing()
        peer.pump()
        self.assertEqual(peer.closeFrame, (1000, ""))


class ClosingTests(StreamCase):
    """``loseConnection`` and ``abortConnection``."""

    def test_behindWhatWasWritten(self) -> None:
        """Everything that was written before goes first."""
        stream, peer = self.stream()
        peer.reads = False
        data = bytes(MIB)
        stream.transport.write(data)
        stream.transport.loseConnection()
        self.assertTrue(stream.transport.disconnecting)
        stream.transport.write(b"even this")
        peer.pump()
        self.assertIsNone(stream.reason)
        peer.reads = True
        self.turn(peer)
        self.assertEqual(self.joined(peer), data + b"even this")
        self.assertEqual(peer.closeFrame, (1000, ""))
        peer.send(closing())
        self.assertIsInstance(stream.reason, ConnectionDone)
        self.assertFalse(stream.transport.connected)

    def test_atOnce(self) -> None:
        """In ``connectionMade`` it can be called, too."""

        def leave(stream: Stream) -> None:
            stream.transport.write(b"bye")
            stream.transport.loseConnection()

        _, peer = self.stream(Stream(connectionMade=leave))
        self.assertEqual(self.joined(peer), b"bye")
        self.assertEqual(peer.closeFrame, (1000, ""))
        _, peer = self.stream(
            Stream(connectionMade=lambda stream: stream.transport.loseConnection())
        )
        self.assertEqual(peer.closeFrame, (1000, ""))

    def test_inAnAnswer(self) -> None:
        """In ``dataReceived`` it can be called before the last write, and nothing more
        comes."""

        def answer(stream: Stream, data: bytes) -> None:
            stream.transport.loseConnection()
            stream.transport.write(data)

        stream, peer = self.stream(Stream(dataReceived=answer))
        peer.send(frame(BINARY, b"1"), frame(BINARY, b"2"))
        self.assertEqual(self.joined(peer), b"1")
        self.assertEqual(stream.received, [b"1"])

    def test_codes(self) -> None:
        """A code and a reason can be given, and have to be right; the first call
        counts."""
        stream, peer = self.stream()
        with self.assertRaises(ValueError):
            stream.transport.loseConnection(1006)
        self.assertFalse(stream.transport.disconnecting)
        stream.transport.loseConnection(4000, "why")
        stream.transport.loseConnection()
        peer.pump()
        self.assertEqual(peer.closeFrame, (4000, "why"))

    def test_producer(self) -> None:
        """With a producer it waits until that has unregistered, however long it
        takes, and what it writes is sent."""
        stream, peer = self.stream(pingInterval=0)
        stream.transport.registerProducer(Producer(), True)
        stream.transport.loseConnection()
        for _ in range(3):
            peer.advance(30)
            stream.transport.write(b"x")
        self.turn(peer)
        self.assertEqual(self.joined(peer), b"xxx")
        stream.transport.unregisterProducer()
        peer.pump()
        self.assertEqual(peer.closeFrame, (1000, ""))

    def test_producerInAnAnswer(self) -> None:
        """A producer may unregister in ``dataReceived``."""

        def finish(stream: Stream, _: bytes) -> None:
            stream.transport.unregisterProducer()
            stream.transport.write(b"last")
            stream.transport.loseConnection()

        stream, peer = self.stream(Stream(dataReceived=finish))
        stream.transport.registerProducer(Producer(), True)
        peer.send(frame(BINARY, b"finish"))
        self.assertEqual(self.joined(peer), b"last")
        self.assertEqual(peer.closeFrame, (1000, ""))

    def test_producerAfterClosing(self) -> None:
        """A producer that unregisters in ``dataReceived``'s course, when the connection
        is closing, lets it close at the end of that."""
        stream, peer = self.stream()
        stream.transport.registerProducer(Producer(), True)
        stream.transport.loseConnection()
        stream.transport.hold()
        stream.transport.unregisterProducer()
        peer.pump()
        self.assertIsNone(peer.closeFrame)
        stream.transport.release()
        peer.pump()
        self.assertEqual(peer.closeFrame, (1000, ""))

    def test_paused(self) -> None:
        """A protocol that has paused closes all the same: the answer is found."""
        stream, peer = self.stream()
        stream.transport.pauseProducing()
        stream.transport.loseConnection()
        stream.transport.pauseProducing()
        peer.send(frame(BINARY, b"dropped"), closing())
        self.assertIsInstance(stream.reason, ConnectionDone)
        self.assertEqual(stream.received, [])

    def test_T02_stalled(self) -> None:
        """A peer that takes nothing for ``closeTimeout`` seconds is aborted: it cannot
        hold for ever what waits for it. One that reads slowly gets it all."""
        stream, peer = self.stream(closeTimeout=5)
        peer.reads = False
        stream.transport.write(bytes(MIB))
        stream.transport.loseConnection()
        for _ in range(6):
            peer.advance(4)
            self.assertIsNone(stream.reason)
            peer.transport.flush()
        peer.advance(6)
        self.assertIsInstance(stream.reason, ConnectionLost)
        self.assertEqual(stream.transport._queued, 0)

    def test_stalledLate(self) -> None:
        """The time counts from when the peer began to take nothing."""
        stream, peer = self.stream(closeTimeout=5)
        stream.transport.registerProducer(Producer(), True)
        stream.transport.loseConnection()
        peer.advance(4)
        peer.reads = False
        stream.transport.write(bytes(MIB))
        peer.advance(4)
        self.assertIsNone(stream.reason)
        peer.advance(2)
        self.assertIsInstance(stream.reason, ConnectionLost)

    def test_abort(self) -> None:
        """``abortConnection`` ends it at once, and nothing more comes or goes."""
        stream, peer = self.stream()
        stream.transport.write(b"lost")
        stream.transport.abortConnection()
        self.assertTrue(stream.transport.disconnecting)
        self.turn(peer)
        self.assertFalse(peer.isConnected)
        self.assertIsInstance(stream.reason, ConnectionLost)
        self.assertEqual(self.joined(peer), b"")

    def test_abortWhileClosing(self) -> None:
        """Also when it was closing already."""
        stream, peer = self.stream()
        peer.reads = False
        stream.transport.write(bytes(MIB))
        stream.transport.loseConnection()
        stream.transport.abortConnection()
        self.turn(peer)
        self.assertIsInstance(stream.reason, ConnectionLost)


class BelowTests(StreamCase):
    """What is passed on to the TCP transport, and TLS."""

    def test_addresses(self) -> None:
        """The addresses are those of the connection."""
        stream, peer = self.stream()
        self.assertEqual(stream.transport.getPeer(), peer.transport.getPeer())
        self.assertEqual(stream.transport.getHost(), peer.transport.getHost())

    def test_socketOptions(self) -> None:
        """Options of TCP go to the socket; where there are none, nothing happens."""
        stream, peer = self.stream()
        below: Any = peer.transport
        below.getTcpNoDelay = lambda: below.noDelay
        stream.transport.setTcpNoDelay(False)
        self.assertFalse(stream.transport.getTcpNoDelay())
        stream.transport.setTcpNoDelay(True)
        self.assertTrue(stream.transport.getTcpNoDelay())
        stream.transport.setTcpKeepAlive(True)
        self.assertFalse(stream.transport.getTcpKeepAlive())

        def fail(_: bool) -> None:
            raise OSError("not on a UNIX socket")

        below.setTcpKeepAlive = fail
        stream.transport.setTcpKeepAlive(True)

    def test_tls(self) -> None:
        """Over TLS the protocol can tell, and ask for the certificate."""
        stream, _ = self.stream()
        self.assertFalse(ISSLTransport.providedBy(stream.transport))
        stream, _ = self.stream(secure=True)
        self.assertTrue(ISSLTransport.providedBy(stream.transport))
        self.assertIsNone(stream.transport.getPeerCertificate())


class UnusualTests(SynchronousTestCase):
    """What a WebSocket transport of another make may do."""

    def test_noTCPBelow(self) -> None:
        """It needs not have a transport of its own below."""

        class Other:
            subprotocol = None
            pausesWhenCongested = True

            def registerProducer(self, producer: object, streaming: bool) -> None:
                """Take it."""

        transport = StreamTransport(Other())  # type: ignore[arg-type]
        self.assertFalse(transport.getTcpNoDelay())


class ReasonTests(StreamCase):
    """How the end of a stream is told."""

    def ended(self, *last: bytes) -> Any:
        """Give the reason after what the peer did last; without, it vanishes."""
        stream, peer = self.stream()
        if last:
            peer.send(*last)
        else:
            peer.vanish()
        self.assertEqual(stream.losses, 1)
        return stream.reason

    def test_whole(self) -> None:
        """Closed with 1000, 1001 or no code, the stream was whole: ConnectionDone."""
        for code in (1000, 1001, None):
            reason = self.ended(closing(code, "bye" if code else ""))
            self.assertIsInstance(reason, ConnectionDone)
            self.assertNotIsInstance(reason, ConnectionLost)
            self.assertEqual(reason.code, code or 1005)
        self.assertIsInstance(reason, ClosedCleanly)

    def test_broken(self) -> None:
        """Closed with another code, or not at all: ConnectionLost, with code and
        reason."""
        for code in (1011, 1012, 4000):
            reason = self.ended(closing(code, "why"))
            self.assertIsInstance(reason, ConnectionLost)
            self.assertNotIsInstance(reason, ConnectionDone)
            self.assertEqual((reason.code, reason.reason), (code, "why"))
            self.assertTrue(reason.wasClean)
        self.assertEqual(self.ended().code, 1006)
        self.assertIsInstance(self.ended(), ConnectionLost)
