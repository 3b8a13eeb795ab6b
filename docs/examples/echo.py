from twisted.internet import endpoints, reactor

from twisted_ws import WebSocketProtocol, WebSocketServerFactory


class Echo(WebSocketProtocol):
    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self.transport.sendBytesMessage(data)


if __name__ == "__main__":
    endpoints.serverFromString(reactor, "tcp:8080").listen(WebSocketServerFactory(Echo))
    reactor.run()
