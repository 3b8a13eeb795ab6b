"""Time on one connection: keepalive, slow messages, the end."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support import WireTestCase, logged
from twisted_ws.protocol import EVENTS_PER_SLICE
from twisted_ws.testing import PING, PONG, RawPeer, Recorder, closing, frame, text
from twisted_ws.timers import RESOLUTION

LATE = 2 * RESOLUTION
"""Seconds after which it must have happened."""

SILENT = (1011, "no sign of life for 40 seconds")


class LivenessTests(WireTestCase):
    """What time brings on a whole server."""

    def pings(self, peer: RawPeer) -> list[bytes]:
        """The payloads of the pings that a peer got."""
        return [payload for first, payload in peer.frames if first == PING]

    def test_T01_silence(self) -> None:
        """After 20 seconds of silence the peer is pinged, once; 20 seconds later the
        connection is closed with 1011, which is logged."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.advance(19.9, 0.1)
        self.assertEqual(peer.frames, [])
        peer.advance(LATE)
        self.assertEqual(self.pings(peer), [b"\0\0\0\1"])
        with logged() as lines:
            peer.advance(19.6, 0.1)
            self.assertIsNone(peer.closeFrame)
            self.assertEqual(len(self.pings(peer)), 1)
            peer.advance(3 * LATE)
        self.assertEqual(peer.closeFrame, SILENT)
        self.assertEqual(len(lines), 1)
        self.assertIn("1011: no sign of life for 40 seconds", lines[0])
        self.assertTrue(peer.isConnected)
        self.assertTrue(peer.transport.writeClosed)
        peer.advance(9.2, 0.1)
        self.assertTrue(peer.isConnected)
        peer.advance(1.3, 0.1)
        self.assertTrue(peer.transport.aborted)
        self.assertFalse(peer.isConnected)
        self.assertEqual(
            (recorder.reason.code, recorder.reason.wasClean), (1011, False)
        )

    def test_T01_everyByteCounts(self) -> None:
        """Every byte is a sign of life: a pong, another frame, a part of one; before
        the ping there is none then, after it the connection lasts."""
        answers = {
            "pong": frame(PONG, b"\0\0\0\1"),
            "another pong": frame(PONG),
            "ping": frame(PING),
            "message": text("x"),
            "first byte of a frame": text("x")[:1],
        }
        for name, data in answers.items():
            for before, pings in ((19, 0), (39, 1)):
                peer = self.opened(Recorder())
                peer.advance(before, 0.25)
                self.assertEqual(len(self.pings(peer)), pings, name)
                peer.send(data)
                peer.advance(19.5, 0.25)
                self.assertEqual(len(self.pings(peer)), pings, name)
                peer.advance(1, 0.25)
                self.assertEqual(len(self.pings(peer)), pings + 1, name)
                self.assertIsNone(peer.closeFrame, name)
                # And then the peer is silent.
                peer.advance(20, 0.25)
                self.assertEqual(peer.closeFrame, SILENT, name)

    def test_T01_answersForEver(self) -> None:
        """A peer that answers each ping stays, and gets a new payload every time; one
        that sends all the time is not pinged at all."""
        idle = self.opened(Recorder())
        for number in range(1, 11):
            idle.advance(20.25, 0.25)
            payload = number.to_bytes(4, "big")
            self.assertEqual(self.pings(idle)[number - 1 :], [payload])
            idle.send(frame(PONG, payload))
        busy = self.opened(Recorder())
        for _ in range(100):
            busy.advance(5)
            busy.send(text("x"))
        self.assertEqual(busy.frames, [])

    def test_T01_pausedByOurselves(self) -> None:
        """While we do not read ourselves there are no pings, and silence ends nothing;
        when we read again, the 20 seconds begin."""
        recorder = Recorder()
        peer = self.opened(recorder)
        recorder.transport.pauseProducing()
        peer.advance(300)
        self.assertEqual(peer.frames, [])
        recorder.transport.resumeProducing()
        peer.advance(19.5, 0.25)
        self.assertEqual(peer.frames, [])
        peer.advance(0.75, 0.25)
        self.assertEqual(len(self.pings(peer)), 1)

    def test_T01_pausedBehindThePing(self) -> None:
        """If we pause between ping and pong, the pong that we did not read is not held
        against the peer, be it within the time or over it."""
        for paused in (10, 100):
            recorder = Recorder()
            peer = self.opened(recorder)
            peer.advance(21)
            self.assertEqual(len(self.pings(peer)), 1)
            recorder.transport.pauseProducing()
            peer.send(frame(PONG, b"\0\0\0\1"))
            peer.advance(paused)
            recorder.transport.resumeProducing()
            peer.advance(19, 0.25)
            self.assertIsNone(peer.closeFrame)
            self.assertEqual(len(self.pings(peer)), 1)
            peer.advance(21, 0.25)
            self.assertEqual(len(self.pings(peer)), 2)
            peer.advance(20, 0.25)
            self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1011)

    def test_T01_otherTimes(self) -> None:
        """The times are options; 0 seconds is no keepalive, and no delayed call."""
        peer = self.opened(Recorder(), pingInterval=1.0, pingTimeout=0.5)
        peer.advance(1.1, 0.1)
        self.assertEqual(len(self.pings(peer)), 1)
        self.assertIsNone(peer.closeFrame)
        peer.advance(0.8, 0.1)
        self.assertEqual(peer.closeFrame and peer.closeFrame[0], 1011)
        for options in ({"pingInterval": 0}, {"pingInterval": 0, "messageTimeout": 5}):
            peer = self.opened(Recorder(), **options)
            peer.advance(3600, 60)
            self.assertEqual(peer.frames, [])
            self.assertEqual(peer.server.clock.getDelayedCalls(), [])

    def test_T01_oneDelayedCall(self) -> None:
        """However much a peer sends, there is one delayed call, which stays where it
        is: bytes only leave their time behind."""
        peer = self.opened(Recorder(), messageTimeout=60)
        # When the handshake's time would have been up, it has come for nothing.
        peer.advance(11)
        (call,) = peer.server.clock.getDelayedCalls()
        for _ in range(64):
            peer.send(text("x"))
            self.assertEqual(peer.server.clock.getDelayedCalls(), [call])
            peer.advance(0.125)

    def test_T01_lostWithinTheClose(self) -> None:
        """A transport that is gone as soon as it is closed leaves no delayed call."""
        recorder = Recorder()
        peer = self.opened(recorder)
        peer.transport.loseWriteConnection = peer.vanish  # type: ignore[method-assign]
        peer.advance(41, 0.25)
        self.assertFalse(peer.isConnected)
        self.assertEqual(recorder.names[-1], "connectionLost")
        self.assertEqual(recorder.reason.code, 1011)
        self.assertEqual(peer.server.clock.getDelayedCalls(), [])

    def test_lookedAtTooEarly(self) -> None:
        """Being looked at before anything is due does nothing; it says when to look
        again."""
        recorder = Recorder()
        peer = self.opened(recorder)
        clock = peer.server.clock
        began = clock.seconds()
        look = peer.protocol.deadlineReached
        peer.advance(10)
        self.assertEqual(look(clock.seconds()), began + 20)
        peer.advance(10)
        self.assertEqual(len(self.pings(peer)), 1)
        peer.advance(10)
        self.assertEqual(look(clock.seconds()), began + 40)
        self.assertEqual(len(peer.frames), 1)
        recorder.transport.loseConnection()
        self.assertEqual(look(clock.seconds()), began + 40)
        self.assertFalse(peer.transport.aborted)

    def test_T02_unanswered(self) -> None:
        """A Close frame that is not answered: no ping any more, no word about silence
        or a slow message, but an abort after ``closeTimeout``."""
        for timeout in (10.0, 60.0):
            recorder = Recorder()
            peer = self.opened(recorder, closeTimeout=timeout, messageTimeout=5)
            peer.send(frame(0x01, b"never ends"))
            peer.advance(4, 0.25)
            recorder.transport.loseConnection(4000)
            peer.advance(timeout - 0.25, 0.25)
            self.assertTrue(peer.isConnected)
            self.assertFalse(peer.transport.aborted)
            peer.advance(2 * LATE, 0.125)
            self.assertTrue(peer.transport.aborted)
            self.assertFalse(peer.isConnected)
            self.assertEqual(len(peer.frames), 1)
            self.assertEqual(
                (recorder.reason.code, recorder.reason.wasClean), (1006, False)
            )

    def test_T02_trafficDoesNotProlong(self) -> None:
        """What the peer sends meanwhile does not make it longer, nor does another call
        to close, nor a pause."""
        recorder = Recorder()
        peer = self.opened(recorder, messageTimeout=5)
        peer.advance(1)
        recorder.transport.loseConnection()
        for number in range(39):
            peer.send(text("x"), frame(PING))
            if number == 20:
                recorder.transport.loseConnection(4000)
                recorder.transport.pauseProducing()
            peer.advance(0.25)
        self.assertTrue(peer.isConnected)
        peer.advance(2 * LATE, 0.125)
        self.assertTrue(peer.transport.aborted)

    def test_T02_answered(self) -> None:
        """An answer ends the matter: nothing is due any more."""
        recorder = Recorder()
        peer = self.opened(recorder)
        recorder.transport.loseConnection()
        peer.advance(9)
        peer.send(closing())
        self.assertFalse(peer.isConnected)
        self.assertFalse(peer.transport.aborted)
        self.assertEqual(peer.server.clock.getDelayedCalls(), [])

    def test_T02_lostWhileAHookRuns(self) -> None:
        """When the connection is gone, hooks get ``closeTimeout`` seconds to finish
        what came before; then the application is told."""
        recorder = Recorder(textMessageReceived=lambda *_: Deferred())
        peer = self.opened(recorder)
        peer.send(text("a"), text("b"))
        peer.vanish()
        peer.advance(9.75, 0.25)
        self.assertNotIn("connectionLost", recorder.names)
        peer.advance(0.5, 0.125)
        self.assertEqual(recorder.messages, ["a"])
        self.assertEqual(recorder.names[-1], "connectionLost")

    def test_T01_intervalBelowTimeout(self) -> None:
        """With an interval that is shorter than the timeout pings come at the interval
        as long as they are answered, and the peer has the whole timeout to answer."""
        peer = self.opened(Recorder(), pingInterval=5, pingTimeout=20)
        for count in range(1, 7):
            peer.advance(5.25, 0.125)
            pings = [payload for first, payload in peer.frames if first == PING]
            self.assertEqual(len(pings), count)
            peer.send(frame(PONG, pings[-1]))
        peer.advance(5.25, 0.125)
        # No answer to this one.
        peer.advance(19, 0.125)
        self.assertIsNone(peer.closeFrame)
        self.assertEqual(len([f for f, _ in peer.frames if f == PING]), 7)
        peer.advance(1.25, 0.125)
        assert peer.closeFrame is not None
        self.assertEqual(peer.closeFrame[0], 1011)

    def slow(self, recorder: Recorder | None = None, **options: Any) -> RawPeer:
        """Give a peer with 30 seconds for a message, and no keepalive."""
        arguments = {"messageTimeout": 30, "pingInterval": 0, **options}
        return self.opened(recorder or Recorder(), **arguments)

    def assertTimesOut(self, peer: RawPeer, seconds: float) -> None:
        """Hold a connection to be closed in so many seconds for a slow message."""
        peer.advance(seconds - 0.25, 0.25)
        self.assertIsNone(peer.closeFrame)
        with logged() as lines:
            peer.advance(2 * LATE, 0.125)
        self.assertEqual(
            peer.closeFrame, (1008, "message not finished within 30 seconds")
        )
        self.assertEqual(len(lines), 1)

    def test_T03_byteByByte(self) -> None:
        """A message of which there is a byte now and then is 1008 in the end, whether
        in one frame or in fragments; the header counts."""
        whole = text("x" * 100)
        fragments = frame(0x01, b"x") + frame(0x00, b"x") * 50
        for data in (whole, fragments):
            peer = self.slow()
            for number in range(10):
                peer.send(data[number : number + 1])
                peer.advance(2)
            self.assertTimesOut(peer, 10)
            peer.advance(11)
            self.assertFalse(peer.isConnected)

    def test_T03_offByDefault(self) -> None:
        """Without the option a message may take for ever."""
        peer = self.opened(Recorder())
        for _ in range(400):
            peer.send(frame(0x01 if not _ else 0x00, b"x"))
            peer.advance(15)
        self.assertEqual(peer.frames, [])

    def test_T03_finishedMessageResets(self) -> None:
        """With each message that is finished the time begins anew, also where one
        segment brings its end and the next one's beginning."""
        recorder = Recorder()
        peer = self.slow(recorder)
        peer.send(frame(0x01, b"a"))
        for _ in range(5):
            peer.advance(25)
            peer.send(frame(0x80, b"b") + frame(0x01, b"a"))
        self.assertEqual(recorder.messages, ["ab"] * 5)
        self.assertTimesOut(peer, 30)
        # And with nothing under way nothing is counted.
        peer = self.slow()
        for _ in range(5):
            peer.send(text("a"))
            peer.advance(45)
        peer.send(frame(0x01, b"a"))
        self.assertTimesOut(peer, 30)

    def test_T03_finishedInALaterTurn(self) -> None:
        """A message that is finished only when the rest of a segment is decoded, in a
        later turn of the reactor, is finished."""
        recorder = Recorder()
        peer = self.slow(recorder)
        peer.send(frame(0x01, b"a") + frame(0x00) * 1500 + frame(0x80, b"b"))
        peer.advance(0.125, 0.125)
        self.assertEqual(recorder.messages, ["ab"])
        peer.advance(60)
        self.assertIsNone(peer.closeFrame)

    def test_T03_controlFramesDoNotReset(self) -> None:
        """Pings, pongs and parts of them between the fragments give no more time."""
        peer = self.slow()
        peer.send(frame(0x01, b"a"))
        for _ in range(5):
            peer.advance(4)
            peer.send(frame(PING), frame(PONG, b"x"), frame(PING)[:3])
            peer.advance(1)
            peer.send(frame(PING)[3:])
        self.assertTimesOut(peer, 5)

    def test_T03_floodOfControlFramesDoesNotReset(self) -> None:
        """Nor do so many that reading pauses for a moment."""
        recorder = Recorder()
        peer = self.slow(recorder)
        peer.send(frame(0x01, b"a"))
        for _ in range(5):
            peer.advance(5)
            peer.send(*[frame(PONG)] * (EVENTS_PER_SLICE + 1))
            self.assertFalse(peer.transport.reading)
            peer.server.turn()
            self.assertTrue(peer.transport.reading)
        self.assertTimesOut(peer, 5)

    def test_T03_slowHooksDoNotReset(self) -> None:
        """Nor do control frames with which a hook takes its time: only that time does
        not count."""
        waiting: list[Deferred[None]] = []

        def pinged(recorder: Recorder, payload: bytes) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        peer = self.slow(Recorder(pingReceived=pinged))
        peer.send(frame(0x01, b"a"))
        for _ in range(5):
            peer.advance(4)
            peer.send(frame(PING))
            peer.advance(2)
            waiting.pop().callback(None)
        self.assertTimesOut(peer, 10)

    def test_T03_pausedByOurselves(self) -> None:
        """While we do not read ourselves, no message is late."""
        recorder = Recorder()
        peer = self.slow(recorder)
        peer.send(frame(0x01, b"a"))
        peer.advance(10)
        recorder.transport.pauseProducing()
        peer.send(frame(0x80, b"b"))
        peer.advance(100)
        self.assertIsNone(peer.closeFrame)
        recorder.transport.resumeProducing()
        peer.pump()
        self.assertEqual(recorder.messages, ["ab"])
        peer.advance(100)
        self.assertEqual(peer.frames, [])

    def test_T03_besideKeepalive(self) -> None:
        """Both are watched: the peer is pinged meanwhile, and who comes first ends the
        connection."""
        peer = self.opened(Recorder(), messageTimeout=30)
        peer.send(frame(0x01, b"a"))
        peer.advance(21, 0.25)
        self.assertEqual(len(self.pings(peer)), 1)
        self.assertTimesOut(peer, 9)
        peer = self.opened(Recorder(), messageTimeout=60)
        peer.send(frame(0x01, b"a"))
        peer.advance(41, 0.25)
        self.assertEqual(peer.closeFrame, SILENT)

    def test_roundTripTime(self) -> None:
        """It is the time between the last ping, the server's or the application's, and
        its own pong; other pongs, earlier ones and repeated ones tell nothing."""
        recorder = Recorder()
        peer = self.opened(recorder)
        wire = recorder.transport
        self.assertIsNone(wire.roundTripTime)
        peer.send(frame(PONG), frame(PONG, b"x"))
        self.assertIsNone(wire.roundTripTime)
        wire.ping(b"one")
        peer.advance(0.25)
        wire.ping(b"two")
        peer.advance(0.5)
        peer.send(frame(PONG, b"one"))
        self.assertIsNone(wire.roundTripTime)
        peer.send(frame(PONG, b"two"))
        self.assertEqual(wire.roundTripTime, 0.5)
        peer.advance(1)
        peer.send(frame(PONG, b"two"))
        self.assertEqual(wire.roundTripTime, 0.5)
        peer.advance(20, 0.125)
        (payload,) = self.pings(peer)[2:]
        peer.advance(0.125)
        peer.send(frame(PONG, payload))
        # Pinged at 20 seconds of silence, answered at 20.125.
        self.assertEqual(wire.roundTripTime, 0.125)
