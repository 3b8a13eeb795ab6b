"""Twisted's own ``twisted.web.websocket``, which takes ``wsproto``."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site

from ..settings import Settings, run

websocket: Any = importlib.import_module("twisted.web.websocket")
reactor: Any = _reactor
clients: set[Any] = set()


class Echo:
    """Sends back."""

    transport: Any

    @classmethod
    def buildProtocol(cls, request: object) -> Any:
        """Be the factory."""
        return cls()

    def negotiationStarted(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def negotiationFinished(self) -> None:
        """It is open."""

    def textMessageReceived(self, message: str) -> None:
        """Send it back."""
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.sendBytesMessage(data)

    def pongReceived(self, payload: bytes) -> None:
        """A pong came."""

    def connectionLost(self, reason: object) -> None:
        """It is closed."""


class Broadcast(Echo):
    """Sends to all. It knows no messages that are framed once."""

    def negotiationFinished(self) -> None:
        """Remember it."""
        clients.add(self)

    def textMessageReceived(self, message: str) -> None:
        """Send it to all."""
        for each in clients:
            each.transport.sendTextMessage(message)

    def connectionLost(self, reason: object) -> None:
        """Forget it."""
        clients.discard(self)


def serve(settings: Settings) -> None:
    """Run it."""
    if settings.deflate is not None:
        raise SystemExit("it has no compression")
    resource = websocket.WebSocketResource(Broadcast if settings.broadcast else Echo)
    resource.isLeaf = True
    serverFromString(reactor, settings.endpoint).listen(Site(resource))
    reactor.run()


if __name__ == "__main__":
    run(
        serve,
        "twisted",
        "wsproto",
        "pyopenssl",
        "cryptography",
        reactor=type(reactor).__name__,
    )
