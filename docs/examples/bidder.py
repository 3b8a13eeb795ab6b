"""A client with types throughout: bids in the auction of auction.py.

::

    python docs/examples/bidder.py "ws://localhost:8080/?name=Ada" 10 25
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from twisted_ws import (
    WebSocketClientEndpoint,
    WebSocketClientService,
    WebSocketProtocol,
)


class Bidder(WebSocketProtocol):
    """Bids, and knows the highest bid."""

    def __init__(self) -> None:
        self.highest = 0
        self._waiting: list[Deferred[int]] = []

    def bid(self, amount: int) -> Deferred[int]:
        """Bid, and give the highest bid after that."""
        answer: Deferred[int] = Deferred()
        self._waiting.append(answer)
        self.transport.sendTextMessage(str(amount))
        return answer

    def textMessageReceived(self, message: str) -> None:
        self.highest = int(message.split()[0])
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self.highest)

    def connectionLost(self, reason: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(reason)


async def bidOnce(reactor: Any, url: str, amount: int) -> int:
    """Bid on a connection of its own."""
    endpoint = WebSocketClientEndpoint.fromURL(reactor, url)
    # A Bidder, also for type checkers.
    bidder = await endpoint.connect(Bidder)
    highest = await bidder.bid(amount)
    bidder.transport.loseConnection()
    await bidder.transport.whenClosed()
    return highest


async def main(reactor: Any, url: str, first: str, *others: str) -> None:
    print(await bidOnce(reactor, url, int(first)), flush=True)
    # What stays connected.
    endpoint = WebSocketClientEndpoint.fromURL(reactor, url)
    service = WebSocketClientService(endpoint, Bidder)
    service.startService()
    try:
        for amount in others:
            bidder = await service.whenConnected(failAfterFailures=3)
            print(await bidder.bid(int(amount)), flush=True)
    finally:
        await service.stopService()


if __name__ == "__main__":
    react(main, sys.argv[1:])
