"""twisted_ws itself."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.failure import Failure

from twisted_ws import (
    ClientOptions,
    ConnectionClosed,
    ServerOptions,
    TLSServerEndpoint,
    WebSocketClientEndpoint,
    WebSocketProtocol,
    WebSocketServerFactory,
    loadContext,
)

from ..side import Side, runTwisted

reactor: Any = _reactor

# A twisted.web.websocket does not end its connections over TLS by itself: the transport
# waits for the HTTP channel, as a producer, to go first.
CLOSE_TIMEOUT = 2.0


class Talking(WebSocketProtocol):
    """The application's protocol.

    :param side: whose
    """

    def __init__(self, side: Ours) -> None:
        self._side = side

    def negotiationFinished(self) -> None:
        """It is open."""
        self._side.transport = self.transport
        self._side.tell(
            "open",
            subprotocol=self.transport.subprotocol,
            compressed=any(
                each.startswith("permessage-deflate")
                for each in self.transport.extensions
            ),
        )

    def textMessageReceived(self, message: str) -> None:
        """A text message came."""
        self._side.tell("text", data=message.encode())

    def bytesMessageReceived(self, data: bytes) -> None:
        """A binary message came."""
        self._side.tell("binary", data=data)

    def pongReceived(self, payload: bytes) -> None:
        """A pong came."""
        self._side.tell("pong", data=payload)

    def connectionLost(self, reason: Failure) -> None:
        """It is closed."""
        closed = reason.value
        assert isinstance(closed, ConnectionClosed)
        self._side.tell("closed", code=closed.code, reason=closed.reason)


class Ours(Side):
    """Our server and our client."""

    distribution = "twisted_ws"
    abilities = ("compression", "reason", "seesClose", "subprotocols")
    transport: Any

    async def do_listen(
        self, certificate: str | None, compressed: bool, subprotocols: list[str]
    ) -> None:
        """Listen."""
        options = ServerOptions(
            subprotocols=tuple(subprotocols),
            compression="small" if compressed else "none",
            closeTimeout=CLOSE_TIMEOUT,
        )
        factory = WebSocketServerFactory(lambda request: Talking(self), options)
        endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        if certificate is not None:
            endpoint = TLSServerEndpoint(endpoint, loadContext(certificate))
        port = await endpoint.listen(factory)
        self.tell("listening", port=port.getHost().port)

    async def do_connect(
        self,
        url: str,
        trusted: str | None,
        compressed: bool,
        subprotocols: list[str],
    ) -> None:
        """Connect."""
        options = ClientOptions(
            subprotocols=tuple(subprotocols),
            compression="small" if compressed else "none",
            closeTimeout=CLOSE_TIMEOUT,
            trustRoots=trusted,
        )
        endpoint = WebSocketClientEndpoint.fromURL(reactor, url, options)
        await endpoint.connect(lambda request: Talking(self))

    async def do_text(self, data: bytes) -> None:
        """Send text."""
        self.transport.sendTextMessage(data.decode())

    async def do_binary(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.sendBytesMessage(data)

    async def do_ping(self, data: bytes) -> None:
        """Ping."""
        self.transport.ping(data)

    async def do_close(self, code: int, reason: str) -> None:
        """Close."""
        self.transport.loseConnection(code, reason)


if __name__ == "__main__":
    runTwisted(Ours)
