"""A client that stays connected: prints a feed, whatever happens to the server.

Start a server with ``twistd -n websocket --protocol docs.examples.chat.Chat``, and
then::

    python docs/examples/follower.py "ws://localhost:8080/?name=follower"
"""

import sys
from typing import Any

from twisted.internet.task import react

from twisted_ws import Backoff, ConnectionClosed, HandshakeError, reconnecting


async def main(reactor: Any, url: str) -> None:
    connections = reconnecting(reactor, url, backoff=Backoff(first=0.5))
    try:
        async for webSocket in connections:
            print("Connected", flush=True)
            try:
                async for message in webSocket:
                    print(message, flush=True)
                print("The server has closed", flush=True)
            except ConnectionClosed as closed:
                print(closed, flush=True)
    except HandshakeError as error:
        print(f"Giving up: {error}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
