"""The ``twistd websocket`` command, as Twisted's plugin system finds it.

Twisted imports this file for every ``twistd`` command, so it imports nothing of
twisted_ws itself: the options and the service are loaded by name when they are used.
"""

from twisted.application.service import ServiceMaker

websocket = ServiceMaker(
    "twisted_ws",
    "twisted_ws.tap",
    "A WebSocket server: your protocol, handler or an echo, with TLS.",
    "websocket",
)
