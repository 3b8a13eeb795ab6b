"""A connection served by one coroutine: a countdown.

Send it a number and it counts down from there, one second at a time::

    twistd -n websocket --protocol docs.examples.handler.countDown
"""

from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_ws import WebSocket

LONGEST = 10


async def countDown(webSocket: WebSocket) -> None:
    """Count down from each number that comes, until the client closes."""
    async for message in webSocket:
        if not isinstance(message, str) or not message.isdecimal():
            await webSocket.send("Please send a number.")
            continue
        for number in range(min(int(message), LONGEST), 0, -1):
            await webSocket.send(str(number))
            await deferLater(reactor, 1.0)
        await webSocket.send("Lift-off!")
