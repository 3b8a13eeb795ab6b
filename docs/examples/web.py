"""Pages and WebSocket on one port, with the session of twisted.web: who gave a name on
the page goes by it in the chat.

Run it with ``python docs/examples/web.py``, and open http://localhost:8080/.
"""

import os
import sys

from twisted.internet import endpoints, reactor
from twisted.python import log
from twisted.web.resource import Resource
from twisted.web.server import Request as WebRequest
from twisted.web.server import Site

from twisted_ws import (
    HandshakeRejected,
    Request,
    WebSocketProtocol,
    WebSocketResource,
    WebSocketServerFactory,
)

PAGE = b"""<!doctype html>
<title>Chat</title>
<form method="post"><input name="name" maxlength="32"> <button>Come in</button></form>
<form id="say"><input> <button>Say</button></form>
<pre></pre>
<script>
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/chat`);
  const show = (line) => document.querySelector("pre").append(line, "\\n");
  socket.onmessage = (event) => show(event.data);
  socket.onclose = () => show("(not connected)");
  document.querySelector("#say").onsubmit = (event) => {
    event.preventDefault();
    socket.send(event.target[0].value);
  };
</script>
"""


NAMES: dict[bytes, str] = {}
"""The names of all sessions."""


class Page(Resource):
    """The page. Its form gives the session a name."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)

    def render_GET(self, request: WebRequest) -> bytes:
        """Show it."""
        return PAGE

    def render_POST(self, request: WebRequest) -> bytes:
        """Take the name, and show the page again."""
        session = request.getSession()
        name = request.args.get(b"name", [b""])[0].decode("utf-8", "replace")
        if session.uid not in NAMES:
            session.notifyOnExpire(lambda: NAMES.pop(session.uid))
        NAMES[session.uid] = name
        return PAGE


class Talker(WebSocketProtocol):
    """One person in the chat.

    :param name: what it goes by
    :param everyone: all of them
    """

    def __init__(self, name: str, everyone: "set[Talker]") -> None:
        self.name = name
        self.everyone = everyone

    def negotiationFinished(self) -> None:
        """The connection is open."""
        self.everyone.add(self)

    def textMessageReceived(self, message: str) -> None:
        """Pass on what was said."""
        for each in self.everyone:
            each.transport.sendTextMessage(f"{self.name}: {message}")

    def connectionLost(self, reason: object) -> None:
        """The connection has ended."""
        self.everyone.discard(self)


class Chat:
    """Lets those in who have a name."""

    def __init__(self) -> None:
        self.everyone: set[Talker] = set()

    def buildProtocol(self, request: Request) -> Talker:
        """Decide on a request, by the session of twisted.web's request."""
        name = NAMES.get(request.webRequest.getSession().uid)
        if name is None:
            raise HandshakeRejected(403, body="Give a name first.\n")
        return Talker(name, self.everyone)


if __name__ == "__main__":
    log.startLogging(sys.stdout)
    factory = WebSocketServerFactory(Chat())
    root = Resource()
    root.putChild(b"", Page())
    root.putChild(b"chat", WebSocketResource(factory))
    # A goodbye to everyone; the reactor waits for it.
    reactor.addSystemEventTrigger("before", "shutdown", factory.closeConnections)
    listen = os.environ.get("LISTEN", "tcp:8080")
    endpoints.serverFromString(reactor, listen).listen(Site(root))
    reactor.run()
