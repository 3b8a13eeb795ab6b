"""The chat of chat.py as an application of its own, with TLS.

Run it from the top of the checkout::

    PYTHONPATH=. CERTIFICATE=/etc/ssl/fullchain-and-key.pem \\
        twistd -ny docs/examples/service.tac

Without CERTIFICATE it makes one for localhost that nobody trusts.
"""

import os

from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString

from docs.examples.chat import Chat
from twisted_ws import (
    ServerOptions,
    TLSServerEndpoint,
    WebSocketServerFactory,
    WebSocketService,
    loadContext,
    selfSignedContext,
)

if "CERTIFICATE" in os.environ:
    context = loadContext(os.environ["CERTIFICATE"], os.environ.get("PRIVATE_KEY"))
else:
    context, _ = selfSignedContext()

endpoint = serverFromString(reactor, os.environ.get("LISTEN", "tcp:8443"))
options = ServerOptions(maxMessageSize=64 * 1024, maxConnectionsPerAddress=100)
factory = WebSocketServerFactory(Chat, options, path="/chat")

application = Application("chat")
service = WebSocketService([TLSServerEndpoint(endpoint, context)], factory, drain=5.0)
service.setServiceParent(application)
