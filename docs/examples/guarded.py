"""Authentication by twisted.web.guard in front of WebSocket.

Run it with ``python docs/examples/guarded.py``; ``ada`` has the password ``secret``.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import endpoints, reactor
from twisted.python import log
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface import Interface, implementer

from twisted_ws import (
    Request,
    WebSocketProtocol,
    WebSocketResource,
    WebSocketServerFactory,
)


class Greeting(WebSocketProtocol):
    """Says whom it takes its visitor for."""

    def negotiationFinished(self) -> None:
        """The connection is open."""
        user = self.transport.request.avatar
        self.transport.sendTextMessage(f"Welcome, {user.decode()}")


def greet(request: Request) -> Greeting:
    """Decide on a request of somebody who was let in."""
    return Greeting()


@implementer(IRealm)
class Realm:
    """Gives each user a resource; they share a factory."""

    def __init__(self, factory: WebSocketServerFactory) -> None:
        self.factory = factory

    def requestAvatar(
        self, avatarId: Any, mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], IResource, Callable[[], None]]:
        """Give the resource of a user, and what is called when the connection ends."""
        resource = WebSocketResource(self.factory, avatar=avatarId)
        return IResource, resource, lambda: log.msg(f"{avatarId.decode()} has gone")


if __name__ == "__main__":
    log.startLogging(sys.stdout)
    factory = WebSocketServerFactory(greet)
    # For an example. A real service has passwords hashed, and elsewhere.
    checker = InMemoryUsernamePasswordDatabaseDontUse(ada=b"secret")
    portal = Portal(Realm(factory), [checker])
    root = Resource()
    guard = HTTPAuthSessionWrapper(portal, [BasicCredentialFactory(b"example")])
    root.putChild(b"ws", guard)
    reactor.addSystemEventTrigger("before", "shutdown", factory.closeConnections)
    listen = os.environ.get("LISTEN", "tcp:8080")
    endpoints.serverFromString(reactor, listen).listen(Site(root))
    reactor.run()
