"""PyPI's ``autobahn``, on Twisted's reactor."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import clientFromString

from ..settings import Settings, run

websocket: Any = importlib.import_module("autobahn.twisted.websocket")
reactor: Any = _reactor


class Echo(websocket.WebSocketClientProtocol):  # type: ignore[misc]
    """Begins, and sends back."""

    def onOpen(self) -> None:
        """Begin."""
        settings = self.factory.settings
        for _ in range(settings.window):
            self.sendMessage(settings.message.encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


def main(settings: Settings) -> None:
    """Run it."""
    factory = websocket.WebSocketClientFactory(settings.url)
    factory.protocol = Echo
    factory.settings = settings
    endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{settings.port}")
    for _ in range(settings.connections):
        endpoint.connect(factory)
    reactor.run()


if __name__ == "__main__":
    run(main, "autobahn", "twisted", reactor=type(reactor).__name__)
