"""A chat room: what one says, all the others hear.

Run it from the top of the checkout::

    twistd -n websocket --protocol docs.examples.chat.Chat

Then connect several clients; a name is chosen with the query. With the one that comes
with the package ``websockets`` of PyPI::

    websockets "ws://localhost:8080/?name=Ada"
"""

from typing import ClassVar

from twisted.python.failure import Failure

from twisted_ws import (
    HandshakeRejected,
    SlowPolicy,
    WebSocketProtocol,
    WebSocketTransport,
    broadcast,
)

LONGEST_NAME = 32


class Chat(WebSocketProtocol):
    """One person in the room."""

    everyone: ClassVar[set["Chat"]] = set()
    name = "somebody"

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Take the name from the query; without a usable one nobody comes in."""
        super().negotiationStarted(transport)
        name = transport.request.query.get("name", [self.name])[0]
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise HandshakeRejected(400, body="That is no name to be called by.\n")
        self.name = name

    def negotiationFinished(self) -> None:
        """The connection is open."""
        self.everyone.add(self)
        self.tellEveryone(f"* {self.name} has come")

    def textMessageReceived(self, message: str) -> None:
        """Pass on what was said."""
        self.tellEveryone(f"{self.name}: {message}")

    def connectionLost(self, reason: Failure) -> None:
        """The connection has ended, or never opened."""
        if self in self.everyone:
            self.everyone.remove(self)
            self.tellEveryone(f"* {self.name} has gone")

    def tellEveryone(self, text: str) -> None:
        """Send a line to everyone, but to nobody who is behind with reading."""
        transports = [each.transport for each in self.everyone]
        broadcast(transports, text, SlowPolicy.SKIP)
