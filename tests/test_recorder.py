"""The application that writes down how it is called."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_ws import ServerOptions
from twisted_ws.testing import MemoryServer, Recorder, connectedPair, echoing, text

PLAIN = ServerOptions(compression="none")


class RecorderTests(SynchronousTestCase):
    """:class:`Recorder`."""

    def test_calls(self) -> None:
        """Every hook is written down, with its arguments."""
        pair = connectedPair(echoing(), Recorder(), PLAIN)
        pair.client.transport.sendTextMessage("a")
        pair.client.transport.ping(b"b")
        pair.pump()
        pair.server.transport.ping(b"c")
        pair.pump()
        pair.client.transport.loseConnection()
        pair.pump()
        self.assertEqual(
            pair.server.names,
            [
                "negotiationStarted",
                "negotiationFinished",
                "textMessageReceived",
                "pingReceived",
                "pongReceived",
                "connectionLost",
            ],
        )
        self.assertIn(("pongReceived", b"b"), pair.client.calls)
        self.assertEqual(pair.server.reason.code, 1000)

    def test_buffer(self) -> None:
        """So are those of a full buffer."""
        recorder = Recorder()
        peer = MemoryServer(recorder, PLAIN).open()
        peer.reads = False
        for _ in range(3):
            recorder.transport.sendBytesMessage(bytes(70_000))
        peer.reads = True
        peer.pump()
        self.assertEqual(recorder.names[2:], ["sendBufferFull", "sendBufferDrained"])
        recorder.transport.abortConnection()

    def test_reactions(self) -> None:
        """A reaction is called with the recorder and the arguments, and its result is
        the hook's."""
        waiting: Deferred[None] = Deferred()
        recorder = Recorder(textMessageReceived=lambda *_: waiting)
        peer = MemoryServer(recorder).open()
        peer.send(text("one"), text("two"))
        self.assertEqual(recorder.messages, ["one"])
        waiting.callback(None)
        peer.pump()
        self.assertEqual(recorder.messages, ["one", "two"])
