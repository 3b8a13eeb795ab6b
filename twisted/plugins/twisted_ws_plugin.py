"""What Twisted's plugin system finds: the ``twistd websocket`` command, and the
endpoint strings that begin with ``ws:`` and ``wss:``.

Twisted imports this file for every ``twistd`` command and for every endpoint string
that it does not know itself, so it imports nothing of twisted_ws: what it stands for is
loaded when it is used.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

websocket = ServiceMaker(
    "twisted_ws",
    "twisted_ws.tap",
    "A WebSocket server: your protocol, handler or an echo, or a bridge to TCP; TLS.",
    "websocket",
)


@implementer(
    IPlugin,
    IStreamServerEndpointStringParser,
    IStreamClientEndpointStringParserWithReactor,
)
class EndpointStrings:
    """Reads the endpoint strings of one prefix.

    :param prefix: ``ws`` or ``wss``
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def parseStreamServer(
        self, reactor: Any, *arguments: Any, **named: Any
    ) -> IStreamServerEndpoint:
        """Make the endpoint for ``serverFromString``."""
        from twisted_ws.strings import serverFromArguments

        return serverFromArguments(self.prefix == "wss", reactor, arguments, named)

    def parseStreamClient(
        self, reactor: Any, *arguments: Any, **named: Any
    ) -> IStreamClientEndpoint:
        """Make the endpoint for ``clientFromString``."""
        from twisted_ws.strings import clientFromArguments

        return clientFromArguments(self.prefix == "wss", reactor, arguments, named)


ws = EndpointStrings("ws")
wss = EndpointStrings("wss")
