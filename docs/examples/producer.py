"""Sending much, but no faster than the other side reads.

``Numbers`` never ends: a push producer, which the transport pauses and resumes::

    twistd -n websocket --protocol docs.examples.producer.Numbers

``sendFile`` sends a file of any size and holds one piece of it at a time::

    FILE=/boot/vmlinuz twistd -n websocket --protocol docs.examples.producer.sendFile
"""

import os
from itertools import count
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from twisted_ws import WebSocket, WebSocketProtocol

PIECE = 64 * 1024
AT_A_TIME = 100


@implementer(IPushProducer)
class Numbers(WebSocketProtocol):
    """Counts for as long as it is listened to."""

    def __init__(self) -> None:
        self._numbers = count()
        self._running = False
        self._scheduled = False

    def negotiationFinished(self) -> None:
        """The connection is open."""
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """Go on: there is room."""
        self._running = True
        self._schedule()

    def pauseProducing(self) -> None:
        """Stop for now: ``highWaterMark`` bytes wait to be sent."""
        self._running = False

    def stopProducing(self) -> None:
        """Stop for good: the connection has ended."""
        self._running = False

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            cast(IReactorTime, reactor).callLater(0, self._produce)

    def _produce(self) -> None:
        self._scheduled = False
        for _ in range(AT_A_TIME):
            if not self._running:
                return
            self.transport.sendTextMessage(str(next(self._numbers)))
        # The other connections have their turn in between.
        self._schedule()


async def sendFile(webSocket: WebSocket) -> None:
    """Send the file that the environment variable FILE names, in pieces."""
    transport = webSocket.transport
    with open(os.environ["FILE"], "rb") as file:
        while piece := file.read(PIECE):
            transport.sendBytesMessage(piece)
            # Fires at once while the peer keeps up. ``await webSocket.send(piece)``
            # does both.
            await transport.whenDrained()
