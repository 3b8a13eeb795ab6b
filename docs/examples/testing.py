"""How to test an application with trial: in memory, on a clock.

Run it from the top of the checkout::

    python -m twisted.trial docs.examples.testing
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from twisted.trial.unittest import SynchronousTestCase

from docs.examples.echo import Echo
from twisted_ws import ServerOptions
from twisted_ws.testing import PING, MemoryServer, Recorder, connectedPair, frame


class EchoTests(SynchronousTestCase):
    """Echo, and what the package does by itself."""

    def test_echo(self) -> None:
        """A message comes back, however the network chops it."""
        pair = connectedPair(Echo, Recorder())
        pair.toServer.chop = 1
        pair.client.transport.sendTextMessage("hello")
        pair.pump()
        self.assertEqual(pair.client.messages, ["hello"])

    def test_slow(self) -> None:
        """It takes as long as the way there and back."""
        pair = connectedPair(Echo, Recorder())
        pair.toServer.delay = pair.toClient.delay = 2.5
        pair.client.transport.sendTextMessage("hello")
        pair.advance(4)
        self.assertEqual(pair.client.messages, [])
        pair.advance(1)
        self.assertEqual(pair.client.messages, ["hello"])

    def test_cableIsPulled(self) -> None:
        """A client that is gone without a word is found out after a while."""
        server = Recorder()
        pair = connectedPair(server, Recorder(), ServerOptions(pingInterval=20))
        pair.toServer.cut()
        pair.advance(60)
        self.assertEqual(server.reason.code, 1011)

    def test_bytes(self) -> None:
        """A peer that is no honest client gets what the protocol has for it."""
        peer = MemoryServer(Echo).open()
        peer.send(frame(PING, bytes(126)))
        self.assertEqual(peer.closeFrame, (1002, "control frame over 125 bytes"))
