"""What ``twistd websocket --protocol benchmark_broadcast.Broadcast`` serves: a message
goes to all. In a folder of its own, which any checkout of twisted_ws can be given."""

from __future__ import annotations

from twisted.python.failure import Failure

from twisted_ws import WebSocketProtocol, WebSocketTransport, broadcast

clients: set[WebSocketTransport] = set()


class Broadcast(WebSocketProtocol):
    """Sends to all."""

    def negotiationFinished(self) -> None:
        """Remember it."""
        clients.add(self.transport)

    def textMessageReceived(self, message: str) -> None:
        """Send it to all."""
        broadcast(clients, message)

    def connectionLost(self, reason: Failure) -> None:
        """Forget it."""
        clients.discard(self.transport)
