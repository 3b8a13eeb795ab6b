"""What waits to be sent: order, gathering, limits, producers."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.sockets import FakeSocket, FDReactor
from tests.support import WireTestCase, logged
from twisted_ws.frames import encodeFrame
from twisted_ws.memory import MemoryTransport
from twisted_ws.sending import TRANSPORT_BUFFER, Production, PullToPush, SendBuffer
from twisted_ws.testing import PING, PONG, TEXT, Recorder, frame, readFrames

KIB = 1024
MARK = 64 * KIB
MOST = 256 * KIB
FULL = b"f" * (TRANSPORT_BUFFER + 1)
"""What a transport is full with."""


class Listener:
    """Writes down what it is told.

    :param reactions: what to do then, by name
    """

    def __init__(self, **reactions: Callable[[], object]) -> None:
        self.reactions = reactions
        self.told: list[str] = []

    def _tell(self, name: str) -> None:
        self.told.append(name)
        if name in self.reactions:
            self.reactions[name]()

    def sendBufferFilled(self) -> None:
        """Write it down."""
        self._tell("filled")

    def sendBufferEmptied(self) -> None:
        """Write it down."""
        self._tell("emptied")

    def sendBufferOverflowed(self) -> None:
        """Write it down."""
        self._tell("overflowed")

    def roomToSend(self) -> None:
        """Write it down."""
        self._tell("room")


class TCPTests(SynchronousTestCase):
    """The buffer on a stock transport of TCP."""

    def make(self) -> SendBuffer:
        """Make a buffer, ready to send."""
        self.reactor = FDReactor()
        self.socket: Any = FakeSocket(*[1000] * 9)
        arguments: Any = (self.socket, Protocol(), ("192.0.2.7", 1), None, 8)
        kind: Any = Server
        self.transport = kind(*arguments, self.reactor)
        buffer = SendBuffer(self.transport, MARK, MOST, Listener())
        buffer.start(b"head")
        buffer.uncork()
        self.transport.doWrite()
        self.assertEqual(self.socket.sent, b"head")
        self.socket.sent = b""
        return buffer

    def test_answers(self) -> None:
        """What was gathered goes to the socket at once, in one piece."""
        buffer = self.make()
        buffer.cork()
        buffer.write(b"one")
        buffer.write(b"two")
        self.assertEqual(self.socket.sent, b"")
        buffer.uncork()
        self.assertEqual(self.socket.sent, b"onetwo")
        self.assertEqual(self.reactor.writers, [])

    def test_others(self) -> None:
        """What is sent by itself waits for the reactor's next turn, in which all of it
        goes; what answers something waits behind it."""
        buffer = self.make()
        buffer.write(b"one")
        buffer.write(b"two")
        buffer.cork()
        buffer.write(b"three")
        buffer.uncork()
        self.assertEqual(self.socket.sent, b"")
        self.transport.doWrite()
        self.assertEqual(self.socket.sent, b"onetwothree")

    def test_eagerly(self) -> None:
        """That goes at once too, if it is asked for."""
        buffer = self.make()
        buffer.writeEagerly()
        buffer.write(b"one")
        self.assertEqual(self.socket.sent, b"one")


class SendBufferTests(SynchronousTestCase):
    """The buffer on a transport that does what Twisted's does."""

    transport: Any

    def make(
        self, highWaterMark: int = MARK, maxSendBuffer: int = MOST, started: bool = True
    ) -> SendBuffer:
        """Make a buffer, its transport and its listener.

        :param started: whether frames go out; the head was written then
        """
        self.listener = Listener()
        self.transport = MemoryTransport(Clock())
        buffer = SendBuffer(self.transport, highWaterMark, maxSendBuffer, self.listener)
        if started:
            buffer.start(b"")
            buffer.uncork()
            self.transport.writes.clear()
        return buffer

    def congest(self, buffer: SendBuffer) -> None:
        """Fill the transport, and forget about it."""
        buffer.write(FULL)
        self.assertTrue(self.transport.producerPaused)
        self.transport.writes.clear()

    def flush(self) -> bytes:
        """Have the peer read all, and give it, without what filled the transport."""
        for _ in range(100):
            if self.transport.buffer:
                self.transport.flush()
        data = bytes(self.transport.received)
        self.transport.received.clear()
        return data.removeprefix(FULL)

    def test_beforeTheStart(self) -> None:
        """Nothing goes out before the head, however much is gathered; then all goes in
        one write behind it."""
        buffer = self.make(started=False)
        buffer.write(FULL)
        buffer.write(b"b")
        self.assertEqual(self.transport.writes, [])
        self.assertIsNone(self.transport.producer)
        buffer.start(b"head")
        self.assertIs(self.transport.producer, buffer)
        self.assertEqual(self.transport.writes, [b"head"])
        buffer.uncork()
        self.assertEqual(self.transport.writes, [b"head", FULL + b"b"])

    def test_atOnce(self) -> None:
        """What is written goes out at once, in its own write; nothing waits, and
        nothing is told. An empty frame does nothing."""
        buffer = self.make()
        for each in (b"a", b"", b"b", b"x" * TRANSPORT_BUFFER):
            buffer.write(each)
            self.transport.flush()
        self.assertEqual(self.transport.writes, [b"a", b"b", b"x" * TRANSPORT_BUFFER])
        self.assertEqual(buffer.size, 0)
        self.assertEqual(self.listener.told, [])

    def test_corking(self) -> None:
        """Frames are gathered until the last of nested calls, and go in one write; with
        nothing gathered there is none."""
        buffer = self.make()
        buffer.cork()
        buffer.uncork()
        self.assertEqual(self.transport.writes, [])
        buffer.cork()
        buffer.write(b"a")
        buffer.cork()
        buffer.writePong(b"b")
        buffer.uncork()
        buffer.writeClose(b"c")
        self.assertEqual(self.transport.writes, [])
        buffer.uncork()
        self.assertEqual(self.transport.writes, [b"abc"])
        buffer.write(b"d")
        buffer.writeClose(b"e")
        self.assertEqual(self.transport.writes, [b"abc", b"d", b"e"])

    def test_corkingMuch(self) -> None:
        """Of what is gathered there is never more than a transport takes: it goes on
        its way, so that one who sends much in one go sees the buffer fill up."""
        buffer = self.make()
        buffer.cork()
        quarter = b"q" * (TRANSPORT_BUFFER // 4)
        for _ in range(3):
            buffer.write(quarter)
        self.assertEqual(self.transport.writes, [])
        buffer.write(quarter)
        self.assertEqual(self.transport.writes, [quarter * 4])
        for _ in range(4):
            buffer.write(quarter)
        self.assertEqual(self.listener.told, ["filled"])
        self.assertTrue(buffer.isFull)
        buffer.uncork()
        self.assertEqual(self.flush(), quarter * 8)

    def test_order(self) -> None:
        """What waits goes out in order, whatever its size, corked or not."""
        buffer = self.make(maxSendBuffer=16 * MOST)
        self.congest(buffer)
        frames = [bytes([65 + n]) * size for n, size in enumerate(SIZES)]
        for number, each in enumerate(frames):
            if number % 3 == 0:
                buffer.cork()
            buffer.write(each)
            if number % 3 == 0:
                buffer.uncork()
        buffer.writeClose(b"bye")
        self.assertEqual(self.transport.writes, [])
        self.assertTrue(buffer.size >= sum(map(len, frames)))
        self.assertEqual(self.flush(), b"".join(frames) + b"bye")
        self.assertEqual(buffer.size, 0)

    @given(
        steps=st.lists(
            st.sampled_from(["cork", "uncork", "flush", "pong"])
            | st.integers(1, 3 * TRANSPORT_BUFFER),
            max_size=40,
        )
    )
    @settings(deadline=None, max_examples=80, derandomize=True)
    def test_anyOrder(self, steps: list[str | int]) -> None:
        """Whatever happens meanwhile, every frame goes out whole, once and in order,
        and the buffer is as full as it told."""
        buffer = self.make(MARK, 1 << 30)
        corks = 0
        expected = []
        for number, step in enumerate(steps):
            if step == "cork":
                buffer.cork()
                corks += 1
            elif step == "uncork" and corks:
                buffer.uncork()
                corks -= 1
            elif step == "flush":
                self.transport.flush()
            elif step == "pong":
                buffer.writePong(encodeFrame(PONG, b"", None))
            elif isinstance(step, int):
                payload = number.to_bytes(1, "big") * step
                expected.append(payload)
                buffer.write(encodeFrame(TEXT, payload, None))
            marks = [each for each in self.listener.told if each != "room"]
            self.assertEqual(marks, (["filled", "emptied"] * 99)[: len(marks)])
            self.assertEqual(buffer.isFull, len(marks) % 2 == 1)
            self.assertTrue(buffer.isFull or buffer.size < MARK)
        for _ in range(corks):
            buffer.uncork()
        frames = readFrames(self.flush())
        self.assertEqual([data for first, data in frames if first == TEXT], expected)
        self.assertTrue(len(frames) - len(expected) <= steps.count("pong"))
        self.assertEqual(buffer.size, 0)
        self.assertFalse(buffer.isFull)

    def test_smallFramesAreKeptTogether(self) -> None:
        """Small frames that wait take little more than their bytes, large ones are not
        copied."""
        buffer = self.make(maxSendBuffer=16 * MOST)
        self.congest(buffer)
        for _ in range(100_000):
            buffer.write(b"123456")
        held = sys.getsizeof(buffer._queue) + sum(map(sys.getsizeof, buffer._queue))
        self.assertTrue(600_000 <= held < 1.3 * 600_000, held)
        self.assertTrue(len(buffer._queue) <= 10)
        large = b"x" * TRANSPORT_BUFFER
        buffer.write(large)
        self.assertIs(buffer._queue[-1], large)
        buffer.write(b"behind")
        self.assertEqual(self.flush(), b"123456" * 100_000 + large + b"behind")

    def test_size(self) -> None:
        """What waits is counted from when the transport has enough, what is there
        included, until it has written everything."""
        buffer = self.make(maxSendBuffer=16 * MOST)
        buffer.write(b"x" * TRANSPORT_BUFFER)
        self.assertEqual(buffer.size, 0)
        buffer.write(b"x")
        self.assertEqual(buffer.size, TRANSPORT_BUFFER)
        buffer.write(b"123")
        self.assertEqual(buffer.size, TRANSPORT_BUFFER + 3)
        self.transport.flush()
        self.assertEqual(buffer.size, 0)
        buffer.write(b"x" * MOST)
        self.assertEqual(buffer.size, MOST)

    def test_mark(self) -> None:
        """It is told once when it has filled up, and once when all has left, which is
        followed by the word that there is room."""
        buffer = self.make(2 * MARK)
        self.congest(buffer)
        self.assertEqual(self.listener.told, [])
        buffer.write(b"x" * (MARK - 2))
        self.assertFalse(buffer.isFull)
        buffer.write(b"x")
        self.assertTrue(buffer.isFull)
        buffer.write(b"x" * MARK)
        self.assertEqual(self.listener.told, ["filled"])
        # The transport is full again with what waited.
        self.transport.flush()
        self.assertTrue(self.transport.producerPaused)
        self.assertEqual(self.listener.told, ["filled"])
        self.flush()
        self.assertEqual(self.listener.told, ["filled", "emptied", "room"])
        self.assertFalse(buffer.isFull)

    def test_roomWithoutMark(self) -> None:
        """That there is room is told also where the mark was not reached."""
        buffer = self.make(2 * MARK)
        self.congest(buffer)
        self.flush()
        self.assertEqual(self.listener.told, ["room"])

    def test_filledAgainWhenEmptied(self) -> None:
        """If it is filled up by who hears that it is empty, nobody hears of room."""
        buffer = self.make()
        self.listener.reactions["emptied"] = lambda: buffer.write(FULL)
        self.congest(buffer)
        self.transport.flush()
        self.assertEqual(self.listener.told, ["filled", "emptied", "filled"])
        self.assertTrue(buffer.isFull)

    def test_endedWhenEmptied(self) -> None:
        """If the connection is ended by who hears that it is empty, nobody hears of
        room."""
        buffer = self.make()
        self.listener.reactions["emptied"] = lambda: buffer.writeLast(b"bye")
        self.congest(buffer)
        self.transport.flush()
        self.assertEqual(self.listener.told, ["filled", "emptied"])

    def test_sendingWhenFilled(self) -> None:
        """What is sent by who hears that it is full comes behind what filled it, and
        behind what waits."""
        buffer = self.make(2 * MARK, 16 * MOST)
        self.listener.reactions["filled"] = lambda: buffer.write(b"told")
        self.congest(buffer)
        buffer.write(b"a" * 3 * MARK)
        buffer.write(b"b")
        self.assertEqual(self.flush(), b"a" * 3 * MARK + b"toldb")
        # Now a pong fills it up, on its way down before what waits.
        self.congest(buffer)
        buffer.write(b"a")
        buffer.writePong(b"p" * 3 * MARK)
        self.assertEqual(self.flush(), b"p" * 3 * MARK + b"atold")

    def test_F11_eachPongWhenNotCongested(self) -> None:
        """While the transport takes what it is given, each ping is answered."""
        buffer = self.make()
        pongs = [encodeFrame(PONG, str(n).encode(), None) for n in range(1000)]
        for each in pongs:
            buffer.writePong(each)
        self.assertEqual(self.transport.writes, pongs)

    def test_F11_newestPongWhenCongested(self) -> None:
        """While it does not, only the newest pong is kept, which counts for nothing,
        goes before messages that wait, and goes once."""
        buffer = self.make(highWaterMark=2 * MARK)
        self.congest(buffer)
        buffer.write(b"message")
        before = buffer.size
        for number in range(100_000):
            buffer.writePong(number.to_bytes(4, "big"))
        self.assertEqual(buffer.size, before)
        self.assertEqual(self.listener.told, [])
        self.assertEqual(self.flush(), (99_999).to_bytes(4, "big") + b"message")
        self.congest(buffer)
        self.assertEqual(self.flush(), b"")

    def test_F11_pongBeforeClose(self) -> None:
        """The pong that was kept does not end up behind a Close frame that is gathered
        when there is room."""
        buffer = self.make()
        self.congest(buffer)
        buffer.writePong(b"pong")
        buffer.cork()
        buffer.writeClose(b"close")
        self.transport.flush()
        buffer.uncork()
        self.assertEqual(self.flush(), b"pongclose")

    def test_F12_limit(self) -> None:
        """The message with which more than ``maxSendBuffer`` waits is still taken; the
        next one is not, and that is told. A Close frame is taken all the same."""
        buffer = self.make()
        self.congest(buffer)
        buffer.write(b"x" * (MOST - len(FULL) - 1))
        buffer.write(b"y" * MOST)
        self.assertEqual(self.listener.told, ["filled"])
        self.assertEqual(buffer.size, 2 * MOST - 1)
        buffer.write(b"z")
        self.assertEqual(self.listener.told, ["filled", "overflowed"])
        self.assertEqual(buffer.size, 2 * MOST - 1)
        buffer.writeClose(b"close")
        data = self.flush()
        self.assertEqual(data[-6:], b"yclose")
        self.assertEqual(len(data), 2 * MOST - len(FULL) - 1 + 5)

    def test_F12_limitOfWhatIsGathered(self) -> None:
        """What is gathered counts, also before the opening handshake's end."""
        buffer = self.make(started=False)
        for _ in range(4):
            buffer.write(b"x" * TRANSPORT_BUFFER)
        self.assertEqual(self.listener.told, [])
        buffer.write(b"x")
        self.assertEqual(self.listener.told, ["overflowed"])
        buffer = self.make()
        self.congest(buffer)
        buffer.cork()
        buffer.write(b"x" * (MOST - len(FULL) - 1))
        buffer.write(b"y")
        self.assertEqual(self.listener.told, ["filled"])
        buffer.write(b"z")
        self.assertEqual(self.listener.told, ["filled", "overflowed"])

    def test_last(self) -> None:
        """The last frame goes behind all that waits, in one write; then the transport
        is without a producer, and nothing is told of what it holds."""
        buffer = self.make()
        self.congest(buffer)
        buffer.write(b"queued ")
        buffer.writePong(b"pong")
        buffer.cork()
        buffer.write(b"gathered ")
        buffer.writeLast(b"close")
        buffer.uncork()
        self.assertIsNone(self.transport.producer)
        self.assertEqual(self.transport.writes, [b"queued gathered close"])
        self.assertEqual(self.flush(), b"queued gathered close")
        self.assertEqual(self.listener.told, ["filled"])
        # Once: a second last frame is none.
        buffer.writeLast(b"again")
        self.assertEqual(self.transport.writes, [b"queued gathered close"])

    def test_lastOfNothing(self) -> None:
        """With nothing that waits and no frame nothing is written."""
        buffer = self.make()
        buffer.writeLast(b"")
        self.assertEqual(self.transport.writes, [])
        self.assertIsNone(self.transport.producer)

    def test_lastDropping(self) -> None:
        """If asked to, it drops what has not been handed on."""
        buffer = self.make()
        self.congest(buffer)
        buffer.write(b"queued")
        buffer.cork()
        buffer.write(b"gathered")
        buffer.writeLast(b"close", dropping=True)
        buffer.uncork()
        self.assertEqual(self.transport.writes, [b"close"])
        self.assertEqual(self.flush(), b"close")

    def test_lastBeforeTheStart(self) -> None:
        """Before the opening handshake's end nothing is written at all."""
        buffer = self.make(started=False)
        buffer.write(b"gathered")
        buffer.writeLast(b"close")
        self.assertEqual(self.transport.writes, [])

    def test_stop(self) -> None:
        """When the connection is gone nothing waits any more, and nothing is told."""
        buffer = self.make()
        self.congest(buffer)
        buffer.write(b"queued")
        buffer.writePong(b"pong")
        buffer.cork()
        buffer.write(b"gathered")
        told = list(self.listener.told)
        # As a transport does that loses its connection.
        buffer.stopProducing()
        self.assertEqual(buffer.size, 0)
        buffer.uncork()
        buffer.resumeProducing()
        self.assertEqual(self.transport.writes, [])
        self.assertEqual(self.listener.told, told)

    def test_stopOnTheWayDown(self) -> None:
        """If who hears that it is full ends the connection, the rest stays where it
        is."""
        buffer = self.make(2 * MARK)
        self.congest(buffer)
        buffer.write(b"a" * 100)
        buffer.writePong(b"p" * 3 * MARK)
        self.listener.reactions["filled"] = buffer.stop
        self.transport.flush()
        self.assertEqual(self.transport.writes, [b"p" * 3 * MARK])
        self.assertEqual(buffer.size, 0)


SIZES = (1, 100, TRANSPORT_BUFFER - 1, 5, TRANSPORT_BUFFER, 7, 3 * TRANSPORT_BUFFER, 2)


class F12Tests(WireTestCase):
    """The limits on a whole server."""

    def test_F12_throughTheListener(self) -> None:
        """A peer that does not read is told 1008 behind what it had been sent; all that
        waited here is dropped, and the application's producer is stopped."""
        recorder = Recorder()
        peer = self.opened(recorder, highWaterMark=MARK, maxSendBuffer=MOST)
        peer.reads = False
        producer = Producer()
        recorder.transport.registerProducer(producer, True)
        sent = 0
        with logged() as lines:
            while peer.transport.producer is not None:
                recorder.transport.sendBytesMessage(b"x" * 10_000)
                sent += 1
                self.assertTrue(recorder.transport.bufferedAmount < MOST + 10_004)
        self.assertTrue(sent * 10_004 > MOST)
        self.assertEqual(len(lines), 1)
        self.assertIn(f"1008: slow consumer: {MOST} bytes wait", lines[0])
        self.assertEqual(producer.told, ["pause", "stop"])
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.messages, [b"x" * 10_000] * 7)
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1008)
        peer.hangUp()
        self.assertEqual(recorder.reason.code, 1008)

    def test_F11_throughTheConnection(self) -> None:
        """A flood of pings from a peer that never reads: one pong waits."""
        recorder = Recorder()
        peer = self.opened(recorder, highWaterMark=4 * MARK)
        peer.send(frame(PING, b"1"), frame(PING, b"2"))
        peer.reads = False
        recorder.transport.sendBytesMessage(FULL)
        before = recorder.transport.bufferedAmount
        for number in range(200):
            peer.send(frame(PING, number.to_bytes(2, "big")))
        self.assertEqual(recorder.transport.bufferedAmount, before)
        peer.reads = True
        peer.pump()
        pongs = [data for first, data in peer.frames if first == PONG]
        self.assertEqual(pongs, [b"1", b"2", (199).to_bytes(2, "big")])


class Producer:
    """Writes down what it is told; pull or push.

    :param reactions: what to do then, by name
    """

    def __init__(self, **reactions: Callable[[], object]) -> None:
        self.reactions = reactions
        self.told: list[str] = []

    def _tell(self, name: str) -> None:
        self.told.append(name)
        if name in self.reactions:
            self.reactions[name]()

    def pauseProducing(self) -> None:
        """Write it down."""
        self._tell("pause")

    def resumeProducing(self) -> None:
        """Write it down."""
        self._tell("resume")

    def stopProducing(self) -> None:
        """Write it down."""
        self._tell("stop")


def fail() -> None:
    """Raise, as a broken producer does."""
    raise ZeroDivisionError


class PullToPushTests(SynchronousTestCase):
    """A pull producer that is asked once in every turn."""

    def setUp(self) -> None:
        """Have a clock and a place for failures."""
        self.clock = Clock()
        self.failures: list[Failure] = []

    def make(self, producer: Producer) -> PullToPush:
        """Make a push producer of it."""
        return PullToPush(producer, self.clock, self.failures.append)

    def turn(self) -> None:
        """Let one turn of the reactor pass."""
        (call,) = self.clock.getDelayedCalls()
        self.clock.calls.remove(call)  # type: ignore[arg-type]
        call.called = 1  # type: ignore[attr-defined]
        call.func()  # type: ignore[attr-defined]

    def test_turns(self) -> None:
        """It is asked at once and then once in every turn, until it is paused; being
        resumed twice is being resumed once."""
        producer = Producer()
        push = self.make(producer)
        push.resumeProducing()
        self.assertEqual(producer.told, ["resume"])
        push.resumeProducing()
        self.assertEqual(producer.told, ["resume"])
        self.turn()
        self.turn()
        self.assertEqual(producer.told, ["resume"] * 3)
        push.pauseProducing()
        push.pauseProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        push.resumeProducing()
        self.assertEqual(producer.told, ["resume"] * 4)
        push.stopProducing()
        self.assertEqual(producer.told, ["resume"] * 4 + ["stop"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pausedWhileProducing(self) -> None:
        """What it produces may pause it: it is asked no more then."""
        producer = Producer(resume=lambda: push.pauseProducing())
        push = self.make(producer)
        push.resumeProducing()
        self.assertEqual(producer.told, ["resume"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """If it raises that is told, and it is asked no more."""
        self.make(Producer(resume=fail)).resumeProducing()
        self.assertEqual([each.type for each in self.failures], [ZeroDivisionError])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Producing(Production):
    """A connection that has nothing but producers."""

    def __init__(self) -> None:
        self.clock = self._clock = Clock()
        transport: Any = MemoryTransport(self.clock)
        self.transport = transport
        listener = Listener(filled=self._pauseProducer, emptied=self._resumeProducer)
        self._sending = SendBuffer(transport, MARK, MOST, listener)
        self.failures: list[Failure] = []
        self.write = self._sending.write
        self.resume = self._resumeProducer
        self.stop = self._stopProducer

    def open(self) -> None:
        """End the opening handshake."""
        self._sending.start(b"")
        self._opened = True
        self._sending.uncork()
        self._resumeProducer()

    def _hookFailed(self, failure: Failure) -> None:
        self.failures.append(failure)


class ProductionTests(SynchronousTestCase):
    """The application's producer on a connection."""

    def setUp(self) -> None:
        """Have an open connection."""
        self.connection = Producing()
        self.connection.open()

    def test_push(self) -> None:
        """A push producer that is registered goes on; it is paused when the buffer is
        full and resumed when that is empty."""
        producer = Producer()
        self.connection.registerProducer(producer, True)
        self.assertEqual(producer.told, [])
        self.connection.write(FULL)
        self.connection.write(b"more")
        self.assertEqual(producer.told, ["pause"])
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.connection.unregisterProducer()
        self.connection.write(FULL)
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_pushIntoAFullBuffer(self) -> None:
        """One that is registered when the buffer is full is paused."""
        self.connection.write(FULL)
        producer = Producer()
        self.connection.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])
        # Nor does anything else resume it.
        self.connection.resume()
        self.assertEqual(producer.told, ["pause"])
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_beforeTheStart(self) -> None:
        """One that is registered before the connection is open waits for that."""
        for streaming, expected in ((True, ["pause", "resume"]), (False, ["resume"])):
            connection = Producing()
            producer = Producer()
            connection.registerProducer(producer, streaming)
            self.assertNotIn("resume", producer.told)
            connection.open()
            self.assertEqual(producer.told, expected)

    def test_pull(self) -> None:
        """A pull producer is asked until the buffer is full, again when that is empty,
        and no more when it is unregistered, which it may be while it produces."""
        left = 8

        def produce() -> None:
            nonlocal left
            left -= 1
            self.connection.write(b"x" * 20 * KIB)
            if not left:
                self.connection.unregisterProducer()

        producer = Producer(resume=produce)
        self.connection.registerProducer(producer, False)
        self.assertEqual(producer.told, ["resume"])
        self.connection.clock.pump([0] * 10)
        self.assertEqual(producer.told, ["resume"] * 4)
        self.assertEqual(self.connection.clock.getDelayedCalls(), [])
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["resume"] * 5)
        self.connection.clock.pump([0] * 10)
        self.assertEqual(producer.told, ["resume"] * 8)
        self.assertEqual(self.connection.clock.getDelayedCalls(), [])
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["resume"] * 8)

    def test_pullFails(self) -> None:
        """A pull producer that raises is the application's failure."""
        self.connection.registerProducer(Producer(resume=fail), False)
        failures = self.connection.failures
        self.assertEqual([each.type for each in failures], [ZeroDivisionError])

    def test_twisted(self) -> None:
        """The names of ``twisted.web.websocket`` register a push producer too."""
        producer = Producer()
        self.connection.attachProducer(producer)  # type: ignore[arg-type]
        self.connection.write(FULL)
        self.assertEqual(producer.told, ["pause"])
        self.connection.detachProducer()
        self.connection.transport.flush()
        self.assertEqual(producer.told, ["pause"])

    def test_onlyOne(self) -> None:
        """A second producer is refused until the first is unregistered, which may be
        said once more than needed."""
        one, two = Producer(), Producer()
        self.connection.registerProducer(one, True)
        with self.assertRaises(RuntimeError) as caught:
            self.connection.registerProducer(two, True)
        self.assertIn("another producer was never unregistered", str(caught.exception))
        self.connection.unregisterProducer()
        self.connection.unregisterProducer()
        self.connection.registerProducer(two, True)
        self.connection.write(FULL)
        self.assertEqual((one.told, two.told), ([], ["pause"]))

    def test_stop(self) -> None:
        """At the end it is stopped, once; one that comes later is stopped at once."""
        for streaming in (True, False):
            connection = Producing()
            one, two = Producer(), Producer()
            connection.registerProducer(one, streaming)
            connection.stop()
            connection.stop()
            self.assertEqual(one.told[-1:], ["stop"])
            self.assertEqual(one.told.count("stop"), 1)
            connection.registerProducer(two, streaming)
            self.assertEqual(two.told, ["stop"])
            self.assertEqual(connection.clock.getDelayedCalls(), [])

    def test_stopFails(self) -> None:
        """One that raises when it is stopped is the application's failure."""
        self.connection.registerProducer(Producer(stop=fail), True)
        self.connection.stop()
        failures = self.connection.failures
        self.assertEqual([each.type for each in failures], [ZeroDivisionError])
