"""PyPI's ``autobahn``, on Twisted's reactor."""

from __future__ import annotations

import importlib
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString

from ..settings import MEMORY_LEVEL, WINDOW_BITS, Settings, run

websocket: Any = importlib.import_module("autobahn.twisted.websocket")
compress: Any = importlib.import_module("autobahn.websocket.compress")
masker: Any = importlib.import_module("autobahn.websocket.xormasker")
reactor: Any = _reactor


class Echo(websocket.WebSocketServerProtocol):  # type: ignore[misc]
    """Sends back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


class Broadcast(websocket.WebSocketServerProtocol):  # type: ignore[misc]
    """Sends to all."""

    clients: set[Any] = set()  # noqa: RUF012

    def onOpen(self) -> None:
        """Remember it."""
        self.clients.add(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it to all."""
        prepared = self.factory.prepareMessage(payload, isBinary)
        for each in self.clients:
            each.sendPreparedMessage(prepared)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """Forget it."""
        self.clients.discard(self)


def acceptOffer(offers: list[Any]) -> Any:
    """Accept compression, as it comes."""
    for offer in offers:
        if isinstance(offer, compress.PerMessageDeflateOffer):
            return compress.PerMessageDeflateOfferAccept(offer)
    return None


def acceptOfferEqually(offers: list[Any]) -> Any:
    """Accept compression on the terms of all. The level cannot be set: it is 6."""
    for offer in offers:
        if isinstance(offer, compress.PerMessageDeflateOffer):
            return compress.PerMessageDeflateOfferAccept(
                offer,
                request_max_window_bits=WINDOW_BITS,
                window_bits=WINDOW_BITS,
                mem_level=MEMORY_LEVEL,
            )
    return None


def serve(settings: Settings) -> None:
    """Run it."""
    factory = websocket.WebSocketServerFactory()
    factory.protocol = Broadcast if settings.broadcast else Echo
    if settings.deflate is not None:
        accept = acceptOffer if settings.deflate == "defaults" else acceptOfferEqually
        factory.setProtocolOptions(perMessageCompressionAccept=accept)
    if settings.maxSize is not None:
        factory.setProtocolOptions(maxMessagePayloadSize=settings.maxSize)
    serverFromString(reactor, settings.endpoint).listen(factory)
    reactor.run()


if __name__ == "__main__":
    run(
        serve,
        "autobahn",
        "twisted",
        "pyopenssl",
        "cryptography",
        reactor=type(reactor).__name__,
        masking=masker.create_xor_masker.__module__,
    )
