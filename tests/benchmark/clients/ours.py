"""A protocol of this package."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import ensureDeferred

from twisted_ws import ClientOptions, WebSocketClientEndpoint, WebSocketProtocol

from ..settings import Settings, run

reactor: Any = _reactor


class Echo(WebSocketProtocol):
    """Begins, and sends back.

    :param settings: what to send
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def negotiationFinished(self) -> None:
        """Begin."""
        for _ in range(self._settings.window):
            self.transport.sendTextMessage(self._settings.message)

    def textMessageReceived(self, message: str) -> None:
        """Send it back."""
        self.transport.sendTextMessage(message)


async def connect(settings: Settings) -> None:
    """Connect as often as is wanted."""
    options = ClientOptions(compression="none")
    endpoint = WebSocketClientEndpoint.fromURL(reactor, settings.url, options)
    for _ in range(settings.connections):
        await endpoint.connect(lambda request: Echo(settings))


def main(settings: Settings) -> None:
    """Run it."""
    reactor.callWhenRunning(lambda: ensureDeferred(connect(settings)))
    reactor.run()


if __name__ == "__main__":
    run(main, "twisted_ws", "twisted", reactor=type(reactor).__name__)
