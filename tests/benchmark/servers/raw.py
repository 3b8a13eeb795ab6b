"""The ceiling: a protocol of Twisted that sends bytes back as they come. It knows
nothing of frames or messages; its handshake is a byte that it sends."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from ..settings import Settings, run

reactor: Any = _reactor
clients: set[Protocol] = set()


class Echo(Protocol):
    """Sends back."""

    transport: Any

    def connectionMade(self) -> None:
        """Say that it is there."""
        self.transport.setTcpNoDelay(True)
        self.transport.write(b"!")

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


class Broadcast(Protocol):
    """Sends to all."""

    transport: Any

    def connectionMade(self) -> None:
        """Remember it, and say that it is there."""
        clients.add(self)
        self.transport.setTcpNoDelay(True)
        self.transport.write(b"!")

    def dataReceived(self, data: bytes) -> None:
        """Send it to all."""
        for each in clients:
            each.transport.write(data)  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:
        """Forget it."""
        clients.discard(self)


def serve(settings: Settings) -> None:
    """Run it."""
    factory = Factory.forProtocol(Broadcast if settings.broadcast else Echo)
    factory.noisy = False
    serverFromString(reactor, settings.endpoint).listen(factory)
    reactor.run()


if __name__ == "__main__":
    run(serve, "twisted", "pyopenssl", "cryptography", reactor=type(reactor).__name__)
