"""The open connection by the byte: frames, hooks, pauses, sending, the end."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.support import WireTestCase, firedWith, logged
from twisted_ws.errors import ConnectionClosed, PolicyViolation, ProtocolError
from twisted_ws.frames import encodeFrame
from twisted_ws.interfaces import ClosedCleanly, ClosedUncleanly
from twisted_ws.memory import MemoryTransport
from twisted_ws.options import Options
from twisted_ws.peerbytes import MASK
from twisted_ws.protocol import EVENTS_PER_SLICE, WireProtocol
from twisted_ws.testing import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    Recorder,
    closing,
    echo,
    echoing,
    frame,
    text,
)
from twisted_ws.timers import Deadlines

MIB = 1 << 20


async def returns(value: Any) -> Any:
    """A coroutine that waits for nothing."""
    return value


async def raises(error: Exception) -> None:
    """A coroutine that fails."""
    raise error


class WireTests(WireTestCase):
    """What RFC 6455 asks of the bytes, on a whole server."""

    def failed(
        self, code: int, *data: bytes, **options: Any
    ) -> tuple[RawPeer, Recorder]:
        """Send bytes that must fail the connection, whole and bytewise: the Close frame
        goes out, then this direction is closed, and nothing more is delivered."""
        for segment in (1 << 16, 1):
            if segment == 1 and sum(map(len, data)) > 10_000:
                continue
            recorder = Recorder()
            peer = self.opened(recorder, **options)
            with logged() as lines:
                peer.send(*data, segment=segment)
            found = peer.closeFrame
            self.assertEqual(found and found[0], code, data)
            self.assertIn(f" with {code}: ", lines[0])
            self.assertEqual(len(lines), 1)
            self.assertTrue(peer.isConnected)
            self.assertTrue(peer.transport.writeClosed)
            # T02: what comes is read and dropped until the peer closes.
            before = list(recorder.calls)
            peer.send(text("too late"), frame(PING))
            self.assertEqual(recorder.calls, before)
            self.assertEqual(peer.unread, 0)
            peer.hangUp()
            self.assertFalse(peer.isConnected)
            self.assertEqual(recorder.reason.code, code)
            self.assertFalse(recorder.reason.wasClean)
            self.assertIsInstance(recorder.reason, ConnectionLost)
        return peer, recorder

    def test_F01_unmasked(self) -> None:
        """A frame that is not masked is 1002."""
        self.failed(1002, encodeFrame(TEXT, b"x", None))

    def test_F02_reserved(self) -> None:
        """Reserved bits and opcodes are 1002."""
        for first in (0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F, 0xC8, 0xC9, 0x40):
            self.failed(1002, frame(first, b"x"))

    def test_F03_length(self) -> None:
        """A length that is not in its shortest form or over 63 bits is 1002."""
        for header in (
            b"\x82\xfe\x00\x7d",
            b"\x82\xff" + (65535).to_bytes(8, "big"),
            b"\x82\xff\x80" + bytes(7),
        ):
            self.failed(1002, header + MASK)

    def test_F04_fragments(self) -> None:
        """Control frames that are fragmented or too long, and fragments out of turn,
        are 1002."""
        self.failed(1002, frame(0x09))
        self.failed(1002, frame(PING, b"x" * 126))
        self.failed(1002, frame(0x80, b"x"))
        self.failed(1002, frame(0x01, b"x"), text("y"))

    def test_F05_size(self) -> None:
        """A message over 1 MiB is 1009, found from its header; one of 1 MiB passes."""
        header = b"\x82\xff" + (MIB + 1).to_bytes(8, "big") + MASK
        self.failed(1009, header)
        self.failed(1009, frame(0x02, b"x" * MIB), frame(0x00, b"x"))
        self.failed(1009, frame(0x02, b"x" * 9), maxMessageSize=8)
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(frame(BINARY, b"x" * MIB))
        self.assertEqual(recorder.messages, [b"x" * MIB])

    def test_F06_utf8(self) -> None:
        """Text that is not UTF-8 is 1007, at the first byte that cannot be."""
        self.failed(1007, frame(TEXT, b"\xc0\x80"))
        self.failed(1007, frame(0x01, b"a\xff"))
        self.failed(1007, frame(TEXT, b"\xed\xa0\x80" + b"x" * 100)[:9])
        self.failed(1007, frame(TEXT, b"\xe2\x82"))

    def test_F07_close(self) -> None:
        """A Close frame that is not well formed is 1002, its reason not UTF-8 1007."""
        self.failed(1002, frame(CLOSE, b"\x03"))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
            self.failed(1002, closing(code))
        self.failed(1007, frame(CLOSE, b"\x03\xe8\xff"))

    def test_F07_legalCodes(self) -> None:
        """Every code that may be sent is answered with itself, and ends cleanly."""
        for code in (1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999, None):
            recorder = Recorder()
            peer = self.opened(recorder)
            peer.send(closing(code, "why" if code else ""))
            self.assertEqual(peer.closeFrame, (code or 1005, ""))
            # T02: the server closes first.
            self.assertFalse(peer.isConnected)
            self.assertEqual(recorder.reason.code, code or 1005)
            self.assertEqual(recorder.reason.reason, "why" if code else "")
            self.assertTrue(recorder.reason.wasClean)
            self.assertIsInstance(recorder.reason, ConnectionDone)

    def test_F08_behindClose(self) -> None:
        """What follows a Close frame is ignored, were it nonsense."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(text("a"), closing(), text("b"), b"\xff" * 100, closing(4000))
        self.assertEqual(recorder.messages, ["a"])
        self.assertEqual(peer.closeFrame, (1000, ""))
        self.assertTrue(recorder.reason.wasClean)

    def test_F09_fragmentsWithoutEnd(self) -> None:
        """Empty fragments without end are 1009 after ``maxFragments``."""
        self.failed(1009, frame(0x01), frame(0x00) * 100, maxFragments=100)
        peer = self.opened(Recorder())
        peer.send(frame(0x01), frame(0x00) * 131_071)
        while peer.unread:
            peer.advance(0)
        peer.advance(0)
        self.assertIsNone(peer.closeFrame)
        peer.send(frame(0x00))
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1009)

    def test_F10_tinySegments(self) -> None:
        """A large frame in tiny segments arrives."""
        recorder = Recorder()
        peer = self.opened(recorder)
        payload = bytes(range(256)) * 400
        peer.send(frame(BINARY, payload), segment=7)
        self.assertEqual(recorder.messages, [payload])

    def test_F11_pongs(self) -> None:
        """Each of ten pings is answered, in order, and told of."""
        recorder = Recorder()
        peer = self.opened(recorder)
        payloads = [bytes([number]) * number for number in range(10)]
        peer.send(*(frame(PING, each) for each in payloads))
        self.assertEqual(peer.frames, [(PONG, each) for each in payloads])
        self.assertEqual(
            recorder.calls[2:], [("pingReceived", each) for each in payloads]
        )

    def test_F11_floodWithoutReading(self) -> None:
        """While the peer does not read, only its newest ping is answered, and reading
        pauses: what it costs stays bounded."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.reads = False
        recorder.transport.sendBytesMessage(b"x" * 70_000)
        self.assertFalse(peer.transport.reading)
        written = len(peer.transport.writes)
        # What was on its way when reading paused.
        for number in range(1000):
            peer.protocol.dataReceived(frame(PING, number.to_bytes(4, "big")))
        self.assertEqual(recorder.transport.bufferedAmount, 70_004 + 6)
        peer.send(*[frame(PING)] * 1000)
        self.assertEqual(peer.unread, 6000)
        self.assertEqual(len(peer.transport.writes), written)

    def test_F11_newestIsAnswered(self) -> None:
        """With a high-water mark over 64 KiB it goes on reading while the transport is
        full, and the newest ping is answered when that has room."""
        recorder = Recorder()
        peer = self.opened(recorder, highWaterMark=MIB)
        peer.reads = False
        recorder.transport.sendBytesMessage(b"x" * 70_000)
        recorder.transport.sendTextMessage("behind")
        peer.send(*(frame(PING, str(each).encode()) for each in range(1000)))
        for _ in range(3):
            peer.server.turn()
        self.assertTrue(peer.transport.reading)
        self.assertEqual(recorder.names.count("pingReceived"), 1000)
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.frames[1:], [(PONG, b"999"), (TEXT, b"behind")])

    def test_F12_slowConsumer(self) -> None:
        """A peer that does not read: the amount is seen, the hook is told, reading
        pauses; at ``maxSendBuffer`` the connection ends with 1008 and a log line."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.reads = False
        self.assertEqual(recorder.transport.bufferedAmount, 0)
        payload = b"x" * MIB
        recorder.transport.sendBytesMessage(payload)
        self.assertTrue(recorder.transport.bufferedAmount >= MIB)
        self.assertEqual(recorder.names[2:], ["sendBufferFull"])
        self.assertFalse(peer.transport.reading)
        for _ in range(15):
            recorder.transport.sendBytesMessage(payload)
        self.assertEqual(recorder.names[2:], ["sendBufferFull"])
        with logged() as lines:
            recorder.transport.sendTextMessage("one too many")
        self.assertEqual(len(lines), 1)
        self.assertIn("1008: slow consumer: 16777216 bytes wait to be sent", lines[0])
        self.assertEqual(recorder.transport._sending._queuedSize, 0)  # type: ignore[attr-defined]
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1008)
        self.assertEqual(peer.messages, [payload])
        peer.hangUp()
        self.assertEqual(recorder.reason.code, 1008)
        self.assertEqual(recorder.names[2:], ["sendBufferFull", "connectionLost"])

    def test_F12_neverReads(self) -> None:
        """If it does not even read the Close frame it is aborted after 10 seconds."""
        recorder = Recorder()
        peer = self.opened(recorder, highWaterMark=65536, maxSendBuffer=65536)
        peer.reads = False
        for _ in range(3):
            recorder.transport.sendBytesMessage(b"x" * 66_000)
        peer.advance(9.5)
        self.assertTrue(peer.isConnected)
        peer.advance(1)
        self.assertFalse(peer.isConnected)
        self.assertTrue(peer.transport.aborted)

    def test_F12_drained(self) -> None:
        """When the peer reads again the hook is told, and reading goes on."""
        recorder = echoing()
        peer = self.opened(recorder)
        peer.reads = False
        recorder.transport.sendBytesMessage(b"x" * 70_000)
        recorder.transport.sendBytesMessage(b"y" * 70_000)
        peer.send(text("hello"))
        self.assertEqual(recorder.messages, [])
        peer.reads = True
        peer.pump()
        self.assertEqual(
            recorder.names[2:],
            ["sendBufferFull", "sendBufferDrained", "textMessageReceived"],
        )
        self.assertEqual(peer.messages, [b"x" * 70_000, b"y" * 70_000, "hello"])
        self.assertEqual(recorder.transport.bufferedAmount, 0)

    def test_F12_closingAFullBuffer(self) -> None:
        """Goodbye may be said however much waits; all of it goes out before."""
        recorder = Recorder()
        peer = self.opened(recorder, highWaterMark=65536, maxSendBuffer=65536)
        peer.reads = False
        recorder.transport.sendBytesMessage(b"x" * 70_000)
        recorder.transport.loseConnection(4000, "enough")
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.messages, [b"x" * 70_000])
        self.assertEqual(peer.closeFrame, (4000, "enough"))
        peer.send(closing(4000))
        self.assertTrue(recorder.reason.wasClean)

    def test_F12_refilledWhenDrained(self) -> None:
        """However fast the buffer is filled again when it is empty, one segment is read
        from the peer before reading pauses again."""
        left = [b"z" * 70_000]

        def drained(each: Recorder) -> None:
            if left:
                each.transport.sendBytesMessage(left.pop())

        recorder = Recorder(sendBufferDrained=drained)
        peer = self.opened(recorder)
        peer.reads = False
        recorder.transport.sendBytesMessage(b"x" * 70_000)
        waiting = firedWith(recorder.transport.whenDrained())
        peer.transport.flush()
        self.assertEqual(
            recorder.names[2:],
            ["sendBufferFull", "sendBufferDrained", "sendBufferFull"],
        )
        self.assertTrue(peer.transport.reading)
        self.assertEqual(waiting, [])
        peer.send(text("read"), segment=100)
        self.assertEqual(recorder.messages, ["read"])
        self.assertFalse(peer.transport.reading)
        peer.transport.flush()
        self.assertTrue(peer.transport.reading)
        self.assertEqual(waiting, [None])

    def test_closeIsFoundWhileSending(self) -> None:
        """The Close frame of a peer is found although the application never stops
        sending more than the transport takes."""

        def more(each: Recorder) -> None:
            each.transport.sendBytesMessage(b"z" * 100_000)

        recorder = Recorder(sendBufferDrained=more)
        peer = self.opened(recorder)
        peer.reads = False
        more(recorder)
        for _ in range(3):
            peer.transport.flush()
        peer.send(closing(4000))
        peer.reads = True
        peer.pump()
        self.assertEqual(peer.closeFrame, (4000, ""))

    def test_F13_fragments(self) -> None:
        """Thousands of fragments in one segment, which bring no event, are decoded in
        slices too."""
        recorder = Recorder()
        peer = self.opened(recorder)
        data = frame(0x01) + frame(0x00) * 5000 + frame(0x80) + text("behind")
        peer.send(data, segment=len(data))
        self.assertEqual(recorder.messages, [])
        self.assertFalse(peer.transport.reading)
        for turn in range(1, 5):
            peer.server.turn()
            done = turn == 4
            self.assertEqual(recorder.messages, ["", "behind"] if done else [])
        self.assertTrue(peer.transport.reading)

    def test_F13_slices(self) -> None:
        """A segment of thousands of frames is delivered in slices, between which other
        connections have their turn and nothing more is read from the peer."""
        recorder = Recorder()
        server = self.serve(lambda _: recorder)
        self._recorders.append(recorder)
        peer = server.open()
        count = 10 * EVENTS_PER_SLICE + 5
        data = b"".join(text(str(number)) for number in range(count))
        peer.send(data, segment=len(data))
        self.assertEqual(len(recorder.messages), EVENTS_PER_SLICE)
        other = self.record()
        server.factory.application = lambda _: other
        server.open().send(text("between"))
        self.assertEqual(other.messages, ["between"])
        peer.send(text("behind"))
        self.assertFalse(peer.transport.reading)
        self.assertEqual(peer.unread, len(text("behind")))
        for turn in range(2, 11):
            server.turn()
            self.assertEqual(len(recorder.messages), turn * EVENTS_PER_SLICE)
        server.turn()
        expected = [*(str(number) for number in range(count)), "behind"]
        self.assertEqual(recorder.messages, expected)
        self.assertTrue(peer.transport.reading)

    def test_F13_exactlyOneSlice(self) -> None:
        """As many events as fit in one slice need no second one."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(text("x") * EVENTS_PER_SLICE)
        self.assertEqual(len(recorder.messages), EVENTS_PER_SLICE)
        self.assertTrue(peer.transport.reading)

    def test_F13_lostBetweenSlices(self) -> None:
        """When the peer vanishes between slices, what it sent is still delivered."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(text("x") * 1000)
        peer.vanish()
        self.assertNotIn("connectionLost", recorder.names)
        for _ in range(4):
            peer.server.turn()
        self.assertEqual(len(recorder.messages), 1000)
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_F13_abortedBetweenSlices(self) -> None:
        """When it is aborted between slices, nothing more is."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(text("x") * 1000)
        recorder.transport.abortConnection()
        peer.server.turn()
        self.assertEqual(len(recorder.messages), EVENTS_PER_SLICE)
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_F13_abortedWhenLost(self) -> None:
        """The same when it is gone already."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(text("x") * 1000)
        peer.vanish()
        recorder.transport.abortConnection()
        self.assertEqual(recorder.names[-1], "connectionLost")
        self.assertEqual(len(recorder.messages), EVENTS_PER_SLICE)
        recorder.transport.abortConnection()


class HookTests(WireTestCase):
    """When hooks are called, and what becomes of what they return."""

    INPUTS: tuple[tuple[str, bytes], ...] = (
        ("textMessageReceived", text("t")),
        ("bytesMessageReceived", frame(BINARY, b"b")),
        ("pingReceived", frame(PING, b"p")),
        ("pongReceived", frame(PONG, b"q")),
    )

    def test_order(self) -> None:
        """Hooks are called in the order of what happens."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.send(*(data for _, data in self.INPUTS), closing())
        self.assertEqual(
            recorder.calls,
            [
                ("negotiationStarted",),
                ("negotiationFinished",),
                ("textMessageReceived", "t"),
                ("bytesMessageReceived", b"b"),
                ("pingReceived", b"p"),
                ("pongReceived", b"q"),
                ("connectionLost",),
            ],
        )

    def test_returnValues(self) -> None:
        """Whatever else a hook returns is nothing to wait for."""
        for result in (None, 5, "x", True, succeed(None), returns(None)):
            recorder = Recorder(textMessageReceived=lambda *_, result=result: result)
            peer = self.opened(recorder)
            peer.send(text("a"))
            self.assertEqual(recorder.messages, ["a"])
            self.assertTrue(peer.transport.reading)

    def test_waiting(self) -> None:
        """While a hook is pending, nothing more is delivered and
        nothing more is read; then all is, in order. For each hook."""
        for name, data in (("negotiationFinished", b""), *self.INPUTS):
            for asynchronous in (False, True):
                waiting: Deferred[None] = Deferred()

                def react(
                    *_: Any,
                    asynchronous: bool = asynchronous,
                    waiting: Deferred[None] = waiting,
                ) -> Any:
                    async def wait() -> None:
                        await waiting

                    return wait() if asynchronous else waiting

                recorder = Recorder(**{name: react})
                peer = self.opened(recorder)
                peer.send(data, text("same segment"))
                before = list(recorder.names)
                self.assertEqual(before[-1], name)
                self.assertFalse(peer.transport.reading)
                peer.send(text("next"))
                self.assertNotEqual(peer.unread, 0)
                self.assertEqual(recorder.names, before)
                recorder.reactions.clear()
                waiting.callback(None)
                peer.pump()
                self.assertEqual(recorder.messages[-2:], ["same segment", "next"])
                self.assertTrue(peer.transport.reading)

    def test_pongBeforeTheHook(self) -> None:
        """A ping is answered although its hook takes long."""
        peer = self.opened(Recorder(pingReceived=lambda *_: Deferred()))
        peer.send(frame(PING, b"p"))
        self.assertEqual(peer.frames, [(PONG, b"p")])

    def test_otherAwaitables(self) -> None:
        """A hook may return anything that can be awaited."""
        waiting: Deferred[None] = Deferred()

        class Awaitable:
            def __await__(self) -> Any:
                return waiting.__await__()

        recorder = Recorder(textMessageReceived=lambda *_: Awaitable())
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"))
        self.assertEqual(recorder.messages, ["a"])
        waiting.callback(None)
        self.assertEqual(recorder.messages, ["a", "b"])

    def test_failing(self) -> None:
        """A hook that raises, or whose Deferred or coroutine fails, is logged, and the
        connection closed with 1011; nothing more is delivered. For each hook."""
        error = RuntimeError("broken")

        def throw(*_: Any) -> None:
            raise error

        for name, data in (("negotiationFinished", b""), *self.INPUTS):
            react: Any
            for react in (
                throw,
                lambda *_: fail(error),
                lambda *_: raises(error),
                None,
            ):
                late: Deferred[None] = Deferred()
                react = react or (lambda *_, late=late: late)
                recorder = Recorder(**{name: react})
                with logged() as lines:
                    peer = self.opened(recorder)
                    peer.send(data, text("not this"))
                    late.errback(error)
                    late.addErrback(lambda _: None)
                    peer.pump()
                self.assertEqual(peer.closeFrame, (1011, "internal error"))
                self.assertIn("A hook of Recorder failed", "".join(lines))
                self.assertNotIn("not this", recorder.messages)
                self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
                peer.hangUp()
                self.assertEqual(recorder.reason.code, 1011)

    def test_failingWithWhateverIsRaised(self) -> None:
        """Whatever a hook raises ends its own connection only, and wholly: what is no
        Exception, too."""

        def throw(*_: Any) -> None:
            raise SystemExit("broken")

        for name in ("negotiationFinished", "textMessageReceived"):
            recorder = Recorder(**{name: throw})
            peer = self.opened(recorder)
            peer.send(text("a"))
            self.assertEqual(peer.closeFrame, (1011, "internal error"))
            peer.hangUp()
            self.assertEqual(recorder.reason.code, 1011)
            self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_failingSendHooks(self) -> None:
        """The same for the hooks that tell of the send buffer."""

        def throw(*_: Any) -> None:
            raise RuntimeError("broken")

        for name in ("sendBufferFull", "sendBufferDrained"):
            recorder = Recorder(**{name: throw})
            peer = self.opened(recorder)
            recorder.transport.sendBytesMessage(b"x" * 70_000)
            recorder.transport.sendBytesMessage(b"y" * 70_000)
            peer.pump()
            self.assertEqual(peer.closeFrame, (1011, "internal error"))
            self.assertEqual(peer.messages[0], b"x" * 70_000)
            self.assertEqual(recorder.names[-1], name)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failingConnectionLost(self) -> None:
        """connectionLost may fail, too: it is logged, and that is all."""

        def throw(*_: Any) -> None:
            raise RuntimeError("broken")

        for react in (throw, lambda *_: raises(RuntimeError("broken"))):
            server = self.serve(Recorder(connectionLost=react))
            server.open().vanish()
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
            self.assertEqual(server.factory.connections, set())

    def test_slowConnectionLost(self) -> None:
        """Nobody waits for what connectionLost does."""
        waiting: Deferred[None] = Deferred()
        server = self.serve(Recorder(connectionLost=lambda _: waiting))
        server.open().vanish()
        self.assertEqual(server.factory.connections, set())
        waiting.callback(None)

    def test_severalPending(self) -> None:
        """A hook about the send buffer comes while another one is running; all of them
        are waited for."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()

        async def received(each: Recorder, message: str) -> None:
            if message == "big":
                each.transport.sendBytesMessage(b"x" * 70_000)
                await first

        recorder = Recorder(
            textMessageReceived=received, sendBufferDrained=lambda _: second
        )
        peer = self.opened(recorder)
        peer.send(text("big"), text("next"))
        self.assertEqual(recorder.names[-1], "sendBufferDrained")
        first.callback(None)
        self.assertEqual(recorder.messages, ["big"])
        second.callback(None)
        self.assertEqual(recorder.messages, ["big", "next"])


class PauseTests(WireTestCase):
    """What the application does to reading."""

    def test_pause(self) -> None:
        """Nothing is read and nothing delivered until it resumes; then all is."""
        recorder = Recorder(
            textMessageReceived=lambda each, _: each.transport.pauseProducing()
        )
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), text("c"))
        self.assertEqual(recorder.messages, ["a"])
        self.assertFalse(peer.transport.reading)
        peer.send(text("d"))
        for expected in (2, 3, 4):
            recorder.transport.resumeProducing()
            peer.pump()
            self.assertEqual(len(recorder.messages), expected)
            self.assertFalse(peer.transport.reading)
        self.assertEqual(recorder.messages, ["a", "b", "c", "d"])

    def test_pauseAndResumeInAHook(self) -> None:
        """Pausing and resuming within one hook changes nothing."""

        def received(each: Recorder, _: str) -> None:
            each.transport.pauseProducing()
            each.transport.resumeProducing()

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"))
        self.assertEqual(recorder.messages, ["a", "b"])
        self.assertTrue(peer.transport.reading)

    def test_pausedInNegotiationFinished(self) -> None:
        """It may pause from the first hook on, and resume at any time."""
        recorder = Recorder(
            negotiationFinished=lambda each: each.transport.pauseProducing()
        )
        peer = self.opened(recorder)
        peer.send(text("a"))
        self.assertEqual(recorder.messages, [])
        recorder.transport.resumeProducing()
        peer.pump()
        self.assertEqual(recorder.messages, ["a"])

    def test_lostWhilePaused(self) -> None:
        """When the peer vanishes meanwhile, what came is delivered, in order, and then
        connectionLost; a pause holds no more."""
        recorder = Recorder(
            textMessageReceived=lambda each, _: each.transport.pauseProducing()
        )
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), text("c"))
        peer.vanish()
        self.assertEqual(recorder.messages, ["a", "b", "c"])
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_reentrance(self) -> None:
        """Bytes that come while a hook writes wait for their turn."""
        depth = [0]

        def received(each: Recorder, message: str) -> None:
            depth[0] += 1
            self.assertEqual(depth[0], 1)
            each.transport.sendBytesMessage(b"x" * 65536)
            depth[0] -= 1

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        more = [text("2") + text("3"), text("4")]

        def answer(_: bytes) -> None:
            if more:
                peer.protocol.dataReceived(more.pop(0))

        peer.transport.onWrite = answer
        peer.send(text("1"))
        self.assertEqual(recorder.messages, ["1", "2", "3", "4"])

    def test_corking(self) -> None:
        """The answers to one segment are written at once, in one write."""
        recorder = echoing()
        peer = self.opened(recorder)
        before = len(peer.transport.writes)
        peer.send(*[text("x"), frame(PING, b"p")] * 20)
        self.assertEqual(len(peer.transport.writes), before + 1)
        self.assertEqual(len(peer.frames), 40)

    def test_sendingByItself(self) -> None:
        """What is sent outside of a hook is written at once."""
        recorder = Recorder()
        peer = self.opened(recorder)
        before = len(peer.transport.writes)
        recorder.transport.sendTextMessage("a")
        recorder.transport.sendBytesMessage(b"b")
        recorder.transport.ping(b"c")
        self.assertEqual(len(peer.transport.writes), before + 3)
        peer.pump()
        self.assertEqual(peer.frames, [(TEXT, b"a"), (BINARY, b"b"), (PING, b"c")])

    def test_wrongArguments(self) -> None:
        """What cannot be sent is an error where it is given, and nothing is written."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire: Any = recorder.transport
        for error, call, argument in (
            (TypeError, wire.sendTextMessage, b"x"),
            (UnicodeEncodeError, wire.sendTextMessage, "\ud800"),
            (TypeError, wire.sendBytesMessage, "x"),
            (ValueError, wire.ping, b"x" * 126),
            (ValueError, wire.loseConnection, 1006),
            (ValueError, wire.loseConnection, 999),
        ):
            self.assertRaises(error, call, argument)
        self.assertRaises(ValueError, wire.loseConnection, 1000, "x" * 124)
        self.assertEqual(peer.frames, [])
        peer.send(text("still open"))
        self.assertEqual(recorder.messages, ["still open"])


class EndTests(WireTestCase):
    """How a connection ends, and what is told of it."""

    def test_T02_closingFirst(self) -> None:
        """loseConnection sends the Close frame behind everything before; nothing goes
        out behind it; messages still arrive; the answer ends it cleanly, and the server
        closes TCP."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire = recorder.transport
        wire.sendTextMessage("last")
        wire.loseConnection(4000, "bye")
        wire.sendTextMessage("too late")
        wire.ping()
        wire.loseConnection(4001)
        peer.send(text("crossing"), frame(PING, b"p"))
        self.assertEqual(peer.messages, ["last"])
        self.assertEqual(peer.closeFrame, (4000, "bye"))
        self.assertEqual(recorder.messages, ["crossing"])
        self.assertTrue(peer.isConnected)
        peer.send(closing(4000))
        self.assertFalse(peer.isConnected)
        self.assertTrue(recorder.reason.wasClean)
        self.assertEqual(recorder.reason.code, 4000)
        wire.sendTextMessage("gone")
        wire.loseConnection()
        wire.abortConnection()

    def test_T02_unanswered(self) -> None:
        """Without an answer it is aborted after 10 seconds, uncleanly."""
        recorder = Recorder()
        peer = self.opened(recorder)
        recorder.transport.loseConnection()
        peer.advance(5)
        peer.send(text("x"), frame(PONG))
        peer.advance(4.5)
        self.assertTrue(peer.isConnected)
        peer.advance(0.75)
        self.assertTrue(peer.transport.aborted)
        self.assertFalse(peer.isConnected)
        self.assertEqual(
            (recorder.reason.code, recorder.reason.wasClean), (1006, False)
        )

    def test_T02_failureIsBounded(self) -> None:
        """A peer that broke a rule and does not close is aborted after 10 seconds."""
        for secure in (False, True):
            recorder = Recorder()
            peer = self.opened(recorder, secure=secure)
            peer.send(frame(0xC1))
            self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1002)
            self.assertEqual(peer.transport.disconnecting, secure)
            peer.advance(9)
            self.assertTrue(peer.isConnected)
            peer.advance(1.25)
            self.assertFalse(peer.isConnected)
            self.assertEqual(recorder.reason.code, 1002)

    def test_T02_overTLS(self) -> None:
        """Over TLS a clean close waits for close_notify, no longer than 10 seconds."""
        for answers in (True, False):
            recorder = Recorder()
            peer = self.opened(recorder, secure=True)
            peer.send(closing())
            self.assertEqual(peer.closeFrame, (1000, ""))
            self.assertTrue(peer.transport.disconnecting)
            self.assertTrue(peer.isConnected)
            if answers:
                peer.hangUp()
            else:
                peer.advance(10.25)
            self.assertFalse(peer.isConnected)
            self.assertTrue(recorder.reason.wasClean)

    def test_T02_readingForTLS(self) -> None:
        """close_notify is read although the application had paused."""
        recorder = Recorder(
            textMessageReceived=lambda each, _: each.transport.pauseProducing()
        )
        peer = self.opened(recorder, secure=True)
        peer.send(text("a"), text("b"))
        recorder.transport.loseConnection()
        peer.send(closing())
        peer.hangUp()
        self.assertFalse(peer.isConnected)

    def test_T02_withoutHalfClose(self) -> None:
        """A transport that cannot close one direction is closed whole."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.transport.loseWriteConnection = None  # type: ignore[method-assign,assignment]
        peer.send(frame(0xC1))
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1002)
        self.assertFalse(peer.isConnected)

    def test_closeBehindMessages(self) -> None:
        """Messages before the peer's Close frame are answered before it is."""
        recorder = echoing()
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), closing())
        self.assertEqual(peer.messages, ["a", "b"])
        self.assertEqual(peer.closeFrame, (1000, ""))

    def test_closeBehindASlowHook(self) -> None:
        """The peer's Close frame waits for the hooks before it."""
        waiting: Deferred[None] = Deferred()

        async def received(each: Recorder, message: str) -> None:
            await waiting
            echo(each, message)

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), closing(4000))
        peer.advance(100, 10)
        self.assertEqual(peer.frames, [])
        waiting.callback(None)
        peer.pump()
        self.assertEqual(peer.messages, ["a", "b"])
        self.assertEqual(peer.closeFrame, (4000, ""))
        self.assertTrue(recorder.reason.wasClean)

    def test_closingAPausedConnection(self) -> None:
        """loseConnection delivers and reads on although the application has paused, be
        the peer's Close frame on its way, here already, or not."""
        for before, after in (
            (b"", closing(4000)),
            (text("b"), text("c") + closing(4000)),
            (text("b") + closing(4000), b""),
        ):
            recorder = Recorder()
            peer = self.opened(recorder)
            recorder.reactions["textMessageReceived"] = lambda each, _: (
                each.transport.pauseProducing()
            )
            peer.send(text("a"), before)
            recorder.transport.loseConnection(4000)
            recorder.reactions.clear()
            recorder.transport.loseConnection(4000)
            peer.send(after)
            self.assertFalse(peer.isConnected)
            self.assertTrue(recorder.reason.wasClean)
            self.assertEqual(
                len(recorder.messages), 1 + (before + after).count(MASK) - 1
            )

    def test_waitingForTheEndInAHook(self) -> None:
        """A hook may close and wait for the end: the answer is read meanwhile, and what
        came before it is delivered when the hook is done."""
        found = []

        async def received(each: Recorder, message: str) -> None:
            if message == "quit":
                each.transport.loseConnection(4000)
                found.append(await each.transport.whenClosed())

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.send(text("quit"), text("a"))
        peer.send(text("b"))
        self.assertEqual(recorder.messages, ["quit"])
        self.assertEqual(peer.closeFrame, (4000, ""))
        peer.send(text("c"), closing(4000))
        self.assertFalse(peer.isConnected)
        self.assertTrue(found[0].wasClean)
        self.assertEqual(recorder.messages, ["quit", "a", "b", "c"])
        self.assertIs(recorder.reason, found[0])

    def test_waitingForTheEndIsBounded(self) -> None:
        """What is read meanwhile is bounded by ``maxMessageSize`` and one segment, the
        time by ``closeTimeout``."""

        async def received(each: Recorder, message: str) -> None:
            each.transport.loseConnection()
            await each.transport.whenClosed()

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder, maxMessageSize=100_000)
        peer.send(text("quit"))
        peer.send(frame(BINARY, b"x" * 50_000) * 10)
        self.assertFalse(peer.transport.reading)
        self.assertTrue(peer.unread > 300_000)
        peer.advance(10.25)
        self.assertFalse(peer.isConnected)
        self.assertEqual(recorder.reason.code, 1006)

    def test_whenClosed(self) -> None:
        """whenClosed fires for each caller, before and after, with the one reason."""
        recorder = Recorder()
        peer = self.opened(recorder)
        results = [firedWith(recorder.transport.whenClosed()) for _ in range(2)]
        self.assertEqual(results, [[], []])
        peer.vanish()
        results.append(firedWith(recorder.transport.whenClosed()))
        self.assertEqual(results, [[recorder.reason]] * 3)
        self.assertIsInstance(recorder.reason, ClosedUncleanly)
        peer = self.opened(recorder := Recorder())
        peer.send(closing())
        self.assertIsInstance(recorder.reason, ClosedCleanly)

    def test_whenDrained(self) -> None:
        """whenDrained fires at once when nothing waits, else when all has left, and
        fails when the connection ends before."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire = recorder.transport
        wire.sendTextMessage("small")
        self.assertEqual(firedWith(wire.whenDrained()), [None])
        peer.reads = False
        wire.sendBytesMessage(b"x" * 70_000)
        results = [firedWith(wire.whenDrained()) for _ in range(2)]
        self.assertEqual(results, [[], []])
        peer.reads = True
        peer.pump()
        self.assertEqual(results, [[None], [None]])
        peer.reads = False
        wire.sendBytesMessage(b"x" * 70_000)
        results = [firedWith(wire.whenDrained())]
        peer.vanish()
        results.append(firedWith(wire.whenDrained()))
        for (failure,) in results:
            self.assertIs(failure.value, recorder.reason)

    def test_whenDrainedInAHook(self) -> None:
        """A hook may wait for it, since sending does not need reading."""

        async def received(each: Recorder, message: str) -> None:
            for _ in range(10):
                each.transport.sendBytesMessage(b"x" * 50_000)
                await each.transport.whenDrained()

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.reads = False
        peer.send(text("a"), text("b"))
        self.assertTrue(len(peer.transport.buffer) < 200_000)
        self.assertEqual(recorder.messages, ["a"])
        peer.reads = True
        peer.pump()
        self.assertEqual(recorder.messages, ["a", "b"])
        self.assertEqual(peer.messages, [b"x" * 50_000] * 20)

    def test_lostWhileWaitingInAHook(self) -> None:
        """If the peer vanishes then, that is not the application's failure."""

        async def received(each: Recorder, message: str) -> None:
            each.transport.sendBytesMessage(b"x" * 70_000)
            await each.transport.whenDrained()

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.reads = False
        peer.send(text("a"), text("b"))
        with logged() as lines:
            peer.vanish()
        self.assertEqual(lines, [])
        self.assertEqual(recorder.messages, ["a", "b"])

    def test_lostWhileAHookRuns(self) -> None:
        """When the peer vanishes while a hook is pending, messages that came are still
        delivered, each when the one before is done, and connectionLost comes last."""
        waiting: list[Deferred[None]] = []

        def received(*_: Any) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"))
        peer.vanish()
        self.assertEqual(recorder.messages, ["a"])
        recorder.transport.pauseProducing()
        waiting[0].callback(None)
        self.assertEqual(recorder.messages, ["a", "b"])
        recorder.transport.pauseProducing()
        self.assertNotIn("connectionLost", recorder.names)
        waiting[1].callback(None)
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_lostWhileAHookHangs(self) -> None:
        """A hook that never ends is waited for ``closeTimeout`` seconds, with messages
        it or not."""
        for data in (text("a"), text("a") + text("b")):
            recorder = Recorder(textMessageReceived=lambda *_: Deferred())
            server = self.serve(recorder)
            peer = server.open()
            peer.send(data)
            peer.vanish()
            peer.advance(9.5)
            self.assertNotIn("connectionLost", recorder.names)
            peer.advance(0.75)
            self.assertEqual(recorder.names[-1], "connectionLost")
            self.assertEqual(server.factory.connections, set())

    def test_hookEndsTooLate(self) -> None:
        """When such a hook ends or fails after all, nothing more is called."""
        for end in (
            lambda each: each.callback(None),
            lambda each: each.errback(RuntimeError()),
        ):
            waiting: Deferred[None] = Deferred()
            recorder = Recorder(textMessageReceived=lambda *_, waiting=waiting: waiting)
            peer = self.opened(recorder)
            peer.send(text("a"), text("b"))
            peer.vanish()
            peer.advance(10.25)
            end(waiting)
            self.assertEqual(recorder.messages, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failureBehindTheLoss(self) -> None:
        """A rule that was broken before the peer vanished is still told of."""
        waiting: Deferred[None] = Deferred()
        recorder = Recorder(textMessageReceived=lambda *_: waiting)
        peer = self.opened(recorder)
        peer.send(text("a"), frame(0xC1))
        peer.vanish()
        waiting.callback(None)
        self.assertEqual(recorder.reason.code, 1002)

    def test_closeBehindTheLoss(self) -> None:
        """A Close frame that waited when the peer vanished counts as a clean end."""
        waiting: Deferred[None] = Deferred()
        recorder = Recorder(textMessageReceived=lambda *_: waiting)
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), closing(4000))
        peer.vanish()
        waiting.callback(None)
        self.assertEqual(recorder.messages, ["a", "b"])
        self.assertEqual((recorder.reason.code, recorder.reason.wasClean), (4000, True))

    def test_endingInEachHook(self) -> None:
        """An application may close, fail or abort in any hook."""

        def lose(each: Recorder, *_: Any) -> None:
            each.transport.loseConnection(4000)

        def failing(each: Recorder, *_: Any) -> None:
            wire: Any = each.transport
            wire.failConnection(PolicyViolation("no"))
            wire.failConnection(ProtocolError("not that"))

        def abort(each: Recorder, *_: Any) -> None:
            each.transport.abortConnection()

        for name, data in (
            ("negotiationFinished", b""),
            *HookTests.INPUTS,
            ("sendBufferFull", b""),
            ("sendBufferDrained", b""),
        ):
            for react, code in ((lose, 4000), (failing, 1008), (abort, None)):
                recorder = Recorder(**{name: react})
                server = self.serve(recorder)
                peer = server.open()
                peer.send(data, text("next"))
                if name.startswith("sendBuffer"):
                    recorder.transport.sendBytesMessage(b"x" * 70_000)
                    peer.pump()
                server.turn()
                self.assertIn(name, recorder.names)
                if code is None:
                    self.assertFalse(peer.isConnected)
                    self.assertEqual(recorder.reason.code, 1006)
                    continue
                self.assertEqual(peer.closeFrame and peer.closeFrame[0], code)
                peer.send(closing(code))
                peer.hangUp()
                self.assertFalse(peer.isConnected)
                self.assertEqual(recorder.reason.code, code)
                wants = ["next"] if react is lose or name[:4] == "send" else []
                self.assertEqual(recorder.messages[-1:] == ["next"], bool(wants))

    def test_endingInConnectionLost(self) -> None:
        """And in connectionLost, where it changes nothing."""

        def lost(each: Recorder) -> None:
            wire: Any = each.transport
            wire.loseConnection()
            wire.abortConnection()
            wire.failConnection(PolicyViolation("no"))
            wire.sendTextMessage("x")
            wire.ping()
            wire.pauseProducing()
            wire.resumeProducing()

        recorder = Recorder(connectionLost=lost)
        self.opened(recorder).vanish()
        self.assertEqual(recorder.names.count("connectionLost"), 1)

    def test_lostInAHook(self) -> None:
        """A transport may break within a hook's write: the hooks after it come, then
        connectionLost."""
        recorder = Recorder(textMessageReceived=lambda each, _: peer.vanish())
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"))
        self.assertEqual(recorder.messages, ["a", "b"])
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_abortingWhatIsLeft(self) -> None:
        """An application that aborts while it gets what was left gets no more of it,
        and connectionLost when its hook is done."""
        waiting: Deferred[None] = Deferred()

        def received(each: Recorder, message: str) -> Any:
            if message == "a":
                return waiting
            each.transport.abortConnection()
            self.assertNotIn("connectionLost", each.names)
            return None

        recorder = Recorder(textMessageReceived=received)
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"), text("c"))
        peer.vanish()
        waiting.callback(None)
        self.assertEqual(recorder.messages, ["a", "b"])
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_closeBehindSlices(self) -> None:
        """A Close frame that was read and not decoded yet when the connection ends
        counts, and the messages before it are delivered."""
        recorder = Recorder()
        peer = self.opened(recorder)
        # So that reading goes on while what was read has to wait for later turns.
        recorder.transport.loseConnection(4000)
        peer.send(*[text("x")] * 30_000, closing(4001, "bye"))
        self.assertLess(len(recorder.messages), 30_000)
        self.assertEqual(peer.unread, 0)
        peer.vanish()
        peer.advance(1, 0.125)
        self.assertEqual(len(recorder.messages), 30_000)
        self.assertEqual((recorder.reason.code, recorder.reason.wasClean), (4001, True))

    def test_T03_messageWithoutEnd(self) -> None:
        """With ``messageTimeout`` a message that does not end in time is 1008."""
        recorder = Recorder()
        peer = self.opened(recorder, messageTimeout=30, pingInterval=0)
        peer.send(text("quick"), frame(0x01, b"a"))
        peer.advance(29)
        peer.send(frame(0x00, b"b"))
        peer.advance(1.25)
        self.assertEqual(
            peer.closeFrame, (1008, "message not finished within 30 seconds")
        )

    def test_addresses(self) -> None:
        """The application learns both ends' addresses."""
        recorder = Recorder()
        peer = self.opened(recorder)
        self.assertEqual(recorder.transport.getPeer(), peer.transport.getPeer())
        self.assertEqual(recorder.transport.getHost(), peer.transport.getHost())
        self.assertIsNone(recorder.transport.subprotocol)

    def test_T04_endNow(self) -> None:
        """A server that stops does not wait for hooks."""
        recorder = Recorder(textMessageReceived=lambda *_: Deferred())
        server = self.serve(recorder)
        server.open().send(text("a"))
        done = firedWith(server.factory.abortConnections())
        server.turn()
        server.turn()
        self.assertEqual(done, [None])
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_S04_reasons(self) -> None:
        """What goes into the log about a failure holds no control characters."""
        peer = self.opened(Recorder())
        wire: Any = peer.protocol
        with logged() as lines:
            wire.failConnection(PolicyViolation("\x1b[2J\nforged"))
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].isprintable())


class Push:
    """A producer that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Write it down."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Write it down."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Write it down."""
        self.told.append("stop")


class Pull:
    """A pull producer: each time it is asked, it sends a message."""

    def __init__(self, transport: Any, count: int = 1 << 30, size: int = 1000) -> None:
        self.transport = transport
        self.left = count
        self.size = size
        self.stopped = 0

    def resumeProducing(self) -> None:
        """Send one."""
        self.transport.sendBytesMessage(b"x" * self.size)
        self.left -= 1
        if not self.left:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """Count it."""
        self.stopped += 1


class ProducerTests(WireTestCase):
    """Producers on a connection."""

    def test_push(self) -> None:
        """A push producer is paused while the buffer is full."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire = recorder.transport
        producer = Push()
        wire.attachProducer(producer)  # type: ignore[arg-type]
        self.assertEqual(producer.told, [])
        self.assertRaises(RuntimeError, wire.registerProducer, Push(), True)
        peer.reads = False
        wire.sendBytesMessage(b"x" * 70_000)
        self.assertEqual(producer.told, ["pause"])
        peer.reads = True
        peer.pump()
        self.assertEqual(producer.told, ["pause", "resume"])
        wire.detachProducer()
        peer.reads = False
        wire.sendBytesMessage(b"x" * 70_000)
        second = Push()
        wire.registerProducer(second, True)
        self.assertEqual(second.told, ["pause"])
        peer.vanish()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(second.told, ["pause", "stop"])
        third = Push()
        wire.registerProducer(third, True)
        self.assertEqual(third.told, ["stop"])

    def test_pushBeforeOpen(self) -> None:
        """One that is registered before the 101 begins behind it."""
        producer = Push()
        waiting: Deferred[None] = Deferred()

        def started(each: Recorder) -> Deferred[None]:
            each.transport.registerProducer(producer, True)
            return waiting

        self.serve(Recorder(negotiationStarted=started)).open()
        self.assertEqual(producer.told, ["pause"])
        waiting.callback(None)
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_pushRefills(self) -> None:
        """One that fills the buffer within resumeProducing is left paused, and reading
        too, when a segment was read."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire = recorder.transport
        producer = Push()
        wire.registerProducer(producer, True)
        peer.reads = False
        wire.sendBytesMessage(b"x" * 70_000)
        producer.resumeProducing = lambda: wire.sendBytesMessage(b"y" * 70_000)  # type: ignore[method-assign]
        peer.transport.flush()
        self.assertEqual(producer.told, ["pause", "pause"])
        peer.send(text("read"))
        self.assertFalse(peer.transport.reading)

    def test_pull(self) -> None:
        """A pull producer is asked once a turn, not while the buffer is full, and until
        it unregisters."""
        recorder = Recorder()
        peer = self.opened(recorder)
        producer = Pull(recorder.transport, 200)
        recorder.transport.registerProducer(producer, False)
        self.assertEqual(producer.left, 199)
        peer.reads = False
        for _ in range(300):
            peer.server.turn()
        self.assertTrue(100 < producer.left < 140)
        peer.reads = True
        peer.pump()
        for _ in range(200):
            peer.server.turn()
        self.assertEqual(producer.left, 0)
        self.assertEqual(len(peer.messages), 200)
        self.assertEqual(producer.stopped, 0)

    def test_pullBeforeOpen(self) -> None:
        """One that is registered before the 101 is not asked before it."""
        waiting: Deferred[None] = Deferred()
        producers: list[Pull] = []

        def started(each: Recorder) -> Deferred[None]:
            producers.append(Pull(each.transport, 5))
            each.transport.registerProducer(producers[0], False)
            return waiting

        peer = self.serve(Recorder(negotiationStarted=started)).open()
        peer.server.turn()
        self.assertEqual(producers[0].left, 5)
        waiting.callback(None)
        for _ in range(10):
            peer.server.turn()
        self.assertEqual(len(peer.messages), 5)

    def test_stopped(self) -> None:
        """A producer is stopped once, when nothing is sent any more: at this side's
        Close frame, at the peer's, at a failure, or when the peer vanishes."""
        for end in (
            lambda peer: peer.protocol.loseConnection(),
            lambda peer: peer.send(closing()),
            lambda peer: peer.send(frame(0xC1)),
            RawPeer.vanish,
        ):
            for streaming in (True, False):
                recorder = Recorder()
                peer = self.opened(recorder)
                push, pull = Push(), Pull(recorder.transport)
                producer = push if streaming else pull
                recorder.transport.registerProducer(producer, streaming)
                peer.server.turn()
                end(peer)
                left = pull.left
                peer.server.turn()
                self.assertEqual(pull.left, left)
                peer.vanish()
                self.assertEqual(
                    push.told if streaming else pull.stopped,
                    ["stop"] if streaming else 1,
                )

    def test_failing(self) -> None:
        """A producer that raises is logged, and the connection ends with 1011."""
        recorder = Recorder()
        peer = self.opened(recorder)
        producer = Pull(None)
        recorder.transport.registerProducer(producer, False)
        peer.pump()
        self.assertEqual(peer.closeFrame, (1011, "internal error"))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_failingToStop(self) -> None:
        """The same for one that raises when it is stopped; all else goes its way."""
        recorder = Recorder()
        peer = self.opened(recorder)
        recorder.transport.registerProducer(object(), True)
        waiting = firedWith(recorder.transport.whenClosed())
        peer.vanish()
        self.assertEqual(waiting, [recorder.reason])
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class BareTests(SynchronousTestCase):
    """The wire protocol on its own, without a server's or client's handshake."""

    def test_beforeItsHandshake(self) -> None:
        """Bytes in raw mode before there are frames are nobody's; failing and losing
        the connection are no trouble."""
        clock = Clock()
        wire = WireProtocol(Options(), clock, Deadlines(clock))
        wire.makeConnection(StringTransport())
        wire.setRawMode()
        wire.dataReceived(b"early")
        wire.failConnection(ProtocolError("nothing to fail"))
        wire.abortConnection()
        wire.connectionLost()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_closedIsTwisteds(self) -> None:
        """Twisted's code finds its own classes in how a connection ended."""
        clean = ClosedCleanly(1000, "bye", True)
        self.assertIsInstance(clean, (ConnectionClosed, ConnectionDone))
        self.assertIsInstance(ClosedUncleanly(1006), ConnectionLost)

    def test_client(self) -> None:
        """As a client's end it masks; the application sees no difference."""
        clock = Clock()
        wire = WireProtocol(Options(), clock, Deadlines(clock))
        transport = MemoryTransport(clock)
        transport.protocol = wire
        wire.makeConnection(transport)
        recorder = Recorder()
        wire._application = recorder
        recorder.transport = wire
        from twisted_ws.connection import Connection, Role

        wire._prepare(Connection(Role.CLIENT, wire.options, lambda _: MASK))
        wire._open(b"")
        wire.sendTextMessage("hi")
        self.assertEqual(transport.writes[-1], text("hi"))
        wire.dataReceived(encodeFrame(TEXT, b"there", None))
        self.assertEqual(recorder.messages, ["there"])
        transport.vanish()
        self.assertEqual(recorder.names[-1], "connectionLost")
