"""Stream protocols over WebSocket: the factory, the endpoints, and what a peer may send;
in memory, and between the endpoints on loopback."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from base64 import b64encode
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXClientEndpoint
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.certificates import makeCertificate, makeKey, selfSigned
from tests.clients import connect, within
from tests.processes import freePort
from tests.support import BINARY, TEXT, Recorder, closing, frame, text
from tests.test_streamtransport import Stream, StreamCase
from twisted_ws.clientoptions import ClientOptions
from twisted_ws.connection import CloseReceived
from twisted_ws.errors import ConnectFailed, HandshakeRefused, InvalidOption, InvalidURL
from twisted_ws.factory import WebSocketServerFactory
from twisted_ws.options import ServerOptions
from twisted_ws.stream import (
    StreamFactory,
    StreamProtocol,
    WebSocketStreamClientEndpoint,
    WebSocketStreamServerEndpoint,
)
from twisted_ws.tls import TLSServerEndpoint

reactor: Any = _reactor


class StartedFactory(Factory):
    """Counts how often it was started and stopped.

    :param protocols: what it gives, in turn
    """

    noisy = False

    def __init__(self, *protocols: Any) -> None:
        self.protocols = list(protocols)
        self.starts = self.stops = 0

    def startFactory(self) -> None:
        """Count."""
        self.starts += 1

    def stopFactory(self) -> None:
        """Count."""
        self.stops += 1

    def buildProtocol(self, addr: Any) -> Any:
        """Give the next one."""
        return self.protocols.pop(0)
