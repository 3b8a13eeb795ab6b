"""A client of hooks, kept connected by a service, with a token.

Start a server with ``twistd -n websocket --protocol docs.examples.members.Members``,
and then::

    python docs/examples/watcher.py ws://localhost:8080/?token=secret-of-ada
"""

import sys

from twisted.internet import reactor
from twisted.python.failure import Failure

from twisted_ws import (
    WebSocketClientEndpoint,
    WebSocketClientService,
    WebSocketProtocol,
)


class Watcher(WebSocketProtocol):
    """Says hello, and prints what it is told."""

    def negotiationFinished(self) -> None:
        self.transport.sendTextMessage("hello")

    def textMessageReceived(self, message: str) -> None:
        print(message, flush=True)

    def connectionLost(self, reason: Failure) -> None:
        print(reason.value, flush=True)


if __name__ == "__main__":
    endpoint = WebSocketClientEndpoint.fromURL(reactor, sys.argv[1])
    service = WebSocketClientService(endpoint, Watcher)
    service.startService()
    # Says goodbye at Ctrl-C; within an Application, Twisted sees to that.
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
