"""Coroutines of this package, with :func:`twisted_ws.connect`."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import ensureDeferred

from twisted_ws import ClientOptions, WebSocket, connect

from ..settings import Settings, run

reactor: Any = _reactor


async def echo(webSocket: WebSocket, settings: Settings) -> None:
    """Begin, and send back."""
    for _ in range(settings.window):
        await webSocket.send(settings.message)
    async for message in webSocket:
        await webSocket.send(message)


async def connectAll(settings: Settings) -> None:
    """Connect as often as is wanted."""
    options = ClientOptions(compression="none")
    for _ in range(settings.connections):
        webSocket = await connect(reactor, settings.url, options)
        ensureDeferred(echo(webSocket, settings))


def main(settings: Settings) -> None:
    """Run it."""
    reactor.callWhenRunning(lambda: ensureDeferred(connectAll(settings)))
    reactor.run()


if __name__ == "__main__":
    run(main, "twisted_ws", "twisted", reactor=type(reactor).__name__)
