"""PyPI's ``autobahn``, on Twisted."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    optionsForClientTLS,
)
from twisted.protocols.tls import TLSMemoryBIOFactory

from ..side import Side, runTwisted

websocket: Any = importlib.import_module("autobahn.twisted.websocket")
compress: Any = importlib.import_module("autobahn.websocket.compress")
reactor: Any = _reactor

# Its default of one second ends with the second of the clock in which it has begun, so
# that now and then it drops the connection before the Close frame is sent.
CLOSE_TIMEOUT = 5


class Talking:
    """What its protocols do here."""

    factory: Any

    def onOpen(self: Any) -> None:
        """It is open."""
        side: Autobahn = self.factory.side
        side.connection = self
        if side.opened is not None:
            side.opened.callback(None)
        side.tell(
            "open",
            subprotocol=self.websocket_protocol_in_use,
            compressed=any(
                each.EXTENSION_NAME == "permessage-deflate"
                for each in self.websocket_extensions_in_use
            ),
        )

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came."""
        self.factory.side.tell("binary" if isBinary else "text", data=bytes(payload))

    def onPong(self, payload: bytes) -> None:
        """A pong came."""
        self.factory.side.tell("pong", data=bytes(payload))

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """It is closed."""
        self.factory.side.tell("closed", code=code, reason=reason or "")


class ServerTalking(Talking, websocket.WebSocketServerProtocol):  # type: ignore[misc]
    """Its server's protocol."""

    def onConnect(self, request: Any) -> str | None:
        """Choose the subprotocol."""
        known = self.factory.protocols
        return next((each for each in request.protocols if each in known), None)


class ClientTalking(Talking, websocket.WebSocketClientProtocol):  # type: ignore[misc]
    """Its client's protocol."""


def acceptOffer(offers: list[Any]) -> Any:
    """Accept compression, as a server; its default is not to."""
    for offer in offers:
        if isinstance(offer, compress.PerMessageDeflateOffer):
            return compress.PerMessageDeflateOfferAccept(offer)
    return None


def acceptResponse(response: Any) -> Any:
    """Accept compression, as a client; its default is not to."""
    return compress.PerMessageDeflateResponseAccept(response)


class Autobahn(Side):
    """Its server and its client."""

    distribution = "autobahn"
    abilities = ("compression", "fragments", "reason", "seesClose", "subprotocols")
    connection: Any
    opened: Deferred[None] | None = None

    async def do_listen(
        self, certificate: str | None, compressed: bool, subprotocols: list[str]
    ) -> None:
        """Listen."""
        factory = websocket.WebSocketServerFactory(protocols=subprotocols)
        factory.protocol = ServerTalking
        factory.side = self
        factory.setProtocolOptions(closeHandshakeTimeout=CLOSE_TIMEOUT)
        if compressed:
            factory.setProtocolOptions(perMessageCompressionAccept=acceptOffer)
        if certificate is not None:
            # As its documentation has it. Contexts of CertificateOptions fail with
            # clients that offer ALPN, as Twisted 26.10 makes them.
            context = DefaultOpenSSLContextFactory(certificate, certificate)
            factory = TLSMemoryBIOFactory(context, False, factory)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = await endpoint.listen(factory)
        self.tell("listening", port=port.getHost().port)

    async def do_connect(
        self,
        url: str,
        trusted: str | None,
        compressed: bool,
        subprotocols: list[str],
    ) -> None:
        """Connect."""
        factory = websocket.WebSocketClientFactory(url, protocols=subprotocols)
        factory.protocol = ClientTalking
        factory.side = self
        factory.setProtocolOptions(
            closeHandshakeTimeout=CLOSE_TIMEOUT,
            serverConnectionDropTimeout=CLOSE_TIMEOUT,
        )
        if compressed:
            factory.setProtocolOptions(
                perMessageCompressionOffers=[compress.PerMessageDeflateOffer()],
                perMessageCompressionAccept=acceptResponse,
            )
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", factory.port)
        if trusted is not None:
            with open(trusted, "rb") as file:
                authority = Certificate.loadPEM(file.read())
            options = optionsForClientTLS(factory.host, authority)
            endpoint = wrapClientTLS(options, endpoint)
        self.opened = Deferred()
        await endpoint.connect(factory)
        await self.opened

    async def do_text(self, data: bytes) -> None:
        """Send text."""
        self.connection.sendMessage(data, isBinary=False)

    async def do_binary(self, data: bytes) -> None:
        """Send bytes."""
        self.connection.sendMessage(data, isBinary=True)

    async def do_fragments(self, text: bool, parts: list[bytes]) -> None:
        """Send fragments."""
        self.connection.beginMessage(isBinary=not text)
        for part in parts:
            self.connection.sendMessageFrame(part)
        self.connection.endMessage()

    async def do_ping(self, data: bytes) -> None:
        """Ping."""
        self.connection.sendPing(data)

    async def do_close(self, code: int, reason: str) -> None:
        """Close."""
        self.connection.sendClose(code, reason)


if __name__ == "__main__":
    runTwisted(Autobahn)
