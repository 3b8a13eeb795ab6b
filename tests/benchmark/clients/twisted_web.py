"""Twisted's own ``twisted.web.websocket``, which takes ``wsproto``."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import ensureDeferred

from ..settings import Settings, run

websocket: Any = importlib.import_module("twisted.web.websocket")
reactor: Any = _reactor


class Echo:
    """Begins, and sends back.

    :param settings: what to send
    """

    transport: Any

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def negotiationStarted(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def negotiationFinished(self) -> None:
        """Begin."""
        for _ in range(self._settings.window):
            self.transport.sendTextMessage(self._settings.message)

    def textMessageReceived(self, message: str) -> None:
        """Send it back."""
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        """None of these come."""

    def pongReceived(self, payload: bytes) -> None:
        """None of these come."""

    def connectionLost(self, reason: object) -> None:
        """It is closed."""


class EchoFactory:
    """Makes them.

    :param settings: what to send
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def buildProtocol(self, request: object) -> Echo:
        """Make one."""
        return Echo(self._settings)


async def connect(settings: Settings) -> None:
    """Connect as often as is wanted."""
    endpoint = websocket.WebSocketClientEndpoint.new(reactor, settings.url)
    factory = EchoFactory(settings)
    for _ in range(settings.connections):
        await endpoint.connect(factory)


def main(settings: Settings) -> None:
    """Run it."""
    reactor.callWhenRunning(lambda: ensureDeferred(connect(settings)))
    reactor.run()


if __name__ == "__main__":
    run(main, "twisted", "wsproto", reactor=type(reactor).__name__)
