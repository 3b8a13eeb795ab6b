"""WebSocket for Twisted: a protocol to subclass, and a server to start.

``twistd -n websocket --port 8080`` runs a server; an application subclasses
:class:`WebSocketProtocol` and gives it to :class:`WebSocketServerFactory`, which any
Twisted endpoint can listen with.
"""

from .broadcast import BroadcastResult, SlowPolicy, broadcast
from .closing import CloseCode
from .deflate import PreparedMessage
from .errors import (
    ConnectionClosed,
    HandshakeError,
    HandshakeRejected,
    InvalidOption,
    TLSConfigurationError,
    WebSocketError,
)
from .factory import ApplicationFactory, WebSocketServerFactory
from .handshake import Request
from .headers import Headers
from .interfaces import WebSocketProtocol, WebSocketTransport
from .options import ServerOptions
from .resource import WebSocketResource
from .routes import Route, Routes
from .service import WebSocketService
from .tls import TLSServerEndpoint, loadContext, selfSignedContext
from .websocket import HandlerProtocol, WebSocket

__version__ = "0.1.0"

__all__ = [
    "ApplicationFactory",
    "BroadcastResult",
    "CloseCode",
    "ConnectionClosed",
    "HandlerProtocol",
    "HandshakeError",
    "HandshakeRejected",
    "Headers",
    "InvalidOption",
    "PreparedMessage",
    "Request",
    "Route",
    "Routes",
    "ServerOptions",
    "SlowPolicy",
    "TLSConfigurationError",
    "TLSServerEndpoint",
    "WebSocket",
    "WebSocketError",
    "WebSocketProtocol",
    "WebSocketResource",
    "WebSocketServerFactory",
    "WebSocketService",
    "WebSocketTransport",
    "broadcast",
    "loadContext",
    "selfSignedContext",
]
