"""The server of shout_autobahn.py, for this package::

python docs/examples/shout_ported.py 8080
"""

import sys
from typing import Any

from twisted.internet import reactor
from twisted.python.failure import Failure

from twisted_ws import (
    ConnectionClosed,
    HandshakeRejected,
    Request,
    ServerOptions,
    WebSocketProtocol,
    WebSocketServerFactory,
)


class Shout(WebSocketProtocol):
    def negotiationFinished(self) -> None:
        self.transport.sendTextMessage("Speak up!")

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message.upper())

    def bytesMessageReceived(self, data: bytes) -> None:
        self.transport.loseConnection(4000, "words, please")

    def connectionLost(self, reason: Failure) -> None:
        closed = reason.value
        if isinstance(closed, ConnectionClosed):
            print("closed", closed.wasClean, closed.code, closed.reason, flush=True)


def decide(request: Request) -> Shout:
    if request.path != "/shout":
        raise HandshakeRejected(404)
    return Shout()


factory = WebSocketServerFactory(
    decide,
    ServerOptions(
        subprotocols=("loud",),
        maxMessageSize=64 * 1024,
        pingInterval=20,
        pingTimeout=20,
        allowedOrigins=("https://example.com",),
    ),
)

if __name__ == "__main__":
    port: Any = reactor.listenTCP(int(sys.argv[1]), factory, interface="127.0.0.1")
    print("Listening on port", port.getHost().port, flush=True)
    reactor.run()
