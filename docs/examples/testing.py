"""How to test an application without a network.

Run it from the top of the checkout::

    python -m twisted.trial docs.examples.testing
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from docs.examples.echo import Echo
from twisted_ws import ServerOptions, WebSocketServerFactory
from twisted_ws.frames import FrameDecoder, encodeFrame

TEXT = 0x81  # The last, or only, fragment of a text message.
PING = 0x89
NO_MASK = bytes(4)
REQUEST = (
    b"GET / HTTP/1.1\r\n"
    b"Host: example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"\r\n"
)


class EchoTests(SynchronousTestCase):
    """Echo, and what the package does by itself."""

    def setUp(self) -> None:
        """Open a connection."""
        self.clock = Clock()
        options = ServerOptions(pingInterval=20)
        factory = WebSocketServerFactory(Echo, options, reactor=self.clock)
        self.client = StringTransport()
        self.server = factory.buildProtocol(None)
        self.server.makeConnection(self.client)
        self.server.dataReceived(REQUEST)
        self.assertIn(b"HTTP/1.1 101 ", self.client.value())
        self.client.clear()

    def received(self) -> list[tuple[int, bytes]]:
        """Give the frames that the client got: first byte and payload."""
        return FrameDecoder(masked=False).feed(self.client.value())

    def test_echo(self) -> None:
        """A message comes back."""
        self.server.dataReceived(encodeFrame(TEXT, b"hello", NO_MASK))
        self.assertEqual(self.received(), [(TEXT, b"hello")])

    def test_ping(self) -> None:
        """A silent client is pinged."""
        self.clock.advance(21)
        self.assertEqual([first for first, _ in self.received()], [PING])
