"""A server for Autobahn; shout_ported.py is the same one for this package::

python docs/examples/shout_autobahn.py 8080
"""

# Autobahn has few types.
# mypy: ignore-errors

import sys

from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.types import ConnectionDeny
from twisted.internet import reactor


class Shout(WebSocketServerProtocol):
    def onConnect(self, request):
        if request.path != "/shout":
            raise ConnectionDeny(ConnectionDeny.NOT_FOUND)
        return "loud" if "loud" in request.protocols else None

    def onOpen(self):
        self.sendMessage(b"Speak up!")

    def onMessage(self, payload, isBinary):
        if isBinary:
            self.sendClose(4000, "words, please")
        else:
            self.sendMessage(payload.decode().upper().encode())

    def onClose(self, wasClean, code, reason):
        print("closed", wasClean, code, reason, flush=True)


factory = WebSocketServerFactory()
factory.protocol = Shout
factory.setProtocolOptions(
    maxMessagePayloadSize=64 * 1024,
    autoPingInterval=20,
    autoPingTimeout=20,
    allowedOrigins=["https://example.com:443"],
)

if __name__ == "__main__":
    port = reactor.listenTCP(int(sys.argv[1]), factory, interface="127.0.0.1")
    print("Listening on port", port.getHost().port, flush=True)
    reactor.run()
