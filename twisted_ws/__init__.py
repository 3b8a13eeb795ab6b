"""WebSocket for Twisted: a protocol to subclass, a server to start, a client.

``twistd -n websocket --port 8080`` runs a server; an application subclasses
:class:`WebSocketProtocol` and gives it to :class:`WebSocketServerFactory`, which any
Twisted endpoint can listen with, or to :class:`WebSocketClientEndpoint`. Coroutines
:func:`connect`.
"""

from .broadcast import BroadcastResult, SlowPolicy, broadcast
from .client import WebSocketClientEndpoint, connect
from .clienthandshake import Challenge
from .clientoptions import ClientOptions
from .clientservice import WebSocketClientService
from .closing import CloseCode
from .deflate import PreparedMessage
from .errors import (
    CertificateRefused,
    ConnectFailed,
    ConnectionClosed,
    HandshakeError,
    HandshakeRefused,
    HandshakeRejected,
    HandshakeTimeout,
    InvalidHandshake,
    InvalidOption,
    InvalidURL,
    ProxyFailed,
    RedirectRefused,
    TLSConfigurationError,
    TLSFailed,
    TooManyRedirects,
    WebSocketError,
)
from .factory import ApplicationFactory, WebSocketServerFactory
from .handshake import Request
from .headers import Headers, ResponseHead
from .interfaces import WebSocketProtocol, WebSocketTransport
from .options import ServerOptions
from .polling import FastServerEndpoint
from .reconnection import Backoff, isWorthRetrying, reconnecting
from .resource import WebSocketResource
from .routes import Route, Routes
from .service import WebSocketService
from .stream import (
    StreamFactory,
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)
from .tls import TLSServerEndpoint, loadContext, selfSignedContext
from .websocket import HandlerProtocol, WebSocket

__version__ = "0.1.0"

__all__ = [
    "ApplicationFactory",
    "Backoff",
    "BroadcastResult",
    "CertificateRefused",
    "Challenge",
    "ClientOptions",
    "CloseCode",
    "ConnectFailed",
    "ConnectionClosed",
    "FastServerEndpoint",
    "HandlerProtocol",
    "HandshakeError",
    "HandshakeRefused",
    "HandshakeRejected",
    "HandshakeTimeout",
    "Headers",
    "InvalidHandshake",
    "InvalidOption",
    "InvalidURL",
    "PreparedMessage",
    "ProxyFailed",
    "RedirectRefused",
    "Request",
    "ResponseHead",
    "Route",
    "Routes",
    "ServerOptions",
    "SlowPolicy",
    "StreamFactory",
    "TLSConfigurationError",
    "TLSFailed",
    "TLSServerEndpoint",
    "TooManyRedirects",
    "WebSocket",
    "WebSocketClientEndpoint",
    "WebSocketClientService",
    "WebSocketError",
    "WebSocketProtocol",
    "WebSocketResource",
    "WebSocketServerFactory",
    "WebSocketService",
    "WebSocketStreamClientEndpoint",
    "WebSocketStreamServerEndpoint",
    "WebSocketTransport",
    "broadcast",
    "connect",
    "isWorthRetrying",
    "loadContext",
    "reconnecting",
    "selfSignedContext",
]
