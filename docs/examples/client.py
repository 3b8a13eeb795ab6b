"""A client in one coroutine: says something, and prints what comes back.

Start a server with ``twistd -n websocket``, and then::

    python docs/examples/client.py ws://localhost:8080/ hello
"""

import sys
from typing import Any

from twisted.internet.task import react

from twisted_ws import ClientOptions, HandshakeError, HandshakeRefused, connect


async def main(reactor: Any, url: str, *words: str) -> None:
    options = ClientOptions(pingInterval=5)
    try:
        webSocket = await connect(reactor, url, options)
    except HandshakeRefused as refused:
        # The server's own words are often the best explanation.
        print(refused, refused.body.decode("utf-8", "replace"))
        return
    except HandshakeError as error:
        print(f"No connection: {error}")
        return
    async with webSocket:
        for word in words:
            await webSocket.send(word)
            print(await webSocket.receive())


if __name__ == "__main__":
    react(main, sys.argv[1:])
