"""Twisted's own ``twisted.web.websocket``, which takes ``wsproto``."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.server import Site

from ..side import Side, runTwisted

websocket: Any = importlib.import_module("twisted.web.websocket")
reactor: Any = _reactor


class Talking:
    """The application's protocol.

    :param side: whose
    """

    def __init__(self, side: TwistedWeb) -> None:
        self._side = side

    def negotiationStarted(self, transport: Any) -> None:
        """Keep the transport."""
        self._side.transport = transport

    def negotiationFinished(self) -> None:
        """It is open."""
        self._side.tell("open", subprotocol=None, compressed=False)

    def textMessageReceived(self, message: str) -> None:
        """A text message came."""
        self._side.tell("text", data=message.encode())

    def bytesMessageReceived(self, data: bytes) -> None:
        """A binary message came."""
        self._side.tell("binary", data=bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        """A pong came."""
        self._side.tell("pong", data=bytes(payload))

    def connectionLost(self, reason: object) -> None:
        """It is closed; it does not say how."""
        self._side.tell("closed", code=None, reason=None)


class TwistedWeb(Side):
    """Its server and its client, within what it documents: it has neither compression
    nor subprotocols, sends no fragments and no reason, and does not tell the peer's
    close code."""

    distribution = "twisted"
    abilities = ()
    transport: Any

    def buildProtocol(self, request: object) -> Talking:
        """Be the factory, of either side."""
        return Talking(self)

    async def do_listen(
        self, certificate: str | None, compressed: bool, subprotocols: list[str]
    ) -> None:
        """Listen."""
        resource = websocket.WebSocketResource(self)
        resource.isLeaf = True
        factory: Any = Site(resource)
        if certificate is not None:
            with open(certificate, "rb") as file:
                options = PrivateCertificate.loadPEM(file.read()).options()
            factory = TLSMemoryBIOFactory(options, False, factory)
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
        policy: Any = BrowserLikePolicyForHTTPS()
        if trusted is not None:
            with open(trusted, "rb") as file:
                policy = BrowserLikePolicyForHTTPS(Certificate.loadPEM(file.read()))
        await websocket.WebSocketClientEndpoint.new(reactor, url, policy).connect(self)

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
        self.transport.loseConnection(code)


if __name__ == "__main__":
    runTwisted(TwistedWeb)
