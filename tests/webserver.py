"""A server of twisted.web with a WebSocketResource in it, without a network."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer, ISSLTransport
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import alsoProvides, classImplements

from tests.support import Server
from twisted_ws.memory import CLIENT, MemoryTLSTransport, MemoryTransport
from twisted_ws.resource import WebSocketResource
from twisted_ws.testing import RawPeer, request


class WebTransport(MemoryTransport):
    """What twisted.web takes for a TCP transport."""


class WebTLSTransport(MemoryTLSTransport):
    """What twisted.web takes for a TLS transport."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        alsoProvides(self, ISSLTransport)


classImplements(WebTransport, IConsumer, IPushProducer)
classImplements(WebTLSTransport, IConsumer, IPushProducer)


class _Listening:
    """What a peer has to do with: the site's protocols, the server's time."""

    def __init__(self, server: WebServer) -> None:
        self.factory = server.site
        self.clock = server.clock
        self.advance = server.advance


class WebServer(Server):
    """A site with a page at ``/`` and WebSocket at ``/ws``.

    :param application: for the factory
    :param page: for the resource
    :param avatar: for the resource
    :param root: in place of the site's root; called with the resource
    :param arguments: for :class:`Server`
    """

    def __init__(
        self,
        application: Any,
        *,
        page: Any = None,
        avatar: Any = None,
        root: Any = None,
        **arguments: Any,
    ) -> None:
        super().__init__(application, **arguments)
        self.resource = WebSocketResource(self.factory, page, avatar=avatar)
        self.root: Any
        if root is None:
            self.root = Tree()
            self.root.putChild(b"", Page(b"the page"))
            self.root.putChild(b"ws", self.resource)
        else:
            self.root = root(self.resource)
        self.site = Site(self.root, reactor=self.clock)

    def connect(
        self, peer: Any = CLIENT, *, secure: bool = False, bound: str = "192.0.2.1"
    ) -> RawPeer:
        """Have a client make a TCP connection.

        :param peer: its address
        :param secure: over TLS
        :param bound: where the port is bound to
        """
        kind = WebTLSTransport if secure else WebTransport
        listening: Any = _Listening(self)
        found = RawPeer(listening, kind(self.clock, peer, bound))
        self.peers.append(found)
        return found

    def open(self, *extra: str, secure: bool = False, **named: Any) -> RawPeer:
        """Have a client open a WebSocket connection; it is not said that it succeeds.

        :param extra: header lines
        :param secure: over TLS
        :param named: for :func:`twisted_ws.testing.request`
        """
        peer = self.connect(secure=secure)
        peer.send(request(*extra, **{"target": "/ws", **named}))
        return peer


class Tree(Resource):
    """Resources. What is not there is not found in few words; newer Twisted warns of
    what its own resources say."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: Any) -> Any:
        """Find nothing."""
        return Missing(b"")


class Page(Tree):
    """A page.

    :param text: what it says
    """

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text = text

    def render_GET(self, _: object) -> bytes:
        """Say it."""
        return self.text


class Leaf(Page):
    """A page that has the rest of the path."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Say it, and what the rest of the path is."""
        return self.text + b" " + b"/".join(request.postpath)


class Missing(Page):
    """What is not there."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Say so."""
        request.setResponseCode(404)
        return self.text
