"""A client of hooks, kept connected by Twisted's ClientService, with a token.

Start a server with ``twistd -n websocket --protocol docs.examples.members.Members``,
and then::

    python docs/examples/watcher.py ws://localhost:8080/?token=secret-of-ada
"""

import sys

from twisted.application.internet import ClientService
from twisted.internet import reactor
from twisted.python.failure import Failure

from twisted_ws import Request, WebSocketClientEndpoint, WebSocketProtocol


class Watcher(WebSocketProtocol):
    """Says hello, and prints what it is told."""

    def negotiationFinished(self) -> None:
        self.transport.sendTextMessage("hello")

    def textMessageReceived(self, message: str) -> None:
        print(message, flush=True)

    def connectionLost(self, reason: Failure) -> None:
        print(reason.value, flush=True)


class Watchers:
    """ClientService wants a factory."""

    def buildProtocol(self, request: Request) -> Watcher:
        return Watcher()


if __name__ == "__main__":
    endpoint = WebSocketClientEndpoint.fromURL(reactor, sys.argv[1])
    # Type checkers expect a factory for protocols of bytes there.
    service = ClientService(endpoint, Watchers())  # type: ignore[arg-type]
    service.startService()
    # Says goodbye at Ctrl-C; within an Application, Twisted sees to that.
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
