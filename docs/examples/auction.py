"""A server with types throughout: an auction, in which everyone hears of a higher bid.

Run it from the top of the checkout::

    python -m docs.examples.auction

or ``twistd -n websocket --protocol docs.examples.auction.Seats``, and bid with
bidder.py. ``mypy --strict`` has nothing to say about either.
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from twisted_ws import (
    HandshakeRejected,
    Request,
    WebSocketProtocol,
    WebSocketServerFactory,
)

LONGEST = 12


class Auction:
    """Who is there, and the highest bid."""

    def __init__(self) -> None:
        self.highest = 0
        self.present: set[Seat] = set()

    def offer(self, amount: int, name: str) -> bool:
        """Take a bid, and tell everyone; give whether it was higher."""
        if amount <= self.highest:
            return False
        self.highest = amount
        for seat in self.present:
            seat.transport.sendTextMessage(f"{amount} by {name}")
        return True


class Seat(WebSocketProtocol):
    """Somebody who bids."""

    def __init__(self, auction: Auction, name: str) -> None:
        self.auction = auction
        self.name = name

    # A hook may be plain, ...
    def negotiationFinished(self) -> None:
        self.auction.present.add(self)

    # ... a coroutine, ...
    async def textMessageReceived(self, message: str) -> None:
        isBid = len(message) <= LONGEST and message.isdecimal()
        if not isBid or not self.auction.offer(int(message), self.name):
            self.transport.sendTextMessage(f"{self.auction.highest} already")
        await self.transport.whenDrained()

    # ... or give a Deferred.
    def bytesMessageReceived(self, data: bytes) -> Deferred[None]:
        self.transport.loseConnection(1003, "bids are text")
        return self.transport.whenDrained()

    def connectionLost(self, reason: Failure) -> None:
        self.auction.present.discard(self)


class Seats:
    """Gives a seat to everyone with a name."""

    def __init__(self) -> None:
        self.auction = Auction()

    async def buildProtocol(self, request: Request) -> Seat:
        names = request.query.get("name", [])
        if len(names) != 1 or not names[0].isalpha():
            raise HandshakeRejected(400, body="Say who you are: /?name=Ada\n")
        return Seat(self.auction, names[0])


async def main(reactor: Any, port: str = "8080") -> None:
    factory = WebSocketServerFactory(Seats())
    listening = reactor.listenTCP(int(port), factory, interface="127.0.0.1")
    print("Listening on port", listening.getHost().port, flush=True)
    await Deferred[None]()


if __name__ == "__main__":
    react(main, sys.argv[1:])
